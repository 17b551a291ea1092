"""The synapses of a layer of an integer graph. It needs NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..dtypes import Int8, Int64
from ..errors import ModelError
from .grids import WEIGHT_GRIDS
from .pool import Pool

Shape = tuple[int, ...]

INT32 = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses: pools on what comes in, a convolution or a linear layer, a sum-pool on what goes out.

    Args:
        name: path of the layer in the model that it comes from.
        codes: int8 [O, I/groups, kh, kw], or [O, F] for a linear layer over the flattened (C, H, W) input.
        bits: of the codes, 1.58 or 2 to 8.
        stride, padding: of a convolution, (height, width); padding is with zeros.
        groups: of a convolution's channels.
        pools: applied to the input, in order.
        sum_pool: applied to the sums.

    Raises:
        ModelError: a field contradicts another or the table of grids.
    """

    name: str
    codes: Int8
    bits: float
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    pools: tuple[Pool, ...] = ()
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
        check(
            min(self.stride) >= 1 and min(self.padding) >= 0 and self.groups >= 1,
            self.name,
            "stride, padding or groups is out of range",
        )
        check(
            self.convolves or (self.stride, self.padding, self.groups, self.sum_pool) == ((1, 1), (0, 0), 1, None),
            self.name,
            "a linear layer has no stride, padding, groups or pool",
        )
        check(
            codes.shape[0] % self.groups == 0,
            self.name,
            f"{codes.shape[0]} outputs do not divide into {self.groups} groups",
        )
        for pool in (*self.pools, *([self.sum_pool] if self.sum_pool else [])):
            check(
                pool.kind in ("sum", "max") and pool.kernel >= 1 and pool.stride >= 1, self.name, f"there is no {pool}"
            )
        check(self.sum_pool is None or self.sum_pool.kind == "sum", self.name, "sums can only be pooled by summing")

    @property
    def convolves(self) -> bool:
        return self.codes.ndim == 4

    def pooled_shape(self, shape: Shape) -> Shape:
        """Shape behind the pools on the input."""
        check_size(shape, self.name)
        for pool in self.pools:
            check(len(shape) == 3, self.name, f"a pool cannot work on an input of shape {shape}")
            shape = (shape[0], *pool.size(*shape[1:]))
            check(min(shape) >= 1, self.name, f"nothing is left of its input behind {pool}")
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
            len(shape) == 3 and shape[0] == inputs * self.groups,
            self.name,
            f"an input of shape {shape} does not have {inputs * self.groups} channels",
        )
        check_size(self._padded(shape), self.name)
        height, width = self._places(shape)
        check_size((outputs, height, width), self.name)
        if self.sum_pool is not None:
            height, width = self.sum_pool.size(height, width)
        check(height >= 1 and width >= 1, self.name, f"nothing is left of an input of shape {shape}")
        return (outputs, height, width)

    def sums_of(self, shape: Shape) -> int:
        """How many sums there are before they are pooled, for an input of ``shape`` that fits."""
        return len(self.codes) * (math.prod(self._places(self.pooled_shape(shape))) if self.convolves else 1)

    def looked_at(self, shape: Shape) -> int:
        """How many values the sums of one output channel look at, each as often as they do."""
        places = math.prod(self._places(self.pooled_shape(shape))) if self.convolves else 1
        return places * (self.codes.size // len(self.codes))

    def _padded(self, shape: Shape) -> Shape:
        return (shape[0], *(size + 2 * pad for size, pad in zip(shape[1:], self.padding, strict=True)))

    def _places(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of the sums, of an input behind its pools."""
        height, width = (
            (size - kernel) // stride + 1
            for size, kernel, stride in zip(self._padded(shape)[1:], self.codes.shape[2:], self.stride, strict=True)
        )
        return height, width

    def largest_input(self, largest: int) -> int:
        """The largest value behind the pools, of inputs 0 .. ``largest``."""
        for pool in self.pools:
            largest *= pool.area
        return largest

    def reach(self, largest: int) -> Int64:
        """[O] the largest absolute value of a pooled sum, of inputs 0 .. ``largest``."""
        area = (self.sum_pool.area if self.sum_pool else 1) * self.largest_input(largest)
        check(area <= INT32, self.name, f"pools of {area:,} leave 32 bits")
        rows = self.codes.reshape(len(self.codes), -1)
        up: Int64 = rows.sum(1, dtype=np.int64, where=rows > 0)
        down: Int64 = rows.sum(1, dtype=np.int64, where=rows < 0)
        return np.maximum(up, -down) * area


@dataclass(frozen=True, eq=False)
class Shortcut:
    """Synapses from the spikes of an earlier layer than the one before: ``sums += shortcut's sums << shift``.

    Args:
        source: index of that layer.
        connection: a convolution without pools.
        shift: of its sums, 0 to 16.
    """

    source: int
    connection: Connection
    shift: int = 0

    def __post_init__(self) -> None:
        connection = self.connection
        check(0 <= self.shift <= 16, connection.name, f"a shortcut shifted by {self.shift} bits is out of range")
        check(
            connection.convolves and not connection.pools and connection.sum_pool is None,
            connection.name,
            "a shortcut is a convolution without pools",
        )

    @property
    def identity(self) -> bool:
        """Whether each channel goes to the channel of its number alone, place by place."""
        connection = self.connection
        return (
            connection.codes.shape == (connection.groups, 1, 1, 1)
            and connection.stride == (1, 1)
            and connection.padding == (0, 0)
        )

    def reach(self) -> Int64:
        """[O] the largest absolute value that it adds."""
        reach: Int64 = self.connection.reach(1) << self.shift
        return reach


def check_size(shape: Shape, name: str) -> None:
    """Raise ModelError unless every value of a shape has a number below 2^31."""
    check(math.prod(shape) <= INT32, name, f"{'x'.join(map(str, shape))} values are more than 31 bits can count")


def check(holds: bool, name: str, wrong: str) -> None:
    """Raise ModelError unless what must hold of the layer ``name`` does."""
    if not holds:
        raise ModelError(f"layer {name!r}: {wrong}; the graph cannot be run")
