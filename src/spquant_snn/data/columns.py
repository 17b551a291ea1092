"""Data sets whose items are dicts, as those of Hugging Face's ``datasets``, as Datasets of pairs."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..errors import DataError
from ..io.reading import guarded
from ..io.texts import short
from .image_file import ImageForm, Mode, decode_image, in_form, pixels_of, require_pillow
from .tar_shards import this_process
from .task import is_name

IMAGE_COLUMNS = (
    *("image", "img", "images", "pixel_values", "input", "inputs", "input_values", "input_features"),
    *("x", "features", "signal", "frames"),
)
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "targets", "y")
SPLIT_NAMES = (("train", "training"), ("validation", "valid", "val", "dev"), ("test",))


def from_columns(
    dataset: Any,
    image: str | None = None,
    label: str | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    mode: Mode | None = None,
    background: int | None = None,
    transform: Callable[[Any], Any] | None = None,
) -> Columns | ColumnStream:
    """A Dataset of the pairs in two columns of a Dataset of dicts: map-style where that has a length and can be
    indexed, else iterable.

    Args:
        dataset: its items are dicts, as {"image": ..., "label": ...}.
        image, label: the names of the columns; by default those that are usual and there.
        size, mode, background: of images of Pillow, as for ``ImageFolder``.
        transform: called with each image; what it returns is the image of the item.

    Raises:
        DataError: there is no such column, or no usual one, or several.

    Example:
        >>> rows = datasets.load_dataset("cifar100", split="train")  # of Hugging Face
        >>> train = from_columns(rows, image="img", label="fine_label", size=32)
    """
    form = ImageForm(mode, (size, size) if isinstance(size, int) else size, background)
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        return Columns(dataset, image, label, form, transform)
    return ColumnStream(dataset, image, label, form, transform)


class _Pairs(ABC):
    """What both kinds have in common."""

    def __init__(
        self,
        dataset: Any,
        image: str | None,
        label: str | None,
        form: ImageForm,
        transform: Callable[[Any], Any] | None,
    ) -> None:
        self.dataset, self.form, self.transform = dataset, form, transform
        names = getattr(dataset, "column_names", None) or list(self._first())
        self.image = _column(names, image, IMAGE_COLUMNS, "image")
        self.label = _column(names, label, LABEL_COLUMNS, "label")
        features = getattr(dataset, "features", None)
        known = features.get(self.label) if isinstance(features, Mapping) else None
        self.classes: tuple[str, ...] = tuple(getattr(known, "names", None) or ())

    @abstractmethod
    def _first(self) -> Mapping[str, Any]:
        """The first item, which says what columns there are."""

    def pair(self, item: Mapping[str, Any], where: str) -> tuple[Any, Any]:
        for name in (self.image, self.label):
            if name not in item:
                raise DataError(f"{where} has no {name!r}, as the first has: bring them to one form")
        image = item[self.image]
        if isinstance(image, Mapping) and isinstance(image.get("bytes"), bytes):  # of one that is not decoded yet
            require_pillow()
            with guarded(where, "replace it", wrong="cannot be used", unread=DataError, damaged=DataError):
                image = decode_image(image["bytes"], self.form)
        elif hasattr(image, "getbands"):
            with guarded(where, "replace it", wrong="cannot be used", unread=DataError, damaged=DataError):
                image = in_form(image, self.form)
        if self.transform is not None:
            return self.transform(image), item[self.label]
        return pixels_of(image) if hasattr(image, "getbands") else image, item[self.label]


class Columns(_Pairs):
    """A map-style Dataset of pairs; see ``from_columns``."""

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.pair(self.dataset[int(range(len(self))[index])], f"item {index}")

    def _first(self) -> Mapping[str, Any]:
        if not len(self):
            raise DataError("the data set is empty: give at least one item")
        return _mapping(self.dataset[0])


class ColumnStream(_Pairs):
    """An iterable Dataset of pairs; see ``from_columns``."""

    @property
    def shards_itself(self) -> bool:
        """Whether the Dataset gives each worker its own items, as those of ``datasets`` do that torch knows as iterable
        ones; which processes read what is decided here then."""
        torch = sys.modules.get("torch.utils.data")
        known = isinstance(self.dataset, getattr(torch, "IterableDataset", ()))
        return known and any(hasattr(self.dataset, name) for name in ("num_shards", "n_shards"))

    def set_epoch(self, epoch: int) -> None:
        """Tell the Dataset, if it wants to know, which pass comes next."""
        if callable(told := getattr(self.dataset, "set_epoch", None)):
            told(epoch)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        first, step = 0, 1
        if self.shards_itself and getattr(self.dataset, "_distributed", None) is None:  # not split by node already
            first, step = this_process()
        items = islice(enumerate(self.dataset), first, None, step)
        return (self.pair(item, f"item {number}") for number, item in items)

    def _first(self) -> Mapping[str, Any]:
        for item in self.dataset:
            return _mapping(item)
        raise DataError("the data set is empty: give at least one item")


def gives_dicts(member: Any) -> bool:
    """Whether a Dataset says that it has columns, or is a list of dicts; no item is drawn to see it."""
    if isinstance(member, list):
        return bool(member) and isinstance(member[0], Mapping)
    return bool(getattr(member, "column_names", None)) and (
        hasattr(member, "__getitem__") or hasattr(member, "__iter__")
    )


def in_pairs(dataset: object) -> object:
    """A data set whose items are dicts, or a dict of data sets, as a tuple of Datasets of pairs; any other as it is.

    Raises:
        DataError: a column or a part is not found, or the parts number their classes differently.
    """
    if isinstance(dataset, Mapping):
        dataset = splits_in(dataset)
    if not isinstance(dataset, tuple | list) or gives_dicts(dataset):
        return dataset
    members = tuple(from_columns(member) if gives_dicts(member) else member for member in dataset)
    names = [names_of(member) for member in members]
    for other in names[1:]:
        if names[0] and other and other != names[0]:
            raise DataError(
                f"the training classes are {_listed(names[0])}, those of another part {_listed(other)}: number them "
                "alike, as by ImageFolder(test, classes=train.classes)"
            )
    return members


def pairs_of(member: Any, items: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """A Dataset, and some items that were read of it, as one of pairs, and pairs, where the items are dicts; both as
    they are where they are not.

    Raises:
        DataError: a column is not found.
    """
    if not items or not isinstance(items[0], Mapping):
        return member, items
    columns = from_columns(member)
    return columns, [columns.pair(_mapping(item), f"item {place}") for place, item in enumerate(items)]


def parts_of_dict(batch: Mapping[str, Any], where: str) -> tuple[Any, Any]:
    """Images and labels of a batch that is a dict, in columns of the usual names.

    Raises:
        DataError: there is no such column, or there are several.
    """
    image, label = (
        _column(list(batch), None, usual, what, f"let the collate function give (images, labels), not {where} as it is")
        for usual, what in ((IMAGE_COLUMNS, "image"), (LABEL_COLUMNS, "label"))
    )
    return batch[image], batch[label]


def names_of(member: object) -> tuple[str, ...]:
    """Names of the classes, where a Dataset says them by ``classes``; else none."""
    found = getattr(member, "classes", None)
    if not isinstance(found, tuple | list) or not all(is_name(name) for name in found):
        return ()
    return tuple(found)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def splits_in(dataset: Mapping[str, Any]) -> tuple[Any, ...]:
    """(train, test) or (train, validation, test) of a dict of data sets, as ``datasets.load_dataset`` gives it; the
    validation set is the test set where there is no other.

    Raises:
        DataError: it holds no training set or no test set.
    """
    train, validation, test = (
        next((dataset[name] for name in names if name in dataset), None) for names in SPLIT_NAMES
    )
    if train is None or (test is None and validation is None):
        held = ", ".join(short(name)[1:-1] for name in list(dataset)[:8])
        raise DataError(f"the data set holds {held or 'nothing'}: give a dict with train and test")
    if test is None:
        return train, validation
    return (train, test) if validation is None else (train, validation, test)


def _mapping(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise DataError(f"items are {type(item).__name__}, not dicts: give them to the trainer as they are")
    return item


def _column(names: Any, given: str | None, usual: tuple[str, ...], what: str, remedy: str = "") -> str:
    held = ", ".join(map(str, names))
    if given is not None:
        if given not in names:
            raise DataError(f"there is no column {given!r} among {held}: name the {what} by {what}=")
        return given
    found = [name for name in usual if name in names]
    if len(found) != 1:
        which = f"of the columns {held} several can be" if found else f"none of the columns {held} is"
        named = f"name it, as by from_columns(dataset, {what}={(found or [*names, 'name'])[0]!r})"
        raise DataError(f"{which} the {what}: {remedy or named}")
    return found[0]
