"""The folder of a training's run in the hands of all its processes: which run it is, and what is written of each epoch.

The first process reads and writes; what it finds, or cannot do, all of them know.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data import Splits, Task
from ..data.scores import ACCURACY, Metric
from ..data.task import OutputFormat
from ..errors import ConfigError, RunError
from ..io.terminal import Report, unseen
from ..quant.network import SpikingNetwork
from .batches import Batches
from .checkpoint import NONE, Best, Progress, load_checkpoint, load_weights, save_checkpoint, save_weights
from .config import TrainConfig, departures, differences, load_config
from .distributed import World
from .functions import EpochRecord
from .loop import Training
from .metrics import Metrics, measure
from .run import Print, RunFolder, config_print, free_folder, numbered

Fingerprint = dict[str, Print]
_UNNAMED = "none"  # torchrun's own word where no --rdzv-id was given


class RunOwner:
    """Owns the run of one trainer at a time: a new one, one that was stopped, or one in the next folder.

    Args:
        world: the processes that train together.
        out: folder of the run; None for one of a telling name.

    Attributes:
        run: the folder, once there is one.
        finished: whether the training of that run came to its end here.
    """

    def __init__(self, world: World, out: Path | None = None) -> None:
        self.world, self.out = world, out
        self.run: RunFolder | None = None
        self.finished = False

    def shown(self, quiet: bool) -> Report | None:
        """What is told how far something is; None, for a bar, where this process may show one."""
        return unseen if quiet or not self.first else None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and shows."""
        return self.world.first

    @property
    def unfinished(self) -> RunFolder | None:
        """The run that is not over, if there is one."""
        return None if self.finished else self.run

    def resume(self, folder: Path, options: dict[str, Any]) -> TrainConfig:
        """Take over a run that was stopped; returns its configuration.

        Raises:
            RunError: it was started with other options, or cannot go on.
            FileFormatError: its configuration is damaged.
        """
        run = RunFolder(folder)
        config = self.world.from_first(lambda: _resumable(run, options))
        self.run, self.out = run.stay(), folder
        return config

    def named_task(self) -> dict[str, Task]:
        """The task of the run as an option, where its outputs have names or a unit, which data sets do not say.

        Raises:
            FileFormatError: the record of the run is damaged.
        """
        run = self._open
        said = self.world.from_first(run.read_format)
        return {} if said is None or not (said.task.names or said.task.unit) else {"task": said.task}

    def load_best(self, network: SpikingNetwork, if_any: bool = False) -> None:
        """Put the weights of the run's best epoch into a network; ``if_any``, none where there is no such epoch yet.

        Raises:
            FileFormatError, RunError: as ``load_weights``.
        """
        run = self._open

        def load() -> None:
            if not if_any or run.weights.exists() or run.metrics.exists():
                load_weights(run.weights, network)

        self.world.from_first(load)
        self.world.alike(network)

    def hold_to(self, fingerprint: Callable[[], Fingerprint]) -> None:
        """Refuse to go on with something else than the run was started with; raises as ``RunFolder.hold_to``."""
        if (run := self.run) is not None:
            self.world.from_first(lambda: run.hold_to(fingerprint()))

    def goes_on(self, config: TrainConfig, fingerprint: Callable[[], Fingerprint]) -> bool:
        """Whether there is a run to go on with: one that was resumed or stopped, or that torchrun starts again.

        Raises:
            ConfigError, RunError: it is there, and is of something else.
        """
        if self.run is None:
            self.run = self.world.from_first(lambda: begun_before(self.out, config))
        run = self.unfinished
        if run is None or not self.world.from_first(run.checkpoint.exists):
            return False
        self.hold_to(fingerprint)
        return True

    def open(
        self,
        config: TrainConfig,
        data: Splits,
        fingerprint: Callable[[], Fingerprint],
        output_format: OutputFormat | None = None,
    ) -> RunFolder:
        """The run that goes on, or the folder of a new one, held against being replaced.

        Raises:
            ConfigError, RunError: as ``RunFolder.create``.
        """
        opened = self.world.from_first(lambda: self._opened(config, data, fingerprint, output_format))
        self.run, self.finished = opened, False
        return self.run

    def _opened(
        self,
        config: TrainConfig,
        data: Splits,
        fingerprint: Callable[[], Fingerprint],
        output_format: OutputFormat | None,
    ) -> RunFolder:
        if (begun := self.unfinished) is not None:
            return begun.hold()
        if self.out is None:
            run = RunFolder(free_folder(config))
        else:
            run = RunFolder(self.out if self.run is None else numbered(self.out))
        run.create(config, data.shape, data.classes, data.input_format, _launch(), fingerprint(), output_format)
        return run.hold()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within it no other training can go on with the open run.

        Raises:
            RunError: another one does.
        """
        lock = self.world.from_first(self._open.lock)
        try:
            yield
        finally:
            if lock is not None and self.first:
                os.close(lock)

    def start(self, network: SpikingNetwork, optimizer: torch.optim.Optimizer, new: bool) -> Progress:
        """Where a training begins: at the last checkpoint of the run that is open, or, of a ``new`` one, at its first,
        to which a stop in its first epoch comes back.

        Raises:
            FileFormatError, RunError: the checkpoint is damaged, of another network, or cannot be written.
        """
        path = self._open.checkpoint
        if new:
            self.world.from_first(lambda: save_checkpoint(path, network, optimizer, Progress()))
        return self.world.together(lambda: load_checkpoint(path, network, optimizer, self.world))

    def finish(
        self,
        network: SpikingNetwork,
        best: Best,
        export: Callable[[Path], object] | None,
        metric: Metric = ACCURACY,
    ) -> None:
        """Put the weights of the best epoch into the network, and note which that was.

        Args:
            export: writes the integer model to the path that it is given; None where there is none.
            metric: what epochs were compared by.
        """
        run = self._open
        self.world.from_first(run.check_held)
        self.load_best(network)
        noted = {"epoch": best.epoch, f"val_{metric.key}": best.score, "val_loss": best.loss}
        self.world.from_first(lambda: run.note(best=noted))
        if export is not None:
            self.world.from_first(lambda: export(run.integers))
        self.finished = True

    def note(self, **entries: Any) -> None:
        """Add entries to the run's run.json, if there is a run; a warning where it is gone or cannot be written, since
        what was found is as good without."""
        if (run := self.run) is None:
            return
        try:
            self.world.from_first(lambda: run.note(**entries))
        except RunError as error:
            if self.first:
                warnings.warn(f"what was found is not noted in the folder of the run: {error}", stacklevel=3)

    @property
    def _open(self) -> RunFolder:
        assert self.run is not None  # ``open`` or ``resume`` comes first
        return self.run


@dataclass(frozen=True, eq=False)
class BestCheckpoint:
    """Keeps the epochs of one training in the folder of its run: weights that are the best so far, or else, where none
    is ``chosen``, the last; a line of metrics, and a checkpoint."""

    owner: RunOwner
    run: RunFolder
    training: Training
    validation: Batches
    chosen: bool = True

    def keep(self, progress: Progress, loss: float, accuracy: float | None, metrics: Metrics) -> Progress:
        """Save the epoch; after the last one in training form, go on from the best in the frozen form.

        Raises:
            RunError: the folder of the run is gone or cannot be written.
        """
        run, network, config, sparse = self.run, self.training.network, self.training.config, self.training.sparse
        first = self.owner.world.from_first
        first(run.check_held)
        epoch = progress.epochs + 1
        fixed = sparse is None or epoch > sparse.fixed
        best = progress.best if fixed else NONE  # until its channels are fixed, the network is not what was asked for
        beaten = not self.chosen or best.beaten_by(metrics.score, metrics.loss, metrics.metric)
        if beaten:
            best = Best(epoch, metrics.score, metrics.loss)
            first(lambda: save_weights(run.weights, network))
        summary = {} if sparse is None else sparse.summary()
        first(lambda: run.log_epoch(epoch, loss, accuracy, metrics, summary))
        if config.finetune_epochs and epoch == config.epochs:
            self.owner.load_best(network)
            frozen = measure(network.freeze(), self.validation, world=self.owner.world, wanted=self.training.wanted)
            best = Best(epoch, frozen.score, frozen.loss)
        first(lambda: save_checkpoint(run.checkpoint, network, self.training.optimizer, Progress(epoch, best)))
        epochs = config.epochs + config.finetune_epochs
        told = EpochRecord(epoch, epochs, loss, metrics.loss, metrics.metric.key, metrics.score, beaten)
        for callback in self.training.functions.callbacks if self.owner.first else ():
            callback(told)
        return Progress(epoch, best)


def begun_before(out: Path | None, config: TrainConfig) -> RunFolder | None:
    """The run in the folder ``out`` that this job of torchrun began before it was started again; None if there is none.

    Raises:
        ConfigError: torchrun may start the training again, which then would not know its folder.
        RunError: the run is of another configuration.
    """
    job = _launch()
    if job is None:
        return None
    if out is None:
        if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")):
            raise ConfigError("torchrun may restart this training, which then must find its folder: name it with --out")
        return None
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if not again and os.environ["TORCHELASTIC_RUN_ID"] == _UNNAMED:  # numbers of processes come again
        return None
    run = RunFolder(out)
    if not run.record.exists() or run.read_record().get("launch") != job:
        return None
    changed = differences(load_config(run.config), config)
    if changed:
        raise RunError(f"{out} was started with {'; '.join(changed)}: choose another folder")
    return run


def _launch() -> str | None:
    """The name of the job that this process is of, the same after a restart: that of --rdzv-id, or else torchrun's
    process; None without torchrun. Recorded by the folder of a run."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{platform.node()}:{os.getppid()}" if name == _UNNAMED else name


def _resumable(run: RunFolder, options: dict[str, Any]) -> TrainConfig:
    """The configuration of a run that can go on and was started with these options."""
    config = load_config(run.config)
    run.hold_to({"config": config_print(config)})
    if run.weights.exists() and not run.checkpoint.exists():
        raise RunError(f"{run.path} holds no {run.checkpoint.name}, so its training cannot go on: start a new one")
    changed = departures(config, options)
    if changed:
        raise RunError(f"{run.path} was started with {'; '.join(changed)}: resume it without these options")
    return config
