"""Spikes as bytes times codes four by four: the same integers as lists of spikes, in every build that has the form."""

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.runtime import quads
from spquant_snn.runtime.plan import LANES, Body

SHAPES = [  # kernel, padding, stride, pool behind it, and the width of the image
    ((3, 3), (1, 1), (1, 1), None, 11),
    ((3, 3), (1, 1), (1, 1), square("sum", 2, 2), 12),
    ((2, 3), (0, 2), (1, 2), square("sum", 3, 2), 13),
    ((1, 4), (0, 0), (2, 1), None, 5),
    ((9, 3), (0, 0), (1, 1), None, 3),
]


@pytest.fixture
def always(monkeypatch):
    """Layers that can take bytes do so in every step."""
    monkeypatch.setattr(quads, "_clocks_of_event", lambda plan, body: 1e12)


def graph_of(bits, state_bits, kernel, pad, stride, pool, width, ends=False, channels=37, outputs=70):
    """Three layers; the second meets the spikes of the first, its codes lie at both ends of their grid or between."""
    rng, grid = np.random.default_rng(channels + width), WEIGHT_GRIDS[bits]
    first = Connection("first", rng.integers(-1, 2, (channels, 1, 1, 1)).astype(np.int8), 2)
    lit, _ = fold_neuron(2, np.full(channels, 1 / 128), np.zeros(channels), 1.0, 0.5, "zero", first.reach(255))
    shape = (outputs, channels, *kernel)
    codes = rng.choice([grid.low, grid.high], shape) if ends else rng.integers(grid.low, grid.high + 1, shape)
    second = Connection("second", codes.astype(np.int8), bits, padding=around(*pad), stride=stride, sum_pool=pool)
    reach = second.reach(1)
    neuron, _ = fold_neuron(state_bits, 6.0 / reach, 0 * reach, 1.0, 0.5, "zero", reach)
    shape = second.output_shape((channels, 9, width))
    third = Connection("third", rng.integers(-127, 128, (40, int(np.prod(shape)))).astype(np.int8), 8)
    reach = third.reach(1)
    last, _ = fold_neuron(state_bits, 6.0 / reach, 0 * reach, 1.0, 0.5, "subtract", reach)
    readout = Last(
        Connection("readout", rng.integers(-1, 2, (3, 40)).astype(np.int8), 2), 2, np.zeros(3, np.int32), 1.0
    )
    return row((1, 9, width), 3, (Part(first, lit), Part(second, neuron), Part(third, last)), readout)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("bits", "state_bits"), [(8, 2), (8, 8), (4, 4), (1.58, 1.58)])
def test_bytes_give_what_lists_give(program, always, bits, state_bits, shape):
    graph = graph_of(bits, state_bits, *shape, ends=bits == 8)
    images = np.random.default_rng(7).integers(0, 256, (3, *graph.input_shape)).astype(np.uint8)
    images[-1] = 255
    run = program(graph, guard=256)
    if run.body >= Body.AVX2:
        assert [layer.connection.quads.least for layer in run.plan.layers[1:3]] == [0, 0]
    assert first_difference(reference_trace(graph, images), run.trace(images)) is None


def test_random_graphs_run_as_the_reference_by_bytes(program, always, random_graph, random_images):
    taken = 0
    for seed in range(40):
        graph = random_graph(seed)
        images = random_images(graph, 2, seed)
        images[-1] = 255
        run = program(graph)
        taken += any(layer.connection.quads is not None for layer in run.plan.layers)
        assert first_difference(reference_trace(graph, images), run.trace(images)) is None, seed
    assert taken > 10 or run.body < Body.AVX2


def test_lists_are_taken_until_so_many_spike(program):
    graph = graph_of(8, 2, *SHAPES[0], channels=64)
    run = program(graph)
    if run.body < Body.AVX2:
        return
    least = run.plan.layers[1].connection.quads.least
    assert 0 < least < 64 * 9 * 11 / 2
    images = np.random.default_rng(3).integers(0, 256, (6, 1, 9, 11)).astype(np.uint8)
    images *= np.array([0, 0, 1, 1, 1, 1], np.uint8)[:, None, None, None]  # some steps with few spikes, some with many
    trace = reference_trace(graph, images)
    spikes = trace.layers[0][1].sum((2, 3, 4))
    assert (spikes < least).any()
    assert (spikes >= least).any()
    assert first_difference(trace, run.trace(images)) is None


def test_codes_lie_four_by_four(program, always):
    plan = program(graph_of(8, 2, *SHAPES[0])).plan.layers[1].connection
    if plan.quads is None:
        return
    codes = plan.quads.codes  # [tiles, kh, groups, 32, 4]
    graph = graph_of(8, 2, *SHAPES[0])
    rows = codes.transpose(0, 3, 1, 2, 4).reshape(plan.tiles * LANES, 3, -1)[:70, :, : 3 * 37]
    assert (rows.reshape(70, 3, 3, 37).transpose(0, 3, 1, 2) == graph.connections[1].codes).all()
