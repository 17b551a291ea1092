"""What a run is held to when it goes on or is evaluated: the configuration, the structure of its model and of a teacher
given in Python, and its data; never the values of weights.

Each part is a row of plain values by names that a user can read, so that what differs can be said.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..data import InputFormat, Splits
from ..dtypes import Array
from ..nn.lif import LIF
from ..nn.surrogate import name_of
from ..quant.network import SpikingNetwork
from ..quant.stage import NeuronStage, Stage
from ..quant.synapse import Synapse
from .config import TrainConfig
from .run import SHA, Print, config_print

_BYTES = 2 << 20  # of images, and of labels, of which the digest is taken
_HOUSE = ("torch.", "spquant_snn.")


def fingerprint(
    config: TrainConfig, network: SpikingNetwork, data: Splits | Print, teacher: nn.Module | None
) -> dict[str, Print]:
    """All parts; the teacher's, where it is a module given in Python. Of data that are not read whole, what is
    known."""
    seen = data_print(data) if isinstance(data, Splits) else data
    parts = {"config": config_print(config), "model": model_print(network), "data": seen}
    return parts if teacher is None else parts | {"teacher": teacher_print(teacher)}


def model_print(network: SpikingNetwork) -> Print:
    """The structure of a network: kinds of layers, shapes, strides, neurons, normalisation, pools, dropout."""
    found: Print = {}
    for number, stage in enumerate((*network.hidden, *network.readouts), 1):
        shown = _stage_print(stage) if isinstance(stage, Stage) else _branches_print(stage)
        found |= {f"{name} of layer {number}": value for name, value in shown.items()}
    return found


def data_print(data: Splits) -> Print:
    """Shapes, numbers and classes of a data set, and SHA-256 of evenly spaced images and labels, some MB at most."""
    given = format_print(data.input_format)
    found: Print = {"task": data.task.kind, "classes": data.classes, "input": given}
    for name, part in (("training", data.train), ("test", data.test)):
        found[f"number of {name} images"] = len(part)
        found[f"shape of {name} images"] = list(part.images.shape[1:])
        found[f"dtype of {name} images"] = str(part.images.dtype)
        found[f"{name} images"] = _digest(part.images)
        found[f"{name} labels"] = _digest(part.labels)
        if part.lengths is not None:
            found[f"lengths of {name} sequences"] = _digest(part.lengths)
    return found


def format_print(given: InputFormat) -> str:
    """A format of inputs, in a few words."""
    return f"{given.dtype}, scale {given.scale:g}"


def teacher_print(teacher: nn.Module) -> Print:
    """The structure of any module: the types of its modules, shapes of parameters and buffers, and the settings of
    layers of torch."""
    lines = [
        [path, type(module).__qualname__, _own_shapes(module), _settings(module)]
        for path, module in teacher.named_modules()
    ]
    return {
        "kind of the teacher": type(teacher).__qualname__,
        "number of the teacher's parameters": sum(parameter.numel() for parameter in teacher.parameters()),
        "structure of the teacher": SHA + hashlib.sha256(json.dumps(lines).encode()).hexdigest(),
    }


def _stage_print(stage: Stage) -> Print:
    found: Print = {"name": stage.name} | _synapse_print(stage.synapse)
    found["pools before the weights"] = [[pool.kind, pool.kernel, pool.stride] for pool in stage.pools]
    found["input"] = "spikes" if stage.given is None else format_print(stage.given)
    found["dropout of the inputs"], found["dropout of the currents"] = (
        round(share, 9) for share in (stage.drop_spikes, stage.drop_current)
    )
    if stage.norm is not None:
        norm = stage.norm
        found |= {"eps": norm.eps, "momentum": norm.momentum, "trained normalisation": norm.weight.requires_grad}
    if stage.lif is not None:
        found |= _neuron_print(stage.lif)
    if stage.shortcut is not None:
        found["source of the shortcut"] = stage.shortcut.source + 1
        found |= {f"{name} of the shortcut": value for name, value in _synapse_print(stage.shortcut.synapse).items()}
    return found


def _branches_print(stage: NeuronStage) -> Print:
    """Of a layer of several terms: what it looks at, and the structure of its modules."""
    found: Print = {"name": stage.name, "sources": [list(source) for source in stage.sources]}
    found |= {
        f"{name} ({path})": value
        for path, synapse in stage.named_modules()
        if isinstance(synapse, Synapse)
        for name, value in _synapse_print(synapse).items()
    }
    kinds = [[path, type(module).__qualname__, _settings(module)] for path, module in stage.named_modules()]
    found["structure"] = SHA + hashlib.sha256(json.dumps(kinds).encode()).hexdigest()
    return found if stage.lif is None else found | _neuron_print(stage.lif)


def _synapse_print(synapse: Synapse) -> Print:
    pool = synapse.pool
    return {
        "kind": "Conv2d" if synapse.convolves else "Linear",
        "weight shape": list(synapse.weight.shape),
        "bias": synapse.bias is not None,
        "stride": list(synapse.stride),
        "padding": list(synapse.padding),
        "dilation": list(synapse.dilation),
        "spread": list(synapse.spread),
        "groups": synapse.groups,
        "pool behind the weights": None if pool is None else [pool.kind, pool.kernel, pool.stride],
    }


def _neuron_print(lif: LIF) -> Print:
    surrogate = name_of(lif.surrogate) or getattr(lif.surrogate, "__qualname__", type(lif.surrogate).__qualname__)
    found: Print = {"leak": _constant(lif.leak), "reset": lif.reset, "threshold": _constant(lif.v_threshold)}
    found["surrogate"] = surrogate
    for name in ("reset_by", "synaptic_leak"):
        value = getattr(lif, name)
        if value is not None:
            found[name.replace("_", " ")] = _constant(value)
    return found


def _constant(value: float | Tensor) -> float | list[float] | str:
    """A constant of neurons: a number, or one for each channel."""
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad:
        return "trained" if value.dim() == 0 else f"trained, of {len(value)} channels"
    found: float | list[float] = value.tolist()
    return found


def _digest(values: Array) -> str:
    """Of items that are evenly spaced, the first and the last among them."""
    size = max(1, values[0].nbytes)
    count = min(len(values), max(2, _BYTES // size))
    which = np.arange(count) * (len(values) - 1) // max(count - 1, 1)
    return SHA + hashlib.sha256(values[which].tobytes()).hexdigest()


def _own_shapes(module: nn.Module) -> list[Any]:
    own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    return [[name, list(tensor.shape)] for name, tensor in own]


def _settings(module: nn.Module) -> list[Any]:
    """Those of layers of torch and of this package; what a user's module keeps may change from pass to pass."""
    if not type(module).__module__.startswith(_HOUSE):
        return []
    named = ((name, value) for name, value in vars(module).items() if not name.startswith("_") and name != "training")
    return [[name, repr(value)] for name, value in named if isinstance(value, int | float | str | tuple)]
