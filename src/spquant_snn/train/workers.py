"""Reading in other processes while the last batch computes.

Whatever a worker cannot read comes back as a sentence, not as a traceback of another process.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ..data.item_form import Formed, cause
from ..errors import DataError, SpQuantError
from .batches import Batch
from .tensors import as_tensors

SEEDS = 1 << 62
_MOST = 4  # workers that are started where nobody says how many
_DEAR = 2.0  # seconds of reading in an epoch from which on they pay


@dataclass(frozen=True)
class Failed:
    """An error of a worker, to be raised where the batch was wanted."""

    kind: type[SpQuantError]
    text: str


def loaded(found: Formed, whole: int | None = None) -> Batch:
    """Items that were read as a batch."""
    tensors = as_tensors(found.data)
    return Batch(tensors.images, tensors.labels, whole, tensors.lengths, found.clipped)


def usual_workers(seconds: float) -> int:
    """How many processes should read what takes so many seconds in an epoch."""
    return min(_MOST, os.cpu_count() or 1) if seconds > _DEAR else 0


def read_by(reader: Dataset[Any], requests: Any, workers: int, seed: int, what: str) -> Iterator[Batch]:
    """What a reader gives of each request, in their order; of no requests, all that it yields.

    Args:
        workers: processes that read; 0 reads in this one, when a batch is wanted.
        seed: of the workers, as torch gives it to them.
        what: the data, in words.

    Raises:
        DataError: items cannot be read, or a worker died.
    """
    own = torch.Generator().manual_seed(seed)  # not the numbers that dropout is drawn from
    loader: DataLoader[Any] = DataLoader(
        reader, batch_size=None, sampler=requests, num_workers=workers, collate_fn=_as_it_is, generator=own
    )
    try:
        read = iter(loader)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise DataError(
            f"the {what} data cannot be given to worker processes ({cause(error)}): read them with workers=0"
        ) from error
    for found in alive(read, what):
        if isinstance(found, Failed):
            raise found.kind(found.text)
        yield found


def alive(read: Iterator[Any], what: str) -> Iterator[Any]:
    """What comes from worker processes of torch, as long as they live.

    Raises:
        DataError: one has died.
    """
    stop = getattr(read, "_shutdown_workers", None)
    with deaths_told(what):
        try:
            yield from read
        except (ConnectionError, EOFError) as error:
            if stop is None or str(error).startswith("Caught"):  # of the Dataset of a user
                raise
            raise _death(what, error) from error  # while it handed a batch over
        finally:
            # torch's signal handler would tell of a dead worker again, wherever the program then is.
            if callable(stop):
                stop()


@contextmanager
def deaths_told(what: str) -> Iterator[None]:
    """Within it a worker that died, of which torch may tell anywhere, is told of in a sentence.

    Raises:
        DataError: one has died.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise _death(what, error) from error


def _death(what: str, error: Exception) -> DataError:
    return DataError(
        f"a worker process that read {what} items died ({cause(error)}): read them with workers=0 to see why, or leave "
        "it more memory"
    )


def _as_it_is(found: Any) -> Any:
    return found
