"""How an epoch is going: loss and accuracy so far, read from the device without holding it up."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import DivergedError
from .config import TrainConfig
from .console import Display
from .distributed import World


class EpochMeter:
    """Adds up the statistics of an epoch's steps, and shows them; a checkpoint after ``kept`` epochs is what there is
    to go back to.

    A GPU is a step behind the program that gives it work; to wait for its numbers would leave it idle. So there each
    step's are read when the next one has been given.

    Attributes:
        loss, accuracy: means over the images so far, the latter in percent; of other tasks than classes it is None.
        largest: the largest sum that took two bytes, of the last step that was read.
    """

    def __init__(
        self, epoch: int, kept: int, config: TrainConfig, world: World, display: Display, classifies: bool = True
    ) -> None:
        self._classifies = classifies
        self._epoch, self._kept, self._config, self._world, self._display = epoch, kept, config, world, display
        self._unread: deque[tuple[Callable[[], list[float]], int]] = deque()
        self._loss, self._hits, self._seen = 0.0, 0.0, 0
        self.largest = 0.0

    @property
    def loss(self) -> float:
        return self._loss / max(1, self._seen)

    @property
    def accuracy(self) -> float | None:
        return 100 * self._hits / max(1, self._seen) if self._classifies else None

    def update(self, statistics: Tensor, images: int) -> None:
        """Add the statistics of a step with so many images, float32 [3], as ``Step`` gives them, summed over processes.

        Raises:
            DivergedError: the loss is no longer a finite number; on a GPU, that of the step before.
        """
        self._unread.append((_later(statistics), images))
        self._read(1 if statistics.is_cuda else 0)

    def end(self) -> None:
        """Read what is left; raises as ``update``."""
        self._read(0)

    def _read(self, left: int) -> None:
        while len(self._unread) > left:
            read, images = self._unread.popleft()
            value, hits, self.largest = read()
            if not math.isfinite(value):
                raise self._world.raised_by_all(
                    diverged(f"the loss became {value}", self._epoch, self._kept, self._config)
                )
            self._loss += value * images
            self._hits += hits
            self._seen += images
            self._display.step(self.loss, self.accuracy)


def diverged(what: str, epoch: int, kept: int, config: TrainConfig) -> DivergedError:
    """The error of a training that cannot go on in an epoch, the first being 0, with a checkpoint after ``kept``."""
    return DivergedError(
        f"{what} in epoch {epoch + 1}: start anew with a lower learning rate than {config.learning_rate:g}, or with "
        f"clip_norm; the checkpoint of epoch {kept} is kept"
    )


def _later(statistics: Tensor) -> Callable[[], list[float]]:
    """The numbers, once somebody asks: from a GPU they are on their way until then."""
    if not statistics.is_cuda:
        numbers: list[float] = statistics.tolist()
        return lambda: numbers
    here = torch.empty(statistics.shape, dtype=statistics.dtype, pin_memory=True)
    here.copy_(statistics, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record(torch.cuda.current_stream(statistics.device))

    def read() -> list[float]:
        arrived.synchronize()
        found: list[float] = here.tolist()
        return found

    return read
