"""Grids: every code is its own nearest code, boundaries round up, and the steps for weights are the best ones."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.errors import ConfigError
from spquant_snn.integer.grids import STATE_GRIDS, TERNARY, WEIGHT_GRIDS, width

ALL = [*STATE_GRIDS.values(), *WEIGHT_GRIDS.values()]


def nearest(grid, value):
    return grid.low + sum(value >= boundary for boundary in grid.boundaries)


@pytest.mark.parametrize("grid", ALL, ids=str)
def test_a_code_is_its_own_nearest_code(grid):
    for code in range(grid.low, grid.high + 1):
        assert nearest(grid, code * grid.step) == code


@pytest.mark.slow
@pytest.mark.parametrize("grid", ALL, ids=str)
def test_a_boundary_lies_halfway_and_rounds_up(grid):
    for code, boundary in zip(range(grid.low + 1, grid.high + 1), grid.boundaries, strict=True):
        assert boundary - (code - 1) * grid.step == code * grid.step - boundary
        assert nearest(grid, boundary) == code
        assert nearest(grid, boundary - Fraction(1, 10**9)) == code - 1


@given(bits=st.sampled_from(sorted(STATE_GRIDS)), value=st.fractions(-4, 4, max_denominator=1000))
def test_counting_boundaries_is_clamped_rounding(bits, value):
    grid = STATE_GRIDS[bits]
    assert nearest(grid, value) == min(max((value / grid.step + Fraction(1, 2)).__floor__(), grid.low), grid.high)


@pytest.mark.parametrize("bits", STATE_GRIDS)
def test_a_state_fits_its_bits_and_reaches_further_down_than_up(bits):
    grid = STATE_GRIDS[bits]
    assert grid.high - grid.low + 1 == (3 if bits == TERNARY else 2**bits)
    assert grid.low * grid.step == (-1 if bits == TERNARY else -2)
    assert grid.high * grid.step <= 2
    assert -grid.low >= grid.high


def mean_square_error(grid, step):
    x = np.linspace(-9, 9, 180_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    stored = step * np.clip(np.floor(x / step + 0.5), grid.low, grid.high)
    return float(((x - stored) ** 2 * density).sum() * (x[1] - x[0]))


@pytest.mark.parametrize("bits", WEIGHT_GRIDS)
def test_the_step_of_a_weight_has_the_least_mean_square_error(bits):
    grid = WEIGHT_GRIDS[bits]
    steps = float(grid.step) * np.linspace(0.93, 1.07, 57)
    errors = [mean_square_error(grid, step) for step in steps]
    best = steps[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < len(steps) - 1
    assert best == pytest.approx(float(grid.step), rel=0.01)


@pytest.mark.parametrize(
    ("given_as", "meaning"),
    [
        (2, 2),
        (8.0, 8),
        ("4", 4),
        ("ternary", 1.58),
        (1.58, 1.58),
        ("1.58", 1.58),
        (32, 32),
        ("fp32", 32),
        ("float", 32),
    ],
)
def test_a_width_may_be_written_in_several_ways(given_as, meaning):
    found = width(given_as, "weight bits")
    assert found == meaning
    assert isinstance(found, float if meaning == TERNARY else int)


@pytest.mark.parametrize("bits", [0, 1, -2, 2.5, 9, 16, "two", "", "nan", True, None, float("nan"), [2]])
def test_an_unknown_width_is_refused_in_words(bits):
    with pytest.raises(ConfigError, match=r"state bits must be 1.58 \(or 'ternary'\), 2 to 8, or 32 .* not"):
        width(bits, "state bits")
