"""Pooling and up-sampling of torch, in all their forms, as windows of one size and one divisor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from torch import nn

from ..errors import ModelError
from ..integer.pool import Pair, Sides, places

AveragePool: TypeAlias = nn.AvgPool1d | nn.AvgPool2d
LargestPool: TypeAlias = nn.MaxPool1d | nn.MaxPool2d
AdaptivePool: TypeAlias = nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d


@dataclass(frozen=True)
class Window:
    """A pool: the sums over ``divisor`` ("avg"), or the largest values, of windows; see ``Pooled``."""

    kind: Literal["avg", "max"]
    kernel: Pair
    stride: Pair
    padding: Sides
    dilation: Pair
    divisor: int

    def size(self, height: int, width: int) -> Pair:
        """Height and width behind it."""
        (top, bottom, left, right), (tall, wide) = self.padding, self.kernel
        return (
            places(height, tall, self.stride[0], top, bottom, self.dilation[0]),
            places(width, wide, self.stride[1], left, right, self.dilation[1]),
        )


@dataclass(frozen=True)
class Enlargement:
    """Nearest up-sampling."""

    factor: Pair


def average(layer: AveragePool, before: Pair, after: Pair, where: str) -> Window:
    """The windows of an average pool from images of one size, (height, width), to those of another.

    Raises:
        ModelError: they are not divided by the same number everywhere.
    """
    kernel, stride, padding = _pair(layer, "kernel_size"), _pair(layer, "stride"), _pair(layer, "padding", 0)
    sides = _sides(before, after, kernel, stride, padding, (1, 1))
    divisor = getattr(layer, "divisor_override", None)
    if divisor is None:
        counts = [
            _counts(*axis, layer.count_include_pad) for axis in zip(before, after, kernel, stride, padding, strict=True)
        ]
        if any(len(found) > 1 for found in counts):
            raise ModelError(
                f"{where} divides windows at the border by other numbers than those inside, which has no integer "
                "form: use count_include_pad=True and no ceil_mode, or divisor_override"
            )
        divisor = math.prod(found.pop() for found in counts)
    return Window("avg", kernel, stride, sides, (1, 1), divisor)


def largest(layer: LargestPool, before: Pair, after: Pair) -> Window:
    """The windows of a maximum pool."""
    kernel, stride, dilation = _pair(layer, "kernel_size"), _pair(layer, "stride"), _pair(layer, "dilation")
    padding = _pair(layer, "padding", 0)
    return Window("max", kernel, stride, _sides(before, after, kernel, stride, padding, dilation), dilation, 1)


def adaptive(kind: Literal["avg", "max"], before: Pair, after: Pair, where: str) -> tuple[Window | Enlargement, ...]:
    """The windows of an adaptive pool, followed by an up-sampling where its output is larger than its input.

    Raises:
        ModelError: the windows are of several sizes.
    """
    axes = [_adaptive_axis(size, count) for size, count in zip(before, after, strict=True)]
    uneven = [i for i, axis in enumerate(axes) if axis is None]
    if uneven:
        size, count = before[uneven[0]], after[uneven[0]]
        fitting = ", ".join(str(n) for n in range(1, size + 1) if _adaptive_axis(size, n))
        raise ModelError(
            f"{where} pools {size} places to {count} in windows of several sizes, which has no integer form: "
            f"outputs of {fitting} have windows of one size"
        )
    (tall, down, high), (wide, right, broad) = (axis for axis in axes if axis is not None)
    steps: list[Window | Enlargement] = []
    if (tall, wide, down, right) != (1, 1, 1, 1):
        divisor = tall * wide if kind == "avg" else 1
        steps.append(Window(kind, (tall, wide), (down, right), (0, 0, 0, 0), (1, 1), divisor))
    if (high, broad) != (1, 1):
        steps.append(Enlargement((high, broad)))
    return tuple(steps)


def whole(kind: Literal["avg", "max"], size: Pair, axes: Sequence[int], divides: bool) -> Window:
    """The mean, sum or largest value along axes of images: 0 for rows, 1 for columns."""
    kernel = (size[0] if 0 in axes else 1, size[1] if 1 in axes else 1)
    return Window(kind, kernel, kernel, (0, 0, 0, 0), (1, 1), kernel[0] * kernel[1] if divides else 1)


def enlargement(mode: str, before: Pair, after: Pair, where: str) -> Enlargement:
    """An up-sampling by whole numbers.

    Raises:
        ModelError: it mixes neighbours, or does not repeat each value equally often.
    """
    even = all(new % old == 0 for old, new in zip(before, after, strict=True))
    if mode not in ("nearest", "nearest-exact") or not even:
        found = f"from {_by(before)} to {_by(after)}" if mode.startswith("nearest") else f"with mode {mode!r}"
        raise ModelError(
            f"{where} up-samples {found}, which has no integer form: use mode='nearest' and a whole factor, or a "
            "ConvTranspose2d"
        )
    return Enlargement((after[0] // before[0], after[1] // before[1]))


def _pair(layer: AveragePool | LargestPool, name: str, across: int = 1) -> Pair:
    """(height, width) of an option of a pool, where that of a signal over one dimension has ``across`` for height."""
    value = getattr(layer, name)
    numbers = (value,) if isinstance(value, int) else tuple(value)
    if isinstance(layer, nn.AvgPool1d | nn.MaxPool1d):
        return across, int(numbers[0])
    return int(numbers[0]), int(numbers[-1])


def _sides(before: Pair, after: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Sides:
    """The padding, with what rounding up adds at the end."""
    ends = []
    for i in range(2):
        field = dilation[i] * (kernel[i] - 1) + 1
        fits = places(before[i], kernel[i], stride[i], padding[i], padding[i], dilation[i]) == after[i]
        ends.append(padding[i] if fits else (after[i] - 1) * stride[i] + field - before[i] - padding[i])
    return padding[0], ends[0], padding[1], ends[1]


def _counts(before: int, after: int, kernel: int, stride: int, padding: int, include: bool) -> set[int]:
    """The numbers of values that windows along an axis are divided by."""
    found = set()
    for i in range(after):
        start = i * stride - padding
        end = min(start + kernel, before + padding)
        found.add(end - start if include else min(end, before) - max(start, 0))
    return found


def _adaptive_axis(size: int, count: int) -> tuple[int, int, int] | None:
    """Kernel and stride of the windows, and how often each is repeated; None where they differ."""
    if count > size:
        return (1, 1, count // size) if count % size == 0 else None
    starts = [i * size // count for i in range(count)]
    sizes = {-(-(i + 1) * size // count) - start for i, start in enumerate(starts)}
    strides = {after - before for before, after in pairwise(starts)}
    kernel = sizes.pop()
    return None if sizes or len(strides) > 1 else (kernel, strides.pop() if strides else kernel, 1)


def _by(size: Pair) -> str:
    return f"{size[0]}x{size[1]}"
