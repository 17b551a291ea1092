"""Blocks that need no sums: skipped by gates as the reference skips them, and silent ones, without a trace."""

from functools import cache

import numpy as np
import pytest

from random_graphs import random_graph, random_images, with_gates
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.silent_blocks import at_rest
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.plan import SLICED, Body


@cache  # for all builds
def known(seed):
    graph = with_gates(random_graph(seed), seed)
    images = random_images(graph, 4, seed)
    return graph, images, reference_trace(graph, images)


@pytest.mark.slow
def test_gated_graphs_run_as_the_reference(program):
    for seed in (*range(40), *range(320, 360)):
        graph, images, expected = known(seed)
        difference = first_difference(expected, program(graph, guard=64).trace(images))
        assert difference is None, f"seed {seed}: {difference}"


@pytest.mark.slow
def test_gated_streams_run_as_the_reference(program, random_graph, with_gates):
    rng = np.random.default_rng(0)
    for seed in range(322, 342):
        graph = with_gates(random_graph(seed), seed)
        frames = rng.integers(0, 256, (6, 1, *graph.input_shape), dtype=np.uint8)
        frames[::2, :, :, 2:] = 0
        stream = program(graph).stream()
        for frame in frames:
            logits = stream.push(frame[0])
        assert np.array_equal(logits, reference_trace(graph, frames).logits[0]), seed


def test_gates_over_several_rows_and_tiles_run_as_the_reference(program, wide, with_gates, random_images):
    for seed, size in enumerate((5, 9, 17)):
        graph = with_gates(wide((3, 20, 70, 33), size=size), seed)
        images = random_images(graph, 3, seed)
        assert first_difference(reference_trace(graph, images), program(graph, guard=64).trace(images)) is None, seed


def test_gated_layers_are_sliced_where_all_that_is_counted_lies_under_the_kernel(random_graph, with_gates):
    sliced, others = 0, 0
    for seed in range(320, 350):
        graph = with_gates(random_graph(seed), seed)
        plan = plan_network(graph, body=Body.AVX512_SLICED)
        for layer, planned in zip(graph.layers, plan.layers, strict=False):
            if layer.gate is None:
                continue
            assert np.array_equal(planned.blocks.least, layer.gate.least)
            c = planned.connection
            if c.form == SLICED:
                sliced += 1
                assert planned.blocks.silent is None
                assert c.slices.slots * c.slices.stride == c.kernel_width
            else:
                others += 1
    assert sliced > 5
    assert others > 5


def test_rest_holds_the_outcome_of_every_code(random_graph):
    for seed in range(30):
        graph = random_graph(seed)
        for layer, planned in zip(graph.layers, plan_network(graph).layers, strict=False):
            if planned.blocks is None or planned.blocks.rest is None:
                continue
            spikes, codes = at_rest(layer.neuron)
            bits = planned.neuron.bits
            assert planned.blocks.rest.shape == (planned.connection.tiles, planned.neuron.levels, bits + 1)
            for c in range(planned.blocks.channels):
                words = planned.blocks.rest[c // 32] >> (c % 32) & 1
                assert np.array_equal(words[:, bits], spikes[:, c])
                assert np.array_equal((words[:, :bits] << np.arange(bits)).sum(1) + layer.neuron.low, codes[:, c])


def test_dark_images_give_the_same(program, wide):
    graph = wide()
    images = np.zeros((2, *graph.input_shape), np.uint8)
    images[1, 0, 4, 4] = 200
    built = program(graph, guard=64)
    assert first_difference(reference_trace(graph, images), built.trace(images)) is None


def test_the_bound_is_what_passes_blocks_over(program, wide, monkeypatch):
    graph = wide()
    images = np.random.default_rng(1).integers(0, 256, (2, *graph.input_shape), dtype=np.uint8)
    built = program(graph)
    if not any(layer.blocks is not None and layer.blocks.silent is not None for layer in built.plan.layers):
        pytest.skip("this build slices all of these layers")
    monkeypatch.setattr(
        "spquant_snn.runtime.neuron_plan.silent_inputs",
        lambda connection, neuron, largest: np.full(-(-len(connection.codes) // 32), 10_000, np.int32),
    )
    assert first_difference(reference_trace(graph, images), program(graph).trace(images)) is not None
