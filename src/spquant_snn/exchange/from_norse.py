"""Networks of Norse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..integer.connection import Shape
from ..nn.imported import ImportedSNN
from .foreign_package import Call, ForeignPackage, NoForm
from .neuron_form import NeuronForm, number
from .read_forward import imported

_FORMS = "LIF, LIFBox, IAF, and LI or LIBox as the last layer"


def from_norse(model: nn.Module, input_shape: Shape | Sequence[Shape] | None = None) -> ImportedSNN:
    """A network of Norse, with equal parameters, ready for ``prepare``.

    Args:
        model: whose neurons are LIF, LIFBox and IAF, recurrent LIF too, as cells or over time; SequentialState, Lift
            and forward methods of the user's own hand on their states. It is not changed.
        input_shape: (C, H, W) of an image, (C, L) of a signal, (F,) of a vector; a list for several inputs. None: the
            vector that its first layer, a Linear, takes.

    Returns:
        A network that sends the same spikes. Spikes of the last layer are counted; LIBox as the last layer is a
        ``LeakyIntegrator``.

    Raises:
        ModelError: something has no equal form; the message names its path, the reason and the nearest that has.

    Example:
        network = prepare(from_norse(net, (1, 28, 28)), QuantConfig(), (1, 28, 28))
    """
    return imported(model, _Norse(), input_shape, ("step", "TN", "NT"))


class _Norse(ForeignPackage):
    name = "norse"
    tested = ("1.1.0",)

    def neuron(self, module: nn.Module) -> tuple[NeuronForm, Call] | None:
        if not any(base.__module__.startswith("norse.torch") for base in type(module).__mro__) or not hasattr(
            module, "p"
        ):
            return None
        self.refuse_derived(module)
        kind = type(module).__name__
        cell = kind.removesuffix("Cell")
        read = {"LIF": _lif, "LIFRecurrent": _lif, "LIFBox": _lif, "LI": _li, "LIBox": _li, "IAF": _iaf}.get(cell)
        if read is None:
            raise NoForm(f"has no equal form here: use {_FORMS}")
        form = read(module)
        if cell == "LIFRecurrent":
            cells: Any = module
            form = replace(form, weights=_linear(cells.input_weights), recurrent=_linear(cells.recurrent_weights))
        outputs = ("potential" if form.threshold is None else "spikes", "state")
        return form, Call(outputs, "step" if kind.endswith("Cell") else "TN", ("state",), keeps=False)


def _lif(module: Any) -> NeuronForm:
    p, rate = module.p, number(module.dt * module.p.tau_mem_inv)
    rest, threshold = number(p.v_leak), number(p.v_th)
    form = NeuronForm(threshold - rest, 1 - rate, "zero", strict=True, gain=rate, synaptic_leak=_synaptic_leak(module))
    method = getattr(getattr(p, "reset_method", None), "__name__", "reset_value")
    if method == "reset_subtract":
        return replace(form, reset="subtract", reset_by=threshold)
    if method != "reset_value":
        raise NoForm(f"resets by {method}: reset_value and reset_subtract have a form")
    if bool((number(p.v_reset) != rest).any()):
        raise NoForm("resets to v_reset, and rests at v_leak, which is another: let both be the same")
    return form


def _li(module: Any) -> NeuronForm:
    p, rate = module.p, number(module.dt * module.p.tau_mem_inv)
    if bool((number(p.v_leak) != 0).any()):
        raise NoForm("rests at a v_leak that is not 0: an output here rests at 0")
    return NeuronForm(None, 1 - rate, gain=rate, synaptic_leak=_synaptic_leak(module))


def _iaf(module: Any) -> NeuronForm:
    threshold = number(module.p.v_th) - number(module.p.v_reset)
    return NeuronForm(threshold, torch.ones((), dtype=torch.float64), "zero", strict=True)


def _synaptic_leak(module: Any) -> Tensor | None:
    inverse = getattr(module.p, "tau_syn_inv", None)
    return None if inverse is None else 1 - number(module.dt * inverse)


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight.detach().clone())
    return layer
