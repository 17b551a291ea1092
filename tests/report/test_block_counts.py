"""What gates skip, counted neuron by neuron."""

import dataclasses

import numpy as np
import pytest

from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.graph import BLOCK
from spquant_snn.report.counts import count
from spquant_snn.report.ledger import make_ledger
from spquant_snn.report.wording import block_table
from spquant_snn.report.work import work


def synapses(connection, codes, x):
    """[N, O, ...] synapses at each position, before a sum-pool, that the inputs x, which are pooled, reach."""
    plain = dataclasses.replace(connection, codes=codes.astype(np.int8), bits=8, pools=(), sum_pool=None)
    return reference.connect(plain, (x != 0).astype(np.int32), 16).astype(np.int64)


def unpooled(connection, held, shape):
    """[N, O, H, W] whether a position is added up by held outputs only."""
    pool = connection.sum_pool
    if pool is None:
        return held
    found = np.zeros((*held.shape[:2], *shape), bool)
    for y, x in np.ndindex(*shape):
        windows = [
            held[:, :, i, j]
            for i, j in np.ndindex(held.shape[2:])
            if 0 <= y - i * pool.stride[0] < pool.kernel[0] and 0 <= x - j * pool.stride[1] < pool.kernel[1]
        ]
        if windows:
            found[:, :, y, x] = np.all(windows, 0)
    return found


def by_neuron(layer, frames, codes):
    """Decisions, and what they leave out: updates, dense, done, effective."""
    found, connection = np.zeros(5, np.int64), layer.terms[0].connection
    before = np.concatenate([np.zeros_like(codes[:1]), codes[:-1]]).astype(np.int32)
    for frame, held_codes in zip(frames, before, strict=True):
        computed = reference.computed_blocks(layer.gate, reference.active_inputs(connection, frame), held_codes)
        held = ~np.repeat(computed, BLOCK, 1)[:, : held_codes.shape[1]]
        x = reference.pooled(connection, frame)
        ones = np.ones_like(connection.codes)
        found[0] += computed.size
        found[1] += held.sum()
        held = unpooled(connection, held, synapses(connection, ones, x).shape[2:])
        found[2] += (held * synapses(connection, ones, np.ones_like(x))).sum()
        found[3] += (held * synapses(connection, ones, x)).sum()
        found[4] += (held * synapses(connection, connection.codes != 0, x)).sum()
    return found


def ungated(graph):
    return dataclasses.replace(graph, layers=tuple(dataclasses.replace(x, gate=None) for x in graph.layers))


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("first", [0, 320])
def test_counts_of_gated_graphs(random_graph, with_gates, random_images, first):
    gated = 0
    for seed in range(first, first + 40):
        graph = with_gates(random_graph(seed), seed)
        images = random_images(graph, 3, seed)
        found, trace = count(graph, images), reference_trace(graph, images)
        for i, layer in enumerate(graph.layers):
            counted = found.layers[i]
            if layer.gate is None:
                assert (counted.decisions, counted.skipped, counted.held) == (0, 0, 0)
                assert counted.done == counted.reached
                continue
            gated, first = gated + 1, layer.terms[0].connection
            frames = [spikes.astype(np.int32) for spikes in trace.layers[i - 1][1]]
            decisions, updates, dense, done, effective = by_neuron(layer, frames, trace.layers[i][2]) / 3
            assert np.isclose(counted.decisions, decisions)
            assert np.isclose(counted.held, updates)
            assert np.isclose(counted.skipped, dense)
            assert np.isclose(counted.reached - counted.done, done)
            whole = sum(synapses(first, first.codes != 0, reference.pooled(first, x)).sum() for x in frames)
            assert np.isclose(counted.effective, whole / 3 - effective)
            assert 0 <= counted.folded <= counted.done + 1e-9
            assert counted.skipped + counted.silent <= counted.dense + 1e-9
    assert gated > 10


@pytest.mark.usefixtures("by_reference")
def test_a_gate_that_computes_everything_costs_its_decisions(random_graph, with_gates, random_images):
    for seed in range(320, 335):
        graph = with_gates(random_graph(seed), seed)
        layers = [
            layer
            if layer.gate is None
            else dataclasses.replace(
                layer, gate=dataclasses.replace(layer.gate, least=np.full_like(layer.gate.least, -(1 << 31)))
            )
            for layer in graph.layers
        ]
        open_graph = dataclasses.replace(graph, layers=tuple(layers))
        images = random_images(graph, 2, seed)
        ledger, plain = make_ledger(open_graph, images), make_ledger(ungated(graph), images)
        for a, b in zip(ledger.counts.layers, plain.counts.layers, strict=True):
            assert dataclasses.replace(a, decisions=0.0) == b
            ours, theirs = (work(x, ledger.costs[0].network) for x in (a, b))
            extra = len(ours.arithmetic) - len(theirs.arithmetic)
            assert extra == (2 if a.decisions else 0)
            assert ours.traffic == theirs.traffic
        for a, b in zip(ledger.costs[1:], plain.costs[1:], strict=True):
            assert a == b  # baselines have no gates


def test_skipped_blocks_are_read_but_not_written(random_graph, with_gates, random_images):
    seen = 0
    for seed in range(320, 350):
        graph = with_gates(random_graph(seed), seed)
        ledger = make_ledger(graph, random_images(graph, 2, seed))
        for layer, cost in zip(ledger.counts.layers, ledger.costs[0].layers, strict=True):
            if layer.held:
                bits = cost.state * 8 / layer.neurons
                assert np.isclose(cost.traffic.state, (2 * layer.updates - layer.held) * bits)
                seen += 1
        rows = block_table(ledger)
        assert rows is None or all(
            abs(sum(map(float, row[2:])) - 100) < 0.2 for row in rows.rows if any(map(float, row[2:]))
        )
    assert seen > 5
