"""Numbers that are not finite are refused, by the name of their layer, where a network comes in and where its integers
are taken out: a NaN has no code, and would become one without a word."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..errors import ModelError

_WORDS = {
    "synapse.weight": "weight",
    "synapse.bias": "bias",
    "synapse.quantizer.scale": "weight scale",
    "norm.weight": "batch normalisation's weight",
    "norm.bias": "batch normalisation's bias",
    "norm.running_mean": "batch normalisation's running_mean",
    "norm.running_var": "batch normalisation's running_var",
    "norm.eps": "batch normalisation's eps",
    "lif.v_threshold": "threshold",
    "lif.leak": "leak",
    "lif.fixed_leak": "leak",
    "lif.leak_logit": "leak",
    "lif.reset_by": "reset_by",
    "lif.synaptic_leak": "synaptic leak",
    "gate.logits": "channel gates' logits",
    "skipping.weights": "block predictors' weights",
    "skipping.threshold": "block predictors' skip threshold",
}
_SHORTCUT = "shortcut."


def check_given(path: str, layer: nn.Module) -> None:
    """Refuse a user's layer that holds numbers which are not finite, or which float32 does not hold.

    Raises:
        ModelError: it does; the message names the layer by its path.
    """
    for name, values in _numbers(layer):
        _refuse(path, name, values)
        if values.dtype == torch.float64 and not bool(values.float().isfinite().all()):
            largest = float(values.abs().max())
            raise ModelError(f"layer {path!r}: its {name} holds {largest:g}, which is too large for float32: scale it")


def check_finite(name: str, stage: nn.Module) -> None:
    """Refuse a stage that holds numbers which are not finite.

    Args:
        name: of the stage.

    Raises:
        ModelError: it does; the message names the layer and the parameter.
    """
    for part, values in _numbers(stage):
        _refuse(name, _in_words(part), values)


def _numbers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Floating-point parameters, buffers and settings of a module, with their paths in it."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        values = tensor.detach()
        if name.endswith("skipping.threshold") and bool(values.isneginf()):
            continue  # no block is skipped
        if values.is_floating_point():
            yield name, values
    for path, part in module.named_modules():
        for setting in ("leak", "eps"):
            value = getattr(part, setting, None)
            if isinstance(value, float):
                yield f"{path}.{setting}".removeprefix("."), torch.tensor(value, dtype=torch.float64)


def _refuse(layer: str, what: str, values: Tensor) -> None:
    wrong = ~values.isfinite()
    count = int(wrong.sum())
    if not count:
        return
    found = "nan" if bool(values.isnan().any()) else f"{float(values[wrong].flatten()[0]):g}"
    share = "" if values.dim() == 0 else f" ({count:,} of {values.numel():,} numbers)"
    raise ModelError(
        f"layer {layer!r}: its {what} holds {found}{share}, which is not a finite number: "
        "train again from a good checkpoint, or give finite numbers"
    )


def _in_words(part: str) -> str:
    if part.startswith(_SHORTCUT):
        return f"shortcut's {_in_words(part.removeprefix(_SHORTCUT))}"
    return _WORDS.get(part, part)
