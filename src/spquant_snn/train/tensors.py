"""Labelled data as tensors, in the memory that the arrays have: the one place where data come to torch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data import Labelled
from ..data.arrays import commonest_length, of_each_length
from ..dtypes import Array
from .batches import WHOLE, Batch, DataPass, as_inputs
from .distributed import ALONE, World

_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class LabelledTensors:
    """Images, or sequences of frames, and the class of each, on one device: ``Batches`` of what lies in memory.

    Args:
        images: uint8 or int8 [N, C, H, W], or sequences [N, T, C, H, W].
        labels: int64 [N].
        lengths: int64 [N], frames of each sequence, on the processor; None: all have T.
    """

    images: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def frames(self) -> int | None:
        """Frames of each sequence, of the longest where they differ; None of images, which stand still."""
        return self.images.shape[1] if self.images.ndim == 5 else None

    def inputs(self, which: slice | Tensor = _ALL) -> Tensor:
        """Some of the images or sequences as networks take them: [N, C, H, W], or with time first [T, N, C, H, W]; of
        sequences of several lengths, with the zeros behind their ends."""
        return as_inputs(self.images[which])

    @property
    def count(self) -> int:
        return len(self)

    def steps(self, batch_size: int) -> int:
        return -(-len(self) // batch_size)

    def drawn(self, draw: torch.Generator, batch_size: int, which: DataPass = WHOLE) -> Iterator[Batch]:
        """Batches of nearly one size, the larger ones first; every process is given the whole of each."""
        order = torch.randperm(len(self), generator=draw)
        order = order[: which.first_of(self.steps(batch_size)) * batch_size]
        for rows in order.to(self.images.device).tensor_split(-(-len(order) // batch_size)):
            yield self._batch(rows)

    def in_order(self, batch_size: int, world: World = ALONE) -> Iterator[Batch]:
        """All items once, in their order, or by their lengths; of several processes, each gets every so many batches
        of its own."""
        lengths = None if self.lengths is None else self.lengths.numpy()
        for number, which in enumerate(of_each_length(lengths, len(self), batch_size)):
            if number % world.size == world.rank:
                yield self._batch(which if isinstance(which, slice) else torch.from_numpy(which))

    def first(self, count: int) -> Batch:
        """The first items, of the length that most of them have."""
        count = count // (self.frames or 1) or 1
        if self.lengths is None:
            return self._batch(slice(count))
        return self._batch(torch.from_numpy(commonest_length(self.lengths.numpy())[:count]))

    def _batch(self, which: slice | Tensor) -> Batch:
        if self.lengths is None:
            return Batch(self.images[which], self.labels[which])
        lengths = self.lengths[which.cpu() if isinstance(which, Tensor) else which]
        most = int(lengths.max())
        differ = lengths if int(lengths.min()) < most else None
        which = which.to(self.images.device) if isinstance(which, Tensor) else which
        return Batch(self.images[which][:, :most], self.labels[which], lengths=differ)

    def on(self, device: torch.device) -> LabelledTensors:
        """The same in the memory of a GPU that computes on them, if they take no more than a quarter of what is free
        there; else where they are."""
        if device.type != "cuda" or self.images.is_cuda or self.images.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
            return self
        return LabelledTensors(self.images.to(device), self.labels.to(device), self.lengths)


def as_tensors(data: Labelled) -> LabelledTensors:
    """Labelled data as tensors that share the memory of the arrays and are not to be written to."""
    lengths = None if data.lengths is None else _shared(data.lengths)
    return LabelledTensors(_shared(data.images), _shared(data.labels), lengths)


def _shared(array: Array) -> Tensor:
    if array.flags.writeable and array.flags.c_contiguous:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing here writes to it
        return torch.from_numpy(np.ascontiguousarray(array))
