"""Shortcuts in integer graphs, terms of earlier layers: what the reference adds, and what is refused."""

import dataclasses

import numpy as np
import pytest

from random_graphs import random_images
from residual_graphs import residual_graph
from spquant_snn import ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.connection import Connection
from spquant_snn.integer.graph import Term


def test_a_convolution_takes_the_spikes_under_it():
    rng = np.random.default_rng(1)
    codes = rng.integers(-2, 2, (3, 2, 1, 1)).astype(np.int8)
    term = Term(Connection("s", codes, 2, stride=(2, 2)), 1, multiplier=np.full(3, 2, np.int32))
    assert not term.connection.identity
    spikes = rng.integers(0, 2, (1, 2, 5, 6)).astype(np.int32)
    weights = codes[..., 0, 0].astype(np.int32)
    found = reference.weighed(term, spikes, 1)
    assert np.array_equal(found[0], 2 * np.einsum("oi,ihw->ohw", weights, spikes[0, :, ::2, ::2]))


def shortcuts(graph):
    """Index of each layer that has one."""
    return [i for i, layer in enumerate(graph.layers) if len(layer.terms) > 1]


def with_terms(graph, index, *terms):
    layers = list(graph.layers)
    layers[index] = dataclasses.replace(layers[index], terms=terms)
    return dataclasses.replace(graph, layers=tuple(layers))


def test_sums_of_a_layer_are_those_of_its_terms_added():
    compared = 0
    for seed in range(30):
        graph = residual_graph(seed)
        images = random_images(graph, 2, seed)
        trace = reference_trace(graph, images).layers
        for i in shortcuts(graph):
            main, beside = graph.layers[i].terms
            if graph.layers[i].gate is not None:
                continue
            sources = [images, *(spikes[0].astype(np.int32) for _, spikes, _ in trace)]
            sums = [
                reference.weighed(t, sources[t.source].astype(np.int32), *graph.largest(t.source))
                for t in (main, beside)
            ]
            spikes, codes = reference.step(graph.layers[i].neuron, sum(sums), np.zeros_like(sums[0]))
            assert np.array_equal(spikes, trace[i][1][0])
            assert np.array_equal(codes, trace[i][2][0])
            compared += 1
    assert compared > 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": 6}, "takes, without a delay, what comes of|there is no source 6"),
        ({"source": -1}, "there is no source -1"),
        ({"shift": 32}, "a shift by 32 bits is out of range"),
        ({"connection": Connection("s", np.ones((2, 1, 1, 1), np.int8), 8)}, "does not have 1 channels|sums of shape"),
        ({"connection": Connection("s", np.ones((2, 8), np.int8), 8)}, "does not have 8 elements|sums of shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(change, reason):
    graph = next(g for g in map(residual_graph, range(100)) if shortcuts(g) and len(g.layers) < 5)
    index = shortcuts(graph)[0]
    main, beside = graph.layers[index].terms

    def changed():
        with_terms(graph, index, main, dataclasses.replace(beside, multiplier=None, **change))

    with pytest.raises(ModelError, match=reason):
        changed()


def test_what_a_shortcut_adds_counts_in_the_proof_of_bounds():
    graph = residual_graph(3)
    index = shortcuts(graph)[0]
    main, beside = graph.layers[index].terms
    heavier = dataclasses.replace(beside, multiplier=np.full(len(beside.connection.codes), 1 << 16, np.int32))
    found = graph.reach((main, heavier))
    assert (found == graph.reach((main,)) + (beside.connection.reach(1) << 16)).all()
    most = ((1 << 31) - 1) // int(beside.connection.reach(1).max())
    heaviest = dataclasses.replace(beside, multiplier=np.full(len(beside.connection.codes), most, np.int32))
    with pytest.raises(ModelError, match=f"layer '{graph.layers[index].name}': a potential leaves 32 bits"):
        with_terms(graph, index, main, heaviest)


def test_spikes_are_taken_from_the_layer_that_is_named():
    moved = 0
    for seed in range(60):
        graph = residual_graph(seed)
        images = random_images(graph, 2, seed)
        for i in shortcuts(graph):
            main, beside = graph.layers[i].terms
            for source in range(1, i + 1):
                try:
                    changed = with_terms(graph, i, main, dataclasses.replace(beside, source=source))
                except ModelError:
                    continue
                difference = first_difference(reference_trace(graph, images), reference_trace(changed, images))
                assert difference is None or source != beside.source
                moved += difference is not None
    assert moved > 5
