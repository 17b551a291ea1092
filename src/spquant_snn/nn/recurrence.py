"""The leaky integrate-and-fire recurrence over time, forward and backward: written once, used by every layer.

Time step t of a neuron with threshold theta (SpQuant-SNN, Hasssan et al. 2024, doi 10.3389/fnins.2024.1440000):

    v = leak * u + I          integrate
    s = v >= theta            fire, on the potential as it is
    r = (1 - s) * v           reset to zero, or v - theta * s
    u = delta * k             store: k = clamp(floor(r / delta + 1/2), low, high), delta = step * theta

Neurons may be skipped in a step: they keep u and are silent. Backward through the spike is a surrogate; backward
through the store is the stacked surrogate: one logistic bump at each boundary between two codes, scaled by delta so
that the sum has height one whatever the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import DataError
from ..integer.neuron import Reset
from .surrogate import Surrogate

# Which neurons are computed in a step, bool [N, ...], of the step, the stored codes before it (None: zeros), and the
# spikes and stored codes that all of them would have behind it (None: nothing is stored).
Skip = Callable[[int, Tensor | None, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Levels:
    """What a membrane may hold between two time steps: ``step * v_threshold * k`` with ``low <= k <= high``."""

    low: int
    high: int
    step: float


@dataclass(frozen=True)
class Dynamics:
    """The constants of a layer's recurrence; with ``levels`` None the potential is stored in floating point."""

    leak: float
    reset: Reset
    surrogate: Surrogate
    levels: Levels | None = None


def check_sequence(layer: str, x: object) -> None:
    """Check that x is a sequence: a floating-point tensor [T, ...] of at least one time step.

    Args:
        layer: what takes it, for the message.

    Raises:
        DataError: it is something else.
    """
    if isinstance(x, Tensor) and x.is_floating_point() and x.dim() and len(x):
        return
    found = f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
    raise DataError(
        f"{layer} takes a floating-point tensor [T, N, ...] of at least one time step, time first, not {found}"
    )


def store_codes(residual: Tensor, delta: Tensor | float, levels: Levels) -> Tensor:
    """Nearest codes of a potential, halves rounding up; as floats, of the same shape."""
    return residual.div(delta).add_(0.5).floor_().clamp_(levels.low, levels.high)


def stacked_surrogate(x: Tensor, levels: Levels) -> Tensor:
    """dk/dx at ``x = r / delta``: the sum over boundaries e = low + 1/2 .. high - 1/2 of 2 z (1 - z), z = sigmoid(2 (x
    - e)).

    Up to three boundaries are summed as written. Above, the sum is replaced by its integral over e, sigmoid(2 (x -
    low)) - sigmoid(2 (x - high)), which differs by less than 0.03 anywhere and costs the same for 3 bits as for 8.
    """
    if levels.high - levels.low > 3:
        return torch.sigmoid((x - levels.low).mul_(2.0)) - torch.sigmoid((x - levels.high).mul_(2.0))
    slope = torch.full_like(x, 0.5 * (levels.high - levels.low))
    for k in range(levels.low, levels.high):
        bump = (x - (k + 0.5)).tanh_()
        slope.addcmul_(bump, bump, value=-0.5)  # 2 z (1 - z) = (1 - tanh(x - e)^2) / 2
    return slope


def unroll(
    current: Tensor,
    threshold: Tensor,
    state: Tensor | None,
    dynamics: Dynamics,
    steps: int,
    static_input: bool,
    keep_state: bool,
    skip: Skip | None = None,
) -> tuple[list[Tensor], list[Tensor], Tensor | None, list[Tensor]]:
    """Run the recurrence.

    Args:
        current: [T, N, ...] input currents, or [N, ...] if ``static_input``: the same current at every step.
        threshold: scalar.
        state: [N, ...] potential stored before the first step; None is zero.
        keep_state: whether to compute what is stored after the last step.
        skip: where neurons may be skipped; needs levels.

    Returns:
        Potentials v, and spikes as booleans, T tensors of [N, ...] each; the last stored state or None; where neurons
        may be skipped, which were computed, as booleans, T tensors.
    """
    inputs = [current] * steps if static_input else list(current.unbind(0))
    potentials, spikes, computed = [], [], []
    u = state
    held = None  # codes of u
    if skip is not None and u is not None and dynamics.levels is not None:
        held = u.div(dynamics.levels.step * threshold).round_()
    for t, drive in enumerate(inputs):
        v = drive if u is None else torch.add(drive, u, alpha=dynamics.leak)
        s = v >= threshold
        potentials.append(v)
        r = codes = None
        if keep_state or t + 1 < steps:
            hard = dynamics.reset == "zero"
            r = v.masked_fill(s, 0.0) if hard else torch.addcmul(v, s.to(v.dtype), threshold, value=-1)
            if dynamics.levels is not None:
                codes = store_codes(r, dynamics.levels.step * threshold, dynamics.levels)
        if skip is not None:
            assert dynamics.levels is not None
            computed.append(skip(t, held, s, codes))
            s = s & computed[-1]
            if codes is not None:
                codes = torch.where(computed[-1], codes, torch.zeros_like(codes) if held is None else held)
        spikes.append(s)
        held = codes
        u = r if dynamics.levels is None or codes is None else codes * (dynamics.levels.step * threshold)
    return potentials, spikes, u, computed


def backpropagate(
    potentials: list[Tensor],
    threshold: Tensor,
    dynamics: Dynamics,
    grad_spikes: Tensor,
    grad_state: Tensor | None,
    want_threshold: bool,
    computed: list[Tensor] | None = None,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Gradients of the recurrence, from its potentials and, where neurons may be skipped, from which were ``computed``.

    Returns:
        Gradients of the currents (T tensors of [N, ...]), of the first state, and of the threshold (zero unless
        wanted).
    """
    grad_currents: list[Tensor] = []
    grad_threshold = torch.zeros_like(threshold)
    grad_u = grad_state
    for t in reversed(range(len(potentials))):
        v = potentials[t]
        x = v - threshold
        grad_s = grad_spikes[t]
        through = kept = None  # the parts of dL/dv and of dL/du that do not pass the spike and the store
        if computed:
            grad_s = grad_s * computed[t]
            if grad_u is not None:
                kept, grad_u = grad_u * ~computed[t], grad_u * computed[t]
        if grad_u is not None:
            silent = (v < threshold).to(v.dtype)
            hard = dynamics.reset == "zero"
            grad_r = grad_u
            if dynamics.levels is not None:
                levels = dynamics.levels
                scaled = (v * silent if hard else torch.where(v < threshold, v, x)).div_(levels.step * threshold)
                slope = stacked_surrogate(scaled, levels)
                if want_threshold:  # u = delta k(r / delta): the step-size gradient of LSQ (Esser et al. 2020)
                    codes = scaled.add(0.5).floor_().clamp_(levels.low, levels.high)
                    grad_threshold = grad_threshold + levels.step * (grad_u * (codes - slope * scaled)).sum()
                grad_r = grad_u * slope
            if hard:
                grad_s = torch.addcmul(grad_s, grad_r, v, value=-1)
                through = grad_r * silent
            else:
                grad_s = torch.addcmul(grad_s, grad_r, threshold, value=-1)
                through = grad_r
                if want_threshold:
                    grad_threshold = grad_threshold - (grad_r * (1 - silent)).sum()
        grad_v = grad_s * dynamics.surrogate(x)
        if want_threshold:
            grad_threshold = grad_threshold - grad_v.sum()
        if through is not None:
            grad_v += through
        grad_currents.append(grad_v)
        grad_u = grad_v * dynamics.leak
        if kept is not None:
            grad_u += kept
    assert grad_u is not None
    return grad_currents[::-1], grad_u, grad_threshold


class Recurrence(torch.autograd.Function):
    """``apply(current, threshold, state or None, dynamics, static steps or None, keep state, skip or None) -> spikes
    [T, N, ...], state or None``."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        threshold: Tensor,
        state: Tensor | None,
        dynamics: Dynamics,
        static_steps: int | None,
        keep_state: bool,
        skip: Skip | None,
    ) -> tuple[Tensor, Tensor | None]:
        static_input = static_steps is not None
        steps = static_steps if static_steps is not None else current.shape[0]
        potentials, spikes, last, computed = unroll(
            current, threshold, state, dynamics, steps, static_input, keep_state, skip
        )
        ctx.save_for_backward(threshold, *potentials, *computed)
        ctx.steps, ctx.dynamics, ctx.static_input, ctx.stateful = steps, dynamics, static_input, state is not None
        ctx.set_materialize_grads(False)
        out = torch.empty((steps, *potentials[0].shape), dtype=current.dtype, device=current.device)
        for t, s in enumerate(spikes):
            out[t].copy_(s)
        return out, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor | None, grad_state: Tensor | None) -> Any:
        threshold, *saved = ctx.saved_tensors
        potentials, computed = saved[: ctx.steps], saved[ctx.steps :]
        if grad_spikes is None:
            grad_spikes = potentials[0].new_zeros((len(potentials), *potentials[0].shape))
        grads, grad_first, grad_threshold = backpropagate(
            potentials, threshold, ctx.dynamics, grad_spikes, grad_state, ctx.needs_input_grad[1], computed
        )
        grad_current = sum(grads[1:], grads[0]) if ctx.static_input else torch.stack(grads)
        return grad_current, grad_threshold, grad_first if ctx.stateful else None, None, None, None, None
