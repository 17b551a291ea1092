"""What a person is told of numbers that become 8 bits: their range, how many are clipped, and channels of which one
scale for all leaves hardly anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..dtypes import Array, Float64
from ..io.texts import counted
from .input_format import COUNTS, PIXELS, InputFormat

_LOOKED_AT = 1 << 22  # values, at most
_STEPS = 2.0  # of the scale, by which a channel should deviate: rounding alone deviates by 0.3
_NAMED = 6  # channels


def range_note(given: InputFormat, parts: Sequence[tuple[str, int, float]]) -> str | None:
    """The range of inputs that were quantised; None where they are what they seem, and nothing is clipped.

    Args:
        parts: what each is called, its number of items, and the share of its values that is clipped.
    """
    over = [(share, f"{counted(count, f'{what} item')}") for what, count, share in parts if share]
    if not over and given in (PIXELS, COUNTS):
        return None
    low, high = given.lowest * given.scale, given.largest * given.scale
    looked = " and ".join(counted(count, f"{what} item") for what, count, _ in parts)
    clipped = " and ".join(f"{share:.2%} of the values of {which}" for share, which in over)
    said = f"{clipped} clipped" if clipped else f"nothing clipped of {looked}"
    return f"inputs are {given.dtype}, of values from {low:.4g} to {high:.4g}, a scale of {given.scale:.4g}; {said}"


def coarse_note(values: Array, given: InputFormat) -> str | None:
    """Which channels deviate by so few steps of the scale that little of them is left; None where none does.

    Args:
        values: [N, C, H, W] or [N, T, C, H, W], as they are given.
    """
    if values.dtype == given.dtype or values.dtype.kind == "b" or (values.dtype.kind in "ui" and given.counts):
        return None  # each is an input as it is
    deviation, mean = (moment / given.scale for moment in _moments(values))
    coarse = np.flatnonzero((deviation > 0) & (deviation < _STEPS))
    if not len(coarse):
        return None
    worst = int(coarse[deviation[coarse].argmin()])
    named = ", ".join(map(str, coarse[:_NAMED])) + (f" and {len(coarse) - _NAMED} more" if len(coarse) > _NAMED else "")
    several = len(deviation) > 1
    what = f"channel{'s' * (len(coarse) > 1)} {named} of" if several else "the values of"
    which = f"channel {worst} " if len(coarse) > 1 else ""
    return (
        f"{what} the inputs deviate by less than {_STEPS:g} of {given.largest} steps, {which}by {deviation[worst]:.2g} "
        f"about {mean[worst]:.3g}: zero stays zero{' and one scale holds all channels' if several else ''}, so bring "
        f"{'each channel' if several else 'them'} to a mean near zero{', and all to one range' if several else ''}"
    )


def _moments(values: Array) -> tuple[Float64, Float64]:
    """Deviation and mean of each channel, of evenly spaced items."""
    every = -(-values.size // _LOOKED_AT)
    few = values[::every].astype(np.float64)
    axes = tuple(axis for axis in range(few.ndim) if axis != few.ndim - 3)
    return few.std(axes), few.mean(axes)
