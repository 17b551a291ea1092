"""Networks rewritten for the compact form: the same integers by fewer kinds of layers; others are refused in words."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from compact_graphs import compact_graph, rewritten_graph, rewritten_images
from random_graphs import random_neuron
from rows import Last, Part, row
from spquant_snn.export.compact.compact_plan import plan_compact
from spquant_snn.export.compact.plain_row import plain_row
from spquant_snn.export.compact.planned_rows import CompactForm, Unsuited
from spquant_snn.integer import reference
from spquant_snn.integer.connection import image
from spquant_snn.integer.graph import BlockGate, Connection, Term
from spquant_snn.integer.neuron import ScaledStore
from spquant_snn.integer.pool import Pool

SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_of_what_a_network_answers_changes(seed):
    graph = rewritten_graph(seed)
    images = rewritten_images(graph, 4, seed)
    found = plain_row(graph)
    same = reference.answers(found, images)[0].ravel() == reference.answers(graph, images)[0].ravel()
    assert same.all()
    assert [image(shape) for shape in found.shapes] == [image(shape) for shape in graph.shapes]
    for connection in found.connections:
        assert connection.dilation == (1, 1)
        assert all(pool.kind == "max" for pool in connection.pools)
    assert found.connections[0].convolves
    assert not found.readout.terms[0].connection.convolves


def test_the_graphs_hold_all_that_is_rewritten():
    found = Counter()
    for seed in SEEDS:
        graph = rewritten_graph(seed)
        first, *others = graph.connections
        found.update([graph.readout.over_time, graph.readout.leak is None, graph.inputs[0].signed])
        found["linear on pixels"] += not first.convolves
        found["strides that differ"] += first.stride[0] != first.stride[1]
        found["a readout that convolves"] += others[-1].convolves
        found["more than 4 bits of state"] += any(isinstance(x.neuron.store, ScaledStore) for x in graph.layers[1:])
        found["a signal"] += graph.input_shape[1] == 1
        for connection in graph.connections:
            found["dilation"] += connection.dilation != (1, 1)
            for pool in connection.pools:
                found[pool.kind] += 1
                found["overlaps"] += pool.kind == "max" and pool.stride[0] < pool.kernel[0]
                found["padding"] += pool.kind == "max" and any(pool.padding)
    assert all(count for count in found.values())
    assert {"last", "largest", "sum", "all"} <= set(found)


def small(first, last, shape=(1, 6, 6)):
    """A graph of two connections."""
    rng = np.random.default_rng(0)
    bias = np.zeros(len(last.codes), np.int32)
    return row(shape, 2, (Part(first, random_neuron(rng, first, 2, "zero", 255)),), Last(last, 0, bias, 0.1))


def ones(*shape):
    return np.ones(shape, np.int8)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (Connection("conv", ones(2, 1, 3, 3), 2), Connection("map", ones(2, 2, 1, 1), 2), "'map' answers with a map"),
        (
            Connection("conv", ones(2, 1, 3, 3), 2, spread=(2, 2)),
            Connection("fc", ones(2, 2 * 9 * 9), 2),
            "'conv' is a transposed convolution",
        ),
        (
            Connection("conv", ones(2, 1, 2, 2), 2, padding=(1, 1, 1, 1), pools=(Pool("sum", (2, 2), (1, 1)),)),
            Connection("fc", ones(2, 2 * 6 * 6), 2),
            "average pool before layer 'conv' overlaps.* windows that fill the image",
        ),
        (
            Connection("conv", ones(2, 1, 2, 2), 2, pools=(Pool("max", (2, 2), (2, 2)),)),
            Connection("fc", ones(2, 2 * 2 * 2), 2),
            "pooled by their largest before layer 'conv': take an average",
        ),
        (
            Connection("conv", ones(2, 1, 2, 2), 2),
            Connection("fc", ones(2, 2 * 3 * 3), 2, pools=(Pool("max", (2, 2), (1, 1), dilation=(2, 2)),)),
            "max-pool before layer 'fc' has a dilation: give it one of 1",
        ),
        (
            Connection("conv", 100 * ones(2, 1, 2, 2), 8, pools=(Pool("sum", (3, 3), (1, 1)),)),
            Connection("fc", ones(2, 2 * 3 * 3), 2),
            "codes of layer 'conv' with its pools, .* do not fit 8 bits: pool less there",
        ),
    ],
)
def test_what_has_no_compact_form_is_refused_with_what_would_help(first, last, said):
    with pytest.raises(Unsuited, match=said):
        plan_compact(small(first, last), CompactForm())


def test_other_graphs_are_refused_with_what_would_help():
    graph = compact_graph(0)
    layer, readout = graph.layers[-1], graph.readout
    gate = BlockGate(*(np.zeros(-(-layer.channels // 32), np.int32) for _ in range(3)))
    beside = Term(
        Connection("again", readout.terms[0].connection.codes, readout.terms[0].connection.bits), len(graph.layers)
    )
    changed = {
        "several inputs or readouts": dataclasses.replace(graph, readouts=(readout, readout)),
        "leave shortcuts": dataclasses.replace(
            graph, readouts=(dataclasses.replace(readout, terms=(*readout.terms, beside)),)
        ),
        "without target_skip": dataclasses.replace(
            graph, layers=(*graph.layers[:-1], dataclasses.replace(layer, gate=gate))
        ),
        "17 time steps are more than 16": dataclasses.replace(graph, timesteps=17),
    }
    for said, other in changed.items():
        with pytest.raises(Unsuited, match=said):
            plan_compact(other, CompactForm())
