"""What the steps of a module make of signals and drives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ModelError
from ..integer.connection import image
from ..nn.layers import OneToOne
from ..nn.lif import LIF
from .described import (
    Added,
    Concatenated,
    Drive,
    Dropped,
    DroppedDrive,
    Flattened,
    GroupMeans,
    Normalised,
    Passed,
    Pixels,
    Pooled,
    PooledDrive,
    Reshaped,
    ReshapedDrive,
    Shape,
    Signal,
    Spikes,
    Sum,
    Upsampled,
    Weighed,
    Weights,
    weights_of,
)
from .traced import Dropout, TracedStep
from .windows import Enlargement, Window

SIGNALS = get_args(Signal)


@dataclass(frozen=True)
class Value:
    """What a step gives.

    Args:
        what: a signal or a drive, of the shape that it was made in.
        shape: the shape that the module sees, with the same elements in the same order.
    """

    what: Signal | Drive
    shape: Shape

    @property
    def in_shape(self) -> bool:
        """Whether it has the shape that the module sees."""
        return self.what.shape == image_shape(self.shape)


# ---- shapes ----


def image_shape(shape: Shape) -> Shape:
    """(C, 1, L) of (C, L); other shapes as they are."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def settled(value: Value, step: TracedStep) -> Any:
    """A signal or drive in the shape that the module sees.

    Raises:
        ModelError: there it has other channels.
    """
    what, shape = value.what, image_shape(value.shape)
    if what.shape == shape:
        return what
    if isinstance(what, SIGNALS):
        if len(shape) == 1:
            return Flattened(cast(Signal, what), shape)
        if image(what.shape) == image(shape):
            return Reshaped(cast(Signal, what), shape)
        if isinstance(what, Pixels):
            raise ModelError(
                f"{step.where} takes an input of {_by(what.shape)} as {_by(value.shape)}: give it in that shape, with "
                f"input_shape={value.shape!r}"
            )
    elif image(what.shape) == image(shape):
        return ReshapedDrive(cast(Drive, what), shape)
    elif len(shape) == 1:
        raise ModelError(
            f"{step.where} takes flattened currents of {_by(what.shape)}: flatten behind the LIF layer, and normalise "
            "in front of it"
        )
    if len(what.shape) == 1:
        raise ModelError(
            f"{step.where} takes {what.shape[0]} neurons of their own as an image of {_by(value.shape)}, whose neurons "
            "are alike in each channel, and that has no integer form: in place of Linear and Unflatten use "
            f"Unflatten(1, (n, 1, 1)) and ConvTranspose2d(n, {shape[0]}, {(shape[1], shape[2])!r})"
        )
    raise ModelError(
        f"{step.where} takes {_by(what.shape)} as {_by(value.shape)}, with other channels or places, which has no "
        "integer form: keep channels, height and width apart, or flatten the spikes in front of a Linear"
    )


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


# ---- what steps make ----


def as_drive(what: Signal | Drive, path: str) -> Drive:
    """What reaches neurons, where it is what was given."""
    if isinstance(what, Added):
        return Sum(tuple(as_drive(signal, path) for signal in what.signals), what.shape)
    if isinstance(what, Dropped):
        return DroppedDrive(as_drive(what.signal, path), what.p, what.channels, what.shape)
    if isinstance(what, SIGNALS):
        return Passed(cast(Signal, what), path, what.shape)
    return cast(Drive, what)


def weighed(step: TracedStep, module: Weights, value: Value) -> Value:
    what = value.what
    if not isinstance(what, SIGNALS):
        behind = next(weights_of(cast(Drive, what)), None)
        raise ModelError(
            f"layer {step.path!r} takes the currents of {behind!r}, and no LIF layer is between them: put one there or "
            "merge the two"
            if behind
            else f"layer {step.path!r} takes what batch normalisation makes of spikes or pixels, which are not whole "
            "numbers: move the normalisation behind the weights"
        )
    if isinstance(module, nn.Linear):
        if math.prod(value.shape[:-1]) != 1:
            raise ModelError(
                f"layer {step.path!r}, a Linear, takes {_by(value.shape)} row by row: flatten it first, or use a "
                "convolution of kernel 1"
            )
        signal = settled(Value(what, value.shape[-1:]), step)
        return Value(Weighed(signal, module, step.path, step.shape[-1:]), step.shape)
    if not isinstance(module, OneToOne) and module.padding_mode != "zeros":
        raise ModelError(f"layer {step.path!r}: padding_mode {module.padding_mode!r} is not supported; use 'zeros'")
    signal = settled(value, step)
    return Value(Weighed(signal, module, step.path, image_shape(step.shape)), step.shape)


def normalised(step: TracedStep, module: _BatchNorm, value: Value) -> Value:
    if module.running_mean is None or module.running_var is None:
        raise ModelError(
            f"layer {step.path!r}: batch normalisation without running statistics cannot be folded; leave "
            "track_running_stats on"
        )
    if module.momentum is None:
        raise ModelError(f"layer {step.path!r}: batch normalisation with momentum=None is not supported; use a number")
    drive = as_drive(settled(value, step), step.path)
    return Value(Normalised(drive, module, step.path, drive.shape), step.shape)


def pooled(step: TracedStep, window: Window, value: Value) -> Value:
    size = _size_of_groups(window, value)
    if size:
        drive = as_drive(settled(Value(value.what, (math.prod(value.shape),)), step), step.path)
        groups = math.prod(value.shape) // size
        return Value(GroupMeans(drive, size, (groups,)), (*value.shape[:-1], value.shape[-1] // size))
    places = len(value.shape)
    value, window = _of_whole_places(value, window)
    what = settled(value, step)
    if window.kind == "max" and window.kernel != (1, 1) and _adds_several(what):
        raise ModelError(
            f"{step.where} takes the largest values of a sum of several branches, which has no integer form: pool each "
            "branch, or move it behind the neurons"
        )
    shape = (what.shape[0], *window.size(what.shape[1], what.shape[2]))
    seen = shape if places == 3 else (shape[0], shape[2])
    made: Any = Pooled if isinstance(what, SIGNALS) else PooledDrive
    options = (window.kind, window.kernel, window.stride, shape, window.padding, window.dilation, window.divisor)
    return Value(made(what, *options), seen)


def _of_whole_places(value: Value, window: Window) -> tuple[Value, Window]:
    """A window over all places, where height and width were put into a row for it: one over both."""
    shape, seen = value.what.shape, image_shape(value.shape)
    if len(shape) != 3 or shape == seen or seen != (shape[0], 1, shape[1] * shape[2]) or window.kernel != seen[1:]:
        return value, window
    size = (shape[1], shape[2])
    return replace(value, shape=shape), replace(window, kernel=size, stride=size)


def _size_of_groups(window: Window, value: Value) -> int:
    """How many neighbouring outputs a mean is over, where outputs without places were put side by side for it; or 0."""
    if math.prod(value.what.shape[1:]) != 1 or value.in_shape or len(value.shape) != 2:
        return 0
    size = window.kernel[1]
    plain = window.stride == window.kernel == (1, size) and not any(window.padding) and window.divisor == size
    return size if plain and window.kind == "avg" and value.shape[1] % size == 0 else 0


def _adds_several(what: Signal | Drive) -> bool:
    if isinstance(what, Sum | Added):
        return True
    if isinstance(what, Concatenated):
        return any(_adds_several(signal) for signal in what.signals)
    if isinstance(what, Weighed | Passed | Spikes | Pixels):
        return False
    return _adds_several(what.drive if hasattr(what, "drive") else what.signal)


def upsampled(step: TracedStep, enlargement: Enlargement, value: Value) -> Value:
    what = settled(value, step)
    made = _enlarged(what, enlargement, step)
    return Value(made, made.shape if len(value.shape) == 3 else (made.shape[0], made.shape[2]))


def _enlarged(what: Any, enlargement: Enlargement, step: TracedStep) -> Any:
    """An up-sampling, in front of weights that look at one place: there it is of spikes."""
    factor = enlargement.factor
    shape = (what.shape[0], what.shape[1] * factor[0], what.shape[2] * factor[1])
    if isinstance(what, SIGNALS):
        return Upsampled(cast(Signal, what), factor, shape)
    if isinstance(what, Passed) or (isinstance(what, Weighed) and _looks_at_one_place(what.module)):
        return replace(what, signal=_enlarged(what.signal, enlargement, step), shape=shape)
    if isinstance(what, Normalised | DroppedDrive):
        return replace(what, drive=_enlarged(what.drive, enlargement, step), shape=shape)
    if isinstance(what, Sum):
        return Sum(tuple(_enlarged(drive, enlargement, step) for drive in what.drives), shape)
    raise ModelError(
        f"{step.where} up-samples currents, which has no integer form behind weights that look at several places: move "
        "it in front of them, or behind the LIF layer"
    )


def _looks_at_one_place(module: Weights) -> bool:
    if isinstance(module, OneToOne):
        return True
    if not isinstance(module, nn.Conv1d | nn.Conv2d):
        return False
    padding = {0} if module.padding == "valid" or module.padding == "same" else set(cast(Any, module.padding))
    return (set(module.kernel_size), set(module.stride), padding) == ({1}, {1}, {0})


def dropped(step: TracedStep, dropout: Dropout, value: Value) -> Value:
    what: Any = settled(value, step) if dropout.channels else value.what
    if dropout.p == 0:
        return value
    made: Any = Dropped if isinstance(what, SIGNALS) else DroppedDrive
    return Value(made(what, dropout.p, dropout.channels, what.shape), value.shape)


def added(step: TracedStep, given: list[Value]) -> Value:
    one, two = given
    if one.shape != two.shape:
        raise ModelError(
            f"{step.where} adds {_by(one.shape)} of {_named(step, 0)} and {_by(two.shape)} of {_named(step, 1)}: what "
            "is added has one shape"
        )
    alike = one.what.shape == two.what.shape
    parts = [value.what if alike else settled(value, step) for value in given]
    if all(isinstance(part, SIGNALS) for part in parts):
        signals: list[Any] = []
        for part in parts:
            signals += part.signals if isinstance(part, Added) else (part,)
        return Value(Added(tuple(signals), parts[0].shape), one.shape)
    drives = [as_drive(part, _path_of(step, i)) for i, part in enumerate(parts)]
    listed: list[Drive] = []
    for drive in drives:
        listed += drive.drives if isinstance(drive, Sum) else (drive,)
    return Value(Sum(tuple(listed), drives[0].shape), one.shape)


def concatenated(step: TracedStep, given: list[Value]) -> Value:
    parts = [settled(value, step) for value in given]
    for i, part in enumerate(parts):
        if not isinstance(part, SIGNALS):
            raise ModelError(
                f"{step.where} puts together the currents of {_named(step, i)}: give each part its LIF layer, and put "
                "their spikes together (outputs are returned one by one, as a tuple)"
            )
    channels = sum(part.shape[0] for part in parts)
    return Value(Concatenated(tuple(parts), (channels, *parts[0].shape[1:])), step.shape)


def _path_of(step: TracedStep, place: int) -> str:
    """A name for spikes that are added as they are: the path of the layer that they pass through, if there is one."""
    node = step.given[place]
    traced = node.graph.owning_module
    if node.op != "call_module" or traced is None or isinstance(traced.get_submodule(str(node.target)), LIF):
        return step.path
    return str(node.target)


def _named(step: TracedStep, place: int) -> str:
    node = step.given[place]
    return repr(str(node.target) if node.op in ("call_module", "placeholder") else node.name)
