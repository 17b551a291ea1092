"""Values of any range as 8 bits with one scale: rounding, clipping and its count, what is measured, what is refused."""

import numpy as np
import pytest

from spquant_snn.data.input_format import COUNTS, PIXELS, InputFormat
from spquant_snn.errors import ConfigError, DataError

VALUES = np.random.default_rng(0).normal(0, 3, 20_000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f4"])
@pytest.mark.parametrize("given", [InputFormat(True, 0.05), InputFormat(True, 3.0), InputFormat(False, 0.02), PIXELS])
def test_inputs_are_the_nearest_ones_and_clipped_ones_are_counted(given, dtype):
    values = VALUES.astype(dtype)
    inputs, share = given.quantize(values)
    exact = values.astype(np.float64) / given.scale
    nearest = np.clip(np.rint(exact), given.lowest, given.largest)
    assert inputs.dtype == (np.int8 if given.signed else np.uint8)
    assert np.abs(inputs - exact.clip(given.lowest, given.largest)).max() <= 0.5 + 1e-3
    assert (inputs != nearest).mean() < 1e-3  # float32 may round a half to the other side
    beyond = (np.rint(exact) > given.largest) | (np.rint(exact) < given.lowest)
    assert share == pytest.approx(beyond.mean(), abs=1e-4)
    assert (inputs[values == 0] == 0).all()


def test_inputs_are_left_as_they_are():
    for given in (PIXELS, InputFormat(True, 0.3)):
        values = VALUES.clip(0, 100).astype(given.dtype)
        inputs, share = given.quantize(values)
        assert inputs is values
        assert share == 0
    assert InputFormat(True, 0.3).quantize(np.array([-128, 5], np.int8))[0].tolist() == [-127, 5]
    assert InputFormat(True, 0.3).quantize(np.array([-128, 5], np.int8))[1] == 0.5


@pytest.mark.parametrize(
    ("values", "signed", "scale"),
    [
        (np.linspace(0, 1, 50), False, 1 / 255),
        (np.linspace(0, 0.2, 50), False, 1 / 255),
        (np.arange(4, dtype=np.float32) / 255, False, 1 / 255),
        (np.arange(256), False, 1 / 255),
        (np.arange(-100, 100, dtype=np.int16), True, 1 / 127),
        (np.array([-128, 127], np.int8), True, 1 / 127),
        (np.array([False, True]), False, 1.0),
    ],
)
def test_pixels_counts_and_bools_are_known(values, signed, scale):
    assert InputFormat.measured(values) == InputFormat(signed, scale)


@pytest.mark.parametrize("most", [0.1, 1e-4, 1e-9])
def test_small_values_are_no_dark_pixels(most):
    values = np.linspace(0, most, 1000)
    given = InputFormat.measured(values)
    assert not given.signed
    assert np.abs(given.quantize(values)[0] * given.scale - values).max() < most / 250


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32])
@pytest.mark.parametrize("signed", [True, False])
def test_a_measured_range_clips_little_and_loses_less_than_the_full_one(dtype, signed):
    values = VALUES * 200 if signed else np.abs(VALUES) * 200
    values = np.append(values, 20_000).astype(dtype)  # one far out
    given = InputFormat.measured(values)
    inputs, share = given.quantize(values)
    assert given.signed == signed
    assert 0 < share <= 1e-3
    full = InputFormat(signed, 20_000 / given.largest)

    def lost(form):
        return np.abs(form.quantize(values)[0] * form.scale - values).mean()

    assert lost(given) < lost(full) / 4
    assert len(np.unique(inputs)) > 100


def test_a_given_range_is_held():
    assert InputFormat.measured(VALUES, 6.35).scale == pytest.approx(0.05)
    assert InputFormat.measured(np.abs(VALUES), 6.375).scale == pytest.approx(0.025)


def test_a_divisor_is_exact_where_a_scale_was_made_of_one():
    for divisor in range(1, 256):
        assert InputFormat(scale=1 / divisor).divisor == divisor
    assert COUNTS.divisor == 4
    assert not InputFormat(scale=0.3).counts


def refused(call):
    with pytest.raises((DataError, ConfigError)) as caught:
        call()
    return str(caught.value)


def test_what_cannot_be_quantised_is_refused_in_a_sentence():
    assert "hold 1 of 3 that are not finite" in refused(lambda: PIXELS.quantize(np.array([0, np.nan, 1])))
    assert "hold 2 of 2" in refused(lambda: InputFormat.measured(np.array([np.inf, -np.inf])))
    assert "all values are zero" in refused(lambda: InputFormat.measured(np.zeros(9)))
    assert "go up to 1e+300, which leaves no room" in refused(lambda: InputFormat.measured(np.array([-1e300, 1.0])))
    assert "dtype object" in refused(lambda: PIXELS.quantize(np.array([None])))
    assert "dtype complex" in refused(lambda: InputFormat.measured(np.array([1j])))
    for scale in (0, -1, np.nan, np.inf, True, "1", 1e-320):
        assert "must be a number above zero" in refused(lambda scale=scale: InputFormat(True, scale))
