"""Pooling windows and up-sampling, as data; torch and NumPy each apply them in their own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Integer = TypeVar("Integer", bound=np.signedinteger)
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]  # top, bottom, left, right

NO_SIDES: Sides = (0, 0, 0, 0)


def places(size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """Along an axis of ``size`` values between ``before`` and ``after`` others: how many windows of ``kernel`` values,
    ``dilation`` apart, lie ``stride`` apart; below one where none fits."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True)
class Pool:
    """The sum or the largest value of windows of an image; "sum" also stands for an average, whose divisor is a scale.

    Args:
        kind: "sum" or "max".
        kernel, stride, dilation: (height, width) of a window, from one to the next, and between its values.
        padding: (top, bottom, left, right) of the image; what lies there adds nothing and is never the largest.
    """

    kind: Literal["sum", "max"]
    kernel: Pair
    stride: Pair
    padding: Sides = NO_SIDES
    dilation: Pair = (1, 1)

    @property
    def area(self) -> int:
        """What pooling can multiply the largest value by."""
        return self.kernel[0] * self.kernel[1] if self.kind == "sum" else 1

    @property
    def field(self) -> Pair:
        """Height and width of a window."""
        (tall, wide), (down, right) = self.kernel, self.dilation
        return (tall - 1) * down + 1, (wide - 1) * right + 1

    @property
    def plain(self) -> bool:
        """Whether windows are squares of neighbours that lie within the image."""
        square = self.kernel[0] == self.kernel[1] and self.stride[0] == self.stride[1]
        return square and self.padding == NO_SIDES and self.dilation == (1, 1)

    def size(self, height: int, width: int) -> Pair:
        """Height and width after the pool; below one where nothing is left."""
        top, bottom, left, right = self.padding
        return (
            places(height, self.kernel[0], self.stride[0], top, bottom, self.dilation[0]),
            places(width, self.kernel[1], self.stride[1], left, right, self.dilation[1]),
        )

    def misses(self, height: int, width: int) -> bool:
        """Whether a window of an image of this size may see nothing of it."""
        sizes, before = (height, width), (self.padding[0], self.padding[2])
        axes = zip(sizes, self.size(height, width), self.kernel, self.stride, before, self.dilation, strict=True)
        return any(_misses(*axis) for axis in axes)


def _misses(size: int, count: int, kernel: int, stride: int, before: int, dilation: int) -> bool:
    """Whether one of so many windows along an axis sees none of its values."""
    first = np.arange(count, dtype=np.int64) * stride - before
    skipped = np.maximum(-(first // dilation), 0)  # values of a window that lie before the image
    return bool(((skipped >= kernel) | (first + skipped * dilation >= size)).any())


@dataclass(frozen=True)
class Upsample:
    """Every value again, ``factor`` (height, width) times: nearest neighbours."""

    factor: Pair

    @property
    def area(self) -> int:
        """What it can multiply the largest value by."""
        return 1

    def size(self, height: int, width: int) -> Pair:
        """Height and width after the up-sampling."""
        return height * self.factor[0], width * self.factor[1]


def repeated_sums(values: NDArray[Integer], axis: int, count: int, stride: int) -> NDArray[Integer]:
    """``out[i] = values[i] + values[i - stride] + ... + values[i - (count - 1) * stride]`` along an axis, nothing where
    there is no such entry; ``out`` has ``(count - 1) * stride`` entries more than ``values``.

    Time and memory grow with the size of the result alone, not with ``count``.
    """
    last = np.moveaxis(values, axis, -1)
    size, end = last.shape[-1], count * stride
    steps = np.zeros((*last.shape[:-1], -(-(end + size) // stride), stride), values.dtype)
    flat = steps.reshape(*last.shape[:-1], -1)
    flat[..., :size] += last  # every copy begins where one is added, and ends where one is taken away
    flat[..., end : end + size] -= last
    np.add.accumulate(steps, -2, out=steps)
    sums: NDArray[Integer] = np.moveaxis(flat[..., : end - stride + size], -1, axis)
    return sums
