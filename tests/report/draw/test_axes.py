"""Scales, round numbers and labels that keep apart, by their properties."""

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spquant_snn.report.draw.axes import Scale, log_ticks, padded_ends, percent, short_number, spread_labels, ticks

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@given(numbers, st.floats(1e-3, 1e6), st.integers(3, 8))
def test_ticks_are_few_round_and_within(low, span, most):
    high = low + span
    assume(high - low > 1e-9 * abs(low) + 1e-6)
    found = ticks(low, high, most)
    assert 1 <= len(found) <= most + 1
    assert all(low - 1e-6 * span <= value <= high + 1e-6 * span for value in found)
    if len(found) > 1:
        step = found[1] - found[0]
        leading = step / 10.0 ** math.floor(math.log10(step * 1.0001))
        assert any(leading == pytest.approx(digit, rel=1e-5) for digit in (1, 2, 5))
        assert found == pytest.approx([found[0] + k * step for k in range(len(found))])


@given(st.floats(-9, 9), st.floats(0.1, 9))
def test_log_ticks_are_few_rising_and_within(exponent, decades):
    low, high = 10.0**exponent, 10.0 ** (exponent + decades)
    found = log_ticks(low, high)
    assert len(found) <= 7
    assert sorted(set(found)) == found
    assert all(low * 0.999 <= value <= high * 1.001 for value in found)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.8, 1300), [1, 10, 100, 1000]),
        ((0.02, 0.7), [0.03, 0.1, 0.3]),
        ((3, 9), [3, 5, 7]),
        ((2.0e6, 2.3e6), [2.0e6, 2.1e6, 2.2e6, 2.3e6]),
    ],
)
def test_log_ticks_by_example(ends, expected):
    assert log_ticks(*ends) == pytest.approx(expected)


def test_a_scale_joins_its_ends_by_a_straight_line():
    scale = Scale(10, 20, 100, 0)
    assert [scale(value) for value in (10, 15, 20)] == [100, 50, 0]
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])


def test_a_scale_of_whole_numbers_marks_no_others():
    assert Scale(0, 2, 0, 1, whole=True).ticks == [0, 1, 2]
    assert 0.5 in Scale(0, 2, 0, 1).ticks


@given(st.lists(numbers, min_size=1, max_size=5))
def test_the_ends_of_an_axis_hold_all_numbers(values):
    low, high = padded_ends(values)
    assert low < min(values)
    assert high > max(values)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5))
def test_the_ends_of_a_logarithmic_axis_hold_all_numbers(values):
    low, high = padded_ends(values, log=True)
    assert 0 < low < min(values)
    assert high > max(values)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=7))
def test_labels_keep_apart_in_order_and_within(places):
    found = spread_labels(places, 10, 0, 100)
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    along = [found[i] for i in order]
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(along))
    assert min(found) >= -1e-9
    assert max(found) <= 100 + 1e-9


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7, unique=True))
def test_labels_that_have_room_stay_where_they_are(tens):
    places = [10.0 * ten for ten in tens]
    assert spread_labels(places, 10, 0, 100) == pytest.approx(places)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.03121, "0.0312"),
        (6.287, "6.29"),
        (154.11, "154"),
        (-2, "-2"),
        (1240.4, "1,240"),
        (9999, "9,999"),
        (12544, "12.5 k"),
        (1.95e6, "1.95 M"),
        (16777216, "16.8 M"),
        (2.5e9, "2.5 G"),
        (-20000, "-20 k"),
    ],
)
def test_numbers_are_written_short(value, expected):
    assert short_number(value) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, "0 %"), (0.00031, "0.031 %"), (0.025, "2.5 %"), (0.2, "20 %"), (0.9941, "99.4 %"), (1, "100 %")],
)
def test_shares_are_written_in_percent(share, expected):
    assert percent(share) == expected
