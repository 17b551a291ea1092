"""Layers in a row, run over time: for those without memory the time steps are folded into the batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeGuard, cast, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from .lif import LIF

Run = Callable[[nn.Module, Tensor], Tensor]


def fold_time(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer that knows no time, [N, ...] -> [N, ...], to every time step of x, [T, N, ...]."""
    return torch.unflatten(layer(x.flatten(0, 1)), 0, (x.shape[0], x.shape[1]))


class OneToOne(nn.Module):
    """Each channel times a weight of its own: [N, C, ...] -> [N, C, ...].

    Args:
        channels: C.
        weight: of each at first.

    Example:
        >>> OneToOne(2, 0.5)(torch.ones(1, 2)).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, channels: int, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(weight)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.view(-1, *[1] * (x.dim() - 2))

    def extra_repr(self) -> str:
        return str(len(self.weight))


@runtime_checkable
class OverTime(Protocol):
    """A module whose forward method takes ``[T, N, ...]``, and which says what it computes in one instant."""

    def instant(self, x: Tensor) -> Tensor:
        """The module on one time step, [N, ...], without a memory: how ``prepare`` reads it."""
        ...


class SpikingSequential(nn.Sequential):
    """Layers in a row over ``[T, N, ...]``: LIF layers and modules that know time see it, all others see the time steps
    as one batch.

    ``prepare`` takes the same module; there each layer stands for one instant, as in any ``nn.Sequential``.
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
    """Whether the forward method of a module runs over time, and ``instant`` says what it does in one step. A row with
    another forward method than its own says it by that."""
    if isinstance(module, SpikingSequential) and type(module).forward is not SpikingSequential.forward:
        return False
    return isinstance(module, OverTime)


class SpikingBlock(nn.Module, ABC):
    """Layers that are more than a row, written once for a single time step and for all of them.

    Shape:
        input [T, N, ...], time first; output the same.
    """

    @abstractmethod
    def compute(self, run: Run, x: Tensor) -> Tensor:
        """The block; ``run(layer, x)`` calls one of its layers. Whatever else is done to x counts dimensions from the
        last one."""

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(over_time, x)

    def instant(self, x: Tensor) -> Tensor:
        """The block on one time step: how ``prepare`` reads it."""
        return self.compute(lambda layer, y: layer(y), x)


def over_time(layer: nn.Module, x: Tensor) -> Tensor:
    """Call a layer on all time steps, [T, N, ...]: at once as one batch, if it knows no time.

    Raises:
        ModelError: neurons are behind a forward method that does not say whether it does.
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
    return fold_time(layer, x)


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
