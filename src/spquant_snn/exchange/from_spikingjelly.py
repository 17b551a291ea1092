"""Networks of SpikingJelly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..integer.connection import Shape
from ..nn.imported import ImportedSNN
from .foreign_package import Call, ForeignPackage, NoForm, as_torch, fires_above
from .neuron_form import NeuronForm, number
from .read_forward import imported
from .step_expressions import Layout

_NEURONS = "spikingjelly.activation_based.neuron"
_LAYERS = "spikingjelly.activation_based.layer"
_DECODES = {"max-mem": "largest", "mean-mem": "mean", "last_mem": "last"}
_FORMS = "IFNode, LIFNode, ParametricLIFNode or CUBALIFNode"


def from_spikingjelly(model: nn.Module, input_shape: Shape | Sequence[Shape] | None = None) -> ImportedSNN:
    """A network of SpikingJelly, with equal parameters, ready for ``prepare``.

    Args:
        model: whose neurons are IFNode, LIFNode, ParametricLIFNode or CUBALIFNode, in either step mode, its layers
            those of torch or of ``spikingjelly.activation_based.layer``; the last may be a NonSpikingIFNode or
            NonSpikingLIFNode. It is not changed.
        input_shape: (C, H, W) of an image, (C, L) of a signal, (F,) of a vector; a list for several inputs. None: the
            vector that its first layer, a Linear, takes.

    Returns:
        A network that sends the same spikes. Spikes of the last layer are counted.

    Raises:
        ModelError: something has no equal form; the message names its path, the reason and the nearest that has.

    Example:
        network = prepare(from_spikingjelly(net, (1, 28, 28)), QuantConfig(), (1, 28, 28))
    """
    return imported(model, _SpikingJelly(), input_shape, ("step", "TN", "NT"))


class _SpikingJelly(ForeignPackage):
    name = "spikingjelly"
    tested = ("2.0.0",)

    def neuron(self, module: nn.Module) -> tuple[NeuronForm, Call] | None:
        if type(module).__module__.startswith(_LAYERS) and not self._is_read(module):
            raise NoForm("has no form here: layers that torch has too, VotingLayer and containers of them have")
        if not any(base.__module__.startswith(_NEURONS) for base in type(module).__mro__):
            return None
        self.refuse_derived(module)
        kind = type(module).__name__
        if kind.startswith("NonSpiking"):
            return _integrator(module, kind)
        many = getattr(module, "step_mode", "s") == "m"
        return _form(module, kind), Call(("spikes",), "TN" if many else "step")

    def layer(self, module: nn.Module) -> tuple[nn.Module, Layout] | None:
        if not type(module).__module__.startswith(_LAYERS):
            return None
        layout: Layout = "TN" if getattr(module, "step_mode", "s") == "m" else "step"
        kind = type(module).__name__
        if kind in ("Dropout", "Dropout2d"):
            return getattr(nn, kind)(module.p), layout
        if kind == "VotingLayer":
            size: Any = module.voting_size
            return nn.Sequential(nn.Unflatten(1, (1, -1)), nn.AvgPool1d(size, size), nn.Flatten()), layout
        if kind.startswith("ThresholdDependentBatchNorm"):  # that of torch with other weights to begin with
            return as_torch(module, getattr(nn, kind.removeprefix("ThresholdDependent"))), "TN"
        base = next((base for base in type(module).__mro__ if base.__module__.startswith("torch.nn.")), nn.Module)
        return (as_torch(module, base), layout) if base.__name__ == kind else None

    def _is_read(self, module: nn.Module) -> bool:
        return self.layer(module) is not None or isinstance(module, nn.Sequential)

    def forget(self, module: nn.Module) -> None:
        if hasattr(module, "_memories"):
            module.reset()  # type: ignore[operator]


def _form(module: Any, kind: str) -> NeuronForm:
    if kind in ("IFNode", "SimpleIFNode"):
        return _with_reset(module, NeuronForm(None, _one(1.0)))
    if kind in ("LIFNode", "SimpleLIFNode"):
        rate = 1 / number(module.tau)
        return _with_reset(module, NeuronForm(None, 1 - rate, gain=rate if module.decay_input else None))
    if kind == "ParametricLIFNode":
        rate = torch.sigmoid(number(module.w))
        gain = rate if module.decay_input else None
        return _with_reset(module, NeuronForm(None, 1 - rate, gain=gain, leak_logit=-number(module.w)))
    if kind == "CUBALIFNode":
        if module.v_reset:
            raise NoForm(f"resets to {module.v_reset:g}, and its potential decays to 0: use v_reset=0.0 or None")
        return _with_reset(module, NeuronForm(None, number(module.v_decay), synaptic_leak=number(module.c_decay)))
    raise NoForm(f"has no equal form here: use {_FORMS}")


def _with_reset(module: Any, form: NeuronForm) -> NeuronForm:
    """With the threshold, and potentials counted from what they are reset to."""
    threshold = number(module.v_threshold)
    values = dict(vars(form), strict=fires_above(module.surrogate_function))
    if module.v_reset is None:
        values.update(threshold=threshold, reset="subtract", reset_by=threshold)
    else:
        values.update(threshold=threshold - module.v_reset, reset="zero")
    return NeuronForm(**values)


def _integrator(module: Any, kind: str) -> tuple[NeuronForm, Call]:
    if module.decode not in _DECODES:
        raise NoForm(f"has decode={module.decode!r}: one of {', '.join(map(repr, _DECODES))} has a form")
    rate = None if kind == "NonSpikingIFNode" else 1 / number(module.tau)
    leak = _one(1.0) if rate is None else 1 - rate
    return NeuronForm(None, leak, gain=rate), Call(("potential",), "TN", how=_DECODES[module.decode])


def _one(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
