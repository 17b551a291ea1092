"""Predicted instructions: what they count, by hand, and that they lie beside those of an emulated Cortex-M4."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.data import load
from spquant_snn.errors import DataError, ModelError
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import run_firmware
from spquant_snn.export.outcome import Outcome
from spquant_snn.export.packaging import Packaging
from spquant_snn.integer.compare import Trace
from spquant_snn.integer.file import load_graph
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.report.counts import count
from spquant_snn.report.firmware_cost import FirmwareWork, Rests, predict_instructions, unpredictable, with_prediction
from spquant_snn.runtime.layout import plan_connections
from spquant_snn.runtime.plan import Body
from toolchains import needs

NETWORK = Path(__file__).parents[2] / "examples" / "device-lenet.spq"
OUTCOME = Outcome("cortex-m4", "qemu", "gcc", 1, 1, 1, 1000.0, 5.0, 2.0, 10, 20, 30, 40)


def untrained(seed, channels, kernel, full, bits, steps, pool="sum"):
    """A random network for images of 28x28, with the offsets that a norm has; ``pool`` is before or behind neurons."""
    rng, layers, shape, pools = np.random.default_rng(seed), [], (1, 28, 28), ()

    def drawn(*sizes):
        return rng.integers(-1 if bits == 1.58 else -2, 2, sizes).astype(np.int8)

    def add(connection, most):
        gain = 1 / np.sqrt(np.square(connection.codes.astype(float)).reshape(len(connection.codes), -1).sum(1)) / most
        offset = rng.normal(0, 0.1, len(gain))
        neuron, _ = fold_neuron(bits, gain, offset, 1.0, 0.5, "zero", connection.reach(most))
        layers.append(Part(connection, neuron))
        return connection.output_shape(shape)

    def inner():
        size = shape
        for one in pools:
            size = (size[0], *one.size(*size[1:]))
        return int(np.prod(size))

    for i, outputs in enumerate(channels):
        codes, padding = drawn(outputs, shape[0], kernel, kernel), around(kernel // 2, kernel // 2)
        summed = square("sum", 2, 2) if pool == "sum" else None
        shape = add(Connection(f"conv{i}", codes, bits, padding=padding, sum_pool=summed, pools=pools), 1 if i else 255)
        pools = () if pool == "sum" else (square("max", 2, 2),)
    for i, outputs in enumerate(full):
        connection, pools = Connection(f"fc{i}", drawn(outputs, inner()), bits, pools=pools), ()
        shape = add(connection, 1)
    last = Connection("readout", drawn(10, inner()), bits, pools=pools)
    return row((1, 28, 28), steps, tuple(layers), Last(last, 0, np.zeros(10, np.int32), 1.0))


def squares(images):
    """Bright noise on black."""
    draw, shown = np.random.default_rng(0), np.zeros((images, 1, 28, 28), np.uint8)
    for image, (y, x) in zip(shown, draw.integers(4, 14, (images, 2)), strict=True):
        image[0, y : y + 11, x : x + 7] = draw.integers(0, 256, (11, 7))
    return shown


def works(graph, images):
    rests = Rests(len(graph.layers))
    counted = count(graph, images, watch=rests.add).layers
    parts = plan_connections(graph, Body.PACKED)
    return [FirmwareWork.of(part.connection, layer, 0.0) for part, layer in zip(parts, counted, strict=True)]


@pytest.mark.usefixtures("by_reference")
def test_what_is_counted_by_hand():
    """3x3 pixels of which two are not zero, a kernel of 2x2 with a border of one: 4x4 places, each pixel under four."""
    codes = np.ones((20, 1, 2, 2), np.int8)
    connection = Connection("conv", codes, 1.58, padding=around(1, 1))
    reach = connection.reach(255)
    neuron, _ = fold_neuron(1.58, np.full(20, 1.0), np.zeros(20), 1.0, 0.5, "zero", reach)  # all that sees one fires
    last = Connection("readout", np.ones((3, 320), np.int8), 1.58)
    graph = row((1, 3, 3), 2, (Part(connection, neuron),), Last(last, 0, np.zeros(3, np.int32), 1.0))
    image = np.zeros((1, 1, 3, 3), np.uint8)
    image[0, 0, 0, 0] = image[0, 0, 2, 2] = 255
    first, second = works(graph, image)
    assert (first.visits, first.counted.active) == (8, 2)
    assert (first.lines, first.scans) == (1 + 2 + 2 + 1, 4 * 6)
    assert (first.rows, first.places) == (4, 16)
    fired = 2 * 20 * 8  # two steps, 20 channels, the places that see a pixel
    assert (second.visits, second.counted.active, second.places) == (fired, fired, 2)
    assert (second.lines, second.scans, second.runs) == (2 * 4, 2 * 4, 2 * 4)
    doubled = FirmwareWork.of(first.connection, replace(first.counted, folded=16 * 20), 0.0)
    assert doubled.visits == 16
    assert doubled.costs()["adding"] > first.costs()["adding"]
    assert doubled.costs()["neurons"] == first.costs()["neurons"]


def test_units_at_rest_by_hand():
    """48 channels are three units: channels 0 to 3, 8 to 11 and so on, those between them, and the last 16."""
    codes = np.zeros((3, 1, 48, 1, 2), np.int8)
    codes[0, 0, 8, 0, 0] = 1  # moves the first unit at one place, after the first step
    codes[1, 0, 13, 0, 1] = -1  # the second unit at the other place, after the second step
    codes[1, 0, 40, 0, 1] = 1  # and the third
    codes[2] = 1  # after which no step comes
    trace = Trace()
    trace.add("layer", codes != 0, codes)
    rests = Rests(1)
    rests.add(trace)
    assert rests.units == [3 * 3 * 2 - 3]


def test_networks_that_the_model_does_not_know_are_named(random_graph, random_images):
    graph = random_graph(9, 8, 8)
    assert "is not computed packed (2 bits at most, reset to zero, no gate)" in unpredictable(graph)
    with pytest.raises(ModelError, match=f"no prediction of instructions: layer '{graph.connections[0].name}' is"):
        predict_instructions(graph, random_images(graph, 1))


@pytest.mark.parametrize(
    ("given", "shape", "reason"),
    [
        ({}, Packaging(), None),
        ({"board": "cortex-m0"}, Packaging(), "the model is of cortex-m4 and gcc"),
        ({"compiler": "zig"}, Packaging(), "the model is of cortex-m4 and gcc"),
        ({}, Packaging(amalgamate=True), "the source is one file, which the compiler treats otherwise"),
    ],
)
def test_only_what_the_model_is_of_is_predicted(tmp_path, given, shape, reason):
    graph, images = untrained(0, (4,), 3, (), 1.58, 2), squares(2)
    export_c(graph, images[:1], tmp_path / "x", "x", shape=shape)
    outcome = with_prediction(replace(OUTCOME, **given), tmp_path / "x", images)
    assert outcome.unpredicted == reason
    assert outcome.predicted == (predict_instructions(graph, images) if reason is None else None)


def error(graph, images, folder, small=False):
    """Of the prediction, in percent of what was counted."""
    board = board_of("cortex-m4")
    needs(board)
    export_c(graph, images[:2], folder, "x", small=small)
    outcome = run_firmware(folder, board, images, np.zeros(len(images)), "gcc", "qemu")
    outcome = with_prediction(outcome, folder, images)
    assert outcome.unpredicted is None
    return 100 * (outcome.predicted / outcome.instructions - 1)


@pytest.mark.device
@pytest.mark.mnist
@pytest.mark.parametrize("small", [False, True])
def test_the_device_network_on_digits(tmp_path, small):
    try:
        if "SPQUANT_DATA" not in os.environ:
            raise DataError("no folder")
        test = load("mnist", download=False, progress=False).test
    except DataError:
        pytest.skip("MNIST's files are not here: name their folder by SPQUANT_DATA")
    images = np.ascontiguousarray(test.images[:100])
    assert abs(error(load_graph(NETWORK), images, tmp_path / "x", small)) < 3


@pytest.mark.device
@pytest.mark.parametrize(
    "drawn",
    [
        (11, (8, 16), 3, (), 1.58, 2),
        (12, (24, 48), 5, (64,), 1.58, 4),
        (13, (16, 32), 5, (), 2, 3),
        (14, (32, 32, 64), 3, (), 1.58, 2),
        (15, (16, 32), 3, (32,), 1.58, 3, "max"),
    ],
    ids=str,
)
def test_networks_that_the_model_was_not_made_on(tmp_path, drawn):
    assert abs(error(untrained(*drawn), squares(20), tmp_path / "x")) < 10
