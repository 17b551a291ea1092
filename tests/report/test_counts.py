"""Counts against brute force, identities, and NeuroBench's definitions on examples by hand."""

from dataclasses import replace

import numpy as np
import pytest

from random_graphs import RARE
from rows import around, square
from spquant_snn.errors import DataError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.report.counts import count

ALWAYS, NEVER = -(1 << 31), (1 << 31) - 1
SEEDS = [*range(40), *range(RARE, RARE + 18)]


def marked(connection, x):
    """The inputs that meet the weights, 1 where they are not zero."""
    return (reference.pooled(connection, x) != 0).astype(np.int32)


def operations(connection, x):
    """Operations done, and those with a weight that is not zero: sums of the outputs of ones."""
    bare = Connection(
        "bare", (connection.codes != 0).astype(np.int8), 8, connection.stride, connection.padding, connection.groups
    )
    full = Connection("full", np.ones_like(bare.codes), 8, bare.stride, bare.padding, bare.groups)
    inputs = marked(connection, x)
    return tuple(int(reference.connect(c, inputs, 1).sum(dtype=np.int64)) for c in (full, bare))


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("seeds", [SEEDS[i::4] for i in range(4)], ids=str)
def test_operations_of_random_graphs(random_graph, random_images, seeds):
    for seed in seeds:
        graph = random_graph(seed)
        images = random_images(graph, 3, seed)
        found, trace = count(graph, images), reference_trace(graph, images)
        sources = [images[None], *(spikes for _, spikes, _ in trace.layers)]
        for layer, connection, source in zip(found.layers, graph.connections, sources, strict=True):
            steps = [frame.astype(np.int32) for frame in source]
            done, effective = np.sum([operations(connection, x) for x in steps], 0)
            dense = sum(operations(connection, np.ones_like(x))[0] for x in steps)
            assert np.allclose([3 * layer.done, 3 * layer.effective, 3 * layer.dense], [done, effective, dense])
        for layer, plain, (_, spikes, codes) in zip(found.layers, graph.layers, trace.layers, strict=False):
            grid = STATE_GRIDS[plain.neuron.bits]
            assert np.isclose(layer.rate, spikes.mean())
            assert np.isclose(layer.saturated, np.isin(codes, (grid.low, grid.high)).mean())
            assert layer.updates == spikes[:, 0].size


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_identities(random_graph, random_images, firing, seed):
    graph = random_graph(seed)
    for layer in count(graph, random_images(graph, 2)).layers:
        assert layer.effective <= layer.done <= layer.dense
    white = np.full((2, *graph.input_shape), 255, np.uint8)
    for layer in count(firing(graph, ALWAYS), white).layers:
        assert layer.done == layer.dense
        assert layer.rate == (1 if layer.neurons else 0)
    silent = count(firing(graph, NEVER), np.zeros_like(white))
    assert all(layer.done == layer.effective == layer.folded == layer.spikes == 0 for layer in silent.layers)
    assert all(layer.dense > 0 for layer in silent.layers)


@pytest.mark.parametrize("seed", [3, 11, 17, RARE + 2])
def test_native_and_reference_count_the_same(random_graph, random_images, request, seed):
    graph = random_graph(seed)
    images = random_images(graph, 5)
    native = count(graph, images)
    request.getfixturevalue("by_reference")
    plain = count(graph, images)
    assert (native.backend, plain.backend) == ("native", "reference")
    assert native == replace(plain, backend="native")


@pytest.mark.usefixtures("by_reference")
def test_neurobench_on_a_full_connection(two_layers):
    """Dense counts all, effective what is zero on neither side; pixels make MACs, spikes ACs (Yik et al. 2025)."""
    images = np.array([[[[9, 0], [0, 5]]], [[[0, 0], [7, 0]]]], np.uint8)  # columns 0 and 3, then column 2
    one, two = count(two_layers, images).layers
    assert (one.multiplies, two.multiplies) == (True, False)
    assert one.dense == 12
    assert one.done == (6 + 3) / 2
    assert one.effective == (5 + 3) / 2
    assert (two.dense, two.done, two.effective) == (2 * 6, 2 * 6, 2 * 5)  # three spikes at each of two steps
    assert (one.updates, one.spikes, two.updates) == (6, 6, 0)


@pytest.mark.usefixtures("by_reference")
def test_neurobench_on_a_convolution(pair):
    codes = np.array([[[[1, 0], [1, 1]]]], np.int8)
    first = Connection("one", codes, 2, padding=around(1, 1))
    graph = pair(first, Connection("two", np.ones((2, 16), np.int8), 2), (1, 3, 3), timesteps=3)
    images = np.zeros((1, 1, 3, 3), np.uint8)
    images[0, 0, 0, 0] = images[0, 0, 1, 1] = 200
    one, two = count(graph, images).layers
    assert (one.dense, one.done, one.effective) == (9 * 4, 2 * 4, 2 * 3)  # every pixel lies under all four taps
    assert (two.dense, two.done) == (3 * 32, 3 * 32)


@pytest.mark.usefixtures("by_reference")
def test_a_sum_of_spikes_is_no_spike(pair):
    first = Connection("one", np.ones((1, 1, 1, 1), np.int8), 2)
    for kind, multiplies in (("sum", True), ("max", False)):
        last = Connection("two", np.ones((2, 4), np.int8), 2, pools=(square(kind, 2, 2),))
        layer = count(pair(first, last, (1, 4, 4)), np.ones((1, 1, 4, 4), np.uint8)).layers[1]
        assert layer.multiplies is multiplies
        assert layer.done == 2 * 4 * 2


@pytest.mark.usefixtures("by_reference")
def test_frames_are_summed_at_every_step(two_layers):
    static_input = np.full((2, 1, 2, 2), 3, np.uint8)
    one = count(two_layers, static_input).layers[0]
    frames = count(two_layers, np.stack([static_input] * 5))
    assert (one.passes, one.dense) == (1, 12)
    assert (frames.steps, frames.images) == (5, 2)
    assert (frames.layers[0].passes, frames.layers[0].dense, frames.layers[0].updates) == (5, 60, 15)


@pytest.mark.usefixtures("by_reference")
def test_batches_accuracy_and_progress(random_graph, random_images, monkeypatch):
    graph = random_graph(5)
    images = random_images(graph, 7)
    labels = reference.run(graph, images).argmax(1)
    labels[0] = (labels[0] + 1) % graph.classes
    whole, done = count(graph, images, labels), []
    monkeypatch.setattr("spquant_snn.report.counts._BATCH", 3)
    assert count(graph, images, labels, done.append) == whole
    assert done == [3, 6, 7]
    assert whole.accuracy == pytest.approx(100 * 6 / 7)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((0, 1, 2, 2), np.uint8), "there are no images to count on: give at least one"),
        (np.zeros((3, 0, 1, 2, 2), np.uint8), "there are no images to count on"),
        (np.zeros((4, 3, 8, 8), np.uint8), r"takes images \[N, 1x2x2\]"),
        (np.zeros((4, 1, 2, 2)), "images must be uint8"),
        (np.zeros(4, np.uint8), r"takes images \[N, 1x2x2\]"),
    ],
    ids=["none", "no sequences", "shape", "dtype", "flat"],
)
def test_wrong_images_are_refused_in_a_sentence(two_layers, images, words):
    with pytest.raises(DataError, match=words):
        count(two_layers, images)
