"""Labelled images and sequences in memory: what every reader returns and every training takes.

Images stay whole numbers of 8 bits until the network scales them, so that what is trained on is what ships.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import Array, Int64
from ..errors import ConfigError, DataError
from .input_format import COUNTS, PIXELS, SIGNED, InputFormat
from .task import Task, check_fits, check_labels

_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images, or sequences of frames, and what is to be said of each.

    Args:
        images: uint8, or int8 from -127, [N, C, H, W], or sequences [N, T, C, H, W]; none of these zero. A signal is an
            image of one row [N, C, 1, L], a vector one of one pixel [N, F, 1, 1].
        labels: classes, int64 [N], not negative; numbers, or 0 and 1 for labels of which each may be true, float32
            [N, K]; maps of numbers, float32 [N, K, H, W]; classes of pixels, int64 [N, H, W], -1 where none counts.

    Raises:
        DataError: a shape, a dtype or a length is another, or there is no image.
    """

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        for what, value in (("images", self.images), ("labels", self.labels)):
            if not isinstance(value, np.ndarray):
                raise DataError(f"{what} must be a NumPy array, not {type(value).__name__}: convert it first")
        if self.images.dtype not in (np.uint8, np.int8) or self.images.ndim not in (4, 5):
            raise DataError(
                f"images must be uint8 or int8 [N, C, H, W] or [N, T, C, H, W], not {_describe(self.images)}: convert "
                "them first"
            )
        check_labels(self.labels, "labels")
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images have {len(self.labels)} labels: give one label per image")
        if self.images.size == 0:
            raise DataError(f"the data set is empty, its images are {list(self.images.shape)}: give at least one image")
        if self.images.dtype == np.int8 and int(self.images.min()) < -SIGNED:
            raise DataError("images of int8 must lie in -127 to 127, and there is a -128: clip it")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def frames(self) -> int | None:
        """Frames of each sequence; None of images, which stand still."""
        return self.images.shape[1] if self.images.ndim == 5 else None

    def inputs(self, which: slice | Int64 = _ALL) -> Array:
        """Some of the images or sequences as networks take them: [N, C, H, W], or with time first [T, N, C, H, W]."""
        chosen = self.images[which]
        return chosen if self.frames is None else np.ascontiguousarray(chosen.swapaxes(0, 1))


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set: what is trained on and what is measured on.

    Args:
        name: of the data set, "custom" where it has none.
        train, test: images of one shape.
        task: what is learned; the labels of both are of it.
        input_format: of all images; by default that of pixels, of counts in sequences, or of int8 whose 127 stands for
            1.
        validation: of the same shape, for choosing an epoch; None: a part of ``train`` is set apart for it.

    Raises:
        DataError: the shapes differ, or labels are of another task or out of range.
    """

    name: str
    train: Labelled
    test: Labelled
    task: Task
    input_format: InputFormat = None  # type: ignore[assignment]  # until the images are looked at
    validation: Labelled | None = None

    def __post_init__(self) -> None:
        train, test = (list(part.images.shape[1:]) for part in (self.train, self.test))
        if train != test:
            raise DataError(f"{self.name}: training images are {train}, test images {test}: bring them to one shape")
        if self.validation is not None and self.validation.images.shape[1:] != self.train.images.shape[1:]:
            found = list(self.validation.images.shape[1:])
            raise DataError(
                f"{self.name}: training images are {train}, validation images {found}: bring them to one shape"
            )
        if self.input_format is None:
            object.__setattr__(self, "input_format", usual_format(self.train))
        for part in (self.train, self.test, self.validation or self.train):
            if part.images.dtype != self.input_format.dtype:
                raise DataError(
                    f"{self.name}: images are {part.images.dtype}, their format is of {self.input_format.dtype}: bring "
                    "training and test images to it"
                )
        for split, part in (
            ("training", self.train),
            ("test", self.test),
            ("validation", self.validation or self.test),
        ):
            check_fits(self.task, part.labels, f"{self.name}: {split} labels")
        maps = [list(part.labels.shape[1:]) for part in (self.train, self.test)]
        if maps[0] != maps[1]:
            raise DataError(
                f"{self.name}: training labels are {maps[0]}, test labels {maps[1]}: bring them to one shape"
            )

    @property
    def classes(self) -> int:
        """How many classes, labels or numbers there are to say."""
        return self.task.outputs

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image or frame."""
        channels, height, width = self.train.images.shape[-3:]
        return channels, height, width

    @property
    def frames(self) -> int | None:
        """Frames of each sequence; None of images."""
        return self.train.frames


def usual_format(data: Labelled) -> InputFormat:
    """What 8-bit numbers stand for where nobody says it: pixels, in sequences counts of events, or parts of 127."""
    if data.images.dtype == np.int8:
        return InputFormat(True, 1 / SIGNED)
    return PIXELS if data.frames is None else COUNTS


def hold_out(data: Labelled, count: int, seed: int) -> tuple[Labelled, Labelled]:
    """Set ``count`` images aside, chosen by a permutation that ``seed`` alone decides.

    Returns:
        The rest and the images held out, each in the order of the permutation.

    Raises:
        ConfigError: either part would be empty.
    """
    if not 0 < count < len(data):
        raise ConfigError(f"cannot hold out {count} of {len(data)} images: choose 1 to {len(data) - 1}")
    order = permutation(len(data), seed)
    rest, held = order[count:], order[:count]
    return Labelled(data.images[rest], data.labels[rest]), Labelled(data.images[held], data.labels[held])


def permutation(count: int, seed: int) -> Int64:
    """The numbers 0 .. count-1 in an order that the seed alone decides: that of ``torch.randperm`` with a generator on
    the CPU, so that trainings and machines without torch know the same splits.

    Both draw 32 bits from the Mersenne twister (Matsumoto and Nishimura 1998) for each place, and exchange it with one
    that many behind it, modulo those that are left (Fisher and Yates).
    """
    words = np.random.RandomState(seed % 2**32).randint(0, 2**32, count, np.uint32)
    order = list(range(count))
    for place, further in enumerate((words % np.arange(count, 0, -1)).tolist()):
        order[place], order[place + further] = order[place + further], order[place]
    return np.array(order, np.int64)


def _describe(value: Array) -> str:
    return f"{value.dtype} {list(value.shape)}"
