"""Blocks that a gate skips: the reference against loops over neurons, files, and what is refused."""

import dataclasses
import itertools

import numpy as np
import pytest

from mutations import opened, sealed
from spquant_snn import FileFormatError, ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.integer.graph import BlockGate, Connection
from spquant_snn.integer.pool import Pool


def gate_of(blocks, count=1, code=0, least=1):
    return BlockGate(*(np.full(blocks, x, np.int32) for x in (count, code, least)))


def two_layers(random_graph):
    """A graph whose second layer can have a gate."""
    graphs = map(random_graph, itertools.count(320))
    return next(g for g in graphs if len(g.layers) == 2 and g.layers[1].connection.groups == 1)


def with_gate(graph, index, gate):
    layers = list(graph.layers)
    layers[index] = dataclasses.replace(layers[index], gate=gate)
    return dataclasses.replace(graph, layers=tuple(layers))


@pytest.mark.parametrize("pool", [None, Pool("sum", 2, 2), Pool("sum", 3, 1)])
@pytest.mark.parametrize("pools", [(), (Pool("max", 2, 1),), (Pool("sum", 2, 2),)])
def test_active_inputs_are_those_that_a_sum_depends_on(pool, pools):
    rng = np.random.default_rng(0)
    codes = np.ones((1, 2, 3, 2), np.int8)
    connection = Connection("c", codes, 8, stride=(1, 2), padding=(1, 0), pools=pools, sum_pool=pool)
    x = (rng.random((1, 2, 13, 17)) < 0.4).astype(np.int32)
    found = reference.active_inputs(connection, x)
    pooled = x
    for window in pools:
        pooled = reference.pool_windows(pooled, window)
    inner = dataclasses.replace(connection, pools=())
    counted = np.zeros_like(found)
    for place in np.argwhere(pooled):  # one input at a time: which sums does it move?
        alone = np.zeros_like(pooled)
        alone[tuple(place)] = 1
        counted += reference.connect(inner, alone, 1) != 0
    assert np.array_equal(found, counted)


def by_neuron(layer, sums, active):
    """Spikes and codes [T, C, H, W], one block and one neuron at a time."""
    gate, codes = layer.gate, np.zeros(sums[0].shape, np.int32)
    history = []
    for drive, met in zip(sums, active, strict=True):
        spikes, after = np.zeros(codes.shape, bool), codes.copy()
        for first in range(0, len(codes), 32):
            part, block = slice(first, first + 32), first // 32
            for y, x in np.ndindex(codes.shape[1:]):
                score = gate.count[block] * met[0, y, x] + gate.code[block] * codes[part, y, x].sum()
                if score >= gate.least[block]:
                    fired, stored = reference.step(layer.neuron, drive[None], codes[None])
                    spikes[part, y, x], after[part, y, x] = fired[0, part, y, x], stored[0, part, y, x]
        codes = after
        history.append((spikes, codes))
    return (np.stack(x) for x in zip(*history, strict=True))


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_skipped_block_does_nothing(reset, random_graph, with_gates, random_images):
    compared = 0
    for seed in range(320, 345):
        graph = with_gates(random_graph(seed, reset=reset), seed)
        x = random_images(graph, 1, seed).astype(np.int32)
        x = np.broadcast_to(x, (graph.timesteps, *x.shape))
        for i, layer in enumerate(graph.layers):
            largest = layer.connection.largest_input(255 if i == 0 else 1)
            sums = [reference.connect(layer.connection, frame, largest) for frame in x]
            active = [reference.active_inputs(layer.connection, frame) for frame in x]
            spikes, codes = reference.integrate(layer.neuron, sums, layer.gate, active)
            if layer.gate is not None and layer.connection.convolves:
                expected, stored = by_neuron(layer, [s[0] for s in sums], [a[0] for a in active])
                assert np.array_equal(spikes[:, 0], expected)
                assert np.array_equal(codes[:, 0], stored)
                compared += 1
            x = spikes.astype(np.int32)
    assert compared > 5


def test_a_gate_that_always_computes_changes_nothing_and_one_that_never_does_silences(random_graph, random_images):
    graph = two_layers(random_graph)
    images = random_images(graph, 3)
    blocks = -(-len(graph.layers[1].connection.codes) // 32)
    expected = reference.run(graph, images)
    assert np.array_equal(reference.run(with_gate(graph, 1, gate_of(blocks, 0, 0, 0)), images), expected)
    seen = []
    reference.run(with_gate(graph, 1, gate_of(blocks, 0, 0, 1)), images, lambda *layer: seen.append(layer))
    assert not seen[1][1].any()
    assert not seen[1][2].any()


def test_gates_go_through_a_file(random_graph, with_gates, difference):
    gates = 0
    for seed in range(320, 350):
        graph = with_gates(random_graph(seed), seed)
        assert difference(graph, from_bytes(to_bytes(graph))) is None
        gates += sum(layer.gate is not None for layer in graph.layers)
    assert gates > 10


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (gate_of(9), r"the gate's count is int32 \(9,\), not int32"),
        (BlockGate(*(np.ones(1, np.int64),) * 3), "the gate's count is int64"),
    ],
)
def test_gates_that_do_not_fit_are_refused(random_graph, gate, message):
    with pytest.raises(ModelError, match=message):
        with_gate(two_layers(random_graph), 1, gate)


def test_a_gate_that_could_overflow_is_refused(random_graph):
    graph = two_layers(random_graph)
    blocks = -(-len(graph.layers[1].connection.codes) // 32)
    with pytest.raises(ModelError, match="the gate leaves 32 bits"):
        with_gate(graph, 1, gate_of(blocks, count=1 << 30))


def test_pixels_and_groups_have_no_gate(random_graph):
    graph = two_layers(random_graph)
    blocks = -(-len(graph.layers[0].connection.codes) // 32)
    with pytest.raises(ModelError, match="first layer, which meets pixels, cannot have a gate"):
        with_gate(graph, 0, gate_of(blocks))
    layer = graph.layers[1]
    codes = layer.connection.codes
    grouped = Connection("g", np.ones((len(codes), 1, 1, 1), np.int8), 8, groups=len(codes))
    with pytest.raises(ModelError, match="groups cannot be skipped"):
        dataclasses.replace(layer, connection=grouped, gate=gate_of(-(-len(codes) // 32)))


def test_headers_name_the_gate(random_graph):
    graph = two_layers(random_graph)
    blocks = -(-len(graph.layers[1].connection.codes) // 32)
    header, blobs = opened(to_bytes(with_gate(graph, 1, gate_of(blocks))))
    assert header["layers"][0]["gate"] is None
    assert set(header["layers"][1]["gate"]) == {"count", "code", "least"}
    header["layers"][1]["gate"]["least"]["shape"] = [blocks + 1]
    with pytest.raises(FileFormatError, match="least"):
        from_bytes(sealed(header, blobs))
