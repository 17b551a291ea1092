"""Exact skipping: up to so many inputs a block does as if there were none, whichever inputs they are."""

import numpy as np

from cases import case
from spquant_snn.integer import reference
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


def test_so_few_inputs_cannot_matter(random_graph):
    for seed in range(60):
        with case("seed", seed):
            for i, layer in enumerate(random_graph(seed).layers):
                largest = 255 if i == 0 else 1
                silent = silent_inputs(layer, largest)
                if silent is None:
                    assert isinstance(layer.neuron.store, ScaledStore)
                    continue
                assert (silent >= 0).all()
                spikes, codes = at_rest(layer.neuron)
                area = layer.connection.sum_pool.area if layer.connection.sum_pool else 1
                often = layer.connection.largest_input(largest) * area
                rows = layer.connection.codes.reshape(len(layer.connection.codes), -1).astype(np.int64)
                limit = np.repeat(silent, 32)[: len(rows)].astype(np.int64)
                up = np.minimum(rows.max(1).clip(0) * often * limit, layer.connection.reach(largest))
                down = np.minimum((-rows.min(1)).clip(0) * often * limit, layer.connection.reach(largest))
                for sums in (up, -down, np.zeros_like(up), up // 2, -(down // 2)):
                    fired, stored = outcome(layer, sums[None])
                    assert np.array_equal(fired[0], spikes)
                    assert np.array_equal(stored[0], codes)


def test_the_bound_is_the_largest_that_holds(random_graph):
    """One input more of the heaviest weight moves some neuron of the block, where it can come."""
    tried = 0
    for seed in range(120):
        for i, layer in enumerate(random_graph(seed).layers):
            silent, rows = silent_inputs(layer, 255 if i == 0 else 1), layer.connection.codes.reshape(-1, 1)
            if silent is None or len(layer.connection.codes) > 32 or silent[0] == (1 << 31) - 1:
                continue
            rows = layer.connection.codes.reshape(len(layer.connection.codes), -1).astype(np.int64)
            area = layer.connection.sum_pool.area if layer.connection.sum_pool else 1
            often = layer.connection.largest_input(255 if i == 0 else 1) * area
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


def test_blocks_below_the_bound_take_no_sums_on_images(random_graph, random_images):
    """Whole networks: where few inputs come, the step is that of no input."""
    silent_blocks = 0
    for seed in range(120):
        graph = random_graph(seed)
        x = random_images(graph, 2, seed).astype(np.int32)
        x = np.broadcast_to(x, (graph.timesteps, *x.shape))
        for i, layer in enumerate(graph.layers):
            largest = layer.connection.largest_input(255 if i == 0 else 1)
            sums = [reference.connect(layer.connection, frame, largest) for frame in x]
            spikes, codes = reference.integrate(layer.neuron, sums)
            silent = silent_inputs(layer, 255 if i == 0 else 1)
            if silent is not None and layer.connection.groups == 1:
                before = np.concatenate([np.zeros_like(codes[:1]), codes[:-1]])
                limit = np.repeat(silent, 32)[: codes.shape[2]].reshape(-1, *[1] * (codes.ndim - 3))
                for t, frame in enumerate(x):
                    few = np.broadcast_to(reference.active_inputs(layer.connection, frame) <= limit, codes[t].shape)
                    fired, stored = reference.step(layer.neuron, np.zeros_like(before[t]), before[t])
                    assert np.array_equal(fired[few], spikes[t][few])
                    assert np.array_equal(stored[few], codes[t][few])
                    silent_blocks += int(few.sum())
            x = spikes.astype(np.int32)
    assert silent_blocks > 1000
