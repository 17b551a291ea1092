"""Shortcuts in integer graphs: what the reference adds, their files, and what is refused."""

import dataclasses

import numpy as np
import pytest

from mutations import opened, sealed
from random_graphs import random_images
from residual_graphs import residual_graph
from spquant_snn import FileFormatError, ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.connection import Connection, Shortcut
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.integer.graph import Graph


def test_an_identity_adds_its_codes_where_there_are_spikes():
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, (5, 1, 1, 1)).astype(np.int8)
    shortcut = Shortcut(0, Connection("s", codes, 8, groups=5), shift=3)
    assert shortcut.identity
    spikes, sums = rng.integers(0, 2, (2, 5, 3, 4)).astype(np.int32), rng.integers(-9, 9, (2, 5, 3, 4)).astype(np.int32)
    found = reference.added(shortcut, sums, spikes)
    assert np.array_equal(found, sums + spikes * codes.reshape(5, 1, 1).astype(np.int32) * 8)


def test_a_convolution_takes_the_spikes_under_it():
    rng = np.random.default_rng(1)
    codes = rng.integers(-2, 2, (3, 2, 1, 1)).astype(np.int8)
    shortcut = Shortcut(0, Connection("s", codes, 2, stride=(2, 2)), shift=1)
    assert not shortcut.identity
    spikes, sums = rng.integers(0, 2, (1, 2, 5, 6)).astype(np.int32), np.zeros((1, 3, 3, 3), np.int32)
    found = reference.added(shortcut, sums, spikes)
    weights = codes[..., 0, 0].astype(np.int32)
    assert np.array_equal(found[0], 2 * np.einsum("oi,ihw->ohw", weights, spikes[0, :, ::2, ::2]))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(0, 200, 40))
def test_files_hold_them(block, difference):
    for seed in range(block, block + 40):
        graph = residual_graph(seed)
        data = to_bytes(graph)
        assert data[8] == 1
        assert difference(graph, from_bytes(data)) is None
        assert to_bytes(from_bytes(data)) == data


def test_layers_without_a_shortcut_have_no_key_for_one(random_graph):
    data = to_bytes(random_graph(0))
    header, blobs = opened(data)
    assert all(set(layer) == {"connection", "neuron", "gate"} for layer in header["layers"])
    for layer in header["layers"]:
        layer["shortcut"] = None
    with pytest.raises(FileFormatError, match="unknown key 'shortcut'"):
        from_bytes(sealed(header, blobs))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": 5}, "a shortcut cannot start at layer 5"),
        ({"source": -1}, "a shortcut cannot start at layer -1"),
        ({"shift": 17}, "a shortcut shifted by 17 bits is out of range"),
        ({"connection": Connection("s", np.ones((2, 1, 1, 1), np.int8), 8)}, "does not have 1 channels|sums of shape"),
        ({"connection": Connection("s", np.ones((2, 8), np.int8), 8)}, "a shortcut is a convolution without pools"),
    ],
)
def test_what_does_not_fit_is_refused(change, reason):
    graph = next(g for g in map(residual_graph, range(100)) if g.shortcuts and len(g.layers) < 5)
    index = next(i for i, layer in enumerate(graph.layers) if layer.shortcut is not None)

    def changed():
        shortcut = dataclasses.replace(graph.layers[index].shortcut, **change)
        layer = dataclasses.replace(graph.layers[index], shortcut=shortcut)
        dataclasses.replace(graph, layers=(*graph.layers[:index], layer, *graph.layers[index + 1 :]))

    with pytest.raises(ModelError, match=reason):
        changed()


def test_what_a_shortcut_adds_counts_in_the_proof_of_bounds():
    graph = residual_graph(3)
    index = next(i for i, layer in enumerate(graph.layers) if layer.shortcut is not None)
    layer = graph.layers[index]
    codes = np.full_like(layer.shortcut.connection.codes, 127)
    many = np.repeat(codes, 1, 0)
    connection = dataclasses.replace(layer.shortcut.connection, codes=many, bits=8)
    reach = layer.connection.reach(1)
    heavier = dataclasses.replace(layer, shortcut=Shortcut(layer.shortcut.source, connection, 16))
    assert (heavier.reach(1) == reach + (connection.reach(1) << 16)).all()
    assert heavier.reach(1).min() >= 127 << 16


def test_spikes_are_taken_from_the_layer_that_is_named():
    moved = 0
    for seed in range(60):
        graph = residual_graph(seed)
        images = random_images(graph, 2, seed)
        for i, layer in enumerate(graph.layers):
            if layer.shortcut is None:
                continue
            for source in range(i):
                try:
                    other = dataclasses.replace(layer, shortcut=dataclasses.replace(layer.shortcut, source=source))
                    changed = Graph(
                        graph.input_shape,
                        graph.timesteps,
                        (*graph.layers[:i], other, *graph.layers[i + 1 :]),
                        graph.readout,
                    )
                except ModelError:
                    continue
                same = source == layer.shortcut.source
                difference = first_difference(reference_trace(graph, images), reference_trace(changed, images))
                assert difference is None or not same
                moved += difference is not None
    assert moved > 5
