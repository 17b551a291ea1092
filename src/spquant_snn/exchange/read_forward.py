"""The way that all importers of torch modules go: read the forward method, find its step, build the network."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from ..errors import ModelError
from ..integer.connection import Shape
from ..nn.imported import ImportedSNN
from .emit import network_of
from .foreign_package import ForeignPackage, resets_seen, taken
from .forward_tracer import ForwardTracer
from .step_expressions import Layout
from .unroll import RepeatedStep, repeated_step

_BATCH, _STEPS = 3, 5  # of the inputs that are traced, of which the shapes are looked at


def imported(
    module: nn.Module, package: ForeignPackage, input_shape: Shape | Sequence[Shape] | None, layouts: Sequence[Layout]
) -> ImportedSNN:
    """A module of another package as a network of this one.

    Args:
        input_shape: of one element of the batch at one step; a list of those of several inputs; None: a vector.
        layouts: in which the forward method may take them, those that are tried first in front.

    Raises:
        ModelError: something has no form; the message names its path, the reason and what to do.
    """
    own = taken(package, module)
    shapes = _shapes(_first_shape(own) if input_shape is None else input_shape)
    errors: list[ModelError] = []
    for layout in layouts:
        try:
            with resets_seen(own, package) as reset:
                step = _traced(own, package, shapes, layout, _STEPS)
            timesteps: int | None = step[0].steps
            if layout != "step" and timesteps == _STEPS:  # as many as there are in the input, or as many by chance?
                again = _traced(own, package, shapes, layout, _STEPS + 2)
                timesteps = None if again[0].steps == _STEPS + 2 else timesteps
            elif timesteps == 1:
                timesteps = None
                if layout == "step" and not _takes_states(own, len(shapes)):
                    _check_goes_on(step[0], reset)
        except ModelError as error:
            errors.append(error)
            continue
        return network_of(step[0], step[1], package, timesteps, _dtype(module), shapes).train(module.training)
    raise max(errors, key=_worth)


def _worth(error: ModelError) -> int:
    """How much an error says: one of a layout that was not meant says little."""
    said = str(error)
    if "does not fit" in said or "cannot be traced" in said:
        return 0
    return 1 if "of the batch" in said or "do not meet" in said else 2


def _traced(
    own: nn.Module, package: ForeignPackage, shapes: list[Shape], layout: Layout, steps: int
) -> tuple[RepeatedStep, nn.Module]:
    lead = {"step": (_BATCH,), "TN": (steps, _BATCH), "NT": (_BATCH, steps), "N*T": (_BATCH * steps,)}[layout]
    tracer = ForwardTracer([torch.zeros(()).expand(*lead, *shape) for shape in shapes], package)
    traced = tracer.read(own)
    return repeated_step(traced, tracer, layout), traced


def _takes_states(own: nn.Module, inputs: int) -> bool:
    """Whether the forward method has more arguments than inputs that stand for something: None, if not given."""
    taken = inspect.signature(own.forward).parameters.values()
    return sum(argument.default is argument.empty or argument.default is None for argument in taken) > inputs


def _check_goes_on(step: RepeatedStep, reset: list[str]) -> None:
    """Refuse a single step, to which no states are handed, at whose beginning neurons forget what they stored.

    Args:
        reset: paths of neurons that were reset in it.

    Raises:
        ModelError: there are any, or some start from zero.
    """
    begins = next((site.path for site in step.sites if site.begins), None) or next(iter(reset), None)
    if begins is not None:
        raise ModelError(
            f"the forward method computes one time step, and starts {begins!r} from zero in it, so that nothing goes "
            "on to the next: let it loop over the time steps, or start neurons outside of it"
        )


def _first_shape(own: nn.Module) -> Shape:
    first = next((part for part in own.modules() if not list(part.children()) and list(part.parameters())), own)
    if not isinstance(first, nn.Linear):
        raise ModelError(
            f"what the network takes cannot be seen from its first layer, {type(first).__name__}: give input_shape"
        )
    return (first.in_features,)


def _shapes(input_shape: Shape | Sequence[Shape]) -> list[Shape]:
    single = all(isinstance(size, int) for size in input_shape)
    shapes = [cast(Shape, tuple(input_shape))] if single else [tuple(cast(Shape, shape)) for shape in input_shape]
    for shape in shapes:
        if not shape or not all(isinstance(size, int) and size > 0 for size in shape):
            raise ModelError(f"input_shape is (F,), (C, L) or (C, H, W) in positive whole numbers, not {shape!r}")
    return shapes


def _dtype(module: nn.Module) -> torch.dtype:
    """In which the network computes: in double precision, where the user's does."""
    double = any(value.dtype == torch.float64 for value in module.parameters())
    return torch.float64 if double else torch.float32
