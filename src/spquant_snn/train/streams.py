"""Data sets that are not read whole: DataLoaders, and Datasets whose items are read when they are needed.

What has to be known before training, the form of the items and the range of their numbers, and what is looked at
afterwards by itself, comes from a sample, which is a data set of its own.
"""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from ..data import Labelled, Splits, Task, as_splits
from ..data.arrays import check_held_out, permutation
from ..data.columns import Columns, ColumnStream, in_pairs, names_of, pairs_of
from ..data.input_kind import Decide, InputKind
from ..data.item_form import ItemForm, ReadItems, as_items, cause, is_iterable, is_lazy, read_items
from ..dtypes import Array
from ..errors import ConfigError, DataError
from .batches import WHOLE, Batch, Batches, DataPass
from .config import TrainConfig
from .distributed import ALONE, World
from .item_batches import ItemBatches, ItemReader
from .loader_batches import IterableBatches, LoaderBatches, batches_of, is_sharded
from .random_numbers import seeded
from .run import SHA, Print
from .tensors import LabelledTensors, as_tensors
from .workers import usual_workers

_TRAIN_SAMPLE, _TEST_SAMPLE = 64, 128  # items
_LOOKED_AT = 1000  # items of the training set that are measured on where there is no validation set
Purpose = Literal["class weights", "mean and deviation"]
_MOST_LABELS: dict[Purpose, int] = {"class weights": 10_000, "mean and deviation": 512}  # that are read before training
_AT_ONCE = 64  # of these
_PARTS = ("training", "validation", "test")


@dataclass(frozen=True, eq=False)
class Streams:
    """What a training reads batch by batch.

    Args:
        train, validation, test: the last of what epochs are compared by; None where none was given.
        batch_size: of DataLoaders; 0 where it is free.
        known: what a run is held to of its data.
    """

    train: Batches
    validation: Batches | None
    test: Batches
    batch_size: int
    known: Print

    @property
    def count(self) -> int | None:
        """Training items, where they can be counted and chosen."""
        return self.train.count if isinstance(self.train, ItemBatches) else None

    @property
    def sets_apart(self) -> bool:
        """Whether validation items are set apart from the training set."""
        return self.validation is None and self.count is not None

    def split(self, config: TrainConfig) -> tuple[Batches, Batches]:
        """What is trained on and what epochs are measured on: some of the former where there is nothing else."""
        if self.validation is not None:
            return self.train, self.validation
        if not isinstance(self.train, ItemBatches):
            return self.train, FirstBatches(self.train, _LOOKED_AT)
        check_held_out(self.train.count, config.validation)
        order = torch.from_numpy(permutation(self.train.count, config.seed))
        held = self.train.only(order[: config.validation])
        return self.train.only(order[config.validation :]), held

    def labels_for(self, purpose: Purpose) -> Array:
        """Labels of training items: all that lie in memory; of a Dataset evenly spaced ones, else the first."""
        train, most = self.train, _MOST_LABELS[purpose]
        if isinstance(train, LabelledTensors):
            return train.labels.numpy()
        if isinstance(train, ItemBatches) and train.count > most:
            train = train.only(torch.arange(most) * (train.count - 1) // (most - 1))
        found: list[Array] = []
        for batch in train.in_order(_AT_ONCE):
            found.append(batch.labels.numpy())
            if sum(map(len, found)) >= most:
                break
        return np.concatenate(found)[:most]

    def notes(self, config: TrainConfig, task: Task) -> Iterator[str]:
        """What a person is told of them, line by line."""
        balanced = config.class_weights == "balanced"
        if not isinstance(self.train, LabelledTensors) and (balanced or task.kind == "regression"):
            purpose: Purpose = "class weights" if balanced else "mean and deviation"
            yield f"{purpose} of the labels are those of {_MOST_LABELS[purpose]:,} training items at most, read before"
        if isinstance(self.train, ItemBatches | IterableBatches):
            by = f"{self.train.workers} workers" if self.train.workers else "this process"
            yield f"items are read by {by} when they are needed, and drawn anew in every epoch"
        if self.validation is None and not self.sets_apart:
            yield (
                "no validation set can be set apart from this training set: the last epoch is kept, and what is shown "
                "as val is of some training items; give (train, validation, test) to keep the best"
            )


@dataclass(frozen=True, eq=False)
class FirstBatches:
    """The first ``most`` items of some batches, to measure on."""

    batches: Batches
    most: int

    @property
    def frames(self) -> int | None:
        return self.batches.frames

    def steps(self, batch_size: int) -> int:
        return -(-self.most // batch_size)

    def drawn(self, draw: torch.Generator, batch_size: int, which: DataPass = WHOLE) -> Iterator[Batch]:
        return self.batches.drawn(draw, batch_size, which)

    def in_order(self, batch_size: int, world: World = ALONE) -> Iterator[Batch]:
        seen = 0
        for batch in self.batches.in_order(batch_size, world):
            yield batch
            seen += len(batch) * world.size
            if seen >= self.most:
                return

    def first(self, count: int) -> Batch:
        return self.batches.first(count)

    def on(self, device: torch.device) -> FirstBatches:
        return self


@dataclass(frozen=True, eq=False)
class Sampled:
    """A data set that is not read whole, of which a sample was.

    Args:
        data: the sample, with the format and the task of all.
        members: training, validation (or None) and test data as they were given.
        open: whether the model is to say how many classes there are.
        form: of the items.
        seconds: that reading an item takes.
    """

    data: Splits
    members: tuple[Any, Any, Any]
    open: bool
    form: ItemForm
    batch_size: int
    seconds: float

    def streams(self, config: TrainConfig, task: Task, world: World) -> Streams:
        """The batches; ``task`` is what is learned, once the model was asked."""
        form = replace(self.form, task=task)
        if len(form.shape) == 4:
            several = world.size == 1
            if not several and any(part.lengths is not None for part in (self.data.train, self.data.test)):
                raise ConfigError(
                    "several processes need sequences of one length where they are read as they come: bring them to "
                    "it, or start one process"
                )
            form = replace(form, shape=(config.timesteps, *form.shape[1:]) if several else form.shape, several=several)
        parts = [
            None if member is None else self._batches(member, what, form, config, world)
            for member, what in zip(self.members, _PARTS, strict=True)
        ]
        train, validation, test = parts
        assert train is not None
        assert test is not None
        if config.validation and (validation is not None or not isinstance(train, ItemBatches)):
            raise ConfigError(
                "validation items are set apart from map-style Datasets only, where none are given: give "
                "(train, validation, test), and leave validation out"
            )
        return Streams(train, validation, test, self.batch_size, self._print(task))

    def _batches(self, member: Any, what: str, form: ItemForm, config: TrainConfig, world: World) -> Batches:
        length = config.steps_per_epoch or None if what == "training" else None
        if isinstance(member, Labelled):
            return as_tensors(member)
        if _is_loader(member):
            _check_shared(member, what, config, world)
            found = LoaderBatches(member, form, what, length)
            if what == "training":
                found.steps(0)  # which it must be able to say
            return found
        if is_iterable(member):
            if world.size > 1 and (config.accumulate > 1 or config.batch_size % world.size or not config.batch_size):
                raise ConfigError(
                    f"an iterable Dataset is read by {world.size} processes in equal parts: give a batch_size that is "
                    f"a multiple of {world.size}, and accumulate 1"
                )
            workers = config.workers if config.workers >= 0 else min(1, usual_workers(self.seconds * 1e4))
            iterated = IterableBatches(member, form, what, workers, length)
            if what == "training":
                iterated.steps(1)
            return iterated
        if isinstance(member, tuple | list) and len(member) == 2 and hasattr(member[0], "ndim"):
            return as_tensors(form.of_batch(member[0], member[1], f"the {what} data").data)
        workers = config.workers if config.workers >= 0 else usual_workers(self.seconds * len(member))
        return ItemBatches(ItemReader(member, form, what), _length(member, what), workers)

    def _print(self, task: Task) -> Print:
        """What is the same whenever the data are the same, however their items are drawn."""
        given = self.form.given
        found: Print = {"task": task.kind, "classes": task.outputs, "input": f"{given.dtype}, scale {given.scale:g}"}
        sampled = {"training": self.data.train, "test": self.data.test}
        for member, what in zip(self.members, _PARTS, strict=True):
            if member is None or isinstance(member, Labelled):
                continue
            source = member.dataset if _is_loader(member) and hasattr(member, "dataset") else member
            source = source.dataset if isinstance(source, Columns | ColumnStream) else source
            found[f"kind of {what} data"] = type(source).__qualname__
            found[f"source of {what} data"] = _source_of(type(source))
            if hasattr(source, "__len__"):
                found[f"number of {what} items"] = len(source)
            if what in sampled and is_lazy(member) and task.kind in ("classification", "segmentation"):
                found[f"{what} labels"] = SHA + hashlib.sha256(sampled[what].labels.tobytes()).hexdigest()
        found["shape of items"] = list(self.form.shape[-3:])  # how many frames there may be, timesteps says
        found["dtype of items"] = str(self.form.dtype)
        return found


def sampled(
    dataset: object, config: TrainConfig, task: Task | None, decide: Decide | None, progress: bool = False
) -> Sampled | None:
    """A sample of a data set that is not to be read whole; None of any other, as ``as_splits`` takes it.

    Args:
        decide: what the model says of the shape of an item.
        progress: show what becomes of its numbers.

    Raises:
        ConfigError, DataError: as ``as_splits``, or something cannot be read.
    """
    members = in_pairs(dataset)
    if not isinstance(members, tuple | list) or len(members) not in (2, 3) or hasattr(members[0], "ndim"):
        return None
    streamed = [_is_loader(m) or is_iterable(m) or is_lazy(m) for m in members]
    if len(members) == 2 and (not any(streamed) or (config.in_memory == "yes" and all(map(is_lazy, members)))):
        return None
    train, test = members[0], members[-1]
    validation = members[1] if len(members) == 3 else None
    began = time.monotonic()
    first, batch = _sample(train, "training", _TRAIN_SAMPLE)
    seconds = (time.monotonic() - began) / max(1, len(first) if isinstance(first, list) else batch)
    kind: InputKind | None = None if config.input_kind == "auto" else config.input_kind
    last, _ = _sample(test, "test", _TEST_SAMPLE)
    (train, first), (test, last) = _paired(train, first), _paired(test, last)
    if isinstance(train, Columns | ColumnStream) and (is_lazy(validation) or is_iterable(validation)):
        validation, _ = _paired(validation, _sample(validation, "validation", 1)[0])
    data = as_splits(
        (first, last),
        task=task or (None if config.task == "auto" else config.task),
        input_kind=kind,
        input_range=config.input_range,
        decide=decide,
        timesteps=config.timesteps,
        progress=progress,
    )
    names = names_of(train.dataset if _is_loader(train) and hasattr(train, "dataset") else train)
    counted = data.task.kind in ("classification", "segmentation") and task is None
    if names and counted and data.task.kind == "classification":
        data = replace(data, task=Task("classification", max(len(names), data.task.outputs), names))
    image = None if isinstance(first, Labelled) else first[0][0]
    form = ItemForm.of(data, image, kind, decide)
    if _is_loader(train) and config.batch_size not in (0, batch):
        raise ConfigError(f"batch_size is that of the DataLoader, {batch}, not {config.batch_size}: leave it out")
    return Sampled(data, (train, validation, test), counted and not names, form, batch, seconds)


def _sample(member: Any, what: str, count: int) -> tuple[Any, int]:
    """Some items, in a form that ``as_splits`` takes, and how many a batch has, where the data say it."""
    if isinstance(member, Labelled):
        return member, 0
    if _is_loader(member):
        for images, labels, lengths in batches_of(member, what, 0):
            return as_items(images, labels, lengths, f"batch 0 of the {what} DataLoader"), len(images)
        raise DataError(f"the {what} DataLoader is empty: give at least one batch")
    if is_iterable(member):
        return _first_items(member, what, count), 0
    if isinstance(member, tuple | list) and len(member) == 2 and hasattr(member[0], "ndim"):
        return member, 0
    if not hasattr(member, "__getitem__") or not hasattr(member, "__len__"):
        raise DataError(
            f"{what} data must be a pair (images, labels), a Dataset or a DataLoader, not {type(member).__name__}: "
            "give one of these"
        )
    length = _length(member, what)
    few = min(count, length)
    places = [place * (length - 1) // max(few - 1, 1) for place in range(few)]
    with seeded(0):
        found = read_items(member, places, what)
    return ReadItems(found, places), 0


def _paired(member: Any, found: Any) -> tuple[Any, Any]:
    """A Dataset whose items turned out to be dicts, and those, as pairs; anything else as it is."""
    if _is_loader(member) or not isinstance(found, list):
        return member, found
    with seeded(0):
        member, pairs = pairs_of(member, found)
    return member, ReadItems(pairs, found.places) if isinstance(found, ReadItems) else pairs


def _first_items(items: Any, what: str, count: int) -> list[Any]:
    with seeded(0):
        read = iter(items)
        if read is items:
            raise DataError(
                f"the {what} data can be read once only, as a generator can: give an object whose __iter__ begins anew"
            )
        found: list[Any] = []
        try:
            for item in read:
                found.append(item)
                if len(found) == count:
                    break
        except Exception as error:
            raise DataError(
                f"{what} item {len(found)} cannot be read ({cause(error)}): repair it, or leave it out"
            ) from error
    if not found:
        raise DataError(f"the {what} data are empty: give at least one item")
    return found


def _length(member: Any, what: str) -> int:
    if not (count := len(member)):
        raise DataError(f"the {what} data are empty: give at least one item")
    return count


def _is_loader(member: Any) -> bool:
    return isinstance(member, DataLoader)


def _check_shared(loader: Any, what: str, config: TrainConfig, world: World) -> None:
    """Refuse a loader that would give every one of several processes the same items."""
    if world.size == 1 or what != "training":
        return
    if config.accumulate > 1:
        raise ConfigError("accumulate is not for DataLoaders of several processes: choose a smaller batch size in them")
    if not is_sharded(loader):
        raise ConfigError(
            f"the training DataLoader gives each of {world.size} processes the same items: give it torch's "
            "DistributedSampler as its sampler"
        )


def _source_of(kind: type) -> str:
    try:
        return SHA + hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    except (OSError, TypeError):
        return "unknown"
