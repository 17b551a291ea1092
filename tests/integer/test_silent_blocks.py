"""Exact skipping: up to so many inputs a block does as if there were none, whichever inputs they are."""

import numpy as np

from cases import case
from general_graphs import general_graph
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.neuron import ScaledStore
from spquant_snn.integer.silent_blocks import at_rest, silent_inputs


def outcome(layer, sums):
    """Spikes and next codes [S, K, C] of every stored code, for sums [S, C]."""
    neuron = layer.neuron
    codes = np.arange(neuron.low, neuron.high + 1, dtype=np.int32)
    shape = (len(sums), len(codes), sums.shape[1])
    held = np.broadcast_to(codes[None, :, None], shape).reshape(-1, sums.shape[1])
    drive = np.broadcast_to(sums[:, None], shape).reshape(-1, sums.shape[1]).astype(np.int32)
    return [x.reshape(shape) for x in reference.step(neuron, np.ascontiguousarray(drive), np.ascontiguousarray(held))]


def layers_of(graph):
    """Each layer of a row, its connection, and the largest value of its input."""
    for i, layer in enumerate(graph.layers):
        yield layer, layer.terms[0].connection, 1 if i else 255


def heaviest(connection, largest):
    """The codes of each output, and how often an input counts at most."""
    rows = connection.codes.reshape(len(connection.codes), -1).astype(np.int64)
    return rows, connection.largest_input(largest) * (connection.sum_pool.area if connection.sum_pool else 1)


def test_so_few_inputs_cannot_matter(random_graph):
    for seed in range(60):
        with case("seed", seed):
            for layer, connection, largest in layers_of(random_graph(seed)):
                silent = silent_inputs(connection, layer.neuron, largest)
                if silent is None:
                    assert isinstance(layer.neuron.store, ScaledStore)
                    continue
                assert (silent >= 0).all()
                spikes, codes = at_rest(layer.neuron)
                rows, often = heaviest(connection, largest)
                limit = np.repeat(silent, 32)[: len(rows)].astype(np.int64)
                up = np.minimum(rows.max(1).clip(0) * often * limit, connection.reach(largest))
                down = np.minimum((-rows.min(1)).clip(0) * often * limit, connection.reach(largest))
                for sums in (up, -down, np.zeros_like(up), up // 2, -(down // 2)):
                    fired, stored = outcome(layer, sums[None])
                    assert np.array_equal(fired[0], spikes)
                    assert np.array_equal(stored[0], codes)


def test_the_bound_is_the_largest_that_holds(random_graph):
    """One input more of the heaviest weight moves some neuron of the block, where it can come."""
    tried = 0
    for seed in range(120):
        for layer, connection, largest in layers_of(random_graph(seed)):
            silent = silent_inputs(connection, layer.neuron, largest)
            if silent is None or layer.channels > 32 or silent[0] == (1 << 31) - 1:
                continue
            rows, often = heaviest(connection, largest)
            more = (int(silent[0]) + 1) * often
            spikes, codes = at_rest(layer.neuron)
            moved = False
            for sums in (rows.max(1).clip(0) * more, rows.min(1).clip(None, 0) * more):
                if np.abs(sums).max() < 1 << 24:
                    fired, stored = outcome(layer, sums[None])
                    moved |= not (np.array_equal(fired[0], spikes) and np.array_equal(stored[0], codes))
                else:
                    moved = True
            assert moved
            tried += 1
    assert tried > 50


def test_neurons_with_a_current_are_never_silent():
    with_current = [
        (layer, term.connection)
        for graph in map(general_graph, range(60))
        for layer in graph.layers
        if layer.neuron.current is not None
        for term in layer.terms
    ]
    assert len(with_current) > 5
    assert all(silent_inputs(connection, layer.neuron, 1) is None for layer, connection in with_current)


def test_blocks_below_the_bound_take_no_sums_on_images(random_graph, random_images):
    """Whole networks: where few inputs come, the step is that of no input."""
    silent_blocks = 0
    for seed in range(120):
        graph = random_graph(seed)
        images = random_images(graph, 2, seed)
        x = np.broadcast_to(images, (graph.timesteps, *images.shape)).astype(np.int32)
        for i, (name, spikes, codes) in enumerate(reference_trace(graph, images).layers):
            layer, connection = graph.layers[i], graph.layers[i].terms[0].connection
            silent = silent_inputs(connection, layer.neuron, 1 if i else 255)
            if silent is not None and connection.groups == 1:
                before = np.concatenate([np.zeros_like(codes[:1]), codes[:-1]])
                limit = np.repeat(silent, 32)[: codes.shape[2]].reshape(-1, *[1] * (codes.ndim - 3))
                for t, frame in enumerate(x):
                    few = np.broadcast_to(reference.active_inputs(connection, frame) <= limit, codes[t].shape)
                    fired, stored = reference.step(layer.neuron, np.zeros_like(before[t]), before[t])
                    assert np.array_equal(fired[few], spikes[t][few]), name
                    assert np.array_equal(stored[few], codes[t][few]), name
                    silent_blocks += int(few.sum())
            x = spikes.astype(np.int32)
    assert silent_blocks > 1000
