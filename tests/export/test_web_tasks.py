"""Pages of numbers and of several labels: what they say is what the reference says, beside what is right."""

from dataclasses import replace

import numpy as np
import pytest

from one_layer import CLASSES, one_layer
from spquant_snn.data import Task
from spquant_snn.data.scores import decide
from spquant_snn.data.task import OutputFormat
from spquant_snn.export.web import export_web
from spquant_snn.integer import reference
from spquant_snn.integer.graph import Graph
from toolchains import NEEDS_A_BROWSER

pytestmark = NEEDS_A_BROWSER

SHAPE, FRAMES = (2, 5, 4), 6
NUMBERS = OutputFormat(
    Task("regression", CLASSES, ("ahead", "<b>", "up"), "m/s"), (300.0, 0.01, 2e7), (1000.0, -0.3, 0)
)
ONE = OutputFormat(Task("multilabel", CLASSES))
CELLS = (
    "[...document.querySelectorAll('#scores tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
)


def graph_of(said, **more):
    graph = one_layer(SHAPE)
    return Graph(graph.inputs, graph.timesteps, graph.layers, (replace(graph.readout, output_format=said, **more),))


def items(frames=()):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (30, *frames, *SHAPE)).astype(np.uint8)
    return images, rng.integers(0, 2, (30, CLASSES)).astype(np.float32)


def shown_as(cell, value):
    """A cell tells a number to four digits."""
    return float(cell) == pytest.approx(value, rel=6e-4)


@pytest.mark.parametrize("over_time", ["last", "largest", "sum"])
def test_numbers_are_those_of_the_reference_in_their_unit(open_page, tmp_path, over_time):
    graph, (images, labels) = graph_of(NUMBERS, over_time=over_time), items()
    labels = labels * np.float32(100) + np.float32(3.25)
    export_web(graph, images, labels, tmp_path / "x", "numbers", "mnist")
    page = open_page(tmp_path / "x")
    wanted = graph.readout.values(reference.run(graph, images), graph.timesteps)
    found = page.value(
        "JSON.parse(document.querySelector('#about').textContent).samples.map(({ pixels }) => "
        "spquant.run(Uint8Array.from(atob(pixels), (x) => x.charCodeAt(0))).answer)"
    )
    assert found == wanted[:20].tolist()
    for n in range(2):
        cells = page.value(CELLS)
        assert [row[0] for row in cells] == ["ahead", "<b>", "up"]
        for row, said, right in zip(cells, wanted[n], labels[n], strict=True):
            assert shown_as(row[2], said)
            assert shown_as(row[3], right)
        assert page.text("#class").endswith(" m/s")
        assert page.text("#verdict").startswith("labelled ")
        page.press("#next")
    assert page.complaints == []


def test_labels_are_said_by_their_sign_and_compared(open_page, tmp_path):
    graph, (images, labels) = graph_of(ONE), items()
    export_web(graph, images, labels, tmp_path / "x", "labels", "custom")
    page = open_page(tmp_path / "x")
    logits = reference.run(graph, images)
    said = decide(ONE.task, graph.readout.values(logits, graph.timesteps))
    assert 0 < said.mean() < 1
    for n in range(5):
        yes = [["no", "yes"][int(x)] for x in said[n]]
        right = [["no", "yes"][int(x)] for x in labels[n]]
        assert [row[3:] for row in page.value(CELLS)] == [list(both) for both in zip(yes, right, strict=True)]
        named = [f"label {i}" for i in np.flatnonzero(said[n])]
        assert page.text("#class") == (" and ".join(named) or "none")
        agree = int((said[n] == labels[n]).sum())
        assert page.text("#verdict").startswith(
            "right in all labels" if agree == CLASSES else f"right in {agree} of {CLASSES} labels; to be said: "
        )
        missed = page.value("document.querySelectorAll('#scores .missed').length")
        assert missed == CLASSES - agree
        page.press("#next")
    assert page.complaints == []


@pytest.mark.parametrize("width", [320, 420, 1100])
@pytest.mark.parametrize("said", [NUMBERS, ONE], ids=["numbers", "labels"])
def test_a_recording_says_numbers_behind_each_frame(open_page, tmp_path, said, width):
    graph, (images, labels) = graph_of(said), items((FRAMES,))
    export_web(graph, images, labels, tmp_path / "x", "recordings", "custom")
    page = open_page(tmp_path / "x", width=width)
    assert page.value("document.documentElement.scrollWidth") <= width
    steps = reference.answers_by_step(graph, np.ascontiguousarray(images[:1].swapaxes(0, 1)))[0]
    page.value(
        "(() => { const m = document.querySelector('#moment'); m.value = 2; m.dispatchEvent(new Event('input')) })()"
    )
    cells, values = page.value(CELLS), graph.readout.values(steps[1], 2)[0]
    if said is NUMBERS:
        assert all(shown_as(row[2], value) for row, value in zip(cells, values, strict=True))
    else:
        assert [row[3] for row in cells] == [["no", "yes"][int(value > 0)] for value in values]
    assert page.complaints == []
