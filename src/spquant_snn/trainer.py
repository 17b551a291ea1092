"""SpQuantTrainer: from a model and a data set to trained integers in a few calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from torch import Tensor, nn

from .data import Splits, as_splits, hold_out
from .errors import ConfigError, ModelError, RunError
from .integer.file import save
from .integer.grids import FLOAT, Bits, describe
from .io.writing import folder_named
from .nn.sums import no_int8
from .quant.lower import lower
from .quant.network import SpikingNetwork
from .quant.prepare import prepare
from .report.page import run_page, write_page
from .report.run_report import RASTERS, Baseline, build_report, in_training, load_baseline, run_name
from .sparsity.compact import compact
from .sparsity.training import SparseTraining
from .train.augment import Augmentation, default_augmentation
from .train.best_checkpoint import BestCheckpoint
from .train.checkpoint import Progress, load_checkpoint, load_weights, save_checkpoint
from .train.config import CUSTOM, NEURON_OPTIONS, TrainConfig, anchored, refuse_neuron_options, with_options
from .train.console import Display
from .train.device import freed_memory_kept, usable_device
from .train.distributed import join
from .train.early_exit import GIVEN_UP, EarlyExit, measure_early_exit
from .train.fingerprint import fingerprint
from .train.loading import add_sparsity, build_network
from .train.loop import fit, make_optimizer
from .train.metrics import measure
from .train.resolve import resolve
from .train.restart import begun_before, launch, resumable
from .train.run import Print, RunFolder, free_folder, numbered
from .train.start import as_teacher, load_teacher, start_from
from .train.tensors import LabelledTensors, as_tensors


class SpQuantTrainer:
    """Trains a spiking network with weights and membrane potentials of a few bits, and hands out its integers.

    Args:
        model: a name ("lenet-snn", "vgg9-snn", "vgg11-snn") or a ``torch.nn.Module`` with LIF layers, see ``prepare``.
        dataset: a name ("mnist", "fashion-mnist", "cifar10", "digits"; "nmnist", "dvs-gesture", "gestures") or a pair
            (train, test), each a pair (images, labels) of tensors or a map-style Dataset.
        quantization_bits: of weights and state, 1.58 (or "ternary") or 2 to 8; 32 trains in floating point.
        weight_bits, state_bits: in its place, for one of the two.
        out: folder of the run; "runs/<model>-<dataset>-<bits>-<number>" by default. Nothing is written before
            ``train``.
        data_dir: where the data sets lie; the environment variable SPQUANT_DATA by default.
        device: "cpu", "cuda" ...; a GPU where there is one by default.
        quiet: print nothing.
        options: any field of ``TrainConfig``, such as timesteps, batch_size, learning_rate, target_ops, seed. A
            ``teacher`` may also be a module of any kind that answers uint8 images with logits [N, classes].

    Raises:
        ConfigError, DataError, ModelError: an argument is not possible; the message says which.

    Example:
        trainer = SpQuantTrainer("lenet-snn", "mnist", quantization_bits=2)
        trainer.train(epochs=20)
        print(f"Test Accuracy: {trainer.evaluate():.2f}%")
        trainer.export("model.spq")
        trainer.report("report.html")
    """

    def __init__(
        self,
        model: str | nn.Module,
        dataset: object,
        quantization_bits: Bits = 8,
        *,
        weight_bits: Bits | None = None,
        state_bits: Bits | None = None,
        out: str | Path | None = None,
        data_dir: str | Path | None = None,
        device: str | torch.device | None = None,
        quiet: bool = False,
        **options: Any,
    ) -> None:
        if not isinstance(model, str | nn.Module):
            raise ConfigError(f"model must be a name or a torch.nn.Module, not {type(model).__name__}")
        if isinstance(model, nn.Module):
            refuse_neuron_options(options)
        options |= {
            "model": model if isinstance(model, str) else CUSTOM,
            "dataset": dataset if isinstance(dataset, str) else CUSTOM,
            "weight_bits": quantization_bits if weight_bits is None else weight_bits,
            "state_bits": quantization_bits if state_bits is None else state_bits,
        }
        self._teacher: nn.Module | None = None
        if isinstance(options.get("teacher"), nn.Module):
            self._teacher = options["teacher"]
            options["teacher"] = CUSTOM
        self.world = world = join()
        self.config = world.together(lambda: with_options(anchored(options)))
        self.device = world.together(lambda: usable_device(device, world))
        folder, show = folder_named("data_dir", data_dir), not quiet and world.first
        self.data: Splits = world.in_turn(
            lambda: as_splits(dataset, folder, timesteps=self.config.timesteps, progress=show)
        )
        self.quiet = quiet or not world.first
        self.run: RunFolder | None = None
        self._out = folder_named("out", out)
        self._finished = False
        self.network = world.together(lambda: self._build(model))
        world.alike(self.network)

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        model: nn.Module | None = None,
        dataset: object = None,
        *,
        teacher: nn.Module | None = None,
        options: dict[str, Any] | None = None,
        **places: Any,
    ) -> SpQuantTrainer:
        """The trainer of a run that was stopped; its ``train()`` goes on from the last checkpoint.

        Args:
            model, dataset, teacher: again, if they were not given by name; the last to go on training.
            options: fields of ``TrainConfig`` that the run must have been started with.
            places: data_dir, device and quiet, as for the class.

        Raises:
            RunError: the folder is not a run's, or its configuration differs from ``options``.
            FileFormatError: a file of the run is damaged.
        """
        run, world = RunFolder(Path(folder)), join()
        config = world.from_first(lambda: resumable(run, options or {}))
        for what, given in (("model", model), ("dataset", dataset)):
            if getattr(config, what) == CUSTOM and given is None:
                raise RunError(f"the {what} of {folder} was given in Python: give it again to resume")
        skipped = ("model", "dataset", "teacher", *(() if model is None else NEURON_OPTIONS))
        if teacher is not None and config.teacher != CUSTOM:
            had = f"that of {config.teacher}" if config.teacher else "none"
            raise RunError(f"the run in {folder} has another teacher, {had}: leave teacher out to resume it")
        trainer = cls(
            config.model if model is None else model,
            config.dataset if dataset is None else dataset,
            teacher=config.teacher if teacher is None else teacher,
            **{name: value for name, value in asdict(config).items() if name not in skipped},
            **places,
        )
        world.from_first(lambda: run.hold_to(trainer._fingerprint()))
        trainer.run, trainer._out = run, run.path
        world.from_first(lambda: load_weights(run.weights, trainer.network) if run.weights.exists() else None)
        world.alike(trainer.network)
        return trainer

    def train(self, epochs: int | None = None) -> SpQuantTrainer:
        """Train, keep the best epoch by the accuracy on images held out of the training set, and return the trainer.

        Called again, it trains on from the best weights, through a whole schedule, as a new run in the next folder.

        Args:
            epochs: of the schedule; the configuration's by default. A resumed run keeps its own.

        Raises:
            ConfigError: the teacher does not take the images, or has other classes.
            ModelError: target_ops cannot be met without emptying a layer.
            RunError: the folder cannot be written or is gone, or the loss is no longer finite.
        """
        world = self.world
        config = world.together(lambda: self._resolve(epochs))
        train, validation = self._parts(config)
        teacher = world.together(lambda: self._taught_by(train.inputs(slice(2))))
        self.run, goes_on = world.from_first(self._held)
        if goes_on and (begun := self.run) is not None:
            world.from_first(lambda: begun.hold_to(self._fingerprint()))
        if not goes_on:
            world.together(lambda: self._begin(train.inputs(slice(config.batch_size))))
        network, run = self.network, world.from_first(self._open_run)
        self.run, self._finished = run, False
        to_go_on = f"stopped; the last checkpoint is kept, to go on: spquant train --resume {quote(str(run.path))}"
        display = Display(config.epochs + config.finetune_epochs, quiet=self.quiet, to_go_on=to_go_on)
        with display, freed_memory_kept(not config.checkpoint_time):
            optimizer = make_optimizer(network, config)
            if not goes_on:  # where the training began: a stop in its first epoch comes back to it
                world.from_first(lambda: save_checkpoint(run.checkpoint, network, optimizer, Progress()))
            start = world.together(lambda: load_checkpoint(run.checkpoint, network, optimizer, world))
            sparse = SparseTraining(network, config.goals, config.epochs, self._still) if config.goals.any else None
            network.frozen = bool(config.finetune_epochs) and start.epochs >= config.epochs
            keeper = BestCheckpoint(run, network, optimizer, config, validation, sparse, world)
            bits = f"weights {describe(config.weight_bits)}, state {describe(config.state_bits)}"
            display.say(f"{config.model} on {self.data.name}: {bits}, T = {config.timesteps}")
            what = "images" if self._still else "recordings"
            display.say(f"{len(train):,} {what}, {len(validation):,} more held out; run folder {run.path}")
            if self.device.type == "cpu" and config.weight_bits != FLOAT and no_int8() is not None:
                display.say(f"sums are computed in float32, slower: {no_int8()}")
            augmentation = default_augmentation(config.dataset) if config.augment else Augmentation()
            more = (augmentation, config, start, display, keeper.keep, teacher, sparse, world)
            end = fit(network, optimizer, train, validation, *more)
            world.from_first(run.check_held)
            keeper.take_best()
            best = {"epoch": end.best.epoch, "val_accuracy": end.best.accuracy, "val_loss": end.best.loss}
            world.from_first(lambda: run.note(best=best))
            if config.quant.integer:
                world.from_first(lambda: self.export(run.integers))
        self._finished = True
        return self

    def evaluate(self) -> float:
        """Accuracy on the test set, in percent, of the form that ships: integers, or floating point where the network
        has no integer form. Where several processes train, all of them call it and get the same."""
        accuracy = measure(self.deployed(), as_tensors(self.data.test), world=self.world).accuracy
        if self.run is not None:
            self.world.from_first(partial(self.run.note, test_accuracy=accuracy))
        return accuracy

    def early_exit(self, given_up: Sequence[float] = GIVEN_UP) -> EarlyExit:
        """Accuracy on the test set against the time steps used; margins are chosen on the images held out of training,
        to give up at most so many points of accuracy there.

        Raises:
            ModelError: the network is floating point.
            ConfigError: ``given_up`` holds something that is no number of points.
        """
        _, held_out = self._parts(self._resolve(None))
        return measure_early_exit(compact(self.network).eval().freeze(), held_out, as_tensors(self.data.test), given_up)

    def deployed(self) -> SpikingNetwork:
        """A copy of the network in the form that ships: without pruned channels, and frozen, where it has an integer
        form."""
        network = compact(self.network).eval()
        return network.freeze() if self.config.quant.integer else network

    def export(self, path: str | Path) -> Path:
        """Write the network's integers as an ``.spq`` file, which ``spquant_snn.load`` runs without torch.

        Raises:
            ModelError: the network is floating point.
            RunError: the file cannot be written.
        """
        if self.world.first:
            save(lower(compact(self.network).eval().freeze()), Path(path))
        return Path(path)

    def report(
        self,
        path: str | Path,
        images: int = 1000,
        raster: Sequence[int] = RASTERS,
        baseline: SpQuantTrainer | str | Path | None = None,
    ) -> Path:
        """Write a page on what the network costs and how its neurons live, measured on its integers and test images.

        Args:
            path: the HTML file to write.
            images: how many of the test images are counted on; 0 takes all.
            raster: indices of test images that are shown spike by spike.
            baseline: whose firing rates are compared with the network's: another trainer, or the folder of a run.

        Raises:
            ModelError: the network is floating point.
            ConfigError: an image is not there, or the baseline is of other images or layers.
            RunError: the file cannot be written.
        """
        if isinstance(baseline, SpQuantTrainer):
            other: Baseline | None = Baseline(run_name(baseline.run, baseline.config), baseline.deployed())
        else:
            other = None if baseline is None else load_baseline(Path(baseline), self.config.dataset)
        if not self.world.first:
            return Path(path)
        subject = in_training(compact(self.network).eval(), self.data.test, self.config, self.run)
        write_page(run_page(build_report(subject, images, raster, other)), Path(path))
        return Path(path)

    def _parts(self, config: TrainConfig) -> tuple[LabelledTensors, LabelledTensors]:
        """The images that are trained on, and those held out of them."""
        train, validation = hold_out(self.data.train, config.validation, config.seed)
        return as_tensors(train), as_tensors(validation)

    def _resolve(self, epochs: int | None) -> TrainConfig:
        """Settle what the configuration leaves open, on this data set and this machine."""
        if epochs is not None and self.run is not None and not self._finished and epochs != self.config.epochs:
            raise RunError(
                f"{self.run.path} was started for {self.config.epochs} epochs, not {epochs}: resume it with train()"
            )
        config = self.config if epochs is None else replace(self.config, epochs=epochs)
        self.config = resolve(config, len(self.data.train), self.network, self.device, self.world)
        return self.config

    def _build(self, model: str | nn.Module) -> SpikingNetwork:
        """The untrained network, checked against the data set."""
        if self.data.frames not in (None, self.config.timesteps):
            raise ConfigError(
                f"the sequences of the data set have {self.data.frames} frames, timesteps is {self.config.timesteps}: "
                f"set timesteps to {self.data.frames}"
            )
        if isinstance(model, str):
            network = build_network(self.config, self.data.shape, self.data.classes, self.data.full_scale)
        else:
            torch.manual_seed(self.config.seed)
            quant = replace(self.config.quant, full_scale=self.data.full_scale)
            network = add_sparsity(prepare(model, quant, self.data.shape), self.config)
        if network.outputs < self.data.classes:
            raise ModelError(
                f"the model has {network.outputs} outputs, the data set {self.data.classes} classes: "
                "widen its last layer"
            )
        return network.to(self.device)

    def _taught_by(self, images: Tensor) -> nn.Module | None:
        """The teacher, if there is one; tried on the images."""
        if self._teacher is not None:
            return as_teacher(self._teacher, self.network, images)
        if self.config.teacher == CUSTOM:
            raise RunError("the teacher of this run was given in Python: give it again, as resume(..., teacher=...)")
        return load_teacher(Path(self.config.teacher), self.network) if self.config.teacher else None

    def _held(self) -> tuple[RunFolder | None, bool]:
        """The run that was resumed, or that is over, or that torchrun starts again, and whether it is to go on."""
        run = begun_before(self._out, self.config) if self.run is None else self.run
        return run, run is not None and not self._finished and run.checkpoint.exists()

    def _begin(self, images: Tensor) -> None:
        """Take the first weights from another run, if one is named, and refuse a target that some of the training
        images show to be out of reach, before anything is written."""
        if self.config.init and not self._finished:
            start_from(Path(self.config.init), self.network)
        if self.config.goals.any:
            sparse = SparseTraining(self.network, self.config.goals, self.config.epochs, self._still)
            sparse.start(images.to(self.device))

    def _open_run(self) -> RunFolder:
        """The run that goes on, or the folder of a new one."""
        if self.run is not None and not self._finished:
            return self.run.hold()
        if self._out is None:
            run = RunFolder(free_folder(self.config))
        else:
            run = RunFolder(self._out if self.run is None else numbered(self._out))
        data = self.data
        run.create(self.config, data.shape, data.classes, data.full_scale, launch(), self._fingerprint())
        return run.hold()

    def _fingerprint(self) -> dict[str, Print]:
        """What a run of this trainer is held to."""
        return fingerprint(self.config, self.network, self.data, self._teacher)

    @property
    def _still(self) -> bool:
        """Whether the data set is of images, not of sequences."""
        return self.data.frames is None
