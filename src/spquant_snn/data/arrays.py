"""Labelled images and sequences in memory: what every reader returns and every training takes.

Images stay whole numbers of 8 bits until the network scales them, so that what is trained on is what ships.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..dtypes import Array, Int64
from ..errors import ConfigError, DataError
from ..io.texts import counted
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
        lengths: int64 [N], frames of each sequence, 1 to T, behind which its images are zeros that no network sees;
            None: all have T frames.

    Raises:
        DataError: a shape, a dtype or a length is another, or there is no image.

    Example:
        >>> data = Labelled(numpy.zeros((5, 1, 8, 8), numpy.uint8), numpy.arange(5))
        >>> len(data), data.inputs().shape
        (5, (5, 1, 8, 8))
    """

    images: Array
    labels: Array
    lengths: Int64 | None = None

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
        if self.lengths is not None:
            check_lengths(self.lengths, self.images)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def frames(self) -> int | None:
        """Frames of each sequence, of the longest where they differ; None of images, which stand still."""
        return self.images.shape[1] if self.images.ndim == 5 else None

    def inputs(self, which: slice | Int64 = _ALL) -> Array:
        """Some of the images or sequences as networks take them: [N, C, H, W], or with time first [T, N, C, H, W]."""
        return inputs_of(self.images, self.lengths, which)

    def chosen(self, which: slice | Int64) -> Labelled:
        """Some of them."""
        lengths = None if self.lengths is None else self.lengths[which]
        return Labelled(self.images[which], self.labels[which], lengths)


def inputs_of(images: Array, lengths: Int64 | None, which: slice | Int64 = _ALL) -> Array:
    """Images as they are, [N, C, H, W], or sequences with time first, [T, N, C, H, W], as networks take them.

    Raises:
        DataError: the sequences that are chosen have several lengths.
    """
    chosen = images[which]
    if images.ndim == 4:
        return chosen
    if lengths is not None and len(chosen):
        steps = lengths[which]
        if int(steps.min()) != int(steps.max()):
            raise DataError(
                f"the sequences have {int(steps.min())} to {int(steps.max())} frames, and one array holds sequences of "
                "one length: take those of each length, as of_each_length gives them"
            )
        chosen = chosen[:, : int(steps[0])]
    return with_time_first(chosen)


def of_each_length(lengths: Int64 | None, count: int, most: int) -> Iterator[slice | Int64]:
    """Places of items that can be computed together: at most so many, all of one length, the shortest first; in their
    order where all have the same."""
    if lengths is None:
        yield from (slice(start, min(start + most, count)) for start in range(0, count, most))
        return
    for steps in np.unique(lengths):
        places = np.flatnonzero(lengths == steps).astype(np.int64)
        yield from (places[start : start + most] for start in range(0, len(places), most))


def commonest_length(lengths: Int64) -> Int64:
    """Places of the items of the length that most of them have, of two such the longer."""
    steps, counts = np.unique(lengths, return_counts=True)
    wanted = steps[counts == counts.max()].max()
    return np.flatnonzero(lengths == wanted).astype(np.int64)


def with_time_first(images: Array) -> Array:
    """Images [N, C, H, W] as they are, sequences [N, T, C, H, W] as [T, N, C, H, W]."""
    return images if images.ndim == 4 else np.ascontiguousarray(images.swapaxes(0, 1))


def padded_sequences(sequences: list[Array]) -> tuple[Array, Int64 | None]:
    """Sequences [T, C, H, W] of any T as one array [N, T, C, H, W], zeros behind their ends, and their lengths; None
    where all are alike."""
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    if (lengths == lengths[0]).all():
        return np.stack(sequences), None
    found = np.zeros((len(sequences), int(lengths.max()), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(found, sequences, strict=True):
        row[: len(sequence)] = sequence
    return found, lengths


def check_lengths(lengths: Array, images: Array) -> None:
    """Refuse lengths that are none of these images.

    Raises:
        DataError: they are of stills, of another number, out of range, or there is something behind the end of one.
    """
    if images.ndim != 5:
        raise DataError("lengths are of sequences [N, T, C, H, W], and these are images: leave them out")
    if not isinstance(lengths, np.ndarray) or lengths.dtype != np.int64 or lengths.shape != (len(images),):
        found = _describe(lengths) if isinstance(lengths, np.ndarray) else type(lengths).__name__
        raise DataError(f"lengths must be int64 [{len(images)}], one for each sequence, not {found}: convert them")
    low, high = int(lengths.min()), int(lengths.max())
    if low < 1 or high > images.shape[1]:
        raise DataError(f"lengths are {low} to {high}, of sequences of {images.shape[1]} frames: give 1 to that many")
    for place, (sequence, steps) in enumerate(zip(images, lengths, strict=True)):
        if sequence[steps:].any():
            raise DataError(
                f"sequence {place} has {steps} frames and something that is not zero behind them: cut it off, or give "
                "its true length"
            )


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

    Example:
        >>> part = Labelled(numpy.zeros((5, 1, 8, 8), numpy.uint8), numpy.arange(5))
        >>> Splits("zeros", part, part, Task("classification", 5)).input_format.signed
        False
    """

    name: str
    train: Labelled
    test: Labelled
    task: Task
    input_format: InputFormat = None  # type: ignore[assignment]  # until the images are looked at
    validation: Labelled | None = None

    def __post_init__(self) -> None:
        parts = [part for part in (self.train, self.test, self.validation) if part is not None]
        differ = any(part.lengths is not None for part in parts) and all(part.frames for part in parts)
        shapes = [list(part.images.shape[2 if differ else 1 :]) for part in parts]
        for what, found in zip(("test", "validation"), shapes[1:], strict=False):
            if found != shapes[0]:
                raise DataError(
                    f"{self.name}: training images are {shapes[0]}, {what} images {found}: bring them to one shape"
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
        """Frames of each sequence, of the longest where they differ; None of images."""
        parts = (self.train, self.test, self.validation or self.train)
        return max((part.frames for part in parts if part.frames is not None), default=None)


def usual_format(data: Labelled) -> InputFormat:
    """What 8-bit numbers stand for where nobody says it: pixels, in sequences counts of events, or parts of 127."""
    if data.images.dtype == np.int8:
        return InputFormat(True, 1 / SIGNED)
    return PIXELS if data.frames is None else COUNTS


def hold_out(data: Labelled, count: int, seed: int) -> tuple[Labelled, Labelled]:
    """Set ``count`` images aside, chosen by a permutation that ``seed`` alone decides.

    Returns:
        The rest and the validation images, each in the order of the permutation.

    Raises:
        ConfigError: either part would be empty.

    Example:
        >>> data = Labelled(numpy.zeros((50, 1, 8, 8), numpy.uint8), numpy.arange(50))
        >>> rest, validation = hold_out(data, 10, seed=0)
        >>> len(rest), len(validation)
        (40, 10)
    """
    check_held_out(len(data), count)
    order = permutation(len(data), seed)
    rest, held = order[count:], order[:count]
    return data.chosen(rest), data.chosen(held)


def check_held_out(items: int, count: int) -> None:
    """Refuse to set ``count`` of so many training items aside.

    Raises:
        ConfigError: either part would be empty.
    """
    if items < 2:
        raise ConfigError(
            f"a validation set cannot be taken from {counted(items, 'training image')}: give at least two"
        )
    if not 0 < count < items:
        raise ConfigError(f"validation cannot take {count} of {items} training images: choose 1 to {items - 1}")


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
