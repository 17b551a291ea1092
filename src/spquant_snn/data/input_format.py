"""What a number that comes in is worth: 8 bits, and one scale without a zero point.

Zero stays zero, which padding needs: a shift would turn its zeros into something else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import Array, Float64
from ..errors import ConfigError, DataError

PIXEL, SIGNED = 255, 127  # the largest of each kind
_SAMPLE = 1 << 22  # values that are looked at, at most, to measure a range
_BINS = 4096
_CLIPPED = 1e-3  # the largest share of values that measuring gives up
_WHOLE = 1e-9
_NEAR = 1e-3  # of a pixel's level
_DARKEST = 1 / 8  # brightest value of pixels as floats; less are numbers in a unit of their own
_TINY, _HUGE = 1e-20, 1e20  # what float32 can still square, and multiply


@dataclass(frozen=True)
class InputFormat:
    """Inputs as whole numbers of 8 bits.

    Args:
        signed: int8 from -127 to 127, not uint8 from 0 to 255.
        scale: what a one stands for in the units of training: 1/255 of pixels, so that 255 stands for 1.

    Raises:
        ConfigError: the scale is no number above zero.

    Example:
        >>> InputFormat(signed=True, scale=0.5).quantize(numpy.array([-1.0, 0.2, 100.0]))
        (array([ -2,   0, 127], dtype=int8), 0.3333333333333333)
    """

    signed: bool = False
    scale: float = 1 / PIXEL

    def __post_init__(self) -> None:
        scale = self.scale
        right = isinstance(scale, int | float) and not isinstance(scale, bool) and 0 < scale < math.inf
        if not right or not math.isfinite(1 / scale):
            raise ConfigError(f"the scale of an input must be a number above zero, not {scale!r}")
        if not isinstance(self.signed, bool):
            raise ConfigError(f"an input is signed or not, True or False, not {self.signed!r}")
        object.__setattr__(self, "scale", float(scale))

    @property
    def largest(self) -> int:
        """The largest absolute value."""
        return SIGNED if self.signed else PIXEL

    @property
    def lowest(self) -> int:
        return -SIGNED if self.signed else 0

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int8 if self.signed else np.uint8)

    @property
    def divisor(self) -> float:
        """What stands for 1: 255 of pixels. Scales that were made as 1/255 give it without an error of rounding."""
        inverse = 1 / self.scale
        whole = round(inverse)
        return float(whole) if whole and abs(inverse - whole) < _WHOLE * whole else inverse

    @property
    def counts(self) -> bool:
        """Whether whole numbers are inputs as they are, as pixels and counts of events are, not values to be divided by
        the scale."""
        return self.divisor.is_integer()

    def quantize(self, values: Array, what: str = "the values") -> tuple[Array, float]:
        """Values in the units of training as inputs, and the share of them that had to be clipped. Arrays that hold
        inputs already, of the right dtype, are given back as they are.

        Args:
            values: floats; bools; or whole numbers, which are inputs as they are where the format ``counts``.
            what: messages call them, in the plural.

        Raises:
            DataError: they are no numbers, or not all are finite.
        """
        if values.dtype == self.dtype:
            return self._within(values)
        check_finite(values, what)
        if values.dtype.kind in "ui" and self.counts:
            rounded = values
        else:
            precise = values.dtype.kind in "ui" or values.dtype.itemsize == 8
            kind = np.float64 if precise else np.float32
            with np.errstate(over="ignore"):  # which is clipped
                rounded = np.multiply(values, self.divisor, dtype=kind)
            rounded = np.rint(rounded, out=rounded) if isinstance(rounded, np.ndarray) else np.rint(rounded)
        over = int(np.count_nonzero(rounded > self.largest) + np.count_nonzero(rounded < self.lowest))
        if over:
            rounded = np.clip(rounded, self.lowest, self.largest)
        return np.ascontiguousarray(rounded.astype(self.dtype)), over / max(values.size, 1)

    def _within(self, values: Array) -> tuple[Array, float]:
        over = int(np.count_nonzero(values == -128)) if self.signed else 0
        return (np.maximum(values, -SIGNED) if over else values), over / max(values.size, 1)

    @staticmethod
    def measured(values: Array, limit: float = 0.0) -> InputFormat:
        """The format for values: that of pixels for floats from 0 to 1, of which one is above an eighth or all are
        multiples of 1/255, and for whole numbers from 0 to 255; else signed if there is one below zero, and a scale at
        which rounding and clipping together change values least, in the mean without their signs, while no more than
        one of a thousand is clipped.

        Args:
            values: of the training set; of more than four million, evenly spaced ones are looked at.
            limit: the largest absolute value that shall fit; 0: measured.

        Raises:
            DataError: the values are no finite numbers, or all of them are zero.
        """
        check_finite(values, "the values")
        if values.dtype.kind == "b":
            return InputFormat(scale=1.0)
        low, high = (float(x) for x in (values.min(initial=0), values.max(initial=0)))
        if low == high == 0:
            raise DataError("all values are zero, from which nothing can be learned: check how they were read")
        signed = low < 0
        if limit:
            return InputFormat(signed, limit / (SIGNED if signed else PIXEL))
        most = max(-low, high)
        if not _TINY < most < _HUGE:
            raise DataError(f"the values go up to {most:.3g}, which leaves no room to compute: rescale them")
        whole = values.dtype.kind in "ui"
        if whole and (most <= SIGNED if signed else most <= PIXEL):
            return InputFormat(signed, 1 / (SIGNED if signed else PIXEL))
        if whole and values.dtype == np.int8:  # with a -128, which is clipped
            return InputFormat(True, 1 / SIGNED)
        if not whole and not signed and high <= 1 and (high > _DARKEST or _are_pixels(values, high)):
            return InputFormat()
        return InputFormat(signed, _least_error(_magnitudes(values), most, SIGNED if signed else PIXEL))


PIXELS = InputFormat()
COUNTS = InputFormat(scale=1 / 4)  # a few events of a pixel in a frame; as pixels they would drown in a variance's eps


def check_finite(values: Array, what: str, of_items: bool = False) -> None:
    """Refuse what is no array of finite real numbers; ``what`` begins the sentence, in the plural.

    Args:
        of_items: whether the first axis counts items, of which the first that is wrong is named.

    Raises:
        DataError: it is none.
    """
    if values.dtype.kind not in "uifb" or values.dtype.itemsize > 8:
        raise DataError(f"{what} are of dtype {values.dtype}: give real numbers, as of float32 or uint8")
    with np.errstate(all="ignore"):
        total = values.sum(dtype=np.float64) if values.dtype.kind == "f" else 0.0
    if np.isfinite(total):
        return
    finite = np.isfinite(values)
    bad = int(values.size - np.count_nonzero(finite))
    if bad:
        first = f", the first in item {int((~finite).reshape(len(values), -1).any(1).argmax())}" if of_items else ""
        raise DataError(
            f"{what} hold {bad:,} of {values.size:,} that are not finite (NaN or infinite){first}: replace or leave "
            "them out"
        )


def _are_pixels(values: Array, most: float) -> bool:
    """Whether evenly spaced floats are pixels over 255, of dark images."""
    levels = _magnitudes(values) * PIXEL
    return most * PIXEL > 1 - _NEAR and bool((np.abs(levels - np.rint(levels)) < _NEAR).all())


def _magnitudes(values: Array) -> Float64:
    """The absolute values of evenly spaced ones, without zeros, which every format holds."""
    flat = values.reshape(-1)
    spaced = flat[:: -(-flat.size // _SAMPLE)] if flat.size > _SAMPLE else flat
    found: Float64 = np.abs(spaced[spaced != 0].astype(np.float64))
    return found


def _least_error(magnitudes: Float64, most: float, levels: int) -> float:
    """The scale for values up to ``most``: of a histogram, the error of each range that clips little."""
    if not magnitudes.size:
        return most / levels
    counts, edges = np.histogram(magnitudes, _BINS, (0, most))
    centres, ranges = (edges[1:] + edges[:-1]) / 2, edges[1:]
    above = np.stack([counts, counts * centres])
    above = above[:, ::-1].cumsum(1)[:, ::-1] - above  # beyond each range
    clipped = above[1] - ranges * above[0]
    rounded = (counts.sum() - above[0]) * ranges / levels / 4
    error = np.where(above[0] <= _CLIPPED * counts.sum(), clipped + rounded, np.inf)
    return float(ranges[int(error.argmin())]) / levels
