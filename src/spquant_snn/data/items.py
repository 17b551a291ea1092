"""Items: what a network is shown, and what is right of each, where that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import Array, Int64
from .arrays import Labelled, commonest_length, inputs_of, with_time_first

_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Items:
    """Images, or sequences of frames, with or without labels.

    Args:
        name: of what they are of, in words.
        images: [N, C, H, W], or sequences [N, T, C, H, W], uint8, or int8 of a network that takes signed numbers.
        labels: of each, as ``Labelled`` has them; None where they are not known.
        indices: [N] their places in a test set that they are a part of; None of all of it.
        lengths: as ``Labelled`` has them.
    """

    name: str
    images: Array
    labels: Array | None = None
    indices: Int64 | None = None
    lengths: Int64 | None = None

    @classmethod
    def of(cls, data: Labelled, name: str) -> Items:
        """All of a test set."""
        return cls(name, data.images, data.labels, lengths=data.lengths)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def frames(self) -> int | None:
        """Frames of each sequence, of the longest where they differ; None of images."""
        return self.images.shape[1] if self.images.ndim == 5 else None

    @property
    def classes(self) -> Int64 | None:
        """The class of each, where one class is what the labels say."""
        labels = self.labels
        return labels if labels is not None and labels.ndim == 1 and labels.dtype == np.int64 else None

    def inputs(self, which: slice | Int64 = _ALL) -> Array:
        """Some of them as networks take them: [N, C, H, W], or with time first [T, N, C, H, W]."""
        return np.ascontiguousarray(inputs_of(self.images, self.lengths, which))

    def padded(self) -> Array:
        """All of them as networks take them; of sequences of several lengths, with the zeros behind their ends."""
        return with_time_first(self.images)

    def first(self, count: int) -> Items:
        """The first so many; 0: all."""
        return self.chosen(slice(count or None))

    def chosen(self, which: slice | Int64) -> Items:
        """Some of them."""
        labels, indices, lengths = (
            None if part is None else part[which] for part in (self.labels, self.indices, self.lengths)
        )
        return Items(self.name, self.images[which], labels, indices, lengths)

    def of_one_length(self) -> Items:
        """Of sequences of several lengths those of the commonest one, without the zeros behind them."""
        if self.lengths is None:
            return self
        places = commonest_length(self.lengths)
        part, steps = self.chosen(places), int(self.lengths[places[0]])
        indices = places if part.indices is None else part.indices
        return Items(self.name, part.images[:, :steps], part.labels, indices)

    def labelled(self) -> Labelled:
        """The same as a test set; there must be labels."""
        assert self.labels is not None
        return Labelled(np.ascontiguousarray(self.images), self.labels, self.lengths)


def first_of_each_class(classes: Int64) -> Int64:
    """The places of items in the order: the first of each class, then the second of each, and so on."""
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    rank = np.empty(len(classes), np.int64)
    rank[order] = np.arange(len(classes)) - np.searchsorted(ordered, ordered)
    places: Int64 = np.lexsort((classes, rank)).astype(np.int64)
    return places
