"""The two ends of a loop of the graph: spikes of the step before, and those that will be them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.instant import earlier_spikes, fed_back
from .step_expressions import Expression
from .tensor_functions import ADDS


class EarlierSpikes(nn.Module):
    """Spikes of the step before, zeros before the first: ``instant(x)`` for an x of any shape, for its batch."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.like = _Zeros(shape)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.like(step) for step in x])

    def instant(self, x: Tensor) -> Any:
        """The spikes, in a graph: how ``prepare`` reads it."""
        return earlier_spikes(x, self.like)


class FedBackSpikes(nn.Module):
    """``instant(spikes, earlier)``: the spikes, which the earlier ones will be one step later."""

    def forward(self, spikes: Tensor, earlier: Tensor) -> Tensor:
        return spikes

    def instant(self, spikes: Tensor, earlier: Tensor) -> Any:
        """The spikes, in a graph: how ``prepare`` reads it."""
        return fed_back(spikes, earlier)


class _Zeros(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros((x.shape[0], *self.shape))


def terms(what: Expression) -> Iterator[Expression]:
    """What is added up in an expression."""
    if what.kind in ("function", "method") and what.target in ADDS and len(what.args) == 2 and not what.kwargs:
        for part in what.parts:
            yield from terms(part)
    else:
        yield what


def within(what: Expression) -> Iterator[Expression]:
    """An expression and all that it is made of, up to neurons."""
    yield what
    for part in what.parts:
        yield from within(part)
