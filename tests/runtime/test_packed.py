"""Packed codes, which are for devices, run by hosts: every spike, every stored code, every logit of the reference."""

from collections import Counter

import numpy as np
import pytest

from random_graphs import RARE, random_codes
from rows import Last, Part, row
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import TableStore, fold_neuron
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.packed import _channels, plan_packed
from spquant_snn.runtime.plan import PRODUCTS, Body

SEEDS = (*range(60), *range(RARE, RARE + 30))


def drawn(random_graph, seed):
    """Two graphs of three have few bits and a reset to zero: then neurons are packed too."""
    if seed % 3 == 0:
        return random_graph(seed)
    return random_graph(seed, (1.58, 2)[seed % 2], (1.58, 2)[seed // 2 % 2], "zero")


@pytest.mark.slow
@pytest.mark.parametrize("block", range(0, len(SEEDS), 30))
def test_random_graphs_run_as_the_reference(program, random_graph, random_images, block):
    for seed in SEEDS[block : block + 30]:
        graph = drawn(random_graph, seed)
        run = program(graph, guard=64, body=Body.PACKED)
        for images in (random_images(graph, 2, seed), np.full((1, *graph.input_shape), 255, np.uint8)):
            difference = first_difference(reference_trace(graph, images), run.trace(images))
            assert difference is None, f"seed {seed}: {difference}"
            assert (run.logits(images) == reference_trace(graph, images).logits).all()  # untraced, all steps at once


def test_the_graphs_use_every_field_and_every_lane(random_graph):
    found = Counter()
    for seed in SEEDS:
        for layer in plan_network(drawn(random_graph, seed), body=Body.PACKED).layers:
            if layer.connection.packed:
                found["bits", layer.connection.packed.bits] += 1
                found["lanes", layer.connection.packed.lanes] += 1
                found["levels", layer.connection.packed.levels] += layer.connection.decides
                found["alone", layer.connection.packed.units % 2] += 1
    keys = {("bits", b) for b in (2, 4, 8, 16)} | {("lanes", w) for w in (0, 8, 16)}
    assert keys | {("levels", 3), ("levels", 4), ("alone", 0), ("alone", 1)} == set(found)
    assert min(found.values()) >= 3


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-1, 1, 2), (-2, 1, 2), (-4, 4, 4), (-8, 7, 4), (-9, 7, 8), (0, 3, 2)]
)
def test_fields_are_as_narrow_as_the_codes_allow(low, high, bits):
    codes = np.resize(np.arange(low, high + 1, dtype=np.int32), (20, 3, 2, 2))
    plan = plan_packed(codes, None, 1000, 1, False)
    assert (plan.bits, plan.units) == (bits, 2)
    assert plan.words.shape == (2, 2, 3, 2 * bits // 2)


def test_every_output_has_a_lane_of_its_own():
    for units in range(1, 7):
        assert sorted(_channels(units).ravel()) == list(range(16 * units))


def test_lanes_decide_alike_only_where_no_threshold_leaves_them(random_graph):
    """A threshold that eight bits cannot hold has sixteen."""
    checked = 0
    for seed in SEEDS:
        graph = drawn(random_graph, seed)
        for layer, plan in zip(graph.layers, plan_network(graph, body=Body.PACKED).layers, strict=False):
            packed, store = plan.connection.packed, layer.neuron.store
            if packed is None or packed.lanes != 8 or not isinstance(store, TableStore):
                continue
            most = int(graph.reach(layer.terms).max()) + np.abs(store.decay).max()
            bounds = np.clip([layer.neuron.fire, *store.edges], -most, most + 1)
            assert (np.abs(bounds).max(0) + np.abs(store.decay).max(0) < 127).all()
            checked += 1
    assert checked > 10


def test_what_packs_into_no_field_keeps_its_form():
    codes = np.full((3, 2, 1, 1), 100, np.int32)
    assert plan_packed(codes, None, 1 << 15, 1, False) is None
    assert plan_packed(codes, None, (1 << 15) - 1, 1, False).bits == 8
    assert plan_packed(codes * 3, None, 1000, 1, False) is None


@pytest.mark.parametrize(("bits", "size"), [(1.58, 197_568), (2, 197_568), (4, 392_000), (8, 784_000)])
def test_full_connections_on_pixels_are_as_large_as_their_bits(program, random_images, bits, size):
    rng, grid = np.random.default_rng(1), WEIGHT_GRIDS[bits]
    codes = rng.integers(grid.low, grid.high + 1, (1000, 784)).astype(np.int8)
    spread = np.sqrt(np.square(codes.astype(float)).sum(1)) * 120
    first = Connection("full", codes, bits)
    middle = -codes.astype(float).sum(1) * 127 / spread
    neuron, _ = fold_neuron(2, 1 / spread, middle, 1.0, 0.5, "zero", first.reach(255))
    last = Last(Connection("readout", random_codes(rng, (10, 1000), bits), bits), 0, np.zeros(10, np.int32), 1.0)
    graph = row((1, 28, 28), 3, (Part(first, neuron),), last)
    images = random_images(graph, 3)
    for general in (False, True):
        run = program(graph, body=Body.PACKED, general=general)
        assert first_difference(reference_trace(graph, images), run.trace(images)) is None
    plan = plan_network(graph, body=Body.PACKED).layers[0].connection
    assert (plan.form, plan.packed.words.nbytes) == (PRODUCTS, size)
