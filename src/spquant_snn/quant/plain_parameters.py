"""A user's module as ``prepare`` reads it: a copy whose parameters are plain ones.

Parametrisations, weight normalisation of either style and pruning masks compute a weight from other parameters; the
copy has the weight that they give. What runs beside the layers, and may change what they compute, is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from ..errors import ModelError
from ..nn.lif import LIF

MASK = "a pruning mask"

_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def with_plain_parameters(model: nn.Module) -> tuple[nn.Module, list[str], list[tuple[str, ...]]]:
    """A copy of a model with plain parameters.

    Returns:
        The copy; what computed its weights, as "'path' (kind)"; the paths of modules that share a parameter which
        training moves, a tuple for each group.

    Raises:
        ModelError: the model cannot be copied, or a hook or a forward method of its own may change what a layer
            computes.
    """
    _refuse_wrapped(model)
    taken = _copied(model)
    resolved = [f"{path!r} ({kind})" for path, module in taken.named_modules() for kind in _resolve(path, module)]
    for path, module in taken.named_modules():
        _refuse_beside(path, module)
    return taken, resolved, _tied(model)


def _refuse_wrapped(model: nn.Module) -> None:
    """Raise ModelError, if what is given is not the model itself, or has no numbers yet."""
    kind = type(model).__name__
    if kind in _WRAPPERS:
        raise ModelError(f"the model is wrapped in {kind}: give the model inside, model.{_WRAPPERS[kind]}")
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ModelError("the model is on the device 'meta', without numbers: give it with its weights, on the CPU")


def shared_places(paths: Sequence[str], tied: list[tuple[str, ...]]) -> list[str]:
    """Groups of layers that share a parameter, as "'one' and 'other'", among the paths that a model calls."""
    groups = [[path for path in paths if path in group] for group in tied]
    named = [(dict.fromkeys(group), len(group)) for group in groups if len(group) > 1]
    return [" and ".join(map(repr, names)) + f" in {count} places" for names, count in named]


def _copied(model: nn.Module) -> nn.Module:
    """A deep copy, with what torch refuses to copy: the values of tensors that were computed, and parameters that have
    no shape yet."""
    memo: dict[int, Tensor] = {}
    for module in model.modules():
        for value in (*vars(module).values(), *module._buffers.values(), *module._parameters.values()):
            if isinstance(value, UninitializedParameter | UninitializedBuffer):
                kind: Any = type(value)
                memo[id(value)] = kind(requires_grad=value.requires_grad, device=value.device, dtype=value.dtype)
            elif isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:  # whatever the module of a user holds
        raise ModelError(
            f"{type(model).__name__} cannot be copied ({_first_line(error)}): let its modules hold nothing but "
            "parameters, buffers and plain values"
        ) from error


def _tied(model: nn.Module) -> list[tuple[str, ...]]:
    """Paths of modules that hold the same parameter, or one in the same memory. A threshold that is not trained may be
    in several places."""
    places: dict[int, list[str]] = {}
    for path, module in model.named_modules():
        for parameter in _own_parameters(module):
            if parameter.requires_grad or not isinstance(module, LIF):
                places.setdefault(parameter.data_ptr(), []).append(path)
    return [tuple(dict.fromkeys(paths)) for paths in places.values()]


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Those that a module's own parameters are, or are computed from, but for those without a shape."""
    own = list(module.parameters(recurse=False))
    if parametrize.is_parametrized(module):
        own += cast(nn.ModuleDict, module.parametrizations).parameters()
    return [parameter for parameter in own if not is_lazy(parameter) and parameter.data_ptr()]


def _resolve(path: str, module: nn.Module) -> list[str]:
    """Make parameters of what is computed from others; what it was."""
    kinds: list[str] = []
    try:
        hooks = list(module._forward_pre_hooks.values())
        for hook in sorted(hooks, key=lambda hook: not isinstance(hook, prune.BasePruningMethod)):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
                kinds.append(MASK)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(module, hook.name)
                kinds.append("weight_norm")
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(module, hook.name)
                kinds.append("spectral_norm")
        if parametrize.is_parametrized(module):
            kinds += _without_parametrizations(module)
    except Exception as error:  # whatever a user's parametrisation raises
        raise ModelError(
            f"layer {path!r}: its parametrisation gives no plain weight ({_first_line(error)}): remove it first, with "
            "torch.nn.utils.parametrize.remove_parametrizations"
        ) from error
    return kinds


@torch.no_grad()
def _without_parametrizations(module: nn.Module) -> list[str]:
    """As torch's ``remove_parametrizations``, which takes a copy's parametrised tensors from the class that it shares
    with what it was copied from."""
    parametrizations = cast(nn.ModuleDict, module.parametrizations).eval()  # some move where they train
    steps = {name: cast(parametrize.ParametrizationList, found) for name, found in parametrizations.items()}
    values = {name: cast(Tensor, getattr(module, name)).clone() for name in steps}
    del module.parametrizations
    module.__class__ = parametrize.type_before_parametrizations(module)
    for name, value in values.items():
        if any(True for _ in steps[name].parameters(recurse=False)):
            module.register_parameter(name, nn.Parameter(value))
        else:
            module.register_buffer(name, value)
    return [type(step).__name__.lstrip("_") for found in steps.values() for step in found]


def _refuse_beside(path: str, module: nn.Module) -> None:
    where = f"layer {path!r}" if path else f"the model, {type(module).__name__},"
    for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
        name = getattr(hook, "__qualname__", type(hook).__name__)
        if not isinstance(module, LazyModuleMixin):  # whose hooks give it its shape; such a one is not called
            raise ModelError(
                f"{where} has the forward hook {name!r}, which may change what it computes and would be lost: remove "
                "it, and put what it does into a layer"
            )
    if "forward" in vars(module) and not isinstance(module, fx.GraphModule):
        raise ModelError(
            f"{where} has a forward method of its own instance, which would be lost: write it as a class of its own"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
