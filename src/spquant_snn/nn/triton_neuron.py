"""The fused neuron on GPUs: the recurrence of ``recurrence`` in Triton, one pass over memory forward and one backward.

A program takes a block of neurons through all time steps. Spikes are meant to be those that ``recurrence`` gives on the
same GPU, bit for bit: every operation before a spike is written as it rounds there. That is a division to the nearest,
no contraction, and one rounding for ``leak * u + I``, since torch's ``add`` with ``alpha`` is a product and a sum that
nvcc contracts unless told otherwise. Where ``leak * u`` is exact, as by a leak of 1/2, nothing depends on the
contraction; elsewhere a torch built without it could differ in the last bit of a potential. Gradients are equal within
the rounding of float32, and the same in every run: each program keeps its part of the threshold's, which torch adds up.
The potentials are not kept for the backward pass: it computes them again.

The number of time steps is a constant of the compiled code, so that the loads of a few steps are under way at once; a
new number compiles anew, in about a second. This file imports Triton, and is imported where Triton is asked for.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .recurrence import Dynamics
from .surrogate import name_of

_BLOCK = 512  # neurons of a program: for each thread of its four warps 16 bytes of every tensor, the widest access
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}  # no product and sum are contracted but where it is written


@triton.jit
def _quotient(r, delta, inverse):
    """r / delta to the nearest, by its reciprocal to the nearest: a product whose error, which a multiply-add has
    exactly, is divided too (Markstein 1990). What is too large has no such error."""
    q = r * inverse
    return tl.where(tl.abs(q) < float("inf"), tl.fma(tl.fma(-q, delta, r), inverse, q), q)


@triton.jit
def _code(scaled, low: tl.constexpr, high: tl.constexpr):
    """The code of a residual in units of delta; no comparison holds for what is no number, which stays."""
    code = tl.floor(scaled + 0.5)
    code = tl.where(code < low, low, code)
    return tl.where(code > high, high, code)


@triton.jit
def stored(v, threshold, delta, inverse, low: tl.constexpr, high: tl.constexpr, subtract: tl.constexpr):
    """What is stored of potentials; ``inverse`` is 1 / delta, to the nearest."""
    r = tl.where(v >= threshold, v - threshold if subtract else 0.0, v)
    if low < high:
        r = _code(_quotient(r, delta, inverse), low, high) * delta
    return r


@triton.jit
def _logistic(x):
    """1 / (1 + e^-x), by a power that cannot overflow."""
    q = tl.exp(-tl.abs(x))
    return tl.where(x < 0, q, 1.0) / (1.0 + q)


@triton.jit
def _bump(x):
    """z (1 - z) for z = 1 / (1 + e^-x), without the difference; even in x."""
    q = tl.exp(-tl.abs(x))
    return q / ((1.0 + q) * (1.0 + q))


@triton.jit
def _surrogate(x, kind: tl.constexpr):
    """The surrogate of ``surrogate`` of that name."""
    if kind == "triangle":
        slope = tl.where(tl.abs(x) < 1.0, 1.0 - tl.abs(x), 0.0)
    elif kind == "rectangle":
        slope = tl.where(tl.abs(x) < 0.5, 1.0, 0.0)
    elif kind == "atan":
        y = 3.141592653589793 * x
        slope = 1.0 / (1.0 + y * y)
    else:
        tl.static_assert(kind == "sigmoid")
        slope = 4.0 * _bump(4.0 * x)
    return slope


@triton.jit
def _stacked(x, low: tl.constexpr, high: tl.constexpr):
    """The stacked surrogate of ``recurrence``."""
    if high - low > 3:
        slope = _logistic(2.0 * (x - low)) - _logistic(2.0 * (x - high))
    else:
        slope = tl.zeros_like(x)
        q = tl.exp(tl.minimum(2.0 * (low + 0.5 - x), 38.0))  # of the lowest boundary; a bump is q / (1 + q)^2
        for _ in tl.static_range(high - low):
            slope += 2.0 * q / ((1.0 + q) * (1.0 + q))
            q *= 7.38905609893065  # e^2: the next boundary is one higher
    return slope


@triton.jit
def step_backward(
    v,
    grad_s,
    grad_u,
    found,
    threshold,
    delta,
    inverse,
    step,
    last: tl.constexpr,
    low: tl.constexpr,
    high: tl.constexpr,
    subtract: tl.constexpr,
    surrogate: tl.constexpr,
    learned: tl.constexpr,
):
    """Gradient of the current of one step, from those of its spikes and of what it stored; ``found`` with that of the
    threshold added."""
    x = v - threshold
    fired = v >= threshold
    through = tl.zeros_like(v)  # the part that does not pass the spike
    if not last:
        grad_r = grad_u
        if low < high:
            scaled = _quotient(tl.where(fired, x if subtract else 0.0, v), delta, inverse)
            slope = _stacked(scaled, low, high)
            if learned:
                found += step * (grad_u * (_code(scaled, low, high) - slope * scaled))
            grad_r = grad_u * slope
        if subtract:
            grad_s -= grad_r * threshold
            through = grad_r
            if learned:
                found -= tl.where(fired, grad_r, 0.0)
        else:
            grad_s -= grad_r * v
            through = tl.where(fired, 0.0, grad_r)
    grad_v = grad_s * _surrogate(x, surrogate)
    if learned:
        found -= grad_v
    return grad_v + through, found


@triton.jit
def _forward(
    current,
    spikes,
    threshold,
    leak,
    step,
    neurons,
    steps: tl.constexpr,
    static_input: tl.constexpr,
    low: tl.constexpr,
    high: tl.constexpr,
    subtract: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < neurons
    theta = tl.load(threshold)
    delta = step * theta
    inverse = tl.div_rn(1.0, delta)
    u = tl.zeros((block,), tl.float32)
    for _ in range(steps):
        v = tl.fma(u, leak, tl.load(current + at, mask=inside, other=0.0))
        tl.store(spikes + at, tl.where(v >= theta, 1.0, 0.0), mask=inside)
        u = stored(v, theta, delta, inverse, low, high, subtract)
        spikes += neurons
        if not static_input:
            current += neurons


@triton.jit
def _backward(
    current,
    spikes,
    potentials,
    gradient,
    thresholds,
    threshold,
    leak,
    step,
    neurons,
    steps: tl.constexpr,
    static_input: tl.constexpr,
    low: tl.constexpr,
    high: tl.constexpr,
    subtract: tl.constexpr,
    surrogate: tl.constexpr,
    learned: tl.constexpr,
    block: tl.constexpr,
):
    """From gradients of the ``spikes`` [T, M]; ``thresholds``, one for each program, take that of the threshold.

    Potentials are needed in the reverse order of their making. They wait in ``potentials`` [T, M], which is where the
    gradients go unless these are summed over T: each is read just before its gradient is written over it, so that no
    memory is taken, and the same program wrote it a moment ago, so that it is still in a cache. Registers would hold
    those of a few steps only."""
    at = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = at < neurons
    theta = tl.load(threshold)
    delta = step * theta
    inverse = tl.div_rn(1.0, delta)
    v = tl.load(current + at, mask=inside, other=0.0)
    for _ in range(steps - 1):
        tl.store(potentials + at, v, mask=inside)
        potentials += neurons
        spikes += neurons
        if not static_input:
            current += neurons
        u = stored(v, theta, delta, inverse, low, high, subtract)
        v = tl.fma(u, leak, tl.load(current + at, mask=inside, other=0.0))
    tl.debug_barrier()  # a thread may read what another one wrote
    found = tl.zeros((block,), tl.float32)
    grad_s = tl.load(spikes + at, mask=inside, other=0.0)
    grad, found = step_backward(
        v, grad_s, grad_s, found, theta, delta, inverse, step, True, low, high, subtract, surrogate, learned
    )
    total = grad
    if not static_input:
        tl.store(potentials + at, grad, mask=inside)
    for _ in range(steps - 1):
        potentials -= neurons
        spikes -= neurons
        v = tl.load(potentials + at, mask=inside, other=0.0)
        grad_s = tl.load(spikes + at, mask=inside, other=0.0)
        grad_u = grad * leak
        grad, found = step_backward(
            v, grad_s, grad_u, found, theta, delta, inverse, step, False, low, high, subtract, surrogate, learned
        )
        if static_input:
            total += grad
        else:
            tl.store(potentials + at, grad, mask=inside)
    if static_input:
        tl.store(gradient + at, total, mask=inside)
    if learned:
        tl.store(thresholds + tl.program_id(0), tl.sum(found, axis=0))


def forward(current: Tensor, threshold: Tensor, dynamics: Dynamics, spikes: Tensor, static_input: bool) -> None:
    """As ``fused.Form``."""
    neurons = spikes[0].numel()
    low, high, step = grid_of(dynamics)
    with torch.cuda.device_of(current):
        _forward[(triton.cdiv(neurons, _BLOCK),)](
            current,
            spikes,
            threshold.to(current),
            dynamics.leak,
            step,
            neurons,
            spikes.shape[0],
            static_input,
            low,
            high,
            dynamics.reset == "subtract",
            _BLOCK,
            **OPTIONS,
        )


def backward(
    current: Tensor,
    threshold: Tensor,
    dynamics: Dynamics,
    grad_spikes: Tensor,
    gradient: Tensor,
    static_input: bool,
    learned: bool,
) -> Tensor | None:
    """As ``fused.Form``."""
    neurons = grad_spikes[0].numel()
    low, high, step = grid_of(dynamics)
    blocks = triton.cdiv(neurons, _BLOCK)
    thresholds = gradient.new_empty(blocks)
    with torch.cuda.device_of(current):
        _backward[(blocks,)](
            current,
            grad_spikes,
            torch.empty_like(grad_spikes) if static_input else gradient,
            gradient,
            thresholds,
            threshold.to(current),
            dynamics.leak,
            step,
            neurons,
            grad_spikes.shape[0],
            static_input,
            low,
            high,
            dynamics.reset == "subtract",
            name_of(dynamics.surrogate),
            learned,
            _BLOCK,
            **OPTIONS,
        )
    return thresholds.sum(dtype=torch.float64).to(threshold) if learned else None


def grid_of(dynamics: Dynamics) -> tuple[int, int, float]:
    """The lowest and the highest code and their step; equal codes for a potential that is stored as it is."""
    levels = dynamics.levels
    return (0, 0, 1.0) if levels is None else (levels.low, levels.high, levels.step)
