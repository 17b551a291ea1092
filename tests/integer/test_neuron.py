"""The integer neuron against the equation it stands for, in exact rational arithmetic, and at the ends of its range."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import case
from spquant_snn.errors import ModelError
from spquant_snn.integer.grids import CURRENT_GRIDS, STATE_GRIDS
from spquant_snn.integer.neuron import (
    ScaledStore,
    TableStore,
    check_bounds,
    check_neuron,
    fold_neuron,
    largest_potential,
    with_silent,
)
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


# ---- constants of each channel, other resets, synaptic currents ----

RESETS = ("zero", "subtract", "none")
QUARTERS = st.integers(0, 4).map(lambda n: Fraction(n, 4))


def nearest(x, grid, threshold):
    return min(max((x / (grid.step * threshold) + Fraction(1, 2)).__floor__(), grid.low), grid.high)


def exact_steps(accs, bits, gain, offset, threshold, leak, reset, reset_by, slow):
    """One neuron over time, as the training form writes it, without rounding: its spikes and codes."""
    grid, currents, code, kept = STATE_GRIDS[bits], CURRENT_GRIDS[bits], 0, 0
    history = []
    for acc in accs:
        drive = gain * acc + offset + (0 if slow is None else slow * currents.step * threshold * kept)
        v = leak * grid.step * threshold * code + drive
        spike = v >= threshold
        r = {"zero": 0, "subtract": v - reset_by, "none": v}[reset] if spike else v
        code, kept = nearest(r, grid, threshold), nearest(drive, currents, threshold)
        history.append((spike, code) if slow is None else (spike, code, kept))
    return history


@given(
    bits=st.sampled_from(BITS),
    reset=st.sampled_from(RESETS),
    channels=st.lists(
        st.tuples(
            st.integers(3, 6).map(lambda n: Fraction(1, 1 << n)),
            st.integers(-64, 64).map(lambda n: Fraction(n, 64)),
            st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(2)]),
            QUARTERS,
            st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(2), Fraction(1000)]),
            QUARTERS,
            st.lists(st.integers(-200, 200), min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=3,
    ),
    synaptic=st.booleans(),
)
def test_each_channel_equals_its_exact_recurrence(bits, reset, channels, synaptic):
    gain, offset, threshold, leak, reset_by, slow, accs = zip(*channels, strict=True)
    offset = [round(o / g) * g for o, g in zip(offset, gain, strict=True)]
    as_float = [np.array(x, np.float64) for x in (gain, offset, threshold, leak, reset_by, slow)]
    neuron, dead = fold_neuron(
        bits,
        *as_float[:4],
        reset,
        np.full(len(gain), 200),
        reset_by=as_float[4] if reset == "subtract" else None,
        synaptic_leak=as_float[5] if synaptic else None,
    )
    assert not dead.any()
    check_neuron(neuron, "layer")
    check_bounds(neuron, 200, "layer")
    codes, found = np.zeros((1, *neuron.stored_shape((len(gain),))), np.int32), []
    for acc in zip(*accs, strict=True):
        spikes, codes = step(neuron, int32(*acc), codes)
        found.append([spikes[0], *codes[0]] if synaptic else [spikes[0], codes[0]])
    for c in range(len(gain)):
        expected = exact_steps(
            accs[c], bits, gain[c], offset[c], threshold[c], leak[c], reset, reset_by[c], slow[c] if synaptic else None
        )
        assert [tuple(part[c] for part in row) for row in found] == expected


@given(
    bits=st.sampled_from(BITS),
    exponents=st.lists(st.floats(-6, 2), min_size=1, max_size=4),
    offset=st.floats(-1e3, 1e3),
    threshold=st.floats(0.01, 100),
    leak=st.floats(0, 1),
    slow=st.floats(0, 1),
    reset=st.sampled_from(RESETS),
    reset_by=st.floats(0, 1e4),
    reach=st.integers(0, 1 << 26),
)
def test_no_current_and_no_potential_leaves_its_width(
    bits, exponents, offset, threshold, leak, slow, reset, reset_by, reach
):
    gain = np.array([10.0**e for e in exponents])
    ends = (np.full(len(gain), offset), threshold, leak, reset, np.full(len(gain), reach))
    try:
        neuron, dead = fold_neuron(
            bits, gain, *ends, reset_by=reset_by if reset == "subtract" else None, synaptic_leak=slow
        )
    except ModelError as error:
        assert "fit 32 bits" in str(error)  # noqa: PT017
        return
    check_bounds(neuron, 0 if dead.all() else reach, "layer")
    for code, kept, acc in itertools.product((neuron.low, neuron.high), (neuron.low, neuron.high), (-reach, reach)):
        sums = np.where(dead, 0, acc)[None].astype(np.int32)
        codes = np.stack([np.full_like(sums, code), np.full_like(sums, kept)], 1)
        with np.errstate(all="raise"):
            spike, after = step(neuron, sums, codes)
        drive = (sums.astype(object) << neuron.fraction) + remainder(neuron.current, codes[:, 1])
        potential = drive + remainder(neuron, codes[:, 0])
        assert abs(potential).max() <= largest_potential(neuron, reach, "layer") <= 1 << 30
        assert np.array_equal(potential >= neuron.fire, spike)
        assert abs(potential - np.where(spike, neuron.drop, 0)).max() <= INT32
        assert neuron.low <= after.min()
        assert after.max() <= neuron.high


def test_to_subtract_what_no_integer_holds_is_refused():
    with pytest.raises(
        ModelError, match=r"what a reset takes from them, of up to .* do not fit 32 bits: subtract less"
    ):
        fold_neuron(2, np.array([1e-4]), np.array([1e6]), 1.0, 0.5, "subtract", np.array([20_000]), reset_by=1e6)


@pytest.mark.parametrize("bits", BITS)
def test_silent_channels_with_currents_never_fire(bits):
    constants = (np.array([0.02, 0.03]), np.array([0.5, 0.9]), np.array([1.0, 0.7]), np.array([0.9, 0.5]))
    neuron, _ = fold_neuron(bits, *constants, "zero", np.array([100, 100]), synaptic_leak=np.array([0.5, 0.8]))
    live = np.array([False, True, True, False])
    wide = with_silent(neuron, live)
    check_neuron(wide, "layer")
    few, many = np.zeros((1, 2, 2), np.int32), np.zeros((1, 2, 4), np.int32)
    for acc in (30, 50, -20, 60):
        sums = np.where(live, acc, 0)[None].astype(np.int32)
        (fired, few), (all_fired, many) = step(neuron, int32(acc, acc), few), step(wide, sums, many)
        assert np.array_equal(all_fired[:, live], fired)
        assert np.array_equal(many[..., live], few)
        assert not all_fired[:, ~live].any()
        assert not many[..., ~live].any()
    assert few.any()


def test_constants_that_do_not_fit_one_another_are_refused():
    good, _ = fold_neuron(
        4, np.array([0.02, 0.03]), np.zeros(2), 1.0, 0.5, "none", np.array([100, 100]), synaptic_leak=0.5
    )
    short = replace(good.current.store, decay=good.current.store.decay[:, :1])
    wrong = {
        "a neuron with reset 'none' subtracts": replace(good, drop=good.fire),
        "a current of 2 bits meets a state of 4": replace(good, current=replace(good.current, bits=2)),
        r"the current's decay is int32 \(16, 1\), not int32 \(16, 2\)": replace(
            good, current=replace(good.current, store=short)
        ),
        "the neuron's fraction or reset": replace(good, reset="half"),
    }
    check_neuron(good, "layer")
    for said, neuron in wrong.items():
        with pytest.raises(ModelError, match=f"'layer'.*{said}"):
            check_neuron(neuron, "layer")
    check_bounds(good, 1 << 20, "layer")
    with pytest.raises(ModelError, match=r"'layer'.*a potential leaves 32 bits"):
        check_bounds(good, 1 << 30, "layer")
    heavy = replace(good.current.store, decay=np.full_like(good.current.store.decay, INT32))
    with pytest.raises(ModelError, match=r"'layer'.*a potential leaves 32 bits"):
        check_bounds(replace(good, current=replace(good.current, store=heavy)), 1, "layer")


def test_a_stored_code_of_a_current_counts_as_memory():
    plain, _ = fold(bits=4)
    both, _ = fold_neuron(4, np.array([0.01]), np.zeros(1), 1.0, 0.5, "zero", np.array([1000]), synaptic_leak=0.5)
    assert (plain.stored_bits, plain.stored_shape((3, 2))) == (4, (3, 2))
    assert (both.stored_bits, both.stored_shape((3, 2))) == (8, (2, 3, 2))
