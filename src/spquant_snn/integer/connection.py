"""The synapses of a term of an integer graph. It needs NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..dtypes import Int8, Int64
from ..errors import ModelError
from .grids import WEIGHT_GRIDS
from .pool import NO_SIDES, Pair, Pool, Sides, Upsample, places

Shape = tuple[int, ...]

INT32 = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses: pools on the input, a convolution or a linear layer, and a pool over its sums.

    A transposed convolution is one whose input is ``spread``: its rows and columns lie apart, with zeros between them.
    Spikes that are added as they are pass a convolution of kernel 1 and one channel a group.

    Args:
        name: path of the layer in the model that it comes from.
        codes: int8 [O, I/groups, kh, kw], or [O, F] for a linear layer over the flattened (C, H, W) input.
        bits: of the codes, 1.58 or 2 to 8.
        stride, dilation, spread: of a convolution, (height, width).
        padding: of a convolution, (top, bottom, left, right), zeros.
        groups: of a convolution's channels.
        pools: applied to the input, in order.
        sum_pool: applied to the sums.

    Raises:
        ModelError: a field contradicts another or the table of grids.
    """

    name: str
    codes: Int8
    bits: float
    stride: Pair = (1, 1)
    padding: Sides = NO_SIDES
    groups: int = 1
    dilation: Pair = (1, 1)
    spread: Pair = (1, 1)
    pools: tuple[Pool | Upsample, ...] = ()
    sum_pool: Pool | None = None

    def __post_init__(self) -> None:
        codes = self.codes
        check(self.bits in WEIGHT_GRIDS, self.name, f"weights of {self.bits!r} bits do not exist")
        check(
            codes.dtype == np.int8 and codes.ndim in (2, 4) and codes.size > 0,
            self.name,
            f"codes are {codes.dtype} {codes.shape}",
        )
        grid = WEIGHT_GRIDS[self.bits]
        low, high = int(codes.min()), int(codes.max())
        check(grid.low <= low and high <= grid.high, self.name, f"codes {low}..{high} do not fit {self.bits:g} bits")
        numbers = (*self.stride, *self.dilation, *self.spread, self.groups)
        check(
            min(numbers) >= 1 and min(self.padding) >= 0 and len(self.padding) == 4,
            self.name,
            "stride, padding, dilation, spread or groups is out of range",
        )
        check(
            self.convolves or (set(numbers), self.padding, self.sum_pool) == ({1}, NO_SIDES, None),
            self.name,
            "a linear layer has no stride, padding, dilation, spread, groups or pool over its sums",
        )
        check(
            codes.shape[0] % self.groups == 0,
            self.name,
            f"{codes.shape[0]} outputs do not divide into {self.groups} groups",
        )
        for step in (*self.pools, *([self.sum_pool] if self.sum_pool else [])):
            _check_step(step, self.name)
        check(not isinstance(self.sum_pool, Upsample), self.name, "sums cannot be up-sampled")

    @property
    def convolves(self) -> bool:
        return self.codes.ndim == 4

    @property
    def whole_codes(self) -> Int8:
        """Codes [O, I, ...] without groups: zeros for the channels that a group does not take."""
        if self.groups == 1:
            return self.codes
        outputs, inputs, *kernel = self.codes.shape
        found = np.zeros((self.groups, outputs // self.groups, self.groups, inputs, *kernel), np.int8)
        own = np.arange(self.groups)
        found[own, :, own] = self.codes.reshape(self.groups, -1, inputs, *kernel)
        return found.reshape(outputs, self.groups * inputs, *kernel)

    @property
    def identity(self) -> bool:
        """Whether each channel goes to the channel of its number alone, place by place."""
        plain = self.stride == self.spread == (1, 1) and self.padding == NO_SIDES
        return self.codes.shape == (self.groups, 1, 1, 1) and plain and not self.pools and self.sum_pool is None

    def pooled_shape(self, shape: Shape) -> Shape:
        """Shape of the input after its pools."""
        check_size(shape, self.name)
        for step in self.pools:
            shape = resampled(step, shape, self.name)
        return shape

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the sums for an input of ``shape``, (C, H, W) or (F,).

        Raises:
            ModelError: the input does not fit.
        """
        shape = self.pooled_shape(shape)
        outputs, inputs = self.codes.shape[:2]
        if not self.convolves:
            check(math.prod(shape) == inputs, self.name, f"an input of shape {shape} does not have {inputs} elements")
            return (outputs,)
        check(
            image(shape)[0] == inputs * self.groups,
            self.name,
            f"an input of shape {shape} does not have {inputs * self.groups} channels",
        )
        check_size((shape[0], *self.padded_size(shape)), self.name)
        found: Shape = (outputs, *self.places(shape))
        check(min(found) >= 1, self.name, f"nothing is left of an input of shape {shape}")
        check_size(found, self.name)
        return found if self.sum_pool is None else resampled(self.sum_pool, found, self.name)

    def sums_of(self, shape: Shape) -> int:
        """How many sums there are before they are pooled, for an input of ``shape`` that fits."""
        return len(self.codes) * (math.prod(self.places(self.pooled_shape(shape))) if self.convolves else 1)

    def looked_at(self, shape: Shape) -> int:
        """How many values the sums of one output channel look at, each as often as they do."""
        seen = math.prod(self.places(self.pooled_shape(shape))) if self.convolves else 1
        return seen * (self.codes.size // len(self.codes))

    def padded_size(self, shape: Shape) -> Pair:
        """Height and width of an input behind its pools, spread and between zeros."""
        top, bottom, left, right = self.padding
        _, height, width = image(shape)
        return (height - 1) * self.spread[0] + 1 + top + bottom, (width - 1) * self.spread[1] + 1 + left + right

    def places(self, shape: Shape) -> Pair:
        """Rows and columns of the sums before they are pooled, of an input behind its pools."""
        rows, columns = (
            places(size, kernel, stride, 0, 0, dilation)
            for size, kernel, stride, dilation in zip(
                self.padded_size(shape), self.codes.shape[2:], self.stride, self.dilation, strict=True
            )
        )
        return rows, columns

    def largest_input(self, largest: int) -> int:
        """The largest absolute value after the pools, for inputs up to ``largest``."""
        for step in self.pools:
            largest *= step.area
        return largest

    def reach(self, largest: int, signed: bool = False) -> Int64:
        """[O] the largest absolute value of a pooled sum, of inputs 0 .. ``largest``, or down to ``-largest`` where
        they are ``signed``."""
        area = (self.sum_pool.area if self.sum_pool else 1) * self.largest_input(largest)
        check(area <= INT32, self.name, "what its pools add up leaves 32 bits")
        up, down = self._sides
        most: Int64 = up + down if signed else np.maximum(up, down)
        check(int(most.max()) * area <= INT32, self.name, "a sum leaves 32 bits")
        return most * area

    @cached_property
    def _sides(self) -> tuple[Int64, Int64]:
        """[O] the sums of the codes above zero and of those below it, without their signs."""
        rows = self.codes.reshape(len(self.codes), -1)
        up: Int64 = rows.sum(1, dtype=np.int64, where=rows > 0)
        down: Int64 = rows.sum(1, dtype=np.int64, where=rows < 0)
        return up, -down


def image(shape: Shape) -> tuple[int, int, int]:
    """A shape as (C, H, W): a vector (F,) becomes (F, 1, 1), a signal (C, L) becomes (C, 1, L)."""
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    channels, height, width = shape if len(shape) == 3 else (*shape, 1, 1)
    return channels, height, width


def resampled(step: Pool | Upsample, shape: Shape, name: str) -> Shape:
    """Shape behind a pool or an up-sampling of the layer ``name``.

    Raises:
        ModelError: nothing is left.
    """
    channels, height, width = image(shape)
    rows, columns = step.size(height, width)
    check(rows >= 1 and columns >= 1, name, f"nothing is left of {shape} behind {step}")
    check_size((channels, rows, columns), name)
    check(
        not (isinstance(step, Pool) and step.kind == "max" and step.misses(height, width)),
        name,
        f"a window of {step} sees nothing of an input of shape {shape}",
    )
    return channels, rows, columns


def _check_step(step: Pool | Upsample, name: str) -> None:
    if isinstance(step, Upsample):
        check(min(step.factor) >= 1, name, f"there is no {step}")
        return
    numbers = (*step.kernel, *step.stride, *step.dilation)
    right = step.kind in ("sum", "max") and min(numbers) >= 1 and min(step.padding) >= 0 and len(step.padding) == 4
    check(right, name, f"there is no {step}")


def check_size(shape: Shape, name: str) -> None:
    """Raise ModelError unless every value of a shape has a number below 2^31."""
    check(math.prod(shape) <= INT32, name, f"{'x'.join(map(str, shape))} values are more than 31 bits can count")


def check(holds: bool, name: str, wrong: str) -> None:
    """Raise ModelError unless what must hold of the layer ``name`` does."""
    if not holds:
        raise ModelError(f"layer {name!r}: {wrong}; the graph cannot be run")
