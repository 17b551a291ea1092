"""Layers most of whose inputs spike: where fewer are silent, those are counted instead."""

import dataclasses
import itertools

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import fold_neuron


def busy(share, bits, state_bits, reset, kernel, pad, stride, pool=None, channels=40):
    """A network whose first layer spikes at each pixel of ``share`` of the image, in all its channels."""
    rng = np.random.default_rng(round(100 * share) + channels)
    first = Connection("first", np.ones((channels, 1, 1, 1), np.int8), 2)
    ones = np.ones(channels)
    lit, _ = fold_neuron(2, ones / 128, 0 * ones, 1.0, 0.5, "zero", first.reach(255))
    lit = dataclasses.replace(lit, fire=np.full(channels, 255, np.int32))  # white pixels spike, black ones do not
    grid = WEIGHT_GRIDS[bits]
    codes = rng.integers(grid.low, grid.high + 1, (70, channels, *kernel)).astype(np.int8)
    second = Connection("second", codes, bits, padding=around(*pad), stride=stride, sum_pool=pool)
    reach = second.reach(1)
    neuron, _ = fold_neuron(state_bits, 6.0 / reach, 0 * reach, 1.0, 0.5, reset, reach)
    shape = second.output_shape((channels, 9, 11))
    readout = Connection("readout", rng.integers(-1, 2, (3, int(np.prod(shape)))).astype(np.int8), 1.58)
    layers = (Part(first, lit), Part(second, neuron))
    graph = row((1, 9, 11), 3, layers, Last(readout, 2, np.zeros(3, np.int32), 1.0))
    images = np.where(rng.random((3, 1, 9, 11)) < share, 255, 0).astype(np.uint8)
    return graph, images


@pytest.mark.slow
def test_few_silent_inputs_count_as_many_spikes(program):
    widths = (1.58, 1.58, "zero"), (2, 2, "zero"), (4, 4, "subtract"), (8, 8, "zero")
    shapes = [
        ((3, 3), (1, 1), (1, 1), None),
        ((5, 4), (2, 0), (1, 2), None),
        ((3, 3), (1, 1), (1, 1), square("sum", 2, 2)),
    ]
    for share, *options in itertools.product((0.3, 0.55, 0.8, 0.97, 1.0), widths, shapes):
        graph, images = busy(share, *itertools.chain(*options))
        run = program(graph)
        trace = reference_trace(graph, images)
        rates = trace.layers[0][1].mean()
        assert abs(rates - share) < 0.1, (share, options)
        difference = first_difference(trace, run.trace(images))
        assert difference is None, f"{share}, {options}: {difference}"
