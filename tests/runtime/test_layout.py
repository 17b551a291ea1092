"""Plans: every form is met, the arena is laid out without overlap, folding adds the same."""

import dataclasses

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.errors import ModelError
from spquant_snn.integer.graph import Connection
from spquant_snn.runtime.connection_plan import plan_connection
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.plan import ADD8, ADD16, DENSE, GROUPED, MULTIPLY, MULTIPLY16, SLICED, Body

FORMS = {
    Body.PORTABLE: {ADD8, ADD16, MULTIPLY, MULTIPLY16, GROUPED},
    Body.NEON: {ADD8, ADD16, MULTIPLY, MULTIPLY16, GROUPED, DENSE},
    Body.AVX2: {ADD8, ADD16, MULTIPLY, MULTIPLY16, GROUPED, DENSE},
    Body.AVX512_SLICED: {ADD8, ADD16, MULTIPLY, MULTIPLY16, GROUPED, DENSE, SLICED},
}


@pytest.mark.slow
@pytest.mark.parametrize("body", list(FORMS))
def test_random_graphs_take_every_form(random_graph, wide, body):
    forms, windows, pools, stores, neurons, slices = set(), set(), set(), set(), set(), set()
    graphs = [random_graph(seed) for seed in range(400)] + [wide(bits=bits) for bits in (1.58, 4, 8)]
    for graph in graphs:
        for layer in plan_network(graph, body=body).layers:
            forms.add(layer.connection.form)
            windows.add(layer.connection.window)
            pools.add(tuple(pool.largest for pool in layer.connection.pools))
            stores.add(layer.neuron is not None and (layer.neuron.scaled, layer.neuron.levels))
            neurons.add((layer.connection.wide, layer.neuron is not None and layer.neuron.planes is not None))
            if layer.connection.slices is not None:
                slices.add((layer.connection.slices.spread, layer.connection.slices.vectors))
                slices.add(layer.connection.slices.passes > 1)
    assert forms == FORMS[body]
    sliced = set() if body < Body.AVX512_SLICED else {(0, True), (1, True)}
    assert neurons == {(0, False), (1, False)} | sliced
    shapes = {(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2), True, False}
    assert slices == (set() if body < Body.AVX512_SLICED else shapes)
    assert {1, 2, 3} <= windows
    assert {(), (0,), (1,), (0, 1), (1, 0), (1, 1), (0, 0)} <= pools
    assert {(0, 3), (0, 4), (0, 8), (0, 16), (1, 32), (1, 64), (1, 128), (1, 256)} <= stores


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("body", list(FORMS))
def test_the_parts_of_an_arena_do_not_overlap(random_graph, body, streams):
    for seed in range(60):
        plan = plan_network(random_graph(seed), body=body, streams=streams)
        scratch = [getattr(plan.scratch, field.name) for field in dataclasses.fields(plan.scratch)]
        states = [max((layer.state for layer in plan.layers), key=lambda r: r.size)]
        if streams:
            states = [layer.state for layer in plan.layers]
        else:
            assert plan.shared
            assert {layer.state.offset for layer in plan.layers[:-1]} == {states[0].offset}
        lasting = [plan.logits, *states, *scratch[0], *scratch[1:]]
        regions = sorted({(r.offset, r.size) for r in [*lasting, *(layer.spikes for layer in plan.layers)] if r.size})
        assert sum(1 for region in lasting if region.size) <= len(regions)
        for (offset, size), (following, _) in zip(regions, [*regions[1:], (plan.arena_size, 0)], strict=True):
            assert offset % 64 == 0
            assert offset + size <= following
        for before, after in zip(plan.layers, plan.layers[1:-1], strict=False):
            assert before.spikes != after.spikes  # what is read is not written


def planned(connection, shape, first, body=Body.PORTABLE):
    return plan_connection(connection, shape, None, body, first).connection


def test_a_pool_is_folded_into_the_kernel_where_that_is_cheaper():
    codes = np.ones((2, 1, 5, 5), np.int8)
    connection = Connection("a", codes, 2, padding=around(2, 2), sum_pool=square("sum", 2, 2))
    plan = planned(connection, (1, 28, 28), True)
    assert (plan.window, plan.kernel_height, plan.kernel_width, plan.step_height) == (1, 6, 6, 2)
    assert plan.codes16[2, 2, 0, :3].tolist() == [4, 4, 0]
    one = planned(Connection("a", codes[:, :, :1, :1], 2, sum_pool=square("sum", 7, 7)), (1, 28, 28), True)
    assert (one.window, one.kernel_height, one.step_height, one.slide_height) == (7, 1, 7, 1)


def test_pixels_of_a_row_lie_in_pairs():
    codes = np.arange(-24, 24).reshape(4, 2, 2, 3).astype(np.int8)
    plan = planned(Connection("a", codes, 8), (2, 5, 5), True, Body.AVX2)
    assert (plan.form, plan.codes16.shape) == (DENSE, (2, 3, 32, 2))
    rows = codes.transpose(2, 3, 1, 0).reshape(2, 3, 2, 4)  # [kh, pairs, 2, O]
    assert (plan.codes16[:, :, :4] == rows.swapaxes(2, 3)).all()
    odd = planned(Connection("a", codes[:, :1], 8), (1, 5, 5), True, Body.AVX2)
    assert odd.codes16.shape == (2, 2, 32, 2)
    assert not odd.codes16[:, 1, :, 1].any()


def test_codes_lie_by_event():
    codes = np.arange(-24, 24).reshape(4, 2, 2, 3).astype(np.int8)
    plain = planned(Connection("a", codes, 8), (2, 5, 5), False)
    assert plain.codes16.shape == (2, 3, 2, 16)
    assert (plain.codes16[..., :4] == codes.transpose(2, 3, 1, 0)).all()
    assert not plain.codes16[..., 4:].any()
    grouped = planned(Connection("a", codes, 8, groups=2), (4, 5, 5), False)
    assert grouped.codes16.shape == (2, 3, 4, 2)
    assert grouped.group_start.tolist() == [0, 0, 2, 2]
    assert (grouped.codes16[1, 2, 3] == codes[2:, 1, 1, 2]).all()


@pytest.mark.parametrize(("outputs", "units"), [(1, 1), (16, 1), (17, 2), (32, 2), (33, 3), (65, 5)])
def test_rows_are_padded_to_16_outputs_in_plain_c_and_to_32_where_vectors_hold_them(outputs, units):
    connection = Connection("a", np.ones((outputs, 1, 3, 3), np.int8), 2)
    plan = planned(connection, (1, 5, 5), False)
    assert (plan.units, plan.row, plan.codes8.shape) == (units, 16 * units, (3, 3, 1, 16 * units))
    assert planned(connection, (1, 5, 5), False, Body.AVX2).row == 32 * plan.tiles


def test_a_network_beyond_31_bits_is_refused_in_words(random_graph):
    graph = random_graph(0)
    first = graph.layers[0]
    codes = np.zeros((first.channels, graph.input_shape[0], 1, 1), np.int8)
    connection = Connection("vast", codes, 2, stride=(60000, 60000))
    shape = (graph.input_shape[0], 1, (1 << 31) // 16 // graph.input_shape[0])
    codes = np.zeros((1, np.prod(connection.output_shape(shape))), np.int8)
    last = Last(Connection("readout", codes, 2), 0, np.zeros(1, np.int32), 1.0)
    vast = row(shape, 1, (Part(connection, first.neuron),), last)
    with pytest.raises(ModelError, match=r"'vast': .* leaves 31 bits.* use the reference"):
        plan_network(vast)
