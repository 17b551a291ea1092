"""One batch computed by several processes: what looks at the whole batch in training does so as one process would.

Batch normalisation takes its statistics over all images of the batch, and random numbers are drawn for all of them by
every process, which keeps those of its own images: so generators of one seed stay in step.

The loss of the batch is to be the sum, not the mean, of what the processes take the gradient of. Then the gradient of
everything shared is a sum as well, and nothing here needs to know how the loss was weighted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class BatchShard(ABC):
    """The images ``start .. stop - 1`` of a batch of ``total``, one or more, that this process computes.

    Args:
        lengths: int64 [total], frames of each sequence of the batch, where they differ: frames behind the ends are not
            among what is computed. None: all have as many.
    """

    start: int
    stop: int
    total: int
    lengths: Tensor | None = None

    @property
    def count(self) -> int:
        return self.stop - self.start

    def rows(self, own: int) -> int:
        """How many rows all processes compute, of which this one has so many: images, or frames of sequences."""
        if self.lengths is not None and own == self._own_frames():
            return int(self.lengths.sum())
        return own // self.count * self.total

    @abstractmethod
    def add(self, x: Tensor) -> Tensor:
        """Sum over all processes, in place and without a gradient; returns the tensor itself."""

    def mean(self, x: Tensor) -> Tensor:
        """The mean over the batch of what is a mean over the images, or frames, of each process, with its gradient."""
        share = self.count / self.total if self.lengths is None else self._own_frames() / int(self.lengths.sum())
        total: Tensor = _Sum.apply(x * share, self)  # type: ignore[no-untyped-call]
        return total

    def rand(self, *shape: int, like: Tensor) -> Tensor:
        """Uniform numbers [count, *shape], of those drawn for the whole batch."""
        return torch.rand(self.total, *shape, device=like.device, dtype=like.dtype)[self.start : self.stop]

    def dropout(self, x: Tensor, p: float) -> Tensor:
        """Dropout of [count, ...], or, with time before the images, [T * count, ...], without what lies behind ends."""
        if p == 0:
            return x
        rows = self.rows(len(x))
        kept = x.new_ones(rows, *x.shape[1:])
        if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
            kept = kept.contiguous(memory_format=torch.channels_last)  # numbers are drawn in the order of memory
        kept = F.dropout(kept, p)
        if self.lengths is not None and len(x) == self._own_frames():
            return x * kept[self._own_places(self.lengths).to(x.device)]
        mine = kept.view(rows // self.total, self.total, *x.shape[1:])[:, self.start : self.stop]
        return x * mine.reshape(x.shape)

    def _own_frames(self) -> int:
        """Frames of the sequences of this process."""
        return 0 if self.lengths is None else int(self.lengths[self.start : self.stop].sum())

    def _own_places(self, lengths: Tensor) -> Tensor:
        """[V] bool, those of the frames of all sequences, step behind step, that are of this process's."""
        inside = torch.arange(int(lengths.max()))[:, None] < lengths
        place = torch.arange(self.total).expand_as(inside)[inside]
        return (place >= self.start) & (place < self.stop)


class ShardedModule(nn.Module):
    """A module whose training looks at the whole batch, or draws numbers for its images.

    Attributes:
        shard: what of the batch it is given; None: all of it.
    """

    shard: BatchShard | None = None


def assign(network: nn.Module, shard: BatchShard | None) -> None:
    """Tell the modules of a network which images of the next batch they are given in training."""
    for module in network.modules():
        if isinstance(module, ShardedModule):
            module.shard = shard


def dropout(x: Tensor, p: float, training: bool, shard: BatchShard | None) -> Tensor:
    """torch's, or its part of a batch."""
    return shard.dropout(x, p) if training and shard is not None else F.dropout(x, p, training)


def magnitude(weight: Tensor) -> Tensor:
    """The absolute value, whose gradient at zero is that of the positive side: torch's is zero there, and a weight of
    batch normalisation that starts at zero would stay there for ever."""
    return torch.where(weight < 0, -weight, weight)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor,
    bias: Tensor,
    momentum: float,
    eps: float,
    shard: BatchShard,
) -> Tensor:
    """Batch normalisation in training of a part of a batch.

    Args:
        x: [k * count, C, ...], k the same for all processes; or the frames of sequences.
        mean, variance: [C] running statistics, which are updated.
    """
    elements = x.numel() // x.shape[1] // len(x) * shard.rows(len(x))
    y, found, spread = _BatchNorm.apply(x, weight, bias, eps, elements, shard)  # type: ignore[no-untyped-call]
    mean.lerp_(found, momentum)
    variance.lerp_(spread * (elements / (elements - 1)), momentum)
    normalised: Tensor = y
    return normalised


class _Sum(torch.autograd.Function):
    """The sum over processes, each of which takes the gradient of its part of the loss."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shard: BatchShard) -> Tensor:
        ctx.shard = shard
        return shard.add(x.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.shard.add(gradient.clone()), None


class _BatchNorm(torch.autograd.Function):
    """One collective forward and one backward, [2, C] each, float64; the rest are torch's own passes with statistics
    that are given."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, elements: int, shard: BatchShard
    ) -> tuple[Tensor, Tensor, Tensor]:
        over = [d for d in range(x.dim()) if d != 1]
        local_spread, local = (s.double() for s in torch.var_mean(x, over, correction=0))
        sums = shard.add(torch.stack((local, local_spread + local.square())) * (x.numel() // x.shape[1]))
        centre, square = sums / elements
        mean, spread = centre.to(x.dtype), (square - centre.square()).clamp(min=0).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, spread)
        ctx.eps, ctx.elements, ctx.shard = eps, elements, shard
        ctx.mark_non_differentiable(mean, spread)
        return F.batch_norm(x, mean, spread, weight, bias, False, 0.0, eps), mean, spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, spread = ctx.saved_tensors
        inverse = (spread + ctx.eps).rsqrt()
        direct, slope, offset = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, spread, mean, inverse, False, ctx.eps, [True, True, True]
        )  # direct = gradient * weight * inverse: what there is if the statistics are constants
        sums = ctx.shard.add(torch.stack((offset, slope)).double()).to(x.dtype) / ctx.elements
        factor = weight * inverse
        slant = -factor * inverse * sums[1]
        shape = (1, -1, *[1] * (x.dim() - 2))
        level = -factor * sums[0] - slant * mean
        direct += torch.addcmul(level.view(shape), x, slant.view(shape))
        return direct, slope, offset, None, None, None
