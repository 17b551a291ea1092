"""What an importer knows of a package: its neurons, how they are called, its layers around those of torch."""

from __future__ import annotations

import copy
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any, cast
from unittest.mock import patch

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .neuron_form import NeuronForm
from .step_expressions import Layout

IMPORTERS = {
    "snntorch": "from_snntorch",
    "spikingjelly": "from_spikingjelly",
    "norse": "from_norse",
    "sinabs": "from_sinabs",
}

_RESETS, _RESETS_KIND = ("reset", "reset_mem"), "reset_hidden"  # methods of neurons, and one of their class


@dataclass(frozen=True)
class Call:
    """How neurons are called.

    Args:
        outputs: what they return, in order: "spikes", "potential", "state"; one alone is no tuple.
        layout: of what they take and return: one step, or all.
        states: the names of arguments behind the first one, which hand over what they keep.
        how: of neurons that say their potentials over all steps at once: what they make of them.
        keeps: whether neurons that are handed no state go on with their own; else they start again.
    """

    outputs: tuple[str, ...] = ("spikes",)
    layout: Layout = "step"
    states: tuple[str, ...] = ()
    how: str | None = None
    keeps: bool = True


class ForeignPackage(ABC):
    """A package of spiking neurons on torch.

    Attributes:
        name: of its import.
        tested: versions that were compared with.
    """

    name: str
    tested: tuple[str, ...]

    @abstractmethod
    def neuron(self, module: nn.Module) -> tuple[NeuronForm, Call] | None:
        """What a module computes, if it is a neuron.

        Raises:
            NoForm: it has none here.
        """

    def layer(self, module: nn.Module) -> tuple[nn.Module, Layout] | None:
        """The layer of torch that a layer of the package is, and the layout that it takes; None of others."""
        return None

    def forget(self, module: nn.Module) -> None:
        """Take away what a module kept of an earlier run, where it kept anything."""
        return

    def refuse_derived(self, module: nn.Module) -> None:
        """Raise NoForm of a neuron whose class is the user's own, derived from one of the package."""
        if not self.owns(module):
            base = next((base for base in type(module).__mro__ if base.__module__.startswith(self.name)), nn.Module)
            raise NoForm(f"is derived from {base.__name__} and may compute something else: use {base.__name__}")

    def owns(self, module: nn.Module) -> bool:
        return type(module).__module__.partition(".")[0] == self.name


def as_torch(module: nn.Module, base: type[nn.Module]) -> nn.Module:
    """The layer of torch that one derived from it is, with the same parameters."""
    plain = base.__new__(base)
    plain.__dict__.update(vars(module))
    return plain


class NoForm(Exception):
    """The reason for which a neuron has no form."""


def fires_above(spike: Callable[[Tensor], Tensor]) -> bool:
    """Whether a spike function sends 1 above zero alone, or at zero too.

    Raises:
        NoForm: it sends other values than 0 and 1, or not always the same.
    """
    x = torch.tensor([-2.0, -1e-3, 0.0, 1e-3, 2.0] * 8)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            sent = spike(x).float().reshape(8, 5)
    except Exception:  # some are written for other shapes, some for nothing
        raise NoForm("has a spike function that does not run by itself: use a surrogate of a plain step") from None
    low, at, high = sent[:, :2], sent[:, 2], sent[:, 3:]
    if bool(low.any()) or bool((high != 1).any()) or not (bool((at == 0).all()) or bool((at == 1).all())):
        raise NoForm("sends other spikes than 0 below its threshold and 1 above it: use a surrogate of a plain step")
    return float(at[0]) == 0


def taken(package: ForeignPackage, module: nn.Module) -> nn.Module:
    """A copy of a user's module without what it kept of earlier runs, in evaluation mode, on the CPU.

    Raises:
        ModelError: it is no module, or of another package.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"{IMPORTERS[package.name]} takes a torch module of {package.name}, not {type(module).__name__}"
        )
    while isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel) or hasattr(module, "_orig_mod"):
        module = cast(nn.Module, getattr(module, "_orig_mod", None) or module.module)
    found = {base.__module__.partition(".")[0] for part in module.modules() for base in type(part).__mro__}
    others = [name for name in IMPORTERS if name in found and name != package.name]
    if others:
        part = next(part for part in module.modules() if others[0] in str(type(part).__mro__))
        raise ModelError(
            f"{IMPORTERS[package.name]} was given a network with a layer of {others[0]}, {type(part).__name__}: use "
            f"{IMPORTERS[others[0]]}"
        )
    if package.name not in found:
        raise ModelError(f"{IMPORTERS[package.name]} found no layer of {package.name} in {type(module).__name__}")
    tell_version(package)
    memo: dict[int, Any] = {
        id(tensor): tensor.detach().clone() for part in module.modules() for tensor in _computed(vars(part))
    }
    for part in reversed([*module.modules()]):  # some packages copy their layers in a way that loses parts of them
        if package.owns(part) and hasattr(type(part), "__deepcopy__"):
            memo[id(part)] = own = type(part).__new__(type(part))
            own.__dict__.update(copy.deepcopy(vars(part), memo))
    own = copy.deepcopy(module, memo).cpu().eval()
    for part in own.modules():
        package.forget(part)
    return own


@contextmanager
def resets_seen(module: nn.Module, package: ForeignPackage) -> Iterator[list[str]]:
    """The paths of neurons that are reset while this lasts, by themselves or with all of their kind."""
    seen: list[str] = []

    def noted(path: str, reset: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            seen.append(path)
            return reset(*given) if reset else None

        return call

    with ExitStack() as stack:
        kinds: dict[type, str] = {}
        for path, part in module.named_modules():
            if not package.owns(part):
                continue
            for name in _RESETS:
                if callable(getattr(part, name, None)):
                    vars(part)[name] = noted(path, getattr(part, name))
                    stack.callback(vars(part).pop, name)
            if hasattr(part, _RESETS_KIND):
                kinds.setdefault(type(part), path)
        for kind, path in kinds.items():  # of the user's own neurons too, which stay as they are
            stack.enter_context(patch.object(kind, _RESETS_KIND, staticmethod(noted(path))))
        yield seen


def _computed(value: Any, depth: int = 0) -> Iterator[Tensor]:
    """Tensors that have a history, which cannot be copied."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None:
            yield value
    elif isinstance(value, dict) and depth < 3:
        for part in value.values():
            yield from _computed(part, depth + 1)
    elif isinstance(value, tuple | list) and depth < 3:
        for part in value:
            yield from _computed(part, depth + 1)


def tell_version(package: ForeignPackage) -> None:
    """Warn of a version that was not compared with."""
    try:
        found = metadata.version(package.name)
    except metadata.PackageNotFoundError:
        found = str(getattr(sys.modules.get(package.name), "__version__", "without a version"))
    if found not in package.tested:
        warnings.warn(
            f"{package.name} {found} is installed, and its neurons were compared with ours in "
            f"{', '.join(package.tested)}: compare the spikes of the imported network with those of yours",
            stacklevel=4,
        )
