"""The integer neuron against the equation it stands for, in exact rational arithmetic, and at the ends of its range."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import case
from spquant_snn.errors import ModelError
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.integer.neuron import ScaledStore, TableStore, fold_neuron
from spquant_snn.integer.reference import remainder, step, stored

BITS = sorted(STATE_GRIDS)
INT32 = 2**31 - 1


def fold(bits=2, gain=(0.01,), offset=(0.0,), threshold=1.0, leak=0.5, reset="zero", reach=(1000,)):
    as_float = (np.array(x, np.float64) for x in (gain, offset))
    return fold_neuron(bits, *as_float, threshold, leak, reset, np.array(reach, np.int64))


def int32(*values):
    return np.array([values], np.int32)  # [N, C]


def exact_step(code, acc, bits, gain, offset, threshold, leak, reset):
    """One neuron, one step, as the training form writes it, without rounding."""
    grid = STATE_GRIDS[bits]
    delta = grid.step * threshold
    v = leak * delta * code + gain * acc + offset
    spike = v >= threshold
    r = (0 if spike else v) if reset == "zero" else v - threshold * spike
    return spike, min(max((r / delta + Fraction(1, 2)).__floor__(), grid.low), grid.high)


@given(
    bits=st.sampled_from(BITS),
    acc=st.integers(-200, 200),
    shift=st.integers(3, 6),
    offset=st.integers(-64, 64),
    threshold=st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(2)]),
    leak=st.sampled_from([Fraction(n, 4) for n in range(5)]),
    reset=st.sampled_from(["zero", "subtract"]),
    data=st.data(),
)
def test_equals_the_exact_recurrence_where_the_constants_are_exact(
    bits, acc, shift, offset, threshold, leak, reset, data
):
    # A dyadic gain and offset make every folded constant an integer: then nothing may differ, ties included.
    code = data.draw(st.integers(STATE_GRIDS[bits].low, STATE_GRIDS[bits].high))
    gain, offset = Fraction(1, 1 << shift), Fraction(offset, 1 << shift)
    neuron, dead = fold(bits, [float(gain)], [float(offset)], float(threshold), float(leak), reset, [200])
    spike, after = step(neuron, int32(acc), int32(code))
    assert not dead.any()
    assert (spike.item(), after.item()) == exact_step(code, acc, bits, gain, offset, threshold, leak, reset)


@given(
    bits=st.sampled_from([5, 6, 7, 8]),
    gain=st.floats(1e-4, 0.3),
    offset=st.floats(-1.5, 1.5),
    threshold=st.floats(0.3, 2),
    potential=st.integers(-60_000, 60_000),
    reset=st.sampled_from(["zero", "subtract"]),
)
def test_a_scaled_store_rounds_as_its_constants_do(bits, gain, offset, threshold, potential, reset):
    # The gain, in codes per unit, is rounded to 2**-shift: codes may differ only that near to a boundary.
    neuron, _ = fold(bits, [gain], [offset], threshold, 0.5, reset, [20_000])
    grid, scaled = STATE_GRIDS[bits], neuron.store
    delta = grid.step * Fraction(threshold)
    exact = (Fraction(gain) * Fraction(potential, 1 << neuron.fraction) + Fraction(offset)) / delta + Fraction(1, 2)
    slack = Fraction(abs(potential) + 2, 2 << scaled.shift)
    lowest, highest = (min(max(x.__floor__(), grid.low), grid.high) for x in (exact - slack, exact + slack))
    assert lowest <= stored(neuron, int32(potential)).item() <= highest
    if grid.low <= exact <= grid.high:
        assert slack < Fraction(1, 1000)


@given(
    bits=st.sampled_from([5, 6, 7, 8]),
    gain=st.floats(1e-4, 0.3),
    leak=st.sampled_from([0.25, 0.5, 0.75, 1.0]),
    data=st.data(),
)
def test_a_scaled_decay_is_the_nearest_integer_but_for_its_own_rounding(bits, gain, leak, data):
    neuron, _ = fold(bits, [gain], [0.0], 1.0, leak, "zero", [20_000])
    code = data.draw(st.integers(STATE_GRIDS[bits].low, STATE_GRIDS[bits].high))
    exact = leak * float(STATE_GRIDS[bits].step) * code * 2.0**neuron.fraction / gain
    slack = 0.5 + abs(code) * 0.5 / 2**neuron.store.decay_shift + 1e-6
    assert abs(remainder(neuron, int32(code)).item() - exact) <= slack


@given(
    bits=st.sampled_from(BITS),
    exponents=st.lists(st.floats(-9, 4), min_size=1, max_size=4),
    offset=st.floats(-1e6, 1e6),
    threshold=st.floats(0.01, 100),
    leak=st.sampled_from([0.0, 1 / 256, 0.5, 1.0]),
    reset=st.sampled_from(["zero", "subtract"]),
    reach=st.integers(0, 1 << 28),
)
def test_nothing_overflows_at_the_bounds(bits, exponents, offset, threshold, leak, reset, reach):
    gain = np.array([10.0**e for e in exponents])
    channels = len(gain)
    try:
        neuron, dead = fold(bits, gain, [offset] * channels, threshold, leak, reset, [reach] * channels)
    except ModelError as error:
        assert "do not fit 32 bits" in str(error)  # noqa: PT017
        return
    grid = STATE_GRIDS[bits]
    for code in (grid.low, grid.high):
        for acc in (-reach, reach):
            sums = np.where(dead, 0, acc)[None].astype(np.int32)
            codes = np.full_like(sums, code)
            with np.errstate(all="raise"):
                spike, after = step(neuron, sums, codes)
            potential = (sums.astype(object) << neuron.fraction) + remainder(neuron, codes)
            after_reset = potential - np.where(spike, neuron.drop, 0)
            assert abs(potential).max() < 1 << 30
            assert abs(after_reset).max() <= INT32
            assert grid.low <= after.min()
            assert after.max() <= grid.high
            if isinstance(neuron.store, ScaledStore):
                product = neuron.store.gain.astype(object) * after_reset + neuron.store.offset
                assert abs(product).max() < 1 << 63
                assert np.array_equal((product >> neuron.store.shift).clip(grid.low, grid.high)[~spike], after[~spike])


@pytest.mark.parametrize("bits", BITS)
def test_narrow_states_use_a_table_and_wide_ones_a_scale(bits):
    neuron, _ = fold(bits)
    assert isinstance(neuron.store, TableStore if bits <= 4 else ScaledStore)
    assert neuron.fraction == max(0, int(bits) - 2)
    assert (neuron.low, neuron.high) == (STATE_GRIDS[bits].low, STATE_GRIDS[bits].high)


@pytest.mark.parametrize("bits", BITS)
def test_the_constants_follow_the_threshold(bits):
    # A threshold of 1/2 with half the gain is the same neuron as a threshold of 1.
    one, half = fold(bits, [0.02], [0.2], 1.0)[0], fold(bits, [0.01], [0.1], 0.5)[0]
    sums = np.arange(-100, 100, dtype=np.int32)[:, None]
    for a, b in zip(step(one, sums, sums % 2 - 1), step(half, sums, sums % 2 - 1), strict=True):
        assert np.array_equal(a, b)


def test_a_channel_that_cannot_move_keeps_its_offset_alone():
    for bits, reset, gain in itertools.product(BITS, ("zero", "subtract"), (0.0, 1e-12, 1e-4)):
        with case(bits, reset, gain):
            neuron, dead = fold(bits, [0.01, gain, gain], [0.0, 0.3, 1.2], reset=reset, reach=[1000, 30, 30])
            assert dead.tolist() == [False, True, True]
            spikes, code = [], int32(0, 0, 0)
            for _ in range(4):
                spike, code = step(neuron, int32(0, 0, 0), code)
                spikes.append(spike[0].tolist())
            assert not any(row[0] or row[1] for row in spikes)  # 0.3 / (1 - leak) stays below one
            assert all(row[2] for row in spikes)  # 1.2 fires at every step


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_faint_channel_does_not_stand_in_the_way_of_the_others(bits, reset):
    # An 8-bit layer over many pixels: one channel moves by 1/150 of its threshold at most, all others are alive.
    reach = 40_000_000
    neuron, dead = fold(bits, [4.0 / reach, 1 / 150 / reach], [0.0, 0.3], reset=reset, leak=1.0, reach=[reach, reach])
    assert not dead[0]
    assert neuron.fraction >= 0
    spike, _ = step(neuron, int32(reach // 3, 0), int32(0, 0))
    assert spike.tolist() == [[True, False]]


@given(gain=st.floats(1e-3, 0.3), threshold=st.floats(0.3, 2), offset=st.floats(-1, 1), bits=st.sampled_from(BITS))
def test_what_a_spike_takes_is_the_nearest_integer_and_firing_rounds_up(gain, threshold, offset, bits):
    neuron, _ = fold(bits, [gain], [offset], threshold, reset="subtract")
    unit = 2.0**neuron.fraction / gain
    assert abs(neuron.drop.item() - threshold * unit) <= 0.5 + 1e-6
    assert -1e-6 <= neuron.fire.item() - (threshold - offset) * unit < 1 + 1e-6
    assert not fold(bits, [gain], [offset], threshold, reset="zero")[0].drop.any()


def test_a_negative_gain_is_refused_with_its_channel():
    with pytest.raises(ModelError, match=r"every gain must be positive, channel 1 has -0\.2: flip its weight codes"):
        fold(gain=[0.1, -0.2], offset=[0.0, 0.0], reach=[10, 10])


@pytest.mark.parametrize("field", ["gain", "offset"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(field, value):
    with pytest.raises(ModelError, match="is not a finite number: train again"):
        fold(**{field: [value]})
    with pytest.raises(ModelError, match="is not a finite number"):
        fold(threshold=value)


def test_accumulators_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match=r"accumulators of up to 2,000,000,000 do not fit 32 bits"):
        fold(reach=[2_000_000_000])


@pytest.mark.parametrize("bits", BITS)
def test_fractional_bits_give_way_to_large_sums(bits):
    neuron, _ = fold(bits, [1e-6], reach=[1 << 27])
    assert neuron.fraction == min(2, max(0, int(bits) - 2))


@pytest.mark.parametrize(("units", "fraction"), [(100, 0), (16, 0), (15.9, 1), (8, 1), (7.9, 2), (2.7, 3), (0.2, 6)])
@pytest.mark.parametrize("bits", [1.58, 2])
def test_thresholds_of_few_counts_get_fractional_bits(bits, units, fraction):
    assert fold(bits, gain=(1 / units, 1 / units, 1 / 1000), offset=(0.0,) * 3, reach=(50,) * 3)[0].fraction == fraction


def test_a_neuron_of_few_counts_fires_as_its_equation_does():
    """Rounded to whole counts, a threshold of 2.7 of them made networks another thing than what was trained."""
    rng, wrong = np.random.default_rng(0), {1: 0, 16: 0}
    for resolution in wrong:
        for _ in range(200):
            gain, offset = rng.uniform(0.3, 0.45), rng.uniform(-0.2, 0.2)
            given = (np.array([gain]), np.array([offset]), 1.0, 0.5, "zero", np.array([20]))
            neuron, _ = fold_neuron(2, *given, resolution)
            for code in (-2, -1, 0, 1):
                for acc in range(-4, 8):
                    v = 0.5 * code + gain * acc + offset
                    wrong[resolution] += bool(step(neuron, int32(acc), int32(code))[0][0, 0]) != (v >= 1.0)
    assert wrong[16] * 4 < wrong[1]
    assert wrong[16] < 0.01 * 200 * 48
