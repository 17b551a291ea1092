"""The line of least squares."""

import pytest

from benchmarks.harness.linear_fit import fit_line


def test_points_on_a_line():
    line = fit_line([10, 20, 50], [105.0, 110.0, 125.0])
    assert (line.fixed, line.slope, line.r2) == pytest.approx((100.0, 0.5, 1.0))


def test_r2_is_the_share_explained():
    line = fit_line([0, 1, 2, 3], [0.0, 2.0, 1.0, 3.0])
    assert (line.fixed, line.slope, line.r2) == pytest.approx((0.3, 0.8, 0.64))


def test_times_that_do_not_change():
    assert fit_line([1, 2, 3], [5.0, 5.0, 5.0]).r2 == pytest.approx(1.0)
