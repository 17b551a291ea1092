"""What the seeds of random graphs cover between them."""

import numpy as np
import pytest

from general_graphs import general_graph, general_inputs
from random_graphs import RARE
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.pool import Upsample
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
    assert {(a, a, b, b) for a in range(4) for b in range(4)} <= {c.padding for c in convolutions}
    assert {graph.timesteps for graph in rare} == set(range(1, 10))
    behind = [graph for graph in rare if graph.layers[0].terms[0].connection.convolves and len(graph.shapes[-1]) == 1]
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


@pytest.fixture(scope="module")
def general():
    """The graphs of the first seeds of the general kind."""
    return [general_graph(seed) for seed in range(150)]


def test_the_general_graphs_have_terms_of_every_kind(general):
    terms = [(graph, i, term) for graph in general for i, layer in enumerate(graph.layers) for term in layer.terms]
    own = [term.source - len(graph.inputs) - i for graph, i, term in terms if term.delay]
    assert {-1, 0, 1} <= {int(np.sign(x)) for x in own}  # of earlier layers, themselves and later ones
    assert any(term.delay and term.source < len(graph.inputs) for graph, _, term in terms)
    assert {1, 2, 3} <= {len(layer.terms) for graph in general for layer in graph.layers}
    factors = [term.multiplier for _, _, term in terms if term.multiplier is not None]
    assert any((x < 0).any() for x in factors)
    assert any((x == 0).any() for x in factors)
    assert any(term.shift for _, _, term in terms)
    connections = [term.connection for _, _, term in terms]
    assert any(c.spread != (1, 1) for c in connections)
    assert any(c.dilation != (1, 1) for c in connections)
    assert any(isinstance(step, Upsample) for c in connections for step in c.pools)
    assert {c.sum_pool.kind for c in connections if c.sum_pool} == {"sum", "max"}
    assert any(c.sum_pool and not c.sum_pool.plain for c in connections)
    assert any(c.identity for c in connections)


def test_the_general_graphs_have_neurons_inputs_and_readouts_of_every_kind(general):
    neurons = [layer.neuron for graph in general for layer in graph.layers]
    assert {neuron.reset for neuron in neurons} == {"zero", "subtract", "none"}
    assert {neuron.bits for neuron in neurons} == set(WEIGHT_GRIDS)
    assert any(neuron.current for neuron in neurons)
    assert any(layer.gate for graph in general for layer in graph.layers)
    assert {len(graph.inputs) for graph in general} == {1, 2}
    assert any(given.signed for graph in general for given in graph.inputs)
    readouts = [readout for graph in general for readout in graph.readouts]
    assert {readout.over_time for readout in readouts} == {"last", "largest", "sum", "all"}
    assert any(readout.leak is not None for readout in readouts)
    assert any(len(shape) == 3 and shape[1:] != (1, 1) for graph in general for shape in graph.outputs)


def test_the_general_graphs_spike(general):
    rates = [
        spikes.mean()
        for seed, graph in enumerate(general[:60])
        for _, spikes, _ in reference_trace(graph, *general_inputs(graph, 2, seed)).layers
    ]
    assert sum(0.01 < rate < 0.99 for rate in rates) > len(rates) * 0.6
