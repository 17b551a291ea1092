"""Pages, drawn on by mouse, finger and keys: what they show is what the reference says of the drawing."""

import json
import re

import numpy as np
import pytest

from rows import Last, Part, row
from spquant_snn.export.web import export_web
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from strokes import DIGITS
from toolchains import NEEDS_A_BROWSER

pytestmark = NEEDS_A_BROWSER

# Keep what the network of a page was last given.
WATCH = """
  const run = spquant.run;
  spquant.run = (pixels) => ((globalThis.given = [...pixels]), run.call(spquant, pixels));
"""


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


def test_others_than_digits_are_chosen_not_drawn(open_page, tmp_path, random_images):
    rng = np.random.default_rng(2)
    connection = Connection("conv", rng.integers(-1, 2, (8, 3, 3, 3)).astype(np.int8), 1.58, stride=(2, 2))
    reach = connection.reach(255)
    neuron, _ = fold_neuron(2, 4.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("readout", rng.integers(-1, 2, (10, 8 * 225)).astype(np.int8), 1.58)
    graph = row((3, 32, 32), 2, (Part(connection, neuron),), Last(last, 0, np.zeros(10, np.int32), 1.0))
    export_web(graph, random_images(graph, 12), np.arange(12) % 10, tmp_path / "x", "colours", "cifar10")
    for width in (360, 1200):
        page = open_page(tmp_path / "x", width=width)
        page.press("#next")
        assert page.value("document.querySelector('#clear, #undo, #seen, .pad:not(.still)')") is None
        assert page.text("#said").startswith("Test image 1, labelled car. The network reads ")
        assert page.value("spquant.run(new Uint8Array(3072)).answer") == 0  # the first of equal scores
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.complaints == []
