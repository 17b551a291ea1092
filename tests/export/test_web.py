"""Pages, in a browser without a window: equal to the reference, drawn on by mouse, finger and keys, and able to tell
when something in them is not as it was exported. Screenshots are kept in the folder that ``SPQUANT_SCREENSHOTS`` names.
"""

import json
import os
import re
import shutil
import struct
import threading
from base64 import b64decode, b64encode
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from chromium import BROWSER, Chromium
from contrast import WORST
from graphs import EXPORTED, GATED, RARE
from mnist import mnist_test_or_skip
from residual import EXPORTED as RESIDUAL
from residual import residual_graph
from seeing import CRC, READY, SEE, seen_by_reference
from spquant_snn.data import load
from spquant_snn.export.c import Plans
from spquant_snn.export.render import Model, identifiers
from spquant_snn.export.web import choose_samples, describe, export_web
from spquant_snn.integer import reference
from spquant_snn.integer.file import load_graph
from spquant_snn.integer.graph import Connection, Graph, Layer, Readout
from spquant_snn.integer.verify import reference_trace
from spquant_snn.quant.fold import fold_neuron
from spquant_snn.quant.pool import Pool
from spquant_snn.report.counts import count
from strokes import DIGITS

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    pytest.mark.skipif(find_spec("ziglang") is None, reason="the extra web is not installed"),
]

EXAMPLES = Path(__file__).parents[2] / "examples"

# Keep what the network of a page was last given.
WATCH = """
  const run = spquant.run;
  spquant.run = (pixels) => ((globalThis.given = [...pixels]), run.call(spquant, pixels));
"""


@pytest.fixture(scope="module")
def browser():
    with Chromium() as found:
        yield found


@pytest.fixture(scope="module")
def any_graph():
    """A network of 28x28 grey pixels whose weights are drawn at random."""
    rng = np.random.default_rng(11)
    convolution = Connection(
        "conv", rng.integers(-1, 2, (12, 1, 5, 5)).astype(np.int8), 1.58, padding=(2, 2), stride=(2, 2)
    )
    full = Connection("full", rng.integers(-1, 2, (20, 12 * 49)).astype(np.int8), 2, pools=(Pool("max", 2, 2),))
    layers = []
    for connection, bits, largest, gain in ((convolution, 1.58, 255, 6.0), (full, 3, 1, 40.0)):
        reach = connection.reach(largest)
        neuron, _ = fold_neuron(bits, gain / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
        layers.append(Layer(connection, neuron))
    last = Connection("readout", rng.integers(-1, 2, (10, 20)).astype(np.int8), 2)
    return Graph((1, 28, 28), 3, tuple(layers), Readout(last, 2, rng.integers(-9, 9, 10).astype(np.int32), 0.1))


@pytest.fixture(scope="module")
def site(any_graph, tmp_path_factory):
    """The folder of a page that is drawn on."""
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)
    images[:, :, :, 20:] = 0
    out = tmp_path_factory.mktemp("web") / "site"
    export_web(any_graph, images, np.arange(40) % 10, out, "any weights", "mnist")
    return out


@pytest.fixture
def open_page(browser):
    """``open_page(folder, **window)``: its page, whose self-test has ended."""
    opened = []

    def run(folder, **window):
        page = browser.open((folder / "index.html").as_uri(), **window)
        opened.append(page)
        page.until(READY)
        return page

    yield run
    for page in opened:
        page.close()


@pytest.fixture(scope="module")
def mnist():
    """Test images and labels of MNIST."""
    return mnist_test_or_skip()


@pytest.fixture(scope="module")
def trained(mnist, tmp_path_factory):
    """A network that knows digits: one of the examples, or one that is trained for a moment."""
    for path in sorted(EXAMPLES.glob("*.spq")):
        if load_graph(path).input_shape == (1, 28, 28):
            return load_graph(path)
    from spquant_snn import SpQuantTrainer

    train = load("mnist", download=False, progress=False).train
    data = ((train.images[:12_000], train.labels[:12_000]), (train.images[-500:], train.labels[-500:]))
    folder = tmp_path_factory.mktemp("trained")
    run = SpQuantTrainer(
        "lenet-snn:0.25", data, 2, timesteps=2, epochs=2, precision="fp32", quiet=True, out=folder / "run"
    )
    run.train()
    run.export(folder / "model.spq")
    return load_graph(folder / "model.spq")


@pytest.fixture(scope="module")
def trained_site(trained, mnist, tmp_path_factory):
    out = tmp_path_factory.mktemp("web") / "trained"
    export_web(trained, *mnist, out, "a trained network", "mnist")
    return out


def as_text(image):
    return json.dumps(b64encode(image.tobytes()).decode())


@pytest.mark.parametrize(
    ("drawn", "gated"), [*((drawn, False) for drawn in EXPORTED), *((drawn, True) for drawn in GATED)], ids=str
)
def test_a_page_computes_and_counts_as_the_reference(
    open_page, random_graph, with_gates, random_images, tmp_path, drawn, gated
):
    graph = with_gates(random_graph(*drawn), drawn[0]) if gated else random_graph(*drawn)
    assert any(layer.gate is not None for layer in graph.layers) == gated
    check_page(open_page, graph, random_images, tmp_path, drawn)


@pytest.mark.parametrize("drawn", RESIDUAL[:3], ids=str)
def test_a_page_adds_shortcuts_as_the_reference(open_page, random_images, tmp_path, drawn):
    check_page(open_page, residual_graph(*drawn), random_images, tmp_path, drawn)


def check_page(open_page, graph, random_images, tmp_path, drawn):
    images = random_images(graph, 6, drawn[0])
    export_web(graph, images, np.zeros(6, np.int64), tmp_path / "x", f"random graph {drawn}", "digits")
    page = open_page(tmp_path / "x")
    assert page.text("#selftest") == "Self-test passed: bit for bit as the reference."
    page.value(SEE)
    for image, expected in zip(
        images, seen_by_reference(graph, images, lambda part: part.ravel().tolist()), strict=True
    ):
        assert page.value(f"see({as_text(image)})") == expected
        work = page.value(
            f"(() => {{ const pixels = Uint8Array.from(atob({as_text(image)}), (x) => x.charCodeAt(0));"
            "return operations(spquant.about, pixels, spquant.run(pixels).layers).map((w) => [w.dense, w.done]) })()"
        )
        assert work == [[layer.dense, layer.done] for layer in count(graph, image[None]).rows]
    assert page.complaints == []


@pytest.mark.parametrize("seed", [4, 24, 33, RARE + 4, RARE + 8, RARE + 11])
def test_operations_that_gates_leave_out_are_not_counted(
    open_page, site, random_graph, with_gates, random_images, seed
):
    graph = with_gates(random_graph(seed, 2, 4), seed)
    images = random_images(graph, 2, seed)
    page = open_page(site)
    about = json.dumps(describe(graph, choose_samples(images, np.zeros(2, np.int64)), "digits"))
    for image in images:
        parts = [
            f"{{spikes: Uint8Array.from({spikes.astype(int).ravel().tolist()}), "
            f"codes: Int8Array.from({codes.ravel().tolist()})}}"
            for _, spikes, codes in reference_trace(graph, image[None]).layers
        ]
        pixels = f"Uint8Array.from({image.ravel().tolist()})"
        work = page.value(f"operations({about}, {pixels}, [{', '.join(parts)}]).map((w) => [w.dense, w.done])")
        counted = count(graph, image[None]).layers
        assert work == [[layer.dense, layer.done] for layer in counted]
        assert any(layer.done < layer.reached for layer in counted)


@pytest.mark.mnist
def test_200_test_images_are_seen_bit_for_bit_as_by_the_reference(open_page, trained_site, trained, mnist):
    images, labels = mnist[0][:200], mnist[1][:200]
    page = open_page(trained_site)
    page.value(CRC)
    found = [page.value(f"see({as_text(image)})") for image in images]
    assert found == list(seen_by_reference(trained, images))
    assert (np.array([logits for logits, _ in found]).argmax(1) == labels).mean() > 0.9


@pytest.mark.mnist
@pytest.mark.parametrize("hand", ["press", "touch"])
def test_drawn_digits_are_read(open_page, trained_site, hand):
    page = open_page(trained_site, width=360 if hand == "touch" else 1200)
    read = {}
    for digit, strokes in DIGITS.items():
        page.press("#clear")
        for stroke in strokes:
            getattr(page, hand)("#pad", stroke)
        read[digit] = page.text("#class")
    assert sum(str(digit) == found for digit, found in read.items()) >= 9, read
    assert page.complaints == []


def check_shown(page, graph):
    """What stands on the page is what the reference says of what the network was given."""
    image = np.array(page.value("given"), np.uint8).reshape(1, *graph.input_shape)
    logits = reference.run(graph, image)[0]
    shown = [
        score.replace(",", "")
        for score in page.value("[...document.querySelectorAll('#scores .number')].map((e) => e.innerText)")
    ]
    assert shown == list(map(str, logits))
    assert page.text("#class") == str(logits.argmax())
    assert page.value("document.querySelector('#scores .best th').innerText") == str(logits.argmax())
    spikes = [int(spikes.sum()) for _, spikes, _ in reference_trace(graph, image).layers]
    assert min(spikes) > 0 or not image.any()
    assert page.text("#spikes") == f"{sum(spikes):,}"
    captions = page.value("[...document.querySelectorAll('.sides div:first-child figcaption')].map((e) => e.innerText)")
    assert [int(re.match(r"step \d+: ([\d,]+) of", said)[1].replace(",", "")) for said in captions] == [
        int(step.sum()) for _, spikes, _ in reference_trace(graph, image).layers for step in spikes
    ]
    return image


def test_strokes_are_shown_as_the_reference_sees_them(open_page, site, any_graph):
    page = open_page(site)
    page.value(WATCH)
    for digit in (4, 7):
        for stroke in DIGITS[digit]:
            page.press("#pad", stroke)
            check_shown(page, any_graph)
        assert page.text("#said").startswith("The network reads ")
        page.press("#clear")
        assert (page.text("#class"), page.text("#said")) == ("–", "Cleared.")
    for stroke in DIGITS[4]:
        page.touch("#pad", stroke)
    both = check_shown(page, any_graph)
    page.press("#undo")
    assert (check_shown(page, any_graph) != both).any()
    page.until("document.querySelector('#time').innerText.includes('µs')")
    assert page.complaints == []


def test_a_drawing_becomes_an_image_like_those_of_mnist(open_page, site):
    page = open_page(site)

    def image(strokes, scale=1.0, dx=0.0, dy=0.0):
        moved = [[(28 * (scale * x + dx), 28 * (scale * y + dy)) for x, y in stroke] for stroke in strokes]
        return np.array(page.value(f"[...digit({json.dumps(moved)})]")).reshape(28, 28)

    for strokes in DIGITS.values():
        found = image(strokes)
        rows, columns = (np.flatnonzero(found.max(axis) > 60) for axis in (1, 0))
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
        places = np.arange(28)
        mass = found.sum()
        assert (found.sum(1) @ places / mass, found.sum(0) @ places / mass) == pytest.approx((14, 14), abs=0.1)
        assert np.isin(found, [0, 255]).mean() < 0.95  # its edges are soft
        assert np.abs(image(strokes, 0.6, 0.1, 0.3) - found).max() <= 2  # wherever and however large it is drawn
    assert not image([]).any()
    dot = image([[(0.2, 0.2), (0.21, 0.2)]])
    assert 0 < np.count_nonzero(dot) < 40  # not blown up


def test_everything_is_reached_and_done_by_keys(open_page, site, any_graph):
    page = open_page(site)
    page.value(WATCH)
    reached = []
    for _ in range(9):
        page.type("Tab")
        reached.append(
            page.value("(({ id, className, tagName }) => id || className || tagName)(document.activeElement)")
        )
        outline = page.value("getComputedStyle(document.activeElement).outline")
        assert "3px" in outline, reached[-1]
        if reached[-1] == "pad":
            page.type("ArrowUp", "ArrowLeft", shift=True)
            page.type(" ", "ArrowDown", "ArrowDown", shift=True)
            page.type("ArrowRight", "ArrowRight", "ArrowRight", " ")
            image = check_shown(page, any_graph)
            assert np.count_nonzero(image) > 50
            assert page.text("#said").startswith("Pen up. The network reads ")
            page.type(" ", "ArrowRight", "ArrowDown", "Enter", "Backspace")
            assert (check_shown(page, any_graph) == image).all()
    first = next(place for place, name in enumerate(reached) if name == "BUTTON")
    assert reached[:first] == ["skip", "pad", "clear", "undo", "next"]
    assert reached[first + 1] == "scroll"  # one of the samples, then the table, which may be scrolled
    page.value("document.querySelector('#samples button').focus()")
    page.type("ArrowRight", "ArrowRight", "End", "ArrowRight", "ArrowLeft", "Home", "ArrowRight", "Enter")
    assert page.value("document.activeElement.getAttribute('aria-label')") == "Test image 1, labelled 1"
    assert page.value("document.activeElement.getAttribute('aria-pressed')") == "true"
    said = page.text("#said")
    assert said.startswith("Test image 1, labelled 1. The network reads ")
    assert ("right, " in said) == (page.text("#class") == "1")
    check_shown(page, any_graph)
    page.type("Delete")
    assert page.value("document.querySelector('#samples [aria-pressed=true]').getAttribute('aria-label')")
    page.value("document.querySelector('#pad').focus()")
    page.type("Delete")
    assert page.text("#class") == "–"
    assert page.value("document.querySelector('#samples [aria-pressed=true]')") is None


def test_test_images_are_shown_with_their_labels(open_page, site, any_graph):
    page = open_page(site)
    page.value(WATCH)
    labels = page.value("[...document.querySelectorAll('#samples button')].map((e) => e.innerText.trim())")
    assert labels == [str(i % 10) for i in range(20)]
    for label in ("1", "2", "3"):
        page.press("#next")
        check_shown(page, any_graph)
        right = page.text("#class") == label
        assert page.text("#verdict").startswith("right, " if right else f"wrong: labelled {label}, ")
    page.press("#pad", DIGITS[1][0])
    assert "labelled" not in page.text("#verdict")
    page.press("#next")
    assert "labelled" in page.text("#verdict") or page.text("#verdict").startswith("right, ")


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
    names = [connection.name for connection in any_graph.connections]
    model = Model()
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


def test_others_than_digits_are_chosen_not_drawn(open_page, tmp_path, random_images):
    rng = np.random.default_rng(2)
    connection = Connection("conv", rng.integers(-1, 2, (8, 3, 3, 3)).astype(np.int8), 1.58, stride=(2, 2))
    reach = connection.reach(255)
    neuron, _ = fold_neuron(2, 4.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("readout", rng.integers(-1, 2, (10, 8 * 225)).astype(np.int8), 1.58)
    graph = Graph((3, 32, 32), 2, (Layer(connection, neuron),), Readout(last, 0, np.zeros(10, np.int32), 1.0))
    export_web(graph, random_images(graph, 12), np.arange(12) % 10, tmp_path / "x", "colours", "cifar10")
    for width in (360, 1200):
        page = open_page(tmp_path / "x", width=width)
        page.press("#next")
        assert page.value("document.querySelector('#clear, #undo, #seen, .pad:not(.still)')") is None
        assert page.text("#said").startswith("Test image 1, labelled car. The network reads ")
        assert page.value("spquant.run(new Uint8Array(3072)).answer") == 0  # the first of equal scores
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.complaints == []


def test_no_name_or_title_becomes_a_part_of_the_page(open_page, tmp_path, any_graph):
    from dataclasses import replace

    bad = "</script><img src=x onerror=alert(1)>*/<!--"
    first = any_graph.layers[0]
    layer = replace(first, connection=replace(first.connection, name=bad))
    graph = replace(any_graph, layers=(layer, *any_graph.layers[1:]))
    export_web(graph, np.zeros((1, 1, 28, 28), np.uint8), np.zeros(1, np.int64), tmp_path / "x", bad, "mnist")
    page = open_page(tmp_path / "x")
    assert page.value("document.querySelectorAll('img').length") == 0
    assert page.text("h1") == bad
    assert page.value("document.querySelector('.layer h3').innerText").startswith(bad)
    assert page.complaints == []


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
