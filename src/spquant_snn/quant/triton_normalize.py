"""Codes of normalised weights on GPUs, in Triton: one launch forward and one backward in place of thirty.

A program takes a row, which is a channel, and passes over it twice; it stays in a cache. This file imports Triton, and
is imported where Triton works.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024  # weights of a row at once


@triton.jit
def _forward(weight, sizes, codes, n, rows, factor, step, least, low, high, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    weight += row * n
    codes += row * n
    sizes += row
    square, absolute = tl.zeros((block,), tl.float32), tl.zeros((block,), tl.float32)
    highest, lowest = tl.full((block,), float("-inf"), tl.float32), tl.full((block,), float("inf"), tl.float32)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        w = tl.load(weight + at, mask=at < n, other=0.0)
        square += w * w
        absolute += tl.abs(w)
        highest = tl.maximum(highest, tl.where(at < n, w, float("-inf")))
        lowest = tl.minimum(lowest, tl.where(at < n, w, float("inf")))
    total, size = tl.sum(square, axis=0), tl.sum(absolute, axis=0)
    top, bottom = tl.max(highest, axis=0), tl.min(lowest, axis=0)
    upper, lower = top / (high + 0.5), bottom / (low - 0.5)
    bound = tl.maximum(upper, lower)
    holds = tl.maximum(top, -bottom) >= least
    spread = tl.where(holds, factor * total / size, 0.0)
    free, above = holds & (spread <= bound), upper >= lower
    distance = tl.where(holds, tl.minimum(spread, bound), step)
    tl.store(sizes, distance)
    tl.store(sizes + rows, tl.where(free, 2 * factor / size, 0.0))
    tl.store(sizes + 2 * rows, tl.where(free, spread / size, 0.0))
    tl.store(sizes + 3 * rows, tl.where(above, top, bottom))
    reach = tl.where(above, 1 / (high + 0.5), 1 / (low - 0.5))
    tl.store(sizes + 4 * rows, tl.where(holds & (spread > bound), reach, 0.0))
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        code = tl.floor(tl.load(weight + at, mask=at < n, other=0.0) / distance + 0.5)
        tl.store(codes + at, tl.minimum(tl.maximum(code, low), high), mask=at < n)


@triton.jit
def _backward(weight, sizes, gradient, found, n, rows, block: tl.constexpr):
    """x = w / d: the gradient of w is g / d - sum(g w) / d^2 * (d d / d w)."""
    row = tl.program_id(0).to(tl.int64)
    weight += row * n
    gradient += row * n
    found += row * n
    sizes += row
    distance, square, absolute = tl.load(sizes), tl.load(sizes + rows), tl.load(sizes + 2 * rows)
    extreme, reach = tl.load(sizes + 3 * rows), tl.load(sizes + 4 * rows)
    along, ends = tl.zeros((block,), tl.float32), tl.zeros((block,), tl.float32)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        w = tl.load(weight + at, mask=at < n, other=0.0)
        along += w * tl.load(gradient + at, mask=at < n, other=0.0)
        ends += tl.where((at < n) & (w == extreme), 1.0, 0.0)
    slope = tl.sum(along, axis=0) / (distance * distance)
    share = reach / tl.sum(ends, axis=0)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        w = tl.load(weight + at, mask=at < n, other=0.0)
        sign = tl.where(w > 0, 1.0, tl.where(w < 0, -1.0, 0.0))
        follows = square * w - absolute * sign + tl.where(w == extreme, share, 0.0)
        grad = tl.load(gradient + at, mask=at < n, other=0.0) / distance - slope * follows
        tl.store(found + at, grad, mask=at < n)


def forward(
    weight: Tensor, factor: float, step: float, least: float, grid: tuple[int, int]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Codes [O, N] of weights [O, N] without gaps, and the sizes of rows, five times [O], that the backward pass takes.

    Args:
        factor: of the sum of squares over that of absolute values, in the distance of codes.
        step: the distance of a row without weights of at least ``least``.
    """
    codes, sizes = torch.empty_like(weight), weight.new_empty(5, len(weight))
    ends, (rows, n) = (float(grid[0]), float(grid[1])), weight.shape
    with torch.cuda.device_of(weight):
        _forward[(rows,)](weight, sizes, codes, n, rows, factor, step, least, *ends, _BLOCK)
    return codes, sizes.unbind(0)


def backward(weight: Tensor, sizes: Sequence[Tensor], gradient: Tensor) -> Tensor:
    """The gradient of the weights [O, N]."""
    found, (rows, n) = torch.empty_like(weight), weight.shape
    with torch.cuda.device_of(weight):
        _backward[(rows,)](weight, torch.stack(list(sizes)), gradient, found, n, rows, _BLOCK)
    return found
