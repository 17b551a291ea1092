"""What the seeds of random graphs cover between them."""

import numpy as np
import pytest

from random_graphs import RARE
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.reference import run

SEEDS = range(RARE, 520)


@pytest.fixture(scope="module")
def rare(random_graph):
    """The graphs of the seeds from ``RARE`` on."""
    return [random_graph(seed) for seed in SEEDS]


def test_a_seed_gives_the_same_graph_each_time(random_graph, difference):
    for seed in (0, 7, *range(RARE, RARE + 30)):
        assert difference(random_graph(seed), random_graph(seed)) is None
    assert difference(random_graph(0), random_graph(1)) is not None


def test_channels_kernels_strides_paddings_and_steps(rare):
    convolutions = [c for graph in rare for c in graph.connections if c.convolves]
    assert {1, 31, 32, 33, 64, 96, 97, 127, 128, 129} <= {len(c.codes) for c in convolutions}
    kernels = {c.codes.shape[2:] for c in convolutions}
    assert {(1, 1), (5, 5)} <= kernels
    assert {(5, 7), (7, 5), (7, 7)} & kernels
    assert {(a, b) for a in (1, 2, 3) for b in (1, 2, 3)} <= {c.stride for c in convolutions}
    assert {(a, b) for a in range(4) for b in range(4)} <= {c.padding for c in convolutions}
    assert {graph.timesteps for graph in rare} == set(range(1, 10))
    behind = [graph for graph in rare if graph.layers[0].connection.convolves and len(graph.shapes[-1]) == 1]
    assert len(behind) > 20  # linear layers of neurons behind convolutions


@pytest.mark.parametrize("bits", list(WEIGHT_GRIDS))
def test_weights_that_are_all_alike(rare, bits):
    grid = WEIGHT_GRIDS[bits]
    alike = {int(c.codes.min()) for graph in rare for c in graph.connections if c.bits == bits and np.ptp(c.codes) == 0}
    assert {0, grid.low, grid.high} <= alike


def test_layers_that_never_and_that_always_spike(rare, random_images):
    rates = [spikes.mean() for graph in rare for _, spikes, _ in reference_trace(graph, random_images(graph, 2)).layers]
    assert sum(rate == 0 for rate in rates) > 20
    assert sum(rate == 1 for rate in rates) > 20
    assert sum(0 < rate < 1 for rate in rates) > 100


def test_sums_and_logits_at_the_ends_of_their_integers(rare):
    sums = {int(c.reach(1).max()) for graph in rare for c in graph.connections[1:-1]}
    assert sums & {127, 128}
    assert {32767, 32768} <= sums
    white = [(graph, np.full((1, *graph.input_shape), 255, np.uint8)) for graph in rare]
    furthest = max(int(np.abs(run(graph, images).astype(np.int64)).max()) for graph, images in white)
    assert furthest > 0.99 * (1 << 31)
