"""What a neuron of another package computes, in the terms of ours, and the layer that computes the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..integer.neuron import Reset
from ..nn.integrator import Answer, LeakyIntegrator
from ..nn.lif import LIF

_SMALLEST = 1e-2  # thresholds of LIF are kept above it


@dataclass(frozen=True)
class NeuronForm:
    """``i = synaptic_leak * i' + gain * I;  v = leak * u + i;  s = v >= threshold`` (or ``>``), then the reset.

    Every constant is a float64 tensor, a scalar or one for each channel, [C]; before ``by_channel`` as its package
    broadcasts it against potentials: [C, 1, 1] of images.

    Args:
        threshold: None: it never fires, and says its potential.
        strict: it fires above the threshold, not at it.
        reset_by: what reset="subtract" takes off what is stored, before the leak.
        gain: on what comes in.
        synaptic_leak: None: there is no synaptic current.
        leak_logit: what trains the leak, its sigmoid; None: it is fixed.
        learn_threshold: whether the threshold is trained.
        weights: what comes in passes these first.
        recurrent: what its own spikes pass on their way back, one step later; a constant: the weight of each.
        learn_recurrent: whether such weights are trained.
    """

    threshold: Tensor | None
    leak: Tensor
    reset: Reset = "none"
    strict: bool = False
    reset_by: Tensor | None = None
    gain: Tensor | None = None
    synaptic_leak: Tensor | None = None
    leak_logit: Tensor | None = None
    learn_threshold: bool = False
    weights: nn.Module | None = None
    recurrent: nn.Module | Tensor | None = None
    learn_recurrent: bool = True

    def by_channel(self, shape: tuple[int, ...]) -> NeuronForm:
        """The form with constants [C], of neurons whose potentials have a shape (C, ...).

        Raises:
            ValueError: a constant differs along another axis than that of the channels.
        """
        constants = {name: value for name, value in vars(self).items() if isinstance(value, Tensor) and value.dim()}
        for value in constants.values():
            if value.dim() != len(shape) or len(value) != shape[0]:
                fitting = [shape[0], *[1] * (len(shape) - 1)]
                raise ValueError(
                    f"has constants of shape {list(value.shape)}, and potentials of {list(shape)}: one for all, or one "
                    f"for each channel, of shape {fitting}, has a form"
                )
        return replace(self, **cast(Any, {name: value.flatten() for name, value in constants.items()}))

    def without_gain(self) -> NeuronForm:
        """The neuron whose potential is this one's over the gain: it sends the same spikes."""
        if self.gain is None or self.threshold is None or bool((self.gain == 0).any()):
            return self
        by = None if self.reset_by is None else self.reset_by / self.gain
        return replace(self, threshold=self.threshold / self.gain, reset_by=by, gain=None)

    def with_usual_threshold(self) -> NeuronForm:
        """The same neuron in units, powers of two, in which no threshold is too small for LIF; it gets a gain."""
        if self.threshold is None or bool((self.threshold >= _SMALLEST).all() | (self.threshold <= 0).any()):
            return self
        units = torch.where(self.threshold < _SMALLEST, torch.exp2(-torch.floor(torch.log2(self.threshold))), 1.0)
        by = None if self.reset_by is None else self.reset_by * units
        gain = units if self.gain is None else self.gain * units
        return replace(self, threshold=self.threshold * units, reset_by=by, gain=gain)


def number(value: object) -> Tensor:
    """A constant as a float64 tensor: a scalar, or one along a single axis, in front: [C, 1, 1] of [1, C, 1, 1].

    Raises:
        ValueError: it is one for each neuron of an image, or none.
    """
    found = torch.as_tensor(cast(Tensor, value)).detach().cpu().double()
    if found.numel() == 1:
        return found.reshape(())
    axis = next((i for i, size in enumerate(found.shape) if size > 1), 0)
    if found.shape[axis] != found.numel() or not found.numel():
        raise ValueError(f"for each of {'x'.join(map(str, found.shape))} neurons")
    return found.reshape(found.shape[axis:])


def logit(leak: Tensor) -> Tensor:
    """The parameter whose sigmoid is the leak."""
    return torch.log(leak) - torch.log1p(-leak)


def lif_of(form: NeuronForm, dtype: torch.dtype, path: str) -> LIF:
    """The layer that sends the spikes of a form without a gain.

    Raises:
        ModelError: a constant is none that LIF takes.
    """
    assert form.threshold is not None
    check_constants(form, path)
    threshold = form.threshold.to(dtype)
    if form.strict:  # fires above the threshold: at the next number that there is
        threshold = torch.nextafter(threshold, torch.full_like(threshold, math.inf))
    same = form.reset_by is not None and not form.strict and torch.equal(form.reset_by, form.threshold)
    lif = LIF(
        v_threshold=form.threshold,
        leak=_plain(form.leak),
        reset=form.reset,
        reset_by=None if form.reset_by is None or same else _plain(form.reset_by),
        synaptic_leak=None if form.synaptic_leak is None else _plain(form.synaptic_leak),
        learn_threshold=form.learn_threshold,
    )
    lif.v_threshold.data = threshold
    for name in ("fixed_leak", "reset_by", "synaptic_leak"):
        if isinstance(getattr(lif, name), Tensor):
            exact = {"fixed_leak": form.leak, "reset_by": form.reset_by, "synaptic_leak": form.synaptic_leak}[name]
            setattr(lif, name, cast(Tensor, exact).to(dtype))
    if form.leak_logit is not None and bool(form.leak_logit.isfinite().all()):
        lif.leak_logit = nn.Parameter(form.leak_logit.to(dtype))
        lif.plain = True
    return lif


def integrator_of(form: NeuronForm, over_time: Answer, path: str) -> LeakyIntegrator:
    """The layer that says the potential of a form without a gain.

    Raises:
        ModelError: it has constants that an integrator has not.
    """
    check_constants(form, path)
    if form.synaptic_leak is not None and bool((form.synaptic_leak != 0).any()):
        raise ModelError(
            f"layer {path!r} says the potential of neurons with a synaptic current, which no readout of this package "
            "has: let the network end with an integrator without one, or with spiking neurons"
        )
    if form.leak.dim():
        raise ModelError(
            f"layer {path!r} says potentials with a leak for each neuron: an output has one for all (train it so)"
        )
    if form.recurrent is not None:
        raise ModelError(f"layer {path!r} says the potential of recurrent neurons: let it send spikes")
    return LeakyIntegrator(float(form.leak), over_time)


def check_constants(form: NeuronForm, path: str) -> None:
    """Raise ModelError, if a constant is out of its range."""
    for name, value in (("leak", form.leak), ("leak of the synaptic current", form.synaptic_leak)):
        if value is not None and not bool(((value >= 0) & (value <= 1)).all()):
            raise ModelError(f"layer {path!r} has a {name} of {_said(value)}: it must be from 0 to 1")
    if form.threshold is not None and not bool(((form.threshold > 0) & form.threshold.isfinite()).all()):
        raise ModelError(f"layer {path!r} has a threshold of {_said(form.threshold)}: it must be finite and above 0")


def _said(value: Tensor) -> str:
    lowest, highest = float(value.min()), float(value.max())
    return f"{lowest:g}" if lowest == highest else f"{lowest:g} to {highest:g}"


def _plain(value: Tensor) -> float | Tensor:
    return value if value.dim() else float(value)
