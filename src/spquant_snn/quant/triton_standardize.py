"""Standardised weights and their codes on GPUs, in Triton: one launch forward and one backward in place of thirty.

A program takes a row, which is a channel, and passes over it a few times; it stays in a cache. This file imports
Triton, and is imported where Triton works.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024  # weights of a row at once


@triton.jit
def _mean(x, n, block: tl.constexpr):
    total = tl.zeros((block,), tl.float32)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        total += tl.load(x + at, mask=at < n, other=0.0)
    return tl.sum(total, axis=0) / n


@triton.jit
def _forward(weight, spread, codes, n, step, tiny, low, high, rounds: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    weight += row * n
    codes += row * n
    mean = _mean(weight, n, block)
    square = tl.zeros((block,), tl.float32)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        centred = tl.where(at < n, tl.load(weight + at, mask=at < n, other=0.0) - mean, 0.0)
        square += centred * centred
    deviation = tl.sqrt(tl.sum(square, axis=0) / n + tiny * tiny)
    tl.store(spread + row, deviation)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        code = (tl.load(weight + at, mask=at < n, other=0.0) - mean) / (deviation * step)
        if rounds:
            code = tl.minimum(tl.maximum(tl.floor(code + 0.5), low), high)
        tl.store(codes + at, code, mask=at < n)


@triton.jit
def _backward(weight, spread, gradient, found, n, step, block: tl.constexpr):
    """x = c / (step * s), s = sqrt(mean(c^2)): the gradient of c is g / (step * s) - c * sum(g c) / (n step s^3)."""
    row = tl.program_id(0).to(tl.int64)
    weight += row * n
    gradient += row * n
    found += row * n
    mean = _mean(weight, n, block)
    pull = _mean(gradient, n, block)
    along = tl.zeros((block,), tl.float32)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        along += tl.where(
            at < n,
            (tl.load(weight + at, mask=at < n, other=0.0) - mean) * tl.load(gradient + at, mask=at < n, other=0.0),
            0.0,
        )
    deviation = tl.load(spread + row)
    inverse = 1.0 / (deviation * step)
    slope = tl.sum(along, axis=0) * inverse / (deviation * deviation * n)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        centred = tl.load(weight + at, mask=at < n, other=0.0) - mean
        grad = (tl.load(gradient + at, mask=at < n, other=0.0) - pull) * inverse - centred * slope
        tl.store(found + at, grad, mask=at < n)


def forward(weight: Tensor, step: float, tiny: float, grid: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    """Codes [O, N] of weights [O, N] without gaps, and the standard deviations [O]."""
    codes, spread = torch.empty_like(weight), weight.new_empty(len(weight))
    low, high = (0, 0) if grid is None else grid
    with torch.cuda.device_of(weight):
        _forward[(len(weight),)](
            weight, spread, codes, weight.shape[1], step, tiny, float(low), float(high), grid is not None, _BLOCK
        )
    return codes, spread


def backward(weight: Tensor, spread: Tensor, step: float, gradient: Tensor) -> Tensor:
    """The gradient of the weights [O, N]."""
    found = torch.empty_like(weight)
    with torch.cuda.device_of(weight):
        _backward[(len(weight),)](weight, spread, gradient, found, weight.shape[1], step, _BLOCK)
    return found
