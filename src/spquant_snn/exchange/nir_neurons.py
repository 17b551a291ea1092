"""Neurons of NIR, whose constants are in seconds, as neurons of time steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ModelError
from .neuron_form import NeuronForm
from .nir_nodes import tensor_of

Decay = Literal["euler", "exact"]
NIRReset = Literal["zero", "subtract"]

FIRING = ("IF", "LIF", "CubaLIF", "Threshold")
NEURONS = (*FIRING, "LI", "I", "CubaLI")

_ROUNDING = 1e-6


@dataclass(frozen=True)
class TimeSteps:
    """How continuous time becomes steps."""

    dt: float | None
    decay: Decay
    reset: NIRReset

    def step(self, name: str) -> float:
        if self.dt is None:
            raise ModelError(
                f"node {name!r} has constants in seconds, and the graph does not say what a time step is: give dt, "
                "1e-4 for files of snnTorch and SpikingJelly, 1 for those of sinabs"
            )
        return self.dt

    def leak(self, name: str, tau: Tensor) -> Tensor:
        rate = self.step(name) / tau
        left = torch.exp(-rate) if self.decay == "exact" else 1 - rate
        return torch.where((left < 0) & (left > -_ROUNDING), 0.0, left)  # a tau of one step, in 32 bits

    def form(self, name: str, node: Any) -> NeuronForm:
        """What neurons compute in steps.

        Raises:
            ModelError: nothing that is computed here.
        """
        kind = type(node).__name__
        if kind == "Threshold":
            return NeuronForm(_number(name, node, "threshold"), _zero(), "zero", strict=True)
        if kind in ("I", "IF"):
            gain = self.step(name) * _number(name, node, "r")
            return self._firing(name, node, NeuronForm(None, _zero() + 1, gain=gain), None)
        slow = _number(name, node, "tau_syn") if kind.startswith("Cuba") else None
        leak = self.leak(name, _number(name, node, "tau" if slow is None else "tau_mem"))
        gain = (1 - leak) * _number(name, node, "r")
        form = NeuronForm(None, leak, gain=gain)
        if slow is not None:
            kept = self.leak(name, slow)
            form = replace(form, synaptic_leak=kept, gain=gain * (1 - kept) * _number(name, node, "w_in"))
        return self._firing(name, node, form, _number(name, node, "v_leak"))

    def _firing(self, name: str, node: Any, form: NeuronForm, rest: Tensor | None) -> NeuronForm:
        """With threshold and reset, and the potential counted from where it rests."""
        if not hasattr(node, "v_threshold"):
            if rest is not None and bool((rest != 0).any()):
                raise ModelError(f"node {name!r} rests at a v_leak that is not 0: an output here rests at 0")
            return form
        threshold, back = _number(name, node, "v_threshold"), _number(name, node, "v_reset")
        if self.reset == "subtract":
            low = _zero() if rest is None else rest
            return replace(form, threshold=threshold - low, reset="subtract", reset_by=threshold - low, strict=True)
        if rest is not None and bool((rest != back).any()):
            raise ModelError(
                f"node {name!r} resets to v_reset, and rests at v_leak, which is another: neurons here rest where they "
                "are reset to"
            )
        return replace(form, threshold=threshold - back, reset="zero", strict=True)


def _number(name: str, node: Any, constant: str) -> Tensor:
    """A constant of neurons, a scalar or [C].

    Raises:
        ModelError: it is one for each neuron of an image, or none.
    """
    found = tensor_of(getattr(node, constant)).double()
    if not found.numel() or bool(found.isnan().any()):
        raise ModelError(f"node {name!r} has a {constant} that is no number: write the file again from a good network")
    if bool((found == found.flatten()[0]).all()):
        return found.flatten()[0]
    rows = found.flatten(1) if found.dim() > 1 else found[:, None]
    if not bool((rows == rows[:, :1]).all()):
        raise ModelError(
            f"node {name!r} has a {constant} for each of {'x'.join(map(str, found.shape))} neurons: one for the layer "
            "or for each channel has a form"
        )
    return rows[:, 0]


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)
