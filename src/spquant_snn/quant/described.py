"""The description of a module for one time step: layers of neurons, and the sums that reach them.

A *signal* is what weights look at: spikes and pixels, pooled, put together. A *drive* is what reaches neurons: the
currents that weights make of signals, normalised, pooled, added up. Everything has a ``shape``: (C, H, W), (C, 1, L)
of a signal over one dimension, or (F,). Modules are the user's own, with their ``path`` in the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from torch import nn

from ..integer.pool import NO_SIDES, Pair, Sides
from ..nn.integrator import LeakyIntegrator
from ..nn.layers import OneToOne
from ..nn.lif import LIF

Shape = tuple[int, ...]


# ---- signals: what weights look at ----


@dataclass(frozen=True)
class Spikes:
    """Spikes of a layer, by its number: of this step, or of the one before (delay 1; none before the first)."""

    layer: int
    shape: Shape
    delay: Literal[0, 1] = 0


@dataclass(frozen=True)
class Pixels:
    """An input, by its number."""

    input: int
    shape: Shape


@dataclass(frozen=True)
class Pooled:
    """Windows of a signal: their largest values, or their sums over ``divisor``, the same at every place.

    Args:
        kernel, stride, dilation: (height, width).
        padding: (top, bottom, left, right); what lies there is zero, and is never the largest.
    """

    signal: Signal
    kind: Literal["avg", "max"]
    kernel: Pair
    stride: Pair
    shape: Shape
    padding: Sides = NO_SIDES
    dilation: Pair = (1, 1)
    divisor: int = 1


@dataclass(frozen=True)
class Upsampled:
    """Nearest-neighbour up-sampling: every value ``factor`` (height, width) times."""

    signal: Signal
    factor: Pair
    shape: Shape


@dataclass(frozen=True)
class Concatenated:
    """Signals concatenated along channels, or along elements where they are flat."""

    signals: tuple[Signal, ...]
    shape: Shape


@dataclass(frozen=True)
class Added:
    """Sums of spikes, as in SEW-ResNet."""

    signals: tuple[Signal, ...]
    shape: Shape


@dataclass(frozen=True)
class Flattened:
    """(C, H, W) as (C * H * W,)."""

    signal: Signal
    shape: Shape


@dataclass(frozen=True)
class Reshaped:
    """The same elements in the same order under another shape of as many channels, or of one place each."""

    signal: Signal
    shape: Shape


@dataclass(frozen=True)
class Dropped:
    """A signal of which training drops elements, or whole channels, with probability ``p``."""

    signal: Signal
    p: float
    channels: bool
    shape: Shape


Signal: TypeAlias = Spikes | Pixels | Pooled | Upsampled | Concatenated | Added | Flattened | Reshaped | Dropped


# ---- drives: what reaches neurons ----

Weights: TypeAlias = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Linear | OneToOne


@dataclass(frozen=True)
class Weighed:
    """What weights, with their bias, make of a signal."""

    signal: Signal
    module: Weights
    path: str
    shape: Shape


@dataclass(frozen=True)
class Passed:
    """A signal that is a current itself, without weights."""

    signal: Signal
    path: str
    shape: Shape


@dataclass(frozen=True)
class Normalised:
    """Batch normalisation of a drive."""

    drive: Drive
    module: nn.modules.batchnorm._BatchNorm
    path: str
    shape: Shape


@dataclass(frozen=True)
class PooledDrive:
    """Windows of a drive, as in ``Pooled``."""

    drive: Drive
    kind: Literal["avg", "max"]
    kernel: Pair
    stride: Pair
    shape: Shape
    padding: Sides = NO_SIDES
    dilation: Pair = (1, 1)
    divisor: int = 1


@dataclass(frozen=True)
class GroupMeans:
    """Means over ``size`` neighbouring outputs each: a voting layer. (C,) becomes (C / size,)."""

    drive: Drive
    size: int
    shape: Shape


@dataclass(frozen=True)
class ReshapedDrive:
    """The same elements of a drive in the same order under another shape."""

    drive: Drive
    shape: Shape


@dataclass(frozen=True)
class DroppedDrive:
    """A drive of which training drops elements, or whole channels, with probability ``p``."""

    drive: Drive
    p: float
    channels: bool
    shape: Shape


@dataclass(frozen=True)
class Integrated:
    """A drive that neurons without a threshold integrate; of readouts alone."""

    drive: Drive
    module: LeakyIntegrator
    path: str
    shape: Shape


@dataclass(frozen=True)
class Sum:
    """Drives, added up."""

    drives: tuple[Drive, ...]
    shape: Shape


Drive: TypeAlias = (
    Weighed | Passed | Normalised | PooledDrive | GroupMeans | ReshapedDrive | DroppedDrive | Integrated | Sum
)


# ---- the network ----


@dataclass(frozen=True)
class LayerDescription:
    """A layer of neurons and the drive that reaches it.

    Args:
        name: path of the first weights of its drive; of the LIF layer where it has none or the name is taken.
        path: of the LIF layer.
    """

    name: str
    drive: Drive
    neurons: LIF
    path: str
    shape: Shape


@dataclass(frozen=True)
class ReadoutDescription:
    """What the network answers: a drive, summed over time, or an integrated one.

    A population of neurons whose spikes are counted is one too: its drive passes them on, as they are or in means over
    groups. Several outputs of a module are told apart by ``name``: the key or the place of the output, or the path of
    its weights where there is one output.
    """

    name: str
    drive: Drive
    shape: Shape


@dataclass(frozen=True)
class NetworkDescription:
    """A module: ``layers`` in an order in which spikes without a delay are of earlier ones.

    Args:
        inputs: their shapes.
        notes: sentences that a user should know, of what was read in a way that may surprise.
    """

    inputs: tuple[Shape, ...]
    layers: tuple[LayerDescription, ...]
    readouts: tuple[ReadoutDescription, ...]
    notes: tuple[str, ...] = ()


# ---- going through them ----


def parts_in(what: Any) -> Iterator[Any]:
    """A drive or signal, then all its parts, depth first."""
    yield what
    for name in ("drive", "signal"):
        if hasattr(what, name):
            yield from parts_in(getattr(what, name))
    for name in ("drives", "signals"):
        for part in getattr(what, name, ()):
            yield from parts_in(part)


def weights_of(drive: Drive) -> Iterator[str]:
    """Paths of the weights in a drive."""
    return (part.path for part in parts_in(drive) if isinstance(part, Weighed))


def layers_of(drive: Drive) -> Iterator[int]:
    """Numbers of the layers whose spikes a drive takes."""
    return (part.layer for part in parts_in(drive) if isinstance(part, Spikes))


def with_spikes(what: Any, change: Callable[[Spikes], Signal]) -> Any:
    """A signal or drive, or what holds one, with each ``Spikes`` in it replaced by what ``change`` returns for it."""
    if isinstance(what, Spikes):
        return change(what)
    changed = {}
    for name in ("signal", "drive", "what"):
        if hasattr(what, name):
            changed[name] = with_spikes(getattr(what, name), change)
    for name in ("signals", "drives"):
        if hasattr(what, name):
            changed[name] = tuple(with_spikes(part, change) for part in getattr(what, name))
    return replace(what, **changed) if changed else what
