"""Neurons behind a layer's batch normalisation on GPUs, in Triton: from sums to spikes and back, in few passes.

Left to separate operations, sums in float32 are scaled, measured, normalised and integrated in six passes over memory,
and come back in as many. Here they stay in the two bytes that hold them exactly: one pass takes the statistics
(``triton_norm``), one makes spikes; backward, one goes through time and gathers what normalisation wants of a channel,
one applies it. The potentials of all steps stay in registers, so there may be ``MOST_STEPS`` of them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .recurrence import Dynamics
from .surrogate import name_of
from .triton_neuron import OPTIONS, grid_of, step_backward, stored
from .triton_norm import Tiles, through_line

MOST_STEPS = 8


@triton.jit
def _forward(
    y,
    line,
    spikes,
    threshold,
    leak,
    step,
    rows,
    channels,
    size,
    steps: tl.constexpr,
    static_input: tl.constexpr,
    low: tl.constexpr,
    high: tl.constexpr,
    subtract: tl.constexpr,
    block_p: tl.constexpr,
    block_c: tl.constexpr,
):
    p = tl.program_id(0) * block_p + tl.arange(0, block_p)
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    real = c < channels
    inside = (p < rows)[:, None] & real[None, :]
    at = p.to(tl.int64)[:, None] * channels + c[None, :]
    gain = tl.load(line + 2 * channels + c, mask=real, other=0.0)[None, :]
    offset = tl.load(line + 3 * channels + c, mask=real, other=0.0)[None, :]
    theta = tl.load(threshold)
    delta = step * theta
    inverse = tl.div_rn(1.0, delta)
    u = tl.zeros((block_p, block_c), tl.float32)
    for _ in tl.static_range(steps):
        v = tl.fma(u, leak, tl.fma(tl.load(y + at, mask=inside, other=0.0).to(tl.float32), gain, offset))
        tl.store(spikes + at, tl.where(v >= theta, 1.0, 0.0).to(spikes.dtype.element_ty), mask=inside)
        u = stored(v, theta, delta, inverse, low, high, subtract)
        spikes += size
        if not static_input:
            y += size


@triton.jit
def _backward(
    y,
    line,
    grad_spikes,
    gradient,
    parts,
    thresholds,
    threshold,
    leak,
    step,
    rows,
    channels,
    size,
    blocks,
    steps: tl.constexpr,
    static_input: tl.constexpr,
    low: tl.constexpr,
    high: tl.constexpr,
    subtract: tl.constexpr,
    surrogate: tl.constexpr,
    learned: tl.constexpr,
    block_p: tl.constexpr,
    block_c: tl.constexpr,
):
    """The ``gradient`` of the currents, summed over time where the sums are still; ``parts`` [2, programs, C] of its
    sums and of those of its products with sums less their mean; of each program its part of the threshold's."""
    c = tl.program_id(1) * block_c + tl.arange(0, block_c)
    real = c < channels
    mean = tl.load(line + c, mask=real, other=0.0)[None, :]
    gain = tl.load(line + 2 * channels + c, mask=real, other=0.0)[None, :]
    offset = tl.load(line + 3 * channels + c, mask=real, other=0.0)[None, :]
    theta = tl.load(threshold)
    delta = step * theta
    inverse = tl.div_rn(1.0, delta)
    apart = tl.cast(size, tl.int64)  # of one time step to the next
    direct = tl.zeros((block_p, block_c), tl.float32)
    slanted = tl.zeros((block_p, block_c), tl.float32)
    found = tl.zeros((block_p, block_c), tl.float32)
    for b in range(blocks):
        p = (tl.program_id(0) * blocks + b) * block_p + tl.arange(0, block_p)
        inside = (p < rows)[:, None] & real[None, :]
        at = p.to(tl.int64)[:, None] * channels + c[None, :]
        sums = ()
        potentials = ()
        u = tl.zeros((block_p, block_c), tl.float32)
        x = tl.zeros((block_p, block_c), tl.float32)
        for t in tl.static_range(steps):
            if t == 0 or not static_input:
                x = tl.load(y + at + t * apart, mask=inside, other=0.0).to(tl.float32)
            v = tl.fma(u, leak, tl.fma(x, gain, offset))
            sums = sums + (x,)  # noqa: RUF005 - Triton knows no stars
            potentials = potentials + (v,)  # noqa: RUF005
            u = stored(v, theta, delta, inverse, low, high, subtract)
        grad = tl.zeros((block_p, block_c), tl.float32)
        total = tl.zeros((block_p, block_c), tl.float32)
        for t in tl.static_range(steps - 1, -1, -1):
            grad_s = tl.load(grad_spikes + at + t * apart, mask=inside, other=0.0).to(tl.float32)
            grad, found = step_backward(
                potentials[t],
                grad_s,
                grad * leak,
                found,
                theta,
                delta,
                inverse,
                step,
                t == steps - 1,
                low,
                high,
                subtract,
                surrogate,
                learned,
            )
            if static_input:
                total += grad
            else:
                tl.store(gradient + at + t * apart, grad.to(gradient.dtype.element_ty), mask=inside)
                direct += grad
                slanted += grad * (sums[t] - mean)
        if static_input:
            tl.store(gradient + at, total.to(gradient.dtype.element_ty), mask=inside)
            direct += total
            slanted += total * (sums[0] - mean)
    part = tl.program_id(0) * channels + c
    tl.store(parts + part, tl.sum(direct, axis=0), mask=real)
    tl.store(parts + tl.num_programs(0) * channels + part, tl.sum(slanted, axis=0), mask=real)
    if learned:
        number = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
        tl.store(thresholds + number, tl.sum(tl.sum(found, axis=1), axis=0))


def fire(y: Tensor, line: Tensor, threshold: Tensor, dynamics: Dynamics, spikes: Tensor, static_input: bool) -> None:
    """Fill the spikes [T, M, C] of sums [T, M, C], or [M, C] of static ones."""
    channels = line.shape[1]
    size = spikes[0].numel()
    rows = size // channels
    tiles = Tiles.of(rows, channels)
    low, high, step = grid_of(dynamics)
    with torch.cuda.device_of(y):
        _forward[(triton.cdiv(rows, tiles.p), tiles.across)](
            y,
            line,
            spikes,
            threshold,
            dynamics.leak,
            step,
            rows,
            channels,
            size,
            spikes.shape[0],
            static_input,
            low,
            high,
            dynamics.reset == "subtract",
            tiles.p,
            tiles.c,
            **OPTIONS,
        )


def backward(
    y: Tensor,
    line: Tensor,
    weight: Tensor,
    threshold: Tensor,
    dynamics: Dynamics,
    grad_spikes: Tensor,
    gradient: Tensor,
    static_input: bool,
    training: bool,
    learned: bool,
) -> tuple[Tensor, Tensor | None]:
    """Fill the gradient of the sums; return those of weight and bias [2, C], and of the threshold where it is
    learned."""
    channels = line.shape[1]
    size = grad_spikes[0].numel()
    rows = size // channels
    tiles = Tiles.of(rows, channels)
    low, high, step = grid_of(dynamics)
    parts = torch.empty(2, tiles.programs, channels, dtype=torch.float32, device=y.device)
    thresholds = torch.empty(tiles.programs * tiles.across if learned else 1, dtype=torch.float32, device=y.device)
    with torch.cuda.device_of(y):
        _backward[(tiles.programs, tiles.across)](
            y,
            line,
            grad_spikes,
            gradient,
            parts,
            thresholds,
            threshold,
            dynamics.leak,
            step,
            rows,
            channels,
            size,
            tiles.blocks,
            grad_spikes.shape[0],
            static_input,
            low,
            high,
            dynamics.reset == "subtract",
            name_of(dynamics.surrogate),
            learned,
            tiles.p,
            tiles.c,
            **OPTIONS,
        )
    grads = through_line(y, line, weight, parts, gradient, training)
    return grads, thresholds.sum(dtype=torch.float64).to(threshold) if learned else None
