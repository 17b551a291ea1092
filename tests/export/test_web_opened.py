"""Pages, opened: able to tell when something in them is not as it was exported, on any server and screen, by day and by
night. Screenshots are kept in the folder that ``SPQUANT_SCREENSHOTS`` names.
"""

import os
import re
import shutil
import struct
import threading
from base64 import b64decode, b64encode
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from contrast import WORST
from page_trace import READY
from spquant_snn.export.c import Plans
from spquant_snn.export.interface import layer_names
from spquant_snn.export.naming import Names
from spquant_snn.export.render import Model, identifiers
from spquant_snn.export.web import export_web
from strokes import DIGITS
from toolchains import NEEDS_A_BROWSER

pytestmark = NEEDS_A_BROWSER


@pytest.fixture
def altered(site, tmp_path):
    """``altered(change)``: a copy of the page whose module ``change`` has made another."""

    def run(change):
        text = (site / "index.html").read_text("utf-8")
        before = re.search('<script type="text/plain" id="module">(.*?)</script>', text)[1]
        folder = tmp_path / "altered"
        folder.mkdir(exist_ok=True)
        after = b64encode(change(b64decode(before))).decode()
        (folder / "index.html").write_text(text.replace(before, after), "utf-8")
        return folder

    return run


def test_one_wrong_bit_of_any_table_fails_the_self_test_by_name(open_page, site, altered, any_graph):
    names = layer_names(any_graph)
    model = Model(Names())
    model.network(Plans.of(any_graph).images, identifiers(names), "images")
    module, found = (site / "model.wasm").read_bytes(), set()
    for table in model.tables.values():
        bits = table.array.tobytes().strip(b"\0")
        if module.count(bits) != 1:  # shorter than a word, or shared
            continue
        at = module.index(bits) + len(bits) // 2
        page = open_page(altered(lambda data, at=at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))
        said = page.text("#selftest")
        assert said.startswith(
            f"Self-test failed: layer {names[table.layer]} does not compute what the reference computes."
        )
        assert page.value("document.querySelector('#main').hidden")
        assert page.value("document.querySelector('#selftest').getAttribute('role')") == "alert"
        found.add(table.layer)
    assert found == set(range(len(names)))


def test_a_damaged_module_is_told(open_page, altered):
    page = open_page(altered(lambda data: data[:1000]))
    assert page.text("#selftest").startswith("Self-test failed: the module is damaged")


def test_a_page_whose_script_was_changed_says_so(browser, site, tmp_path):
    text = (site / "index.html").read_text("utf-8")
    (tmp_path / "x.html").write_text(text.replace("async function start()", "async  function start()"), "utf-8")
    page = browser.open((tmp_path / "x.html").as_uri())
    assert "waiting for the page's script. If this stays, the script was blocked or the page was changed" in page.text(
        "#selftest"
    )
    assert any("Content Security Policy" in said for said in page.complaints)
    page.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_any_server_will_do_and_nothing_is_loaded(browser, site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/site/"
        page = browser.open(address)
        page.until(READY)
        page.press("#pad", DIGITS[7][0])
        assert page.text("#selftest").startswith("Self-test passed")
        assert (page.requests, page.complaints) == ([address], [])
        page.close()
    finally:
        server.shutdown()
        server.server_close()


def test_no_name_or_title_becomes_a_part_of_the_page(open_page, tmp_path, any_graph):
    from dataclasses import replace

    bad = "</script><img src=x onerror=alert(1)>*/<!--"
    first = any_graph.layers[0]
    layer = replace(first, name=bad)
    graph = replace(any_graph, layers=(layer, *any_graph.layers[1:]))
    export_web(graph, np.zeros((1, 1, 28, 28), np.uint8), np.zeros(1, np.int64), tmp_path / "x", bad, "mnist")
    page = open_page(tmp_path / "x")
    assert page.value("document.querySelectorAll('img').length") == 0
    assert page.text("h1") == bad
    assert page.value("document.querySelector('.layer h3').innerText").startswith(bad)
    assert page.complaints == []


@pytest.mark.parametrize("width", [320, 360, 700, 900, 1400])
def test_it_is_never_wider_than_the_screen(open_page, site, width):
    page = open_page(site, width=width)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("Math.min(...[...document.querySelectorAll('button')].map((e) => e.offsetWidth))") >= 24


def test_text_is_told_from_its_ground_by_day_and_by_night(open_page, site, altered):
    grounds = []
    for dark in (False, True):
        for folder in (site, altered(lambda data: data[:1000])):
            page = open_page(folder, dark=dark)
            contrast, *what = page.value(WORST)
            assert contrast >= 4.5, what
        grounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_nothing_moves_for_those_who_want_it_so(open_page, site):
    for still, moves in ((False, "0.09s, 0.09s"), (True, "0s")):
        page = open_page(site, still=still)
        assert page.value("getComputedStyle(document.querySelector('.bar')).transitionDuration") == moves


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [
        ("day", 1200, 900, False),
        ("night", 1200, 900, True),
        ("telephone", 360, 740, False),
        ("telephone-night", 360, 740, True),
    ],
)
def test_it_is_light_by_day_and_dark_by_night(open_page, site, tmp_path, name, width, height, dark):
    page = open_page(site, width=width, height=height, dark=dark)
    page.press("#pad", DIGITS[7][0])
    page.until("document.querySelector('#time').innerText.includes('µs')")
    page.value("scrollTo(0, 0)")
    page.screenshot(tmp_path / f"{name}.png")
    png = (tmp_path / f"{name}.png").read_bytes()
    assert struct.unpack(">II", png[16:24]) == (width, height)
    ground = list(map(int, re.findall(r"\d+", page.value("getComputedStyle(document.body).backgroundColor"))))
    assert (max(ground) < 60) if dark else (min(ground) > 240)
    if kept := os.environ.get("SPQUANT_SCREENSHOTS"):
        page.resize(width, page.value("document.documentElement.scrollHeight"))
        page.screenshot(tmp_path / f"{name}.png")
        shutil.copy(tmp_path / f"{name}.png", kept)
