"""Networks of snnTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..integer.connection import Shape
from ..integer.neuron import Reset
from ..nn.imported import ImportedSNN
from .foreign_package import Call, ForeignPackage, NoForm, fires_above
from .neuron_form import NeuronForm, logit, number
from .read_forward import imported

# What neurons take and return beside currents and spikes.
_STATES = {
    "Leaky": ("mem",),
    "Lapicque": ("mem",),
    "Synaptic": ("syn", "mem"),
    "RLeaky": ("spk", "mem"),
    "RSynaptic": ("spk", "syn", "mem"),
}
_RESETS: dict[str, Reset] = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def from_snntorch(model: nn.Module, input_shape: Shape | Sequence[Shape] | None = None) -> ImportedSNN:
    """A network of snnTorch, with equal parameters, ready for ``prepare``.

    Args:
        model: whose neurons are Leaky, Lapicque, Synaptic, RLeaky or RSynaptic. Its forward method may be one time
            step or a loop over all; neurons keep their states (``init_hidden``) or are handed them. It is not changed.
        input_shape: (C, H, W) of an image, (C, L) of a signal, (F,) of a vector; a list for several inputs. None: the
            vector that its first layer, a Linear, takes.

    Returns:
        A network that sends the same spikes. Spikes of the last layer are counted; the potential of a last layer
        without a reset is a ``LeakyIntegrator``.

    Raises:
        ModelError: something has no equal form; the message names its path, the reason and the nearest that has.

    Example:
        network = prepare(from_snntorch(net, (1, 28, 28)), QuantConfig(), (1, 28, 28))
    """
    return imported(model, _SnnTorch(), input_shape, ("step", "TN", "NT"))


class _SnnTorch(ForeignPackage):
    name = "snntorch"
    tested = ("1.0.0",)

    def neuron(self, module: nn.Module) -> tuple[NeuronForm, Call] | None:
        if not any(base.__module__.startswith("snntorch._neurons") for base in type(module).__mro__):
            return None
        self.refuse_derived(module)
        kind = type(module).__name__
        if kind not in _STATES:
            raise NoForm(f"has no equal form here: use {', '.join(_STATES)}")
        states = _STATES[kind]
        outputs = ("spikes", *("potential" if name == "mem" else "state" for name in states if name != "spk"))
        if getattr(module, "init_hidden", False) and not getattr(module, "output", False):
            outputs = ("spikes",)
        return _form(module, kind), Call(outputs, "step", states)

    def forget(self, module: nn.Module) -> None:
        if self.owns(module):
            for name in ("mem", "syn", "spk", "syn_exc", "syn_inh"):
                if name in module._buffers:
                    module._buffers[name] = torch.zeros(0)


def _form(module: Any, kind: str) -> NeuronForm:
    if module.inhibition:
        raise NoForm(
            "lets one neuron fire and silences the others (inhibition), which has no integer form: leave it out"
        )
    if module.state_quant:
        raise NoForm("quantises its state by itself: leave state_quant out, prepare does it")
    factor = getattr(module, "graded_spikes_factor", None)
    if factor is not None and bool((factor != 1).any()):
        raise NoForm("sends graded spikes, and spikes are 0 or 1 here: put the factor into the weights behind it")
    leak, gain = _leak(module, kind)
    threshold = _number(module, "threshold")
    reset, by = _reset(module, kind, leak, threshold)
    learns = isinstance(module.beta, nn.Parameter) and kind != "Lapicque" and bool(((leak > 0) & (leak < 1)).all())
    return NeuronForm(
        threshold,
        leak,
        reset,
        strict=fires_above(module.spike_grad),
        reset_by=by,
        gain=gain,
        synaptic_leak=_number(module, "alpha").clamp(0, 1) if "Synaptic" in kind else None,
        leak_logit=logit(leak) if learns else None,
        learn_threshold=isinstance(module.threshold, nn.Parameter),
        recurrent=_recurrent(module) if kind.startswith("R") else None,
        learn_recurrent=isinstance(getattr(module, "V", None), nn.Parameter),
    )


def _leak(module: Any, kind: str) -> tuple[Tensor, Tensor | None]:
    if kind != "Lapicque":
        return _number(module, "beta").clamp(0, 1), None
    rate = _number(module, "time_step") / (_number(module, "R") * _number(module, "C"))
    return 1 - rate, _number(module, "time_step") / _number(module, "C")


def _reset(module: Any, kind: str, leak: Tensor, threshold: Tensor) -> tuple[Reset, Tensor | None]:
    reset = _RESETS[module.state_function.__name__]  # chosen when the neuron is made, whatever is set later
    late = getattr(module, "reset_delay", True)
    if reset == "none":
        return "none", None
    if reset == "zero":
        if kind != "Leaky":
            raise NoForm(
                "resets to zero one step late, and drops what comes in in that step, which has no equal form: use "
                "reset_mechanism='subtract', or Leaky, which does not drop it"
            )
        return "zero", None
    if not late:
        raise NoForm(
            "with reset_delay=False and reset_mechanism='subtract' gives a threshold back where the potential is above "
            "it after a reset, which has no equal form: use reset_delay=True, or reset_mechanism='zero'"
        )
    if bool((leak == 0).any()):
        raise NoForm("has a beta of 0 and subtracts its threshold in the step after: use reset_mechanism='zero'")
    return "subtract", threshold / leak  # it subtracts after the leak of the next step


def _recurrent(module: Any) -> nn.Module | Tensor:
    layer = module.recurrent
    if isinstance(layer, nn.Linear | nn.Conv2d):
        return layer
    return _number(module, "V")


def _number(module: Any, name: str) -> Tensor:
    try:
        return number(getattr(module, name))
    except ValueError as reason:
        raise NoForm(f"has a {name} {reason}: one for the layer or for each channel has a form") from None
