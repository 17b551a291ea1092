"""Pages of maps of classes: what they paint is what the reference says, pixel by pixel, beside what is right."""

from dataclasses import replace

import numpy as np
import pytest

from rows import Last, Part, row
from spquant_snn.data import Task
from spquant_snn.data.scores import count, iou_of_each
from spquant_snn.data.task import OutputFormat
from spquant_snn.export.web import export_web
from spquant_snn.integer import reference
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.report.draw.looks import _COLOURS
from toolchains import NEEDS_A_BROWSER

pytestmark = NEEDS_A_BROWSER

SIZE, STEPS, FRAMES, CLASSES = (7, 9), 3, 5, 6
LARGE = (48, 64)  # its logits are more than 64 KiB
TASK = Task("segmentation", CLASSES, ("road", "<b>", "sky", "car", "tree", "a very long name of a class"))
# The pixels of a canvas, [height, width, 4], read from a copy.
PAINTED = """(() => {
  const canvas = document.querySelector('#answered .%s canvas'), { width, height } = canvas;
  const copy = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
  copy.drawImage(canvas, 0, 0);
  return [height, width, Array.from(copy.getImageData(0, 0, width, height).data)];
})()"""
COLOURS = """[...document.querySelectorAll('#scores tbody th .swatch')].map(
  (swatch) => getComputedStyle(swatch).backgroundColor.match(/\\d+/g).map(Number))"""
CELLS = (
    "[...document.querySelectorAll('#scores tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
)


def graph_of(height, width):
    """A convolution of 8 neurons a pixel, and one of kernel 1 that tells classes."""
    rng = np.random.default_rng(3)
    connection = Connection("conv", rng.integers(-1, 2, (8, 2, 3, 3)).astype(np.int8), 1.58, padding=(1, 1, 1, 1))
    reach = connection.reach(255)
    neuron, _ = fold_neuron(1.58, 9.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("maps", rng.integers(-7, 8, (CLASSES, 8, 1, 1)).astype(np.int8), 4)
    plain = row((2, height, width), STEPS, (Part(connection, neuron),), Last(last, 0, np.zeros(CLASSES, np.int32), 0.1))
    return replace(plain, readouts=(replace(plain.readout, output_format=OutputFormat(TASK)),))


def items(size, frames=()):
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (3, *frames, 2, *size)).astype(np.uint8), rng.integers(-1, CLASSES, (3, *size))


def painted(page, which):
    """The class of each pixel of a map, by the colours of the legend; -1 where nothing is painted."""
    height, width, values = page.value(PAINTED % which)
    pixels = np.array(values).reshape(height, width, 4)
    legend = np.array(page.value(COLOURS))
    assert len(np.unique(legend, axis=0)) == CLASSES
    fits = (pixels[..., None, :3] == legend).all(-1) & (pixels[..., None, 3] == 255)
    assert ((pixels[..., 3] == 0) | fits.any(-1)).all()
    return np.where(pixels[..., 3] == 0, -1, fits.argmax(-1))


@pytest.mark.parametrize("size", [SIZE, LARGE], ids=["small", "large"])
def test_maps_are_those_of_the_reference_pixel_by_pixel(open_page, tmp_path, size):
    graph, (images, labels) = graph_of(*size), items(size)
    export_web(graph, images, labels, tmp_path / "x", "maps", "mnist")
    page = open_page(tmp_path / "x")
    assert page.value(COLOURS)[: len(_COLOURS)] == [list(bytes.fromhex(colour[1:])) for colour in _COLOURS]
    values = graph.readout.values(reference.run(graph, images), graph.timesteps)
    wanted = values.argmax(1)
    assert len(np.unique(wanted)) > 2
    found = page.value(
        "JSON.parse(document.querySelector('#about').textContent).samples.map(({ pixels }) => "
        "spquant.run(Uint8Array.from(atob(pixels), (x) => x.charCodeAt(0))).answer)"
    )
    assert np.array_equal(np.array(found).reshape(wanted.shape), wanted)
    for n in range(len(images)):
        assert np.array_equal(painted(page, "said"), wanted[n])
        assert np.array_equal(painted(page, "right"), labels[n])
        counted = labels[n] >= 0
        right, all_, ignored = (wanted[n] == labels[n]).sum(), counted.sum(), (~counted).sum()
        assert page.text("#verdict") == f"{100 * right / all_:.1f} % of {all_:,} pixels right, {ignored:,} not counted"
        shared = iou_of_each(count(TASK, values[n : n + 1], labels[n : n + 1]))
        cells = page.value(CELLS)
        assert [each[0] for each in cells] == list(TASK.names)
        for i, (said, true, iou) in enumerate(each[2:] for each in cells):
            assert said == f"{(wanted[n][counted] == i).sum():,}"
            assert true == f"{(labels[n] == i).sum():,}"
            assert iou == "–" if np.isnan(shared[i]) else float(iou[:-2]) == pytest.approx(100 * shared[i], abs=0.051)
        page.press("#next")
    assert page.complaints == []


@pytest.mark.parametrize("width", [320, 420, 1100])
def test_a_recording_says_a_map_behind_each_frame(open_page, tmp_path, width):
    graph, (images, labels) = graph_of(*SIZE), items(SIZE, (FRAMES,))
    labels[0] = -1
    export_web(graph, images, labels, tmp_path / "x", "recordings of maps", "custom")
    page = open_page(tmp_path / "x", width=width)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.text("#verdict") == f"0.0 % of 0 pixels right, {labels[0].size} not counted"
    steps = reference.answers_by_step(graph, np.ascontiguousarray(images[:1].swapaxes(0, 1)))[0]
    for frame in (1, 2, FRAMES):
        page.value(
            f"(() => {{ const m = document.querySelector('#moment'); m.value = {frame}; "
            "m.dispatchEvent(new Event('input')) })()"
        )
        assert np.array_equal(painted(page, "said"), steps[frame - 1][0].argmax(0))
    assert (painted(page, "right") == -1).all()
    assert page.complaints == []
