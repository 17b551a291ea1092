"""Blocks that a gate skips: the reference against loops over neurons, files, and what is refused."""

import dataclasses
import itertools

import numpy as np
import pytest

from mutations import opened, sealed
from rows import around, square
from spquant_snn import FileFormatError, ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.integer.graph import BlockGate, Connection, Term


def gate_of(blocks, count=1, code=0, least=1):
    return BlockGate(*(np.full(blocks, x, np.int32) for x in (count, code, least)))


def two_layers(random_graph):
    """A graph whose second layer can have a gate."""
    graphs = map(random_graph, itertools.count(320))
    return next(g for g in graphs if len(g.layers) == 2 and g.layers[1].terms[0].connection.groups == 1)


def with_gate(graph, index, gate):
    layers = list(graph.layers)
    layers[index] = dataclasses.replace(layers[index], gate=gate)
    return dataclasses.replace(graph, layers=tuple(layers))


@pytest.mark.parametrize("pool", [None, square("sum", 2, 2), square("sum", 3, 1)])
@pytest.mark.parametrize("pools", [(), (square("max", 2, 1),), (square("sum", 2, 2),)])
def test_active_inputs_are_those_that_a_sum_depends_on(pool, pools):
    rng = np.random.default_rng(0)
    codes = np.ones((1, 2, 3, 2), np.int8)
    connection = Connection("c", codes, 8, stride=(1, 2), padding=around(1, 0), pools=pools, sum_pool=pool)
    x = (rng.random((1, 2, 13, 17)) < 0.4).astype(np.int32)
    found = reference.active_inputs(connection, x)
    pooled = x
    for window in pools:
        pooled = reference.resampled(window, pooled)
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
        images = random_images(graph, 1, seed)
        x = np.broadcast_to(images, (graph.timesteps, *images.shape)).astype(np.int32)
        for i, (layer, (_, spikes, codes)) in enumerate(
            zip(graph.layers, reference_trace(graph, images).layers, strict=True)
        ):
            (term,) = layer.terms
            if layer.gate is not None and term.connection.convolves:
                sums = [reference.weighed(term, frame, *graph.largest(i)) for frame in x]
                active = [reference.active_inputs(term.connection, frame) for frame in x]
                expected, stored = by_neuron(layer, [s[0] for s in sums], [a[0] for a in active])
                assert np.array_equal(spikes[:, 0], expected)
                assert np.array_equal(codes[:, 0], stored)
                compared += 1
            x = spikes.astype(np.int32)
    assert compared > 5


def test_a_gate_counts_the_inputs_of_the_first_term_alone(random_graph, with_gates, random_images):
    """More terms change what a block sums, not whether it is computed."""
    compared = 0
    for seed in range(320, 380):
        graph = with_gates(random_graph(seed), seed)
        layer = graph.layers[min(1, len(graph.layers) - 1)]
        main = layer.terms[0]
        if layer.gate is None or not main.connection.convolves:
            continue
        more = dataclasses.replace(layer, terms=(main, dataclasses.replace(main, delay=1)))
        graph = dataclasses.replace(graph, layers=(graph.layers[0], more, *graph.layers[2:]))
        first, second, *_ = reference_trace(graph, random_images(graph, 1, seed)).layers
        x = first[1].astype(np.int32)
        alone = [reference.weighed(main, frame, 1)[0] for frame in x]
        sums = [now + before for now, before in zip(alone, [np.zeros_like(alone[0]), *alone], strict=False)]
        spikes, codes = by_neuron(more, sums, [reference.active_inputs(main.connection, frame)[0] for frame in x])
        assert np.array_equal(second[1][:, 0], spikes)
        assert np.array_equal(second[2][:, 0], codes)
        compared += 1
    assert compared > 3


def test_a_gate_that_always_computes_changes_nothing_and_one_that_never_does_silences(random_graph, random_images):
    graph = two_layers(random_graph)
    images = random_images(graph, 3)
    blocks = -(-graph.layers[1].channels // 32)
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
    blocks = -(-graph.layers[1].channels // 32)
    with pytest.raises(ModelError, match="the gate leaves 32 bits"):
        with_gate(graph, 1, gate_of(blocks, count=1 << 30))


def test_pixels_and_groups_have_no_gate(random_graph):
    graph = two_layers(random_graph)
    blocks = -(-graph.layers[0].channels // 32)
    with pytest.raises(ModelError, match="a layer that meets pixels cannot have a gate"):
        with_gate(graph, 0, gate_of(blocks))
    layer = graph.layers[1]
    grouped = Connection("g", np.ones((layer.channels, 1, 1, 1), np.int8), 8, groups=layer.channels)
    with pytest.raises(ModelError, match="groups cannot be skipped"):
        dataclasses.replace(layer, terms=(Term(grouped, 1),), gate=gate_of(-(-layer.channels // 32)))


def test_headers_name_the_gate(random_graph):
    graph = two_layers(random_graph)
    blocks = -(-graph.layers[1].channels // 32)
    header, blobs = opened(to_bytes(with_gate(graph, 1, gate_of(blocks))))
    assert header["layers"][0]["gate"] is None
    assert set(header["layers"][1]["gate"]) == {"type", "count", "code", "least"}
    header["layers"][1]["gate"]["least"]["shape"] = [blocks + 1]
    with pytest.raises(FileFormatError, match="least"):
        from_bytes(sealed(header, blobs))
