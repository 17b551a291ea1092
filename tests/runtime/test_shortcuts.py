"""Graphs with shortcuts: every spike, every stored code, every logit of the reference, in each build and each body."""

import dataclasses
from collections import Counter
from functools import cache

import numpy as np
import pytest

from random_graphs import random_images
from residual_graphs import residual_graph
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.plan import IDENTITY, PACKED, SLICED, Body

SEEDS = range(200)


@cache  # for all builds
def known(seed):
    graph = residual_graph(seed)
    images = random_images(graph, 3, seed)
    return graph, images, reference_trace(graph, images)


@pytest.mark.slow
@pytest.mark.parametrize("body", [None, Body.PACKED], ids=["host", "device"])
def test_random_residual_graphs_run_as_the_reference(program, body):
    for seed in SEEDS:
        graph, images, expected = known(seed)
        run = program(graph, guard=64, body=body)
        difference = first_difference(expected, run.trace(images))
        assert difference is None, f"seed {seed}: {difference}"
        assert (run.logits(images) == expected.logits).all()


def test_streams_run_as_the_reference(program, random_images):
    for seed in range(0, 200, 9):
        graph = residual_graph(seed)
        frames = np.stack([random_images(graph, 1, t) for t in range(11)])  # more than a layer takes at a time
        expected = reference_trace(graph, frames)
        run = program(graph)
        assert first_difference(expected, run.trace(frames)) is None
        stream = run.stream()
        for frame in frames:
            logits = stream.push(frame[0])
        assert np.array_equal(logits, expected.logits[0])


def test_the_graphs_hold_every_kind_of_shortcut():
    found = Counter()
    for seed in SEEDS:
        graph = residual_graph(seed)
        sources = []
        for i, layer in enumerate(graph.layers):
            for term in layer.terms[1:]:
                connection = term.connection
                sources.append(term.source)
                found["identity" if connection.identity else "convolution"] += 1
                found["from before" if term.source == i else "around some"] += 1
                found["gated"] += layer.gate is not None
                found["groups"] += connection.groups > 1 and not connection.identity
                found["stride"] += max(connection.stride) > 1
                found["kernel"] += max(connection.codes.shape[2:]) > 1
                found["shift"] += term.left_shift > 0
        found["two from one layer"] += len(set(sources)) < len(sources)
        for layer in plan_network(graph, body=Body.AVX512_SLICED).layers:
            if layer.shortcut is not None:
                found["in slices"] += layer.connection.form == SLICED
                found["narrow" if not layer.connection.wide else "wide"] += 1
        for layer in plan_network(graph, body=Body.PACKED).layers:
            if layer.shortcut is not None:
                found["packed"] += layer.connection.form == PACKED
                found["packed shortcut"] += layer.shortcut.connection.form == PACKED
                found["alone"] += layer.shortcut.connection.form == IDENTITY
    assert len(found) == 16
    assert min(found.values()) >= 5, found


def test_spikes_change_what_they_join(random_images):
    """A shortcut that is left out is noticed: the graphs are not silent where it ends."""
    changed = 0
    for seed in range(60):
        graph = residual_graph(seed)
        images = random_images(graph, 3, seed)
        layers = tuple(dataclasses.replace(layer, terms=layer.terms[:1]) for layer in graph.layers)
        without = dataclasses.replace(graph, layers=layers)
        changed += first_difference(reference_trace(graph, images), reference_trace(without, images)) is not None
    assert changed > 40


def test_places_are_taken_again_only_when_nobody_needs_them():
    for seed in SEEDS:
        graph = residual_graph(seed)
        layers = plan_network(graph).layers[:-1]
        needed = [i + 1 for i in range(len(layers))]
        for i, layer in enumerate(graph.layers):
            for term in layer.terms[1:]:
                needed[term.source - 1] = max(needed[term.source - 1], i)
        for i, a in enumerate(layers):
            for b in layers[i + 1 : needed[i] + 1]:
                apart = a.spikes.offset + a.spikes.size <= b.spikes.offset
                assert apart or b.spikes.offset + b.spikes.size <= a.spikes.offset
