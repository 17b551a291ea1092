"""The recurrence of any neuron, step by step, by operations that autograd follows.

It is that of ``recurrence`` with constants of the layer or of each channel, all of them differentiable, a reset by any
amount or none, and, where there is a synaptic current, a second stored state i:

    i = synaptic_leak * i' + I        i': what was stored of the current; I: what comes in
    v = leak * u + i                  in place of leak * u + I

Such neurons store one tensor [N, 2, C, ...]: potentials, then currents. The gradients of the spike and of what is
stored are those of ``recurrence``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..integer.neuron import Reset
from .recurrence import Levels, Skip, stacked_surrogate, store_codes
from .surrogate import Surrogate


@dataclass(frozen=True)
class NeuronValues:
    """The constants of a layer's neurons, each a scalar or [C, 1, ...], to broadcast over currents [N, C, ...].

    Args:
        reset_by: what reset="subtract" subtracts.
        synaptic_leak: None: there is no synaptic current.
        levels: of the potential; None: it is stored as it is.
        current_levels: of the synaptic current, as for ``levels``.
    """

    threshold: Tensor
    leak: Tensor
    reset: Reset
    reset_by: Tensor
    synaptic_leak: Tensor | None
    surrogate: Surrogate
    levels: Levels | None
    current_levels: Levels | None


def unfused(
    currents: Iterable[Tensor], state: Tensor, values: NeuronValues, skip: Skip | None = None
) -> tuple[Tensor, Tensor]:
    """Run the recurrence.

    Args:
        currents: of each step, [N, C, ...].
        state: stored before the first step.
        skip: where neurons may be skipped; needs levels and no synaptic current.

    Returns:
        Spikes [T, N, C, ...], and what is stored behind the last step.
    """
    spikes = []
    for t, current in enumerate(currents):
        fired, after = unfused_step(current, state, values)
        if skip is not None:
            assert values.levels is not None
            unit = values.levels.step * values.threshold
            held, codes = ((x.detach() / unit).round() for x in (state, after))
            computed = skip(t, held, fired.detach() != 0, codes)
            fired, after = fired * computed, torch.where(computed, after, state)
        state = after
        spikes.append(fired)
    return torch.stack(spikes), state


def unfused_step(current: Tensor, state: Tensor, values: NeuronValues) -> tuple[Tensor, Tensor]:
    """One time step: spikes [N, C, ...], and the state after it."""
    u, drive = state, current
    if values.synaptic_leak is not None:
        u, kept = state.unbind(1)
        drive = values.synaptic_leak * kept + current
    v = values.leak * u + drive
    s = cast(Tensor, _Spike.apply(v - values.threshold, values.surrogate))  # type: ignore[no-untyped-call]
    r = v
    if values.reset == "zero":
        r = (1 - s) * v
    elif values.reset == "subtract":
        r = v - values.reset_by * s
    after = _stored(r, values.threshold, values.levels)
    if values.synaptic_leak is None:
        return s, after
    return s, torch.stack([after, _stored(drive, values.threshold, values.current_levels)], 1)


def _stored(x: Tensor, threshold: Tensor, levels: Levels | None) -> Tensor:
    if levels is None:
        return x
    delta = levels.step * threshold
    return delta * cast(Tensor, _Nearest.apply(x / delta, levels))  # type: ignore[no-untyped-call]


class _Spike(torch.autograd.Function):
    """``apply(v - threshold, surrogate)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x >= 0).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.surrogate(ctx.saved_tensors[0]), None


class _Nearest(torch.autograd.Function):
    """``apply(x, levels)``: the nearest codes, with the slope of the stacked surrogate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, levels: Levels) -> Tensor:
        ctx.save_for_backward(x)
        ctx.levels = levels
        return store_codes(x, 1.0, levels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * stacked_surrogate(ctx.saved_tensors[0], ctx.levels), None
