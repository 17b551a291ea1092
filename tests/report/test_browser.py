"""The page in a browser without a window: nothing is loaded, nothing goes wrong, and it looks as it should by day, by
night, on a telephone and on paper. Screenshots are kept in the folder that ``SPQUANT_SCREENSHOTS`` names, if any."""

import json
import os
import re
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest

from chromium import BROWSER, SWITCHES
from contrast import WORST
from spquant_snn import SpQuantTrainer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")]

ALONE = (*SWITCHES, "--enable-logging=stderr", "--virtual-time-budget=2000")
DAY, NIGHT = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a run with a baseline and pruned channels, and that of two runs."""
    folder = tmp_path_factory.mktemp("pages")
    small = {"precision": "fp32", "quiet": True, "timesteps": 2, "epochs": 3}
    baseline = SpQuantTrainer("lenet-snn:0.25", "digits", 32, out=folder / "fp32", **small).train()
    run = SpQuantTrainer("lenet-snn:0.25", "digits", 2, out=folder / "low", target_ops=0.5, **small).train()
    run.report(folder / "run.html", baseline=baseline)
    from spquant_snn.cli.report import open_sources, report_on
    from spquant_snn.cli.test_set import TestSet
    from spquant_snn.report.present import as_page

    both = report_on(open_sources([folder / "low", folder / "fp32"]), TestSet(count=60))
    (folder / "runs.html").write_text(as_page(both), "utf-8")
    return folder


@pytest.fixture
def browse(tmp_path):
    """``browse(page, *switches)``: what the browser prints and what it complains of."""

    def run(page, *switches):
        call = [BROWSER, *ALONE, f"--user-data-dir={tmp_path / 'profile'}", *switches, page.as_uri()]
        ended = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
        return ended.stdout, [line for line in ended.stderr.splitlines() if "CONSOLE" in line]

    return run


def requests(log):
    """Addresses that a page asked for over a network, from Chromium's own record; not those of its own housekeeping."""
    events = [event.get("params", {}) for event in json.loads(log.read_text("utf-8"))["events"]]
    found = {event["url"] for event in events if event.get("initiator", "not an origin") != "not an origin"}
    return sorted(address for address in found if re.match("(https?|wss?|ftp):", address))


@pytest.mark.parametrize("name", ["run.html", "runs.html"])
def test_nothing_is_loaded_and_nothing_goes_wrong(name, pages, browse, tmp_path):
    dom, complaints = browse(pages / name, "--dump-dom", f"--log-net-log={tmp_path / 'net.json'}")
    assert complaints == []
    assert requests(tmp_path / "net.json") == []
    assert "</html>" in dom


def test_a_page_that_loads_something_would_be_seen(pages, browse, tmp_path):
    page = (pages / "run.html").read_text("utf-8")
    call = "<img src='http://192.0.2.1/x.png' alt='x'><script>throw Error('bad')</script></body>"
    wrong, free = tmp_path / "wrong.html", tmp_path / "free.html"
    wrong.write_text(page.replace("</body>", call), "utf-8")
    _, complaints = browse(wrong, "--dump-dom", f"--log-net-log={tmp_path / 'net.json'}")
    assert len(complaints) == 2  # the page's own policy refuses both
    assert requests(tmp_path / "net.json") == []
    free.write_text(re.sub("<meta http-equiv[^>]*>", "", wrong.read_text("utf-8")), "utf-8")
    _, complaints = browse(free, "--dump-dom", f"--log-net-log={tmp_path / 'net.json'}")
    assert any("bad" in line for line in complaints)
    assert requests(tmp_path / "net.json") == ["http://192.0.2.1/x.png"]


def with_script(page, script, folder):
    """A copy of a page whose policy is gone and that ends with a script."""
    text = re.sub("<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    (folder / "with.html").write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    return folder / "with.html"


def test_one_mark_of_a_chart_is_reached_by_tab_and_the_others_by_arrows(pages, browse, tmp_path):
    script = """
      const svg = document.querySelector("svg"), marks = [...svg.querySelectorAll(".mark")];
      const places = () => [...marks.keys()].filter((i) => marks[i].getAttribute("tabindex") === "0");
      const press = (key) =>
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      const seen = [places()];
      marks[0].focus();
      for (const key of ["ArrowRight", "ArrowLeft", "ArrowLeft", "Home", "End", "x"]) {
        press(key);
        seen.push([marks.indexOf(document.activeElement), ...places()]);
      }
      seen.push(getComputedStyle(document.activeElement.querySelector(".tip")).opacity);
      seen.push(getComputedStyle(marks[0].querySelector(".tip")).opacity);
      document.title = JSON.stringify(seen);
    """
    dom, complaints = browse(with_script(pages / "run.html", script, tmp_path), "--dump-dom")
    last = 2  # of three epochs
    assert complaints == []
    found = json.loads(re.search("<title>(.*?)</title>", dom)[1])
    assert found == [[0], [1, 1], [0, 0], [last, last], [0, 0], [last, last], [last, last], "1", "0"]


@pytest.mark.parametrize("name", ["run.html", "runs.html"])
@pytest.mark.parametrize("width", [320, 900])
def test_it_is_never_wider_than_the_screen(name, width, pages, browse, tmp_path):
    with_script(pages / name, "", tmp_path)  # in a frame, for a window cannot be that narrow
    (tmp_path / "frame.html").write_text(
        f"""<!DOCTYPE html><title></title><iframe src="with.html" width={width} height=900 frameborder=0></iframe>
        <script>onload = () => {{
          const inside = document.querySelector("iframe").contentWindow;
          document.title = JSON.stringify([inside.innerWidth, inside.document.documentElement.scrollWidth]);
        }}</script>""",
        "utf-8",
    )
    switches = "--dump-dom", "--allow-file-access-from-files", "--window-size=1400,900"
    dom, complaints = browse(tmp_path / "frame.html", *switches)
    assert complaints == []
    assert json.loads(re.search("<title>(.*?)</title>", dom)[1]) == [width, width]


def test_text_is_told_from_its_ground_by_day_and_by_night(pages, browse, tmp_path):
    """Every text, against the colour of the page or of its tile, by the contrast of WCAG 2.2: 4.5 for a small one."""
    script = f"document.title = JSON.stringify({WORST});"
    page = with_script(pages / "run.html", script, tmp_path)
    grounds = []
    for scheme in (DAY, NIGHT):
        dom, _ = browse(page, "--dump-dom", scheme)
        contrast, _, ground, _ = json.loads(re.search("<title>(.*?)</title>", dom)[1])
        assert contrast >= 4.5
        grounds.append(ground)
    assert grounds[0] != grounds[1]


def corner(png):
    """The colour of the first pixel of a screenshot: no filter of a first row changes its first pixel."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in ((8, 2), (8, 6))
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    return (width, height), np.frombuffer(zlib.decompress(data), np.uint8)[1:4]


@pytest.mark.parametrize(
    ("name", "switches", "dark"),
    [
        ("run.html", ("--window-size=1280,1600", DAY), False),
        ("run.html", ("--window-size=1280,1600", NIGHT), True),
        ("run.html", ("--window-size=390,1600", DAY), False),
        ("runs.html", ("--window-size=1280,1200", NIGHT), True),
    ],
    ids=["day", "night", "telephone", "runs-night"],
)
def test_it_is_light_by_day_and_dark_by_night(name, switches, dark, pages, browse, tmp_path, request):
    shot = tmp_path / f"{request.node.callspec.id}.png"
    browse(pages / name, *switches, f"--screenshot={shot}")
    size, colour = corner(shot.read_bytes())
    assert size == tuple(map(int, re.findall(r"\d+", switches[0])))
    assert (colour.mean() < 60) if dark else (colour.mean() > 240)
    if kept := os.environ.get("SPQUANT_SCREENSHOTS"):
        shutil.copy(shot, kept)


def test_it_is_printed_in_full_and_on_white(pages, browse, tmp_path):
    browse(pages / "run.html", NIGHT, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'x.pdf'}")
    pdf = (tmp_path / "x.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20
    if kept := os.environ.get("SPQUANT_SCREENSHOTS"):
        shutil.copy(tmp_path / "x.pdf", kept)
