"""Work and energy by hand on a network of two layers, and the prices."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.integer.grids import TERNARY, WEIGHT_GRIDS
from spquant_snn.report.counts import LayerCounts
from spquant_snn.report.energy import HOROWITZ, Memory, Scenario, energy
from spquant_snn.report.ledger import make_ledger
from spquant_snn.report.network_info import NetworkInfo
from spquant_snn.report.work import Operation, sum_bits, work

pytestmark = pytest.mark.usefixtures("by_reference")

READ = 10 / 64  # pJ of a bit in the 8 KB SRAM


@pytest.fixture
def ledger(two_layers):
    return make_ledger(two_layers, np.full((2, 1, 2, 2), 3, np.uint8), np.array([0, 0]), "by hand")


def cost(ledger, name):
    return next(found for found in ledger.costs if found.network.name == name)


def test_prices():
    add = [HOROWITZ.cost(Operation("add", 1, bits)) for bits in (4, 8, 20, 32)]
    multiply = [HOROWITZ.cost(Operation("multiply", 1, size)) for size in (16, 64, 1024)]
    assert add == pytest.approx([0.015, 0.03, 0.065, 0.1])
    assert multiply == pytest.approx([0.05, 0.2, 3.1])
    assert HOROWITZ.cost(Operation("add", 3, floating=True)) == pytest.approx(2.7)
    assert HOROWITZ.cost(Operation("multiply", 3, floating=True)) == pytest.approx(11.1)


def test_the_smallest_memory_that_holds_it():
    sizes = {8 << 10: "8 KB SRAM", 8193: "32 KB SRAM", 1 << 20: "1 MB SRAM", (1 << 20) + 1: "DRAM"}
    assert [HOROWITZ.fitting(size).name for size in sizes] == list(sizes.values())


def test_this_network(ledger):
    """12 MACs of 2 x 8 bits, 12 ACs, 6 updates of neurons with 4 codes; T = 2."""
    one, two = ledger.costs[0].layers
    assert sum_bits(ledger.counts.layers[0], ledger.costs[0].network) == 12  # 4 x 255 x 2 = 2040, with a sign
    assert sum_bits(ledger.counts.layers[1], ledger.costs[0].network) == 4  # 3 x 2 = 6
    assert one.arithmetic == (Operation("multiply", 12, 16), Operation("add", 12, 12), Operation("add", 30, 32))
    assert two.arithmetic == (Operation("add", 12, 4),)
    # weights once a pass, 8 constants of 32 bits a channel and step, 2 bits twice an update, 4 pixels and 6 spikes
    assert (one.traffic.weights, one.traffic.constants) == (12 * 2, 3 * 8 * 32 * 2)
    assert (one.traffic.state, one.traffic.activations, one.traffic.sums) == (6 * 2 * 2, 4 * 8 + 6, 2 * 12 * 16)
    # a weight an operation, no neurons, 3 spikes at 2 steps
    assert (two.traffic.weights, two.traffic.constants, two.traffic.state) == (12 * 2, 0, 0)
    assert (two.traffic.activations, two.traffic.sums) == (6, 2 * 12 * 8)
    assert [layer.sums for layer in ledger.counts.layers] == [3, 2]
    adders = 12 * (0.03 + 0.07 * 4 / 24) + 30 * 0.1 + 12 * 0.015
    small = ledger.costs[0].energies[0]
    assert small.arithmetic == pytest.approx(12 * 0.05 + adders)
    assert small.weights == pytest.approx((24 + 1536 + 24) * READ)
    assert (small.state, small.activations, small.sums) == pytest.approx((24 * READ, 44 * READ, 0))
    sums = ledger.costs[0].energies[3]
    assert sums.total == pytest.approx(small.total + (384 + 192) * READ)


def in_memory(ledger, network, operations, sums):
    """What ``operations`` on ``sums`` of up to 1,000 products of spikes move, in two passes."""
    layer = replace(ledger.counts.layers[1], fan_in=1000, reached=operations, done=operations, sums=sums)
    return work(layer, network).traffic.sums


def test_partial_sums_in_a_memory(ledger):
    two_bits, floating = ledger.costs[0].network, ledger.costs[1].network
    emptied = 630 / 63 + 2 * 2  # 63 products of up to 2 fit into 8 bits; 2 sums in 2 passes
    assert in_memory(ledger, two_bits, 630, 2) == 2 * 630 * 8 + emptied * 2 * (8 + 16)
    assert in_memory(ledger, two_bits, 3, 2) == 2 * 3 * 16  # too few to pay
    assert in_memory(ledger, floating, 630, 2) == 2 * 630 * 32


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    counts=st.lists(st.integers(0, 1000), min_size=1, max_size=5),
    bits=st.sampled_from([TERNARY, 2, 4, 8]),
    seed=st.integers(0, 99),
)
def test_partial_sums_hold_and_move_no_more_than_is_counted(counts, bits, seed):
    """Additions one by one, for a fan-in of 1,000 and one pass: in 8 bits, in 16, and in whole sums."""
    low, draw = -WEIGHT_GRIDS[bits].low, np.random.default_rng(seed)
    whole = 8 * -(-((1000 * low).bit_length() + 1) // 8)
    moved = [2 * sum(counts) * whole]
    for width in range(8, whole, 8):
        room = ((1 << (width - 1)) - 1) // low
        if not room:
            continue
        found = 0
        for count in counts:
            for start in range(0, count, room):
                added = draw.integers(-low, low + 1, min(room, count - start)).cumsum()
                assert np.abs(added).max() < 1 << (width - 1)
                found += 2 * len(added) * width + 2 * (width + whole)
        moved.append(found)
    layer = LayerCounts(
        **dict.fromkeys((field.name for field in fields(LayerCounts)), 0)
        | {"name": "x", "pixels": False, "frames": False, "largest": 1, "gathered": 1, "fan_in": 1000, "passes": 1}
        | {"steps": 1, "weight_bits": bits, "done": sum(counts), "reached": sum(counts), "sums": len(counts)}
    )
    counted = work(layer, NetworkInfo("some", "events", gated=True)).traffic.sums
    assert min(moved) <= counted <= moved[0]


def test_the_fp32_snn(ledger):
    """The same spikes: 12 MACs, 12 ACs, a leak, an addition and a comparison for each update."""
    baseline = cost(ledger, "fp32 SNN")
    small = baseline.energies[0]
    assert small.arithmetic == pytest.approx(12 * 4.6 + 12 * 0.9 + 6 * (3.7 + 1.8))
    assert small.weights == pytest.approx((12 * 32 + 3 * 32 * 2 + 12 * 32) * READ)
    assert small.state == pytest.approx(6 * 2 * 32 * READ)
    assert small.activations == pytest.approx(44 * READ)
    dram = baseline.energies[2]
    assert dram.weights == pytest.approx(small.weights * 260)
    assert dram.arithmetic == small.arithmetic


def test_the_other_baselines(ledger):
    weights = {found.network.name: sum(w.traffic.weights for w in found.layers) for found in ledger.costs}
    assert weights["fp32 SNN, dense"] == 32 * (12 + 2 * 6)  # each weight once a step
    assert weights["this network, dense"] == 2 * (12 + 2 * 6)
    assert weights["int8 SNN"] == 8 * (12 + 12)
    assert weights["int8 ANN"] == 8 * (12 + 6)
    assert weights["ANN, equal bit budget"] == 2 * (12 + 6)
    eight, budget = cost(ledger, "int8 ANN"), cost(ledger, "ANN, equal bit budget")
    assert eight.layers[1].arithmetic == (Operation("multiply", 6, 64), Operation("add", 6, 18))  # 3 x 255 x 128
    assert budget.layers[1].arithmetic == (Operation("multiply", 6, 4), Operation("add", 6, 6))  # 3 x 3 x 2
    assert budget.layers[0].arithmetic[2] == Operation("add", 3 * 3, 32)  # three edges tell four activations apart
    assert eight.layers[0].traffic.activations == 4 * 8 + 3 * 8
    assert all(w.traffic.state == 0 for w in (*eight.layers, *budget.layers))
    scaled = cost(ledger, "int8 SNN").layers[0]
    assert scaled.arithmetic[2:] == (
        Operation("multiply", 6, 8 * 32),
        Operation("multiply", 6, 32 * 32),
        Operation("add", 18, 32),
    )


def test_a_network_of_8_bits_is_its_own_int8_baseline(random_graph, random_images):
    graph = random_graph(4, weight_bits=8, state_bits=8)
    found = make_ledger(graph, random_images(graph, 3))
    assert found.costs[0].layers == cost(found, "int8 SNN").layers
    assert found.costs[0].energies == cost(found, "int8 SNN").energies


def test_savings_are_a_range_over_the_scenarios(ledger):
    ours, baseline = ledger.costs[:2]
    saved = [1 - a.total / b.total for a, b in zip(ours.energies, baseline.energies, strict=True)]
    assert ledger.savings == (min(saved), max(saved))
    assert len({round(part, 6) for part in saved}) == 3  # "as it fits" is "small SRAM" for a network this small
    assert ledger.savings[0] < ledger.savings[1] < 1


def test_the_formula_of_the_field(ledger):
    assert ledger.field_formula == pytest.approx((12 * 4.6 + 12 * 0.9, 4.6 * 18))


def test_ternary_codes_take_1_6_bits(ledger):
    layer = ledger.counts.layers[0]
    ternary = work(layer, NetworkInfo("x", "events", weight_bits=1.58, state_bits=1.58))
    assert ternary.traffic.weights == pytest.approx(12 * 1.6)
    assert ternary.traffic.state == pytest.approx(6 * 2 * 1.6)
    assert ternary.arithmetic[0] == Operation("multiply", 12, 16)


def test_what_does_not_fit_costs_more(ledger):
    works = ledger.costs[0].layers
    place = Scenario("x", Memory("far", None, 6400))
    assert energy(works, place, HOROWITZ).weights == pytest.approx((24 + 1536 + 24) * 100)
