"""Labelled data as tensors, in the memory that the arrays have: the one place where data come to torch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data import Labelled
from ..dtypes import Array

_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class LabelledTensors:
    """Images, or sequences of frames, and the class of each, on one device.

    Args:
        images: uint8 [N, C, H, W], or sequences [N, T, C, H, W].
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def frames(self) -> int | None:
        """Frames of each sequence; None of images, which stand still."""
        return self.images.shape[1] if self.images.ndim == 5 else None

    def inputs(self, which: slice | Tensor = _ALL) -> Tensor:
        """Some of the images or sequences as networks take them: [N, C, H, W], or with time first [T, N, C, H, W]."""
        return as_inputs(self.images[which])

    def on(self, device: torch.device) -> LabelledTensors:
        """The same in the memory of a GPU that computes on them, if they take no more than a quarter of what is free
        there; else where they are."""
        if device.type != "cuda" or self.images.is_cuda or self.images.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
            return self
        return LabelledTensors(self.images.to(device), self.labels.to(device))


def as_tensors(data: Labelled) -> LabelledTensors:
    """Labelled data as tensors that share the memory of the arrays and are not to be written to."""
    return LabelledTensors(_shared(data.images), _shared(data.labels))


def as_inputs(images: Tensor) -> Tensor:
    """Images [N, C, H, W] as they are, sequences [N, T, C, H, W] with time first, as networks take them."""
    return images.transpose(0, 1).contiguous() if images.ndim == 5 else images


def _shared(array: Array) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing here writes to it
        return torch.from_numpy(np.ascontiguousarray(array))
