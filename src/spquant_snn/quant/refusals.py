"""What has no integer form, and the nearest thing that has."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from ..errors import ModelError
from ..nn.lif import LIF

_FORMS = "use convolutions, Linear, BatchNorm, pools, nearest up-sampling, sums, cat, views, Dropout and LIF layers"
_PRODUCTS = r"attention|matmul|bmm|baddbmm|einsum|^mm$|transformer"
_REASONS: tuple[tuple[str, str], ...] = (
    (
        r"relu|elu|gelu|silu|mish|hardswish|hardtanh|sigmoid|tanh|softplus|softsign|clamp|sign|heaviside|prelu|threshold",
        "has no integer form; LIF is the activation of a spiking network: put spquant_snn.LIF() in its place",
    ),
    (
        r"softmax|softmin",
        "has no integer form; leave it to the loss, for the largest of the sums is the largest of its outputs",
    ),
    (
        r"layer_?norm|group_?norm|instance_?norm|rms_?norm|local_?response",
        "has no integer form, for its statistics are those of each input; use BatchNorm, whose statistics are fixed "
        "after training",
    ),
    (
        _PRODUCTS,
        "has no integer form, for it multiplies activations with each other; only weights are multiplied with spikes: "
        "use convolutions or Linear instead, also F.linear(x, weight) of a parameter of your own",
    ),
    (
        r"^i?mul_?$|multiply",
        "multiplies activations, which has no integer form; add them, or put a LIF layer and weights there; "
        "a trained factor belongs into a convolution, a Linear or a BatchNorm",
    ),
    (
        r"^i?sub_?$|subtract|^neg",
        "subtracts, which has no integer form of its own; add, for weights may be negative",
    ),
    (
        r"lstm|gru|rnn",
        "has no integer form; a recurrent layer of spikes is spquant_snn.Feedback(LIF(), Linear(n, n))",
    ),
    (
        r"chunk|split|unbind|getitem|select|narrow",
        "takes a part of a tensor, which has no integer form; use a convolution or Linear for each part",
    ),
    (r"conv3d|pool3d|convtranspose3d", "has no integer form; images have two dimensions, signals one"),
    (r"embedding", "has no integer form; give the network what the embedding gives, as numbers of 8 bits"),
)

_READ = ("snntorch", "spikingjelly", "norse", "sinabs")
_FOREIGN = (*_READ, "lava", "bindsnet", "rockpool", "slayer")
_NEURON_NAMES = re.compile(r"LIF|IF|Leaky|Lapicque|Synaptic|Alpha|Spik|Neuron|Cell|IAF|Leak|CUBA|LI\b|Izhikevich|LSTM")
_THRESHOLDS = ("v_threshold", "v_th", "vth", "thresh", "threshold", "spike_threshold")


def refused(where: str, what: Any) -> ModelError:
    """The error for a call of a layer, function or method that has no integer form."""
    is_layer, name = isinstance(what, nn.Module), _name_of(what)
    reason = next((reason for pattern, reason in _REASONS if re.search(pattern, name.lower())), None)
    found = f"{where}: {name}" if is_layer else where
    return ModelError(f"{found} {reason or f'has no integer form; {_FORMS}'}")


def multiplies_activations(what: Any) -> bool:
    """Whether a function or method is a product of two tensors, as in attention."""
    return re.search(_PRODUCTS, _name_of(what).lower()) is not None


def _name_of(what: Any) -> str:
    return type(what).__name__ if isinstance(what, nn.Module) else str(getattr(what, "__name__", what))


def refuse_neurons(path: str, module: nn.Module) -> None:
    """Raise ModelError, if a module is a neuron of another package, or looks like one of the user's own."""
    package, name = type(module).__module__.partition(".")[0], type(module).__name__
    if package in _FOREIGN and _NEURON_NAMES.search(name) and not isinstance(module, nn.Sequential):
        instead = (
            f"give it spquant_snn.from_{package}(model, input_shape), which reads such networks"
            if package in _READ
            else "put spquant_snn.LIF(v_threshold=..., leak=..., reset=...) in its place"
        )
        raise ModelError(f"layer {path!r} is a neuron of {package}, {name}, which prepare cannot trace: {instead}")
    own = {*vars(module), *module._parameters, *module._buffers}
    if package in ("torch", "spquant_snn") or isinstance(module, LIF) or not own.intersection(_THRESHOLDS):
        return
    if not any(isinstance(inner, LIF) for inner in module.modules()):
        raise ModelError(
            f"layer {path!r}, {name}, has a threshold and looks like a neuron of your own: use spquant_snn.LIF in its "
            "place"
        )
