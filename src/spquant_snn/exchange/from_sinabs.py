"""Networks of sinabs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from ..errors import ModelError
from ..integer.connection import Shape
from ..nn.imported import ImportedSNN
from .foreign_package import Call, ForeignPackage, NoForm
from .neuron_form import NeuronForm, number
from .read_forward import imported
from .step_expressions import Layout


def from_sinabs(
    model: nn.Module, input_shape: Shape | Sequence[Shape] | None = None, single_spikes: bool = False
) -> ImportedSNN:
    """A network of sinabs, with equal parameters, ready for ``prepare``.

    Args:
        model: whose neurons are IAF and LIF, recurrent ones too, squeezed or not; the last may be ExpLeak. It is not
            changed.
        input_shape: (C, H, W) of an image, (C, L) of a signal, (F,) of a vector; a list for several inputs. None: the
            vector that its first layer, a Linear, takes.
        single_spikes: let neurons that may send several spikes in a step, as sinabs' do unless they are told, send one.

    Returns:
        A network that sends the same spikes, or one where ``single_spikes`` changes them. Time comes first here.

    Raises:
        ModelError: something has no equal form; the message names its path, the reason and the nearest that has.

    Example:
        network = prepare(from_sinabs(net, (2, 34, 34)), QuantConfig(), (2, 34, 34))
    """
    own = getattr(model, "spiking_model", model)
    return imported(own, _Sinabs(single_spikes), input_shape, ("N*T", "NT"))


class _Sinabs(ForeignPackage):
    name = "sinabs"
    tested = ("3.1.3",)

    def __init__(self, single_spikes: bool) -> None:
        if not isinstance(single_spikes, bool):
            raise ModelError(f"single_spikes must be True or False, not {single_spikes!r}")
        self.single_spikes = single_spikes

    def neuron(self, module: nn.Module) -> tuple[NeuronForm, Call] | None:
        if not any(base.__module__.startswith("sinabs") for base in type(module).__mro__):
            return None
        if not hasattr(module, "alpha_mem_calculated"):
            return None
        self.refuse_derived(module)
        kind = type(module).__name__
        squeezed: Layout = "N*T" if kind.endswith("Squeeze") else "NT"
        cell = kind.removesuffix("Squeeze")
        if cell not in ("IAF", "LIF", "ExpLeak", "IAFRecurrent", "LIFRecurrent"):
            raise NoForm("has no equal form here: use IAF, LIF, and ExpLeak as the last layer")
        form = self._form(module)
        if cell.endswith("Recurrent"):
            form = replace(form, recurrent=_plain(module))
        return form, Call(("potential" if form.threshold is None else "spikes",), squeezed)

    def layer(self, module: nn.Module) -> tuple[nn.Module, Layout] | None:
        if self.owns(module) and type(module).__name__ == "SumPool2d":
            pool: Any = module
            return nn.AvgPool2d(pool.kernel_size, pool.stride, ceil_mode=pool.ceil_mode, divisor_override=1), "step"
        return None

    def forget(self, module: nn.Module) -> None:
        if self.owns(module) and hasattr(module, "reset_states"):
            module.reset_states()  # type: ignore[operator]

    def _form(self, module: Any) -> NeuronForm:
        if module.min_v_mem is not None:
            raise NoForm("has a lowest potential, min_v_mem, which no neuron here has: use min_v_mem=None")
        leak = number(module.alpha_mem_calculated)
        gain = 1 - leak if module.norm_input else None
        slow = None if module.alpha_syn_calculated is None else number(module.alpha_syn_calculated)
        if slow is not None:  # what comes in decays as well, in its first step
            gain = slow if gain is None else gain * slow
        form = NeuronForm(None, leak, gain=gain, synaptic_leak=slow)
        if module.spike_fn is None:
            return form
        self._check_spikes(module.spike_fn)
        threshold = number(module.spike_threshold)
        reset = type(module.reset_fn).__name__
        if reset == "MembraneReset" and module.reset_fn.reset_value == 0:
            return replace(form, threshold=threshold, reset="zero")
        if reset == "MembraneSubtract":
            by = module.reset_fn.subtract_value
            return replace(
                form, threshold=threshold, reset="subtract", reset_by=threshold if by is None else number(by)
            )
        raise NoForm("resets to a value that is not 0: use MembraneReset() or MembraneSubtract()")

    def _check_spikes(self, spike_fn: Any) -> None:
        name = getattr(spike_fn, "__name__", type(spike_fn).__name__)
        single = name == "SingleSpike" or getattr(spike_fn, "max_num_spikes_per_bin", None) == 1
        if not single and not self.single_spikes:
            raise NoForm(
                f"may send several spikes in a step ({name}), and neurons here send one: use spike_fn=SingleSpike, or "
                "from_sinabs(..., single_spikes=True), after which spikes may differ"
            )


def _plain(module: Any) -> nn.Module:
    layer = module.rec_connect
    if not isinstance(layer, nn.Linear):
        raise NoForm(f"has {type(layer).__name__} as rec_connect: a Linear has a form")
    if layer.bias is not None and bool(layer.bias.any()):
        raise NoForm("has a rec_connect with a bias, which is left out in the first step: use bias=False")
    return layer
