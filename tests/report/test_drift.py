"""The earth mover's distance against its definition: the cheapest way to move one set of numbers onto another."""

from itertools import permutations
from math import lcm

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.report.drift import earth_movers_distance, find_drift

rates = st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=3)


def cheapest(a, b):
    """The least mean distance over all ways to pair two sets of numbers off, each repeated until they are as many."""
    size = lcm(len(a), len(b))
    a, b = a * (size // len(a)), b * (size // len(b))
    return min(sum(abs(x - y) for x, y in zip(a, order, strict=True)) for order in permutations(b)) / size


@given(rates, rates)
def test_it_is_the_cheapest_way(a, b):
    assert earth_movers_distance(np.array(a), np.array(b)) == pytest.approx(cheapest(a, b))


@given(rates, rates, rates)
def test_it_is_a_distance(a, b, c):
    a, b, c = map(np.array, (a, b, c))
    assert earth_movers_distance(a, a) == 0
    assert earth_movers_distance(a, b) == pytest.approx(earth_movers_distance(b, a))
    assert earth_movers_distance(a, c) <= earth_movers_distance(a, b) + earth_movers_distance(b, c) + 1e-12
    assert earth_movers_distance(a, b) >= abs(a.mean() - b.mean()) - 1e-12


def test_a_shift_of_all_rates_is_its_size():
    a = np.random.default_rng(0).random(1000)
    assert earth_movers_distance(a, a + 0.125) == pytest.approx(0.125)


def test_layers_are_paired_by_name_and_the_others_named():
    one, two = np.array([0.5, 0.0]), np.array([0.25])
    drift = find_drift("here", {"a": one, "b": one}, "there", {"b": two, "c": two})
    assert [(layer.name, layer.distance) for layer in drift.layers] == [("b", 0.25)]
    assert drift.layers[0].here.tolist() == [0.0, 0.5]
    assert drift.others == ("a", "c")


def test_networks_without_a_common_layer_have_no_drift():
    with pytest.raises(ValueError, match="no layer of here is in there"):
        find_drift("here", {"a": np.zeros(1)}, "there", {"b": np.zeros(1)})
