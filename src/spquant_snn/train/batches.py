"""What the loop, ``measure`` and all that look at data iterate over: batches, of whatever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..nn.sequence_ends import of_each_length
from .distributed import ALONE, Part, World


@dataclass(frozen=True, eq=False)
class Batch:
    """Some items of a data set, as they are read.

    Args:
        images: [N, C, H, W], or sequences [N, T, C, H, W].
        labels: what is learned of each, N in the first axis.
        whole: items of the batch in all processes, where each reads its own alone; None: these are all of it.
        lengths: int64 [N], frames of each sequence, on the processor, where they differ; None: all have T.
        clipped: share of the values that were, as they were read.
    """

    images: Tensor
    labels: Tensor
    whole: int | None = None
    lengths: Tensor | None = None
    clipped: float = 0.0

    def __len__(self) -> int:
        return len(self.images)

    @property
    def count(self) -> int:
        """Items of the whole batch, over all processes."""
        return len(self.images) if self.whole is None else self.whole

    def rows(self, which: slice | Tensor) -> Batch:
        """Some of the items."""
        lengths = None if self.lengths is None else self.lengths[which.cpu() if isinstance(which, Tensor) else which]
        return Batch(self.images[which], self.labels[which], lengths=lengths)

    def by_length(self) -> Iterator[Batch]:
        """The same in batches of one length each, without what fills sequences up."""
        if self.lengths is None:
            yield self
            return
        for steps, places in of_each_length(self.lengths):
            yield Batch(self.images[places.to(self.images.device), :steps], self.labels[places.to(self.labels.device)])

    def of_commonest_length(self) -> Batch:
        """Those of the length that most have."""
        return max(self.by_length(), key=len)

    def of(self, part: Part) -> Batch:
        """What this process computes of the batch at once."""
        return self.rows(part.rows if self.whole is None else part.own)

    def with_images(self, images: Tensor) -> Batch:
        """The same with other images, such as augmented ones."""
        return replace(self, images=images)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def inputs(self) -> Tensor:
        """The images or sequences as networks take them: [N, C, H, W], or with time first [T, N, C, H, W]."""
        return as_inputs(self.images)


@dataclass(frozen=True)
class DataPass:
    """A pass over training data.

    Args:
        epoch: its number, from 0.
        most: batches, the first ones; None: all.
        world: the processes of which each computes its part of a batch, and may read no more than that.
        accumulate: parts in which each batch is taken.
    """

    epoch: int = 0
    most: int | None = None
    world: World = ALONE
    accumulate: int = 1

    def first_of(self, count: int) -> int:
        """How many of so many batches."""
        return count if self.most is None else min(self.most, count)


WHOLE = DataPass()


class Batches(Protocol):
    """A training, validation or test set, batch by batch. What reads items in other processes, or reads them anew each
    time, looks the same as what lies in memory."""

    @property
    def frames(self) -> int | None:
        """Frames of each sequence, of the longest where they differ; None of images, which stand still."""

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch of training."""

    def drawn(self, draw: torch.Generator, batch_size: int, which: DataPass = WHOLE) -> Iterator[Batch]:
        """The batches of an epoch, in an order that ``draw`` decides, and with it whatever else is random."""

    def in_order(self, batch_size: int, world: World = ALONE) -> Iterator[Batch]:
        """All items once; of several processes, each gets every so many batches of its own."""

    def first(self, count: int) -> Batch:
        """The first items, at most so many, of the commonest length; of sequences, as many as have so many frames, but
        one at least."""

    def on(self, device: torch.device) -> Batches:
        """The same in the memory of a GPU that computes on them, where that pays."""


def as_inputs(images: Tensor) -> Tensor:
    """Images [N, C, H, W] as they are, sequences [N, T, C, H, W] with time first, as networks take them."""
    return images.transpose(0, 1).contiguous() if images.ndim == 5 else images


def amounts(train: Batches, validation: Batches, batch_size: int, what: str) -> str:
    """How much is trained on, in words; ``what`` is the plural of an item."""
    counts = [getattr(part, "count", None) for part in (train, validation)]
    words = [f"{counts[0]:,} training {what}" if counts[0] else f"{train.steps(batch_size):,} batches an epoch"]
    return ", ".join(words + ([f"{counts[1]:,} for validation"] if counts[1] else []))
