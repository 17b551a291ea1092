"""Containers that run layers over time: layers without memory see all time steps as one batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeGuard, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError, DataError, ModelError
from .lif import LIF

Run = Callable[[nn.Module, Tensor], Tensor]


def fold_time(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer without memory, [N, ...] -> [N, ...], to every time step of x, [T, N, ...]."""
    return torch.unflatten(layer(x.flatten(0, 1)), 0, (x.shape[0], x.shape[1]))


class OneToOne(nn.Module):
    """Multiply each channel by a trained weight of its own: [N, C, ...] -> [N, C, ...]; also [C] alone.

    Args:
        channels: C, a positive whole number.
        weight: initial value of all of them.

    Raises:
        ConfigError: ``channels`` is no positive whole number, or, in ``forward``, the input has other channels.

    Example:
        >>> OneToOne(2, 0.5)(torch.ones(1, 2)).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, channels: int, weight: float = 1.0) -> None:
        super().__init__()
        if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
            raise ConfigError(f"channels must be a positive whole number, not {channels!r}")
        self.weight = nn.Parameter(torch.full((channels,), float(weight)))

    def forward(self, x: Tensor) -> Tensor:
        if not x.dim() or x.shape[min(1, x.dim() - 1)] != len(self.weight):
            raise ConfigError(f"OneToOne({len(self.weight)}) takes [N, {len(self.weight)}, ...], not {list(x.shape)}")
        return x * self.weight.view(-1, *[1] * (x.dim() - 2))

    def extra_repr(self) -> str:
        return str(len(self.weight))


@runtime_checkable
class OverTime(Protocol):
    """A module whose ``forward`` takes a sequence [T, N, ...], and which has ``instant`` for a single time step."""

    def instant(self, x: Tensor) -> Tensor:
        """The module on one time step, [N, ...], without memory: how ``prepare`` reads it."""
        ...


class SpikingSequential(nn.Sequential):
    """``nn.Sequential`` over sequences [T, N, ...]: LIF layers and modules with an ``instant`` method get the sequence,
    all others get the time steps as one batch.

    ``prepare`` takes it as it takes any ``nn.Sequential``: as the layers of one time step.
    """

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = over_time(layer, x)
        return x

    def instant(self, x: Tensor) -> Tensor:
        """The layers one after another on one time step: how ``prepare`` reads them."""
        for layer in self:
            x = layer.instant(x) if knows_time(layer) else layer(x)
        return x


def knows_time(module: nn.Module) -> TypeGuard[OverTime]:
    """Whether ``forward`` of a module takes a sequence and ``instant`` a single step.

    A subclass of ``SpikingSequential`` with a ``forward`` of its own does not count: that method is for one step."""
    if isinstance(module, SpikingSequential) and type(module).forward is not SpikingSequential.forward:
        return False
    return isinstance(module, OverTime)


class SpikingBlock(nn.Module, ABC):
    """Base class of blocks with branches: ``compute`` is written once, and serves a single time step and a sequence.

    Shape:
        input [T, N, ...], time first; output the same.
    """

    @abstractmethod
    def compute(self, run: Run, x: Tensor) -> Tensor:
        """What the block does, in calls of ``run(layer, x)``, one for each of its layers.

        Anything else that is done to x must count dimensions from the last, as x may be [N, ...] or [T, N, ...]."""

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(over_time, x)

    def instant(self, x: Tensor) -> Tensor:
        """The block on one time step: how ``prepare`` reads it."""
        return self.compute(lambda layer, y: layer(y), x)


def over_time(layer: nn.Module, x: Tensor) -> Tensor:
    """Call a layer on a sequence [T, N, ...]; a layer without memory gets the time steps as one batch.

    Raises:
        ModelError: the layer holds neurons, and its ``forward`` may be written for a sequence or for a single step.
        DataError: the sequence has other channels or features than the layer.
    """
    if isinstance(layer, LIF | OverTime):
        return cast(Tensor, layer(x))
    if isinstance(layer, nn.Sequential):
        for inner in layer:
            x = over_time(inner, x)
        return x
    if any(isinstance(inner, LIF) for inner in layer.modules()):
        raise ModelError(
            f"SpikingSequential cannot run {type(layer).__name__} over time, which holds a LIF layer behind a forward "
            "method of its own: put its layers into the row, or give it an instant method"
        )
    _check_takes(layer, x)
    return fold_time(layer, x)


def _check_takes(layer: nn.Module, x: Tensor) -> None:
    """Refuse a sequence of another shape than a layer with weights takes, which torch would say less plainly."""
    what = type(layer).__name__
    if isinstance(layer, nn.modules.conv._ConvNd):
        wanted, axis, sizes = layer.in_channels, 2, ["C", *"DHW"[-len(layer.kernel_size) :]]
    elif isinstance(layer, nn.Linear):
        wanted, axis, sizes = layer.in_features, -1, ["F"]
    else:
        return
    fits = x.dim() == 2 + len(sizes) or (axis == -1 and x.dim() > 3)
    if wanted and not (fits and x.shape[axis] == wanted):  # lazy ones do not know yet
        shape = ", ".join(sizes)
        raise DataError(
            f"a {what} of this network takes sequences [T, N, {shape}] with {sizes[0]} = {wanted}, not "
            f"{list(x.shape)}: give inputs of the shape that the network was made for, time first"
        )


def pool_into_kernel(weight: Tensor, pool: int) -> Tensor:
    """The kernel whose convolution of stride ``pool`` equals a convolution of stride 1 followed by a sum over pool x
    pool windows.

    Args:
        weight: [O, I, kh, kw].

    Returns:
        [O, I, kh + pool - 1, kw + pool - 1]: the sum of the pool * pool shifted copies, exact for integers.
    """
    if weight.is_cuda:
        return _in_two_launches(weight, pool)
    wide = sum(F.pad(weight, (j, pool - 1 - j, 0, 0)) for j in range(pool))
    tall = sum(F.pad(cast(Tensor, wide), (0, 0, i, pool - 1 - i)) for i in range(pool))
    return cast(Tensor, tall)


def _in_two_launches(weight: Tensor, pool: int) -> Tensor:
    """As ``pool_into_kernel``; on a CPU, where pooling many small planes is slow, three to six times slower."""
    return F.avg_pool2d(F.pad(weight, (pool - 1,) * 4), pool, 1, divisor_override=1)
