"""Items of Datasets that are read when they are needed, several at a time, as labelled arrays: what a worker process
makes of those it is to read.

Each is held against the form of the first ones, so that the item that differs, or cannot be read, is named.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import DataError
from .arrays import Labelled, Splits, padded_sequences
from .columns import parts_of_dict
from .event_items import gives_events
from .input_format import InputFormat, check_finite
from .input_kind import Decide, InputKind
from .item_arrays import item_label, item_pixels, item_values
from .task import Task, read_labels


@dataclass(frozen=True, eq=False)
class Formed:
    """Items in the form that networks take.

    Args:
        clipped: share of their values that had to be.
    """

    data: Labelled
    clipped: float


@dataclass(frozen=True)
class ItemForm:
    """What the items of a data set are, all alike.

    Args:
        shape: [C, H, W] of an image, [T, C, H, W] of a sequence, the longest that there may be.
        dtype: of the numbers as they are given.
        given: what they become.
        task: what they teach.
        label: shape of each label.
        kind, decide: what their shape means, as ``data.input_kind`` has it.
        several: whether sequences may be shorter.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    given: InputFormat
    task: Task
    label: tuple[int, ...]
    kind: InputKind | None = None
    decide: Decide | None = None
    several: bool = False

    @classmethod
    def of(cls, sample: Splits, image: Any, kind: InputKind | None, decide: Decide | None) -> ItemForm:
        """The form of the items that a sample was taken of; ``image`` is the first, as it is given, None of 8 bits."""
        train = sample.train
        dtype = train.images.dtype
        if image is not None:
            dtype = item_pixels(image, "the first training item", kind, decide).dtype
        return cls(
            train.images.shape[1:], dtype, sample.input_format, sample.task, train.labels.shape[1:], kind, decide
        )

    def of_items(self, items: Sequence[Any], where: Callable[[int], str]) -> Formed:
        """Pairs (image, label) as labelled arrays.

        Args:
            where: what messages call an item by its place in ``items``.

        Raises:
            DataError: one is of another form, or holds what cannot be.
        """
        try:
            images, labels = zip(*items, strict=True)
            known = self._labels(self._stacked_labels(labels), lambda _: "")
            return self._formed(_stacked(images), known, "")
        except (DataError, ValueError, TypeError, RuntimeError):  # which of them, and why, is found out one by one
            return self._one_by_one(items, where)

    def _one_by_one(self, items: Sequence[Any], where: Callable[[int], str]) -> Formed:
        """The same, slowly: sequences of several lengths, and what is said of an item that is of another form."""
        pairs = [pair_of(item, where(place)) for place, item in enumerate(items)]
        labels = [item_label(label, self.task.kind, where(place)) for place, (_, label) in enumerate(pairs)]
        found = []
        for place, ((image, _), label) in enumerate(zip(pairs, labels, strict=True)):
            found.append(item_pixels(image, where(place), self.kind, self.decide))
            self._check(found[-1], label, where(place))
        known = self._labels(np.stack(labels), where)
        if len({len(image) for image in found}) == 1:
            return self._formed(_stacked([image for image, _ in pairs]), known, where(0))
        quantised = [self.given.quantize(image) for image in found]
        sequences, lengths = padded_sequences([values for values, _ in quantised])
        clipped = sum(share * values.size for values, share in quantised)
        return Formed(Labelled(sequences, known, lengths), clipped / max(1, sum(image.size for image in found)))

    def _stacked_labels(self, labels: Sequence[Any]) -> Array:
        if self.task.kind == "classification":
            return np.array([operator.index(label) for label in labels], np.int64)
        return np.stack([item_label(label, self.task.kind, "") for label in labels])

    def of_batch(self, images: Any, labels: Any, where: str, lengths: Any = None) -> Formed:
        """Images [N, ...] and labels [N, ...] as labelled arrays; raises as ``of_items``.

        Args:
            images: or a list of them, where sequences have several lengths.
            lengths: [N], frames of each of sequences [N, T, ...] that are filled up behind their ends.
        """
        if lengths is not None or isinstance(images, list | tuple):
            items = as_items(images, labels, lengths, where)
            return self.of_items(items, lambda place: f"{where}, item {place}")
        known = [item_label(label, self.task.kind, f"{where}, item {place}") for place, label in enumerate(labels)]
        _check_count(len(images), len(known), where)
        found = self._labels(np.stack(known), lambda place: f"{where}, item {place}")
        return self._formed(images, found, f"the images of {where}")

    def _formed(self, given: Any, known: Array, where: str) -> Formed:
        values = item_values(given, where, self.kind, self.decide)
        self._check(values[0] if len(values) else values, None, where)
        check_finite(values, where, of_items=True)
        inputs, clipped = self.given.quantize(values)
        return Formed(Labelled(np.ascontiguousarray(inputs), known), clipped)

    def _check(self, image: Array, label: Array | None, where: str) -> None:
        if len(self.shape) == 4 and image.ndim == 4 and image.shape[1:] == self.shape[1:]:
            self._check_frames(len(image), where)
        elif image.shape != self.shape:
            raise DataError(f"{where} is {list(image.shape)}, the first is {list(self.shape)}: bring them to one shape")
        if image.dtype != self.dtype:
            raise DataError(f"{where} is {image.dtype}, the first is {self.dtype}: bring them to one dtype")
        check_finite(image, f"the values of {where}")
        if label is not None:
            self._labels(label[None], lambda place: where)

    def _check_frames(self, frames: int, where: str) -> None:
        if not self.several and frames != self.shape[0]:
            raise DataError(
                f"{where} has {frames} frames, the first has {self.shape[0]}: several processes need sequences of one "
                "length where they are read as they come: bring them to it"
            )
        if not frames:
            raise DataError(f"{where} has no frames: leave it out, or give it one")
        if frames > self.shape[0]:
            raise DataError(
                f"{where} has {frames} frames, timesteps is {self.shape[0]}: set timesteps to those of the longest"
            )

    def _labels(self, labels: Array, where: Callable[[int], str]) -> Array:
        found = read_labels(labels, self.task.kind, f"the labels of {where(0)}")[1]
        if found.shape[1:] != self.label:
            raise DataError(
                f"{where(0)} has a label of shape {list(found.shape[1:])}, the first one of {list(self.label)}: bring "
                "them to one shape"
            )
        if self.task.kind in ("classification", "segmentation"):
            largest = found.reshape(len(found), -1).max(1)
            if (over := largest >= self.task.outputs).any():
                place = int(over.argmax())
                raise DataError(
                    f"{where(place)} has the label {int(largest[place])}, of {self.task.outputs} classes: number them "
                    'from 0, or say how many there are by task=Task("classification", ...)'
                )
        return found


def read_items(items: Any, places: Sequence[int], what: str) -> list[Any]:
    """Items of a map-style Dataset.

    Raises:
        DataError: one of them cannot be read; the message names it and the cause.
    """
    many = getattr(items, "__getitems__", None)
    if callable(many):
        try:
            return list(many(list(places)))
        except Exception:  # whatever it is, it is met again below, with its item
            pass
    found: list[Any] = []
    try:
        for place in places:
            found.append(items[place])  # how many there are says which one cannot be read
    except IndexError as error:
        raise DataError(
            f"{what} item {place} is missing from a Dataset that says it has {len(items)}: check it"
        ) from error
    except Exception as error:
        raise DataError(f"{what} item {place} cannot be read ({cause(error)}): repair it, or leave it out") from error
    return found


def is_lazy(member: Any) -> bool:
    """Whether it is a map-style Dataset whose items are made when they are asked for, and may differ each time."""
    able = hasattr(member, "__len__") and hasattr(member, "__getitem__") and not hasattr(member, "ndim")
    if not able or is_iterable(member) or isinstance(member, str | bytes | dict | np.lib.npyio.NpzFile):
        return False
    return not _is_fixed(member) and not gives_events(member)


def is_iterable(member: Any) -> bool:
    """Whether it is an iterable Dataset, which has no places."""
    data = sys.modules.get("torch.utils.data")
    if data is not None and isinstance(member, data.IterableDataset):
        return True
    return hasattr(member, "__iter__") and not hasattr(member, "__getitem__")


def parts_of_batch(batch: Any, where: str) -> tuple[Any, Any, Any]:
    """Images, labels and lengths of a batch, or of a list of items; None where it does not say the last.

    Raises:
        DataError: it is no pair, and no such three.
    """
    if isinstance(batch, Mapping):
        return *parts_of_dict(batch, where), None
    if isinstance(batch, list) and batch and isinstance(batch[0], Mapping):
        batch = [parts_of_dict(item, where) if isinstance(item, Mapping) else item for item in batch]
    items = isinstance(batch, list) and all(isinstance(item, tuple) and len(item) == 2 for item in batch)
    if items and all(np.ndim(item[0]) for item in batch):
        return [image for image, _ in batch], [label for _, label in batch], None
    if isinstance(batch, tuple | list) and len(batch) == 3:
        return batch[0], batch[1], batch[2]
    try:
        images, labels = pair_of(batch, where)
    except DataError as error:
        raise DataError(
            f"{where} is no pair (images, labels), and no (images, labels, lengths) of sequences: let the collate "
            "function give one of these"
        ) from error
    if not np.ndim(labels):
        raise DataError(
            f"{where} has one label, as an item has: give the DataLoader a batch_size, or its Dataset alone"
        )
    return images, labels, None


def as_items(images: Any, labels: Any, lengths: Any, where: str) -> Any:
    """What a batch holds as a pair (images, labels) of arrays, or, of sequences of several lengths, as a list of items.

    Raises:
        DataError: lengths or labels are not as many.
    """
    if lengths is None and not isinstance(images, list | tuple):
        return images, np.asarray(labels) if isinstance(labels, list) else labels
    if lengths is not None:
        images = [image[:steps] for image, steps in zip(images, _steps_of(lengths, images, where), strict=True)]
    _check_count(len(images), len(labels), where)
    return list(zip(images, labels, strict=True))


def pair_of(item: Any, where: str) -> tuple[Any, Any]:
    """Image and label of an item.

    Raises:
        DataError: it is no pair, or a dict.
    """
    if isinstance(item, Mapping):  # whose names are not what is wanted
        raise DataError(f"{where} is a dict, and others are pairs (image, label): bring them to one form")
    try:
        image, label = item
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where} is no pair (image, label): give a Dataset of such pairs, which a list is too, or arrays"
        ) from error
    return image, label


class ReadItems(list[Any]):
    """Items that were read of a Dataset.

    Args:
        items: of it.
        places: of each.
    """

    def __init__(self, items: Iterable[Any], places: Sequence[int]) -> None:
        super().__init__(items)
        self.places = places


def place_of(items: Any, index: int) -> int:
    """Which of the items of a user's Dataset one of these is."""
    return items.places[index] if isinstance(items, ReadItems) else index


def cause(error: BaseException) -> str:
    """What an exception of somebody else's code says, in a few words."""
    text = (str(error).strip() or "no text").splitlines()[0]
    return f"{type(error).__name__}: {text[:200]}"


def _check_count(images: int, labels: int, where: str) -> None:
    if images != labels:
        raise DataError(f"{where} has {images} images and {labels} labels: give one label per image")


def _steps_of(lengths: Any, images: Any, where: str) -> list[int]:
    """Frames of each sequence of a batch, as its collate function gives them."""
    try:
        steps = [operator.index(each) for each in lengths]
    except TypeError:
        steps = []
    most = min((len(image) for image in images), default=0)
    if len(steps) != len(images) or not all(1 <= each <= most for each in steps):
        raise DataError(
            f"{where} has three parts, and the third are no lengths of its {len(images)} sequences, a whole number "
            f"from 1 to {most} for each, time standing behind the items (batch_first=True): leave out what is neither "
            "image nor label"
        )
    return steps


def _is_fixed(member: Any) -> bool:
    """Whether the items lie in memory already, the same each time they are read."""
    if isinstance(member, list | tuple):
        return True
    data = sys.modules.get("torch.utils.data")
    if data is None:
        return False
    if type(member) is data.Subset:
        return _is_fixed(member.dataset)
    return type(member) is data.TensorDataset


def _stacked(images: Sequence[Any]) -> Any:
    """Images of one form with one more axis in front: tensors, or arrays."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(images[0], torch.Tensor):
        return torch.stack(list(images)).detach()
    return np.stack([np.asarray(image) for image in images])
