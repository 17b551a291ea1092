"""Batches of map-style Datasets whose items are read when they are needed, and anew in every epoch.

The order of an epoch and the random numbers that items are made with follow from the seed and the number of the epoch,
batch by batch: not from which worker reads a batch, nor from how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.item_form import ItemForm, read_items
from ..errors import SpQuantError
from .batches import WHOLE, Batch, DataPass
from .distributed import ALONE, World
from .random_numbers import seeded
from .workers import SEEDS, Failed, loaded, read_by


@dataclass(frozen=True)
class Request:
    """Items to read together.

    Args:
        places: of the items.
        seed: of what is random in them.
        whole: items of the batch in all processes; None: these are all of it.
    """

    places: list[int]
    seed: int
    whole: int | None = None


class ItemReader(Dataset[Any]):
    """Reads what a request names: the Dataset that worker processes hold.

    Args:
        items: the Dataset of the user.
        what: "training", "validation" or "test".
    """

    def __init__(self, items: Any, form: ItemForm, what: str) -> None:
        self.items, self.form, self.what = items, form, what

    def __getitem__(self, request: Request) -> Batch | Failed:
        places = request.places
        try:
            with seeded(request.seed):
                found = read_items(self.items, places, self.what)
            formed = self.form.of_items(found, lambda place: f"{self.what} item {places[place]}")
        except SpQuantError as error:
            return Failed(type(error), str(error))
        return loaded(formed, request.whole)


@dataclass(frozen=True, eq=False)
class ItemBatches:
    """``Batches`` of a map-style Dataset, or of some of its items.

    Args:
        reader: of the Dataset.
        count: items that there are, of those that are chosen.
        workers: processes that read.
        chosen: which items; None: all.
    """

    reader: ItemReader
    count: int
    workers: int
    chosen: Tensor | None = None

    @property
    def frames(self) -> int | None:
        shape = self.reader.form.shape
        return shape[0] if len(shape) == 4 else None

    def only(self, chosen: Tensor) -> ItemBatches:
        """Some of the items, in this order."""
        return replace(self, chosen=chosen, count=len(chosen))

    def steps(self, batch_size: int) -> int:
        return -(-self.count // batch_size)

    def drawn(self, draw: torch.Generator, batch_size: int, which: DataPass = WHOLE) -> Iterator[Batch]:
        """Batches of nearly one size, the larger ones first, as of what lies in memory; of several processes, each
        reads its own items."""
        order = torch.randperm(self.count, generator=draw)[: which.first_of(self.steps(batch_size)) * batch_size]
        seed = int(torch.randint(SEEDS, (), generator=draw))
        steps, world = -(-len(order) // batch_size), which.world

        def requests() -> Iterator[Request]:
            for number, rows in enumerate(order.tensor_split(steps)):
                own = torch.cat([rows[slice(*span)] for span in world.spans(len(rows), which.accumulate)])
                yield self._request(own, seed + number * world.size + world.rank, len(rows))

        yield from self._read(requests(), steps, seed)

    def in_order(self, batch_size: int, world: World = ALONE) -> Iterator[Batch]:
        starts = range(world.rank * batch_size, self.count, world.size * batch_size)
        rows = (torch.arange(start, min(start + batch_size, self.count)) for start in starts)
        yield from self._read((self._request(own, int(own[0])) for own in rows), len(starts), 0)

    def first(self, count: int) -> Batch:
        rows = torch.arange(min(self.count, count // (self.frames or 1) or 1))
        read = read_by(self.reader, _Requests(iter([self._request(rows, 0)])), 0, 0, self.reader.what)
        return next(read).of_commonest_length()

    def on(self, device: torch.device) -> ItemBatches:
        return self

    def _request(self, rows: Tensor, seed: int, whole: int | None = None) -> Request:
        places = rows if self.chosen is None else self.chosen[rows]
        return Request(places.tolist(), seed, whole)

    def _read(self, requests: Iterator[Request], count: int, seed: int) -> Iterator[Batch]:
        return read_by(self.reader, _Requests(requests), min(self.workers, count), seed, self.reader.what)


class _Requests:
    """Requests as the sampler that torch's DataLoader takes: it asks for no more than an iterator."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self._requests = requests

    def __iter__(self) -> Iterator[Request]:
        return self._requests
