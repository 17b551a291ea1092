"""Batches of DataLoaders, used as they are, and of iterable Datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from ..data.item_form import ItemForm, cause, parts_of_batch
from ..errors import ConfigError, DataError, SpQuantError
from .batches import WHOLE, Batch, DataPass
from .distributed import ALONE, World
from .random_numbers import seeded
from .workers import SEEDS, Failed, alive, loaded, read_by


@dataclass(frozen=True, eq=False)
class LoaderBatches:
    """``Batches`` of a DataLoader of torch, or of anything that is iterated over alike: with its own workers, sampler,
    collate function and batch size.

    Args:
        loader: gives pairs (inputs, labels), or (inputs, labels, lengths) of sequences.
        what: "training", "validation" or "test".
        length: batches of an epoch; None: as many as it says.
        world: the processes that train together, of which each has its own loader.
    """

    loader: Any
    form: ItemForm
    what: str
    length: int | None = None
    world: World = ALONE

    @property
    def frames(self) -> int | None:
        return self.form.shape[0] if len(self.form.shape) == 4 else None

    def steps(self, batch_size: int) -> int:
        return self.length or steps_of(self.loader, self.what)

    def drawn(self, draw: torch.Generator, batch_size: int, which: DataPass = WHOLE) -> Iterator[Batch]:
        """The batches of the loader; it begins anew where an epoch is longer than it is, by ``length``."""
        seed, steps, done = int(torch.randint(SEEDS, (), generator=draw)), self.steps(batch_size), 0
        wanted, world = which.first_of(steps), which.world
        for sampler in (self.loader, *_samplers(self.loader)):
            set_epoch = getattr(sampler, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(which.epoch)
        while done < wanted:
            before = done
            for found in self._read(seed + (done << 20)):
                yield replace(found, whole=None if world.size == 1 else len(found) * world.size)
                done += 1
                if done == wanted:
                    return
            if self.length is None or done == before:
                raise DataError(
                    f"the {self.what} DataLoader ended after {done} batches, and said that it has {steps}: let it have "
                    "one length, or say how many by steps_per_epoch"
                )

    def in_order(self, batch_size: int, world: World = ALONE) -> Iterator[Batch]:
        shared = is_sharded(self.loader) or world.size == 1
        for number, found in enumerate(self._read(0)):
            if shared or number % world.size == world.rank:
                yield found

    def first(self, count: int) -> Batch:
        return next(self._read(0)).rows(slice(count // (self.frames or 1) or 1)).of_commonest_length()

    def on(self, device: torch.device) -> LoaderBatches:
        return self

    def _read(self, seed: int) -> Iterator[Batch]:
        """One pass, whose random numbers follow from the seed."""
        number = -1
        for number, (images, labels, lengths) in enumerate(batches_of(self.loader, self.what, seed)):
            where = f"batch {number} of the {self.what} DataLoader"
            yield loaded(self.form.of_batch(images, labels, where, lengths))
        if number < 0:
            raise DataError(f"the {self.what} DataLoader is empty: give at least one batch")


def batches_of(loader: Any, what: str, seed: int) -> Iterator[tuple[Any, Any, Any]]:
    """Inputs, labels and, where its collate function gives them, lengths of one pass over a loader.

    Raises:
        DataError: a batch is none of that, cannot be read, or a worker died.
    """
    for holder in {id(g): g for s in (loader, *_samplers(loader)) if (g := getattr(s, "generator", None))}.values():
        holder.manual_seed(seed)
    with seeded(seed):
        read = alive(iter(loader), what)
    number = 0
    while True:
        where = f"batch {number} of the {what} DataLoader"
        number += 1
        try:
            with seeded(seed + number):
                batch = next(read, None)
        except SpQuantError:
            raise
        except Exception as error:  # of the Dataset or of the collate function of a user
            raise DataError(
                f"{where} cannot be read ({_innermost(error)}): repair its items, or leave them out"
            ) from error
        if batch is None:
            return
        yield parts_of_batch(batch, where)


def steps_of(loader: Any, what: str) -> int:
    """Batches that a loader says it has.

    Raises:
        ConfigError: it does not know.
        DataError: it has none.
    """
    try:
        count = len(loader)
    except TypeError:
        raise ConfigError(
            f"the {what} data have no length: say how many batches make an epoch, as steps_per_epoch=100"
        ) from None
    if not count:
        raise DataError(f"the {what} DataLoader is empty: give at least one batch")
    return count


def is_sharded(loader: Any) -> bool:
    """Whether a loader gives each of several processes its own items: by a sampler that knows of them, as torch's
    DistributedSampler does."""
    return any(hasattr(sampler, "num_replicas") for sampler in _samplers(loader))


def _samplers(loader: Any) -> list[Any]:
    found = [getattr(loader, name, None) for name in ("sampler", "batch_sampler", "dataset")]
    found.append(getattr(found[1], "sampler", None))
    return [sampler for sampler in found if sampler is not None]


def _innermost(error: Exception) -> str:
    """What an error says; that of a worker, in its last line."""
    text = str(error).strip()
    return text.splitlines()[-1][:200] if text.startswith("Caught") else cause(error)


class IterableReader(IterableDataset[Any]):
    """Batches of an iterable Dataset, as one process or worker of several reads them.

    The iterable is told by torch's ``get_worker_info`` which worker reads. One that has a true attribute
    ``shards_itself`` is believed to give each worker and process its own items; of any other, batch after batch is
    dealt out to them in turn.
    """

    def __init__(self, items: Any, form: ItemForm, what: str, batch_size: int, seed: int, world: World = ALONE) -> None:
        self.items, self.form, self.what = items, form, what
        self.batch_size, self.seed, self.world = batch_size, seed, world

    def __iter__(self) -> Iterator[Batch | Failed]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        own, of = worker * self.world.size + self.world.rank, workers * self.world.size
        if getattr(self.items, "shards_itself", False):
            own, of = 0, 1
        try:
            with seeded(self.seed):
                read = iter(self.items)
            block, done = 0, False
            while not done:
                with seeded(self.seed + 1 + block):
                    items, done = self._block(read, block * self.batch_size)
                if items and block % of == own:
                    yield loaded(self.form.of_items(items, self._named_from(block * self.batch_size)))
                block += 1
        except SpQuantError as error:
            yield Failed(type(error), str(error))

    def _named_from(self, start: int) -> Callable[[int], str]:
        return lambda place: f"{self.what} item {start + place}"

    def _block(self, read: Iterator[Any], start: int) -> tuple[list[Any], bool]:
        """The next items, and whether there are no more."""
        found: list[Any] = []
        for _ in range(self.batch_size):
            try:
                found.append(next(read))
            except StopIteration:
                return found, True
            except Exception as error:
                place = start + len(found)
                raise DataError(
                    f"{self.what} item {place} cannot be read ({cause(error)}): repair it, or leave it out"
                ) from error
        return found, False


@dataclass(frozen=True, eq=False)
class IterableBatches:
    """``Batches`` of an iterable Dataset, which begins anew with each epoch; where it has ``set_epoch``, it is told
    which.

    Args:
        items: its ``__iter__`` begins anew.
        length: batches of an epoch; None: as many as its ``len`` gives.
    """

    items: Any
    form: ItemForm
    what: str
    workers: int
    length: int | None = None

    @property
    def frames(self) -> int | None:
        return self.form.shape[0] if len(self.form.shape) == 4 else None

    def steps(self, batch_size: int) -> int:
        return self.length or -(-steps_of(self.items, self.what) // batch_size)

    def drawn(self, draw: torch.Generator, batch_size: int, which: DataPass = WHOLE) -> Iterator[Batch]:
        seed, steps, done = int(torch.randint(SEEDS, (), generator=draw)), self.steps(batch_size), 0
        wanted, world = which.first_of(steps), which.world
        if callable(set_epoch := getattr(self.items, "set_epoch", None)):
            set_epoch(which.epoch)
        own = batch_size // world.size
        while done < wanted:
            before = done
            for found in self._read(own, seed + (done << 20), world):
                if len(found) < own and (world.size > 1 or len(found) < 2):
                    continue  # the end, which is another in each process, or cannot be normalised
                yield replace(found, whole=None if world.size == 1 else own * world.size)
                done += 1
                if done == wanted:
                    return
            if done == before:
                raise DataError(f"the {self.what} data hold no batch of {batch_size} items: give more of them")

    def in_order(self, batch_size: int, world: World = ALONE) -> Iterator[Batch]:
        count = 0
        for found in self._read(batch_size, 0, world):
            count += len(found)
            yield found
        if not count and world.size == 1:
            raise DataError(f"the {self.what} data are empty: give at least one item")

    def first(self, count: int) -> Batch:
        return next(self._read(count // (self.frames or 1) or 1, 0, ALONE, workers=0)).of_commonest_length()

    def on(self, device: torch.device) -> IterableBatches:
        return self

    def _read(self, batch_size: int, seed: int, world: World, workers: int | None = None) -> Iterator[Batch]:
        reader = IterableReader(self.items, self.form, self.what, batch_size, seed, world)
        return read_by(reader, None, self.workers if workers is None else workers, seed, self.what)
