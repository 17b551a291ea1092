"""Batch normalisation of a layer's sums on GPUs, in Triton: one pass takes the statistics, one gives their gradients.

Rows [M, C] are all places of all images and time steps, their C channels side by side: a linear layer, or a
convolution in channels last. Sums over rows are kept in parts, one for each program, and added up in float64 in the
same order every time. What is applied to a sum is the line of its channel: ``gain * sum + offset``.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

_ELEMENTS = 1024  # of a block: for each thread of four warps eight
_CHANNELS = 64  # of a block, at most
_PARTS = 1024  # programs that share the rows, at most
_ADDED = 32  # parts at once


@triton.jit
def _reach(kernel, reach, n, block: tl.constexpr):
    """Of each row the larger of the sums of its positive and of its negative numbers."""
    row = tl.program_id(0).to(tl.int64)
    positive = tl.zeros((block,), tl.float32)
    negative = tl.zeros((block,), tl.float32)
    for first in range(0, n, block):
        at = first + tl.arange(0, block)
        code = tl.load(kernel + row * n + at, mask=at < n, other=0.0)
        positive += tl.maximum(code, 0.0)
        negative += tl.maximum(-code, 0.0)
    tl.store(reach + row, tl.maximum(tl.sum(positive, axis=0), tl.sum(negative, axis=0)))


@triton.jit
def _moments(
    y, parts, largest, rows, channels, blocks, noted: tl.constexpr, block_p: tl.constexpr, block_c: tl.constexpr
):
    """Sums and sums of squares of each channel, ``parts`` [2, programs, C]; the largest absolute value, if it is to be
    noted."""
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    real = c < channels
    total = tl.zeros((block_p, block_c), tl.float32)
    square = tl.zeros((block_p, block_c), tl.float32)
    most = tl.zeros((block_p, block_c), tl.float32)
    for b in range(blocks):
        p = (tl.program_id(0) * blocks + b) * block_p + tl.arange(0, block_p)
        inside = (p < rows)[:, None] & real[None, :]
        x = tl.load(y + p.to(tl.int64)[:, None] * channels + c[None, :], mask=inside, other=0.0).to(tl.float32)
        total += x
        square += x * x
        if noted:
            most = tl.maximum(most, tl.abs(x))
    if noted:
        tl.atomic_max(largest, tl.max(tl.max(most, axis=1), axis=0))
    at = tl.program_id(0) * channels + c
    tl.store(parts + at, tl.sum(total, axis=0), mask=real)
    tl.store(parts + tl.num_programs(0) * channels + at, tl.sum(square, axis=0), mask=real)


@triton.jit
def _added(parts, c, real, channels, count, block_g: tl.constexpr, block_c: tl.constexpr):
    """Sums [C] over parts [count, C], in float64."""
    total = tl.zeros((block_g, block_c), tl.float64)
    for first in range(0, count, block_g):
        g = first + tl.arange(0, block_g)
        inside = (g < count)[:, None] & real[None, :]
        total += tl.load(parts + g[:, None] * channels + c[None, :], mask=inside, other=0.0).to(tl.float64)
    return tl.sum(total, axis=0)


@triton.jit
def _settle(
    parts,
    scale,
    weight,
    bias,
    running_mean,
    running_variance,
    line,
    programs,
    count,
    momentum,
    eps,
    channels,
    training: tl.constexpr,
    block_g: tl.constexpr,
    block_c: tl.constexpr,
):
    """The line of each channel, ``line`` [4, C]: mean of its sums, 1 over their deviation, gain and offset. Running
    statistics are of sums times scale, and move in training."""
    c = tl.program_id(0) * block_c + tl.arange(0, block_c)
    real = c < channels
    factor = tl.load(scale + c, mask=real, other=1.0).to(tl.float64)
    held_mean = tl.load(running_mean + c, mask=real, other=0.0).to(tl.float64)
    held_variance = tl.load(running_variance + c, mask=real, other=1.0).to(tl.float64)
    if training:
        mean = _added(parts, c, real, channels, programs, block_g, block_c) / count
        square = _added(parts + programs * channels, c, real, channels, programs, block_g, block_c) / count
        variance = tl.maximum(square - mean * mean, 0.0)
        unbiased = variance * (count / (count - 1.0))
        moved_mean = held_mean + momentum * (mean * factor - held_mean)
        moved_variance = held_variance + momentum * (unbiased * factor * factor - held_variance)
        tl.store(running_mean + c, moved_mean.to(tl.float32), mask=real)
        tl.store(running_variance + c, moved_variance.to(tl.float32), mask=real)
    else:
        mean = held_mean / factor
        variance = held_variance / (factor * factor)
    inverse = 1.0 / tl.sqrt(variance + eps / (factor * factor))
    gain = tl.abs(tl.load(weight + c, mask=real, other=0.0).to(tl.float64)) * inverse
    offset = tl.load(bias + c, mask=real, other=0.0).to(tl.float64) - mean * gain
    tl.store(line + c, mean.to(tl.float32), mask=real)
    tl.store(line + channels + c, inverse.to(tl.float32), mask=real)
    tl.store(line + 2 * channels + c, gain.to(tl.float32), mask=real)
    tl.store(line + 3 * channels + c, offset.to(tl.float32), mask=real)


@triton.jit
def _settle_back(
    parts,
    weight,
    line,
    slopes,
    grads,
    programs,
    count,
    channels,
    training: tl.constexpr,
    block_g: tl.constexpr,
    block_c: tl.constexpr,
):
    """Gradients of weight and bias, ``grads`` [2, C]; ``slopes`` [2, C], what the sums' own part in the statistics
    takes from the gradient of each."""
    c = tl.program_id(0) * block_c + tl.arange(0, block_c)
    real = c < channels
    direct = _added(parts, c, real, channels, programs, block_g, block_c)
    slanted = _added(parts + programs * channels, c, real, channels, programs, block_g, block_c)
    inverse = tl.load(line + channels + c, mask=real, other=0.0).to(tl.float64)
    along = slanted * inverse
    w = tl.load(weight + c, mask=real, other=0.0)
    signed = tl.where(w < 0, -along, along)  # at zero as if it were positive, or it would stay there
    tl.store(grads + c, signed.to(tl.float32), mask=real)
    tl.store(grads + channels + c, direct.to(tl.float32), mask=real)
    if training:
        tl.store(slopes + c, (direct / count).to(tl.float32), mask=real)
        tl.store(slopes + channels + c, (along * inverse / count).to(tl.float32), mask=real)
    else:
        tl.store(slopes + c, tl.zeros((block_c,), tl.float32), mask=real)
        tl.store(slopes + channels + c, tl.zeros((block_c,), tl.float32), mask=real)


@triton.jit
def _finish(y, line, slopes, gradient, rows, channels, block_p: tl.constexpr, block_c: tl.constexpr):
    """The gradient of the currents becomes that of the sums, in its place."""
    p = tl.program_id(0) * block_p + tl.arange(0, block_p)
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    real = c < channels
    inside = (p < rows)[:, None] & real[None, :]
    at = p.to(tl.int64)[:, None] * channels + c[None, :]
    mean = tl.load(line + c, mask=real, other=0.0)[None, :]
    gain = tl.load(line + 2 * channels + c, mask=real, other=0.0)[None, :]
    constant = tl.load(slopes + c, mask=real, other=0.0)[None, :]
    slope = tl.load(slopes + channels + c, mask=real, other=0.0)[None, :]
    x = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    grad = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
    grad = gain * (grad - constant - (x - mean) * slope)
    tl.store(gradient + at, grad.to(gradient.dtype.element_ty), mask=inside)


@dataclass(frozen=True)
class Tiles:
    """How rows [M, C] are shared out: blocks of ``p`` rows and ``c`` channels, so many one after another of each of
    ``programs``."""

    p: int
    c: int
    blocks: int
    programs: int
    across: int

    @staticmethod
    def of(rows: int, channels: int) -> "Tiles":
        c = min(_CHANNELS, max(16, triton.next_power_of_2(channels)))
        p = _ELEMENTS // c
        across = triton.cdiv(channels, c)
        needed = triton.cdiv(rows, p)
        blocks = triton.cdiv(needed, max(1, _PARTS // across))
        return Tiles(p, c, blocks, triton.cdiv(needed, blocks), across)


@dataclass(frozen=True)
class Normalisation:
    """What normalises sums: the scale [C] by which they are to be multiplied, and batch normalisation's own [C]."""

    scale: Tensor
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_variance: Tensor
    momentum: float
    eps: float
    training: bool


def reach_of(kernel: Tensor) -> Tensor:
    """The largest absolute value that a sum of integer codes [O, ...] over zeros and ones can take; a scalar."""
    kernel = kernel.contiguous()
    reach = kernel.new_empty(len(kernel))
    with torch.cuda.device_of(kernel):
        _reach[(len(kernel),)](kernel, reach, kernel[0].numel(), _ELEMENTS)
    return reach.max()


def line_of(y: Tensor, channels: int, norm: Normalisation, largest: Tensor | None) -> Tensor:
    """[4, C] mean, 1 / deviation, gain and offset of each channel of sums [M, C]; running statistics move in training,
    where ``largest`` [1], if given, becomes no smaller than any sum in absolute value."""
    rows = y.numel() // channels
    tiles = Tiles.of(rows, channels)
    line = torch.empty(4, channels, dtype=torch.float32, device=y.device)
    parts = line
    with torch.cuda.device_of(y):
        if norm.training:
            parts = torch.empty(2, tiles.programs, channels, dtype=torch.float32, device=y.device)
            noted = line if largest is None else largest
            _moments[(tiles.programs, tiles.across)](
                y, parts, noted, rows, channels, tiles.blocks, largest is not None, tiles.p, tiles.c
            )
        _settle[(tiles.across,)](
            parts,
            norm.scale,
            norm.weight,
            norm.bias,
            norm.running_mean,
            norm.running_variance,
            line,
            tiles.programs,
            float(rows),
            norm.momentum,
            norm.eps,
            channels,
            norm.training,
            _ADDED,
            tiles.c,
        )
    return line


def through_line(y: Tensor, line: Tensor, weight: Tensor, parts: Tensor, gradient: Tensor, training: bool) -> Tensor:
    """Make the gradient of what the line gave, [M, C], that of the sums, in its place; return those of weight and bias
    [2, C].

    Args:
        parts: [2, programs, C] of its sums over rows, and of those of its products with sums less their mean.
        training: whether the statistics are those of the sums.
    """
    channels = line.shape[1]
    rows = y.numel() // channels
    tiles = Tiles.of(rows, channels)
    slopes, grads = torch.empty(2, 2, channels, dtype=torch.float32, device=y.device).unbind(0)
    with torch.cuda.device_of(y):
        _settle_back[(tiles.across,)](
            parts, weight, line, slopes, grads, parts.shape[1], float(rows), channels, training, _ADDED, tiles.c
        )
        _finish[(triton.cdiv(rows, tiles.p), tiles.across)](y, line, slopes, gradient, rows, channels, tiles.p, tiles.c)
    return grads
