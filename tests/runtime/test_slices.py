"""Bit slices: the rows of words that C adds up say the codes again, and what no register holds has none."""

import numpy as np
import pytest

from spquant_snn.runtime.plan import LANES, WORDS
from spquant_snn.runtime.slices import plan_slices


def codes_of(plan, shape):
    """The codes [O, I, kh, kw] that a plan's rows hold, read bit by bit."""
    outputs, inputs, tall, wide = shape
    weights = np.zeros((plan.blocks * plan.block * LANES, inputs, tall, plan.slots * plan.stride), np.int64)
    rows = plan.rows[:, :, :-1].reshape(plan.blocks, plan.passes, tall, plan.stride, inputs, plan.vectors, WORDS)
    for block, passed, y, column, c, vector, word in np.argwhere(rows):
        slot, rest = divmod(word, plan.spread * plan.block)
        part, tile = divmod(rest, plan.block)
        bit = (passed * plan.vectors + vector) * plan.spread + part
        lanes = np.flatnonzero(int(rows[block, passed, y, column, c, vector, word]) >> np.arange(LANES) & 1)
        x = (plan.slots - 1 - slot) * plan.stride + column
        weights[(block * plan.block + tile) * LANES + lanes, c, y, x] += 1 << bit
    return weights[:outputs, :, :, :wide] - plan.lift


@pytest.mark.parametrize(
    ("shape", "low", "high", "step"),
    [((5, 2, 3, 3), -1, 1, 1), ((70, 3, 3, 2), -2, 1, 1), ((33, 2, 4, 5), -8, 7, 2), ((64, 1, 1, 1), -128, 127, 1)],
)
def test_rows_hold_every_bit_of_every_code(shape, low, high, step):
    codes = np.random.default_rng(3).integers(low, high + 1, shape).astype(np.int32)
    plan = plan_slices(codes, height=8, pad=1, step=step, out_width=4)
    assert plan is not None
    assert (codes_of(plan, shape) == codes).all()
    assert not plan.rows[:, :, -1].any()
    assert (plan.totals[: shape[0]] == codes.sum((1, 2, 3))).all()
    assert plan.largest == np.abs(codes).max()


def test_one_output_of_a_row_has_all_columns_in_one_slot():
    codes = np.ones((4, 2, 3, 7), np.int32)
    plan = plan_slices(codes, height=3, pad=0, step=1, out_width=1)
    assert (plan.slots, plan.stride) == (1, 7)
    assert (codes_of(plan, codes.shape) == codes).all()


@pytest.mark.parametrize(
    ("shape", "height"),
    [((1, 1, 1, 17), 4), ((1, 3000, 3, 3), 40)],
    ids=["more columns than slots", "more events than 16 bits count"],
)
def test_what_does_not_fit_has_no_slices(shape, height):
    assert plan_slices(np.ones(shape, np.int32), height, 0, 1, 4) is None
