"""SpQuantTrainer: from a model and a data set to trained integers in a few calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from torch import nn

from .data import hold_out
from .data.catalog import title_of
from .data.items import Items
from .data.scores import Metric
from .errors import ConfigError, RunError
from .exchange.onnx_model import OnnxKind
from .export.fit import Limit
from .export.packaging import Layout, Prefer, Target
from .export.targets import ExportOptions, export_graph
from .integer.compare import IntegerBackend, Verdict
from .integer.graph import Graph
from .integer.grids import Bits, describe
from .integer.inputs import check_count
from .integer.sample import sample_note
from .io.output import visible
from .io.writing import folder_named, path_text
from .plot import Plot, curves, run_html
from .quant.frozen_trace import verify
from .quant.lower import lower
from .quant.network import SpikingNetwork
from .report.early_exit import GIVEN_UP, EarlyExit, measure_early_exit
from .report.page import run_page, write_page
from .report.run_report import RASTERS, Baseline, build_report, in_training, load_baseline, run_name
from .sparsity.compact import compact
from .sparsity.training import SparseTraining
from .train.augment import Augmentation, default_augmentation
from .train.batches import Batches, amounts
from .train.config import CUSTOM, NEURON_OPTIONS, refuse_neuron_options, what_and_on
from .train.console import Display
from .train.device import freed_memory_kept, slower_forms
from .train.distributed import World, join, together
from .train.fingerprint import fingerprint
from .train.functions import take_objects
from .train.loop import Training, fit
from .train.metrics import measure
from .train.optimizer import make_optimizer
from .train.random_numbers import seed_torch, torch_kept
from .train.resolve import objective_for, resolve, set_up
from .train.run import Print, RunFolder
from .train.run_owner import BestCheckpoint, RunOwner
from .train.start import as_teacher, load_teacher, start_from
from .train.tensors import as_tensors
from .train.workers import deaths_told

_FEW = 256  # images by which means and deviations are measured, where integers are trained on


class SpQuantTrainer:
    """Trains a spiking network with weights and membrane potentials of a few bits, and hands out its integers.

    Args:
        model: a name ("lenet-snn", "vgg9-snn:0.25", "resnet18-snn"; docs/reference/networks.md lists them) or a
            ``torch.nn.Module`` with LIF layers, see ``prepare``.
        dataset: a name ("mnist", "fashion-mnist", "cifar10", "digits"; "nmnist", "dvs-gesture", "gestures") or a pair
            (train, test), each a pair (images, labels) of tensors, a Dataset, map-style or iterable, or a DataLoader,
            which is used as it is; or three of these, (train, validation, test). Of Datasets and DataLoaders no more
            than a sample is kept: ``data``, and with it ``verify``, ``report`` and ``export``, are of that.
        quantization_bits: of weights and state, 1.58 (or "ternary") or 2 to 8; 32 trains in floating point.
        weight_bits, state_bits: in its place, for one of the two; weights also by layer, {"conv1": 8, "*": 2}.
        out: folder of the run; "runs/<model>-<dataset>-<bits>-<number>" by default. Nothing is written before
            ``train``.
        data_dir: where the data sets lie; the environment variable SPQUANT_DATA by default.
        device: "cpu", "cuda" ...; a GPU where there is one by default.
        quiet: print nothing.
        options: any field of ``TrainConfig``, such as timesteps (by default those of an imported network), batch_size,
            target_ops, seed. A ``teacher`` may also be a module that answers uint8 images with logits [N, classes].

    Raises:
        ConfigError, DataError, ModelError: an argument is not possible; the message says which.

    Example:
        trainer = SpQuantTrainer("lenet-snn", "mnist", quantization_bits=2)
        trainer.train(epochs=20)
        print(f"Test Accuracy: {trainer.evaluate():.2f}%")
        print(trainer.verify())
        trainer.export("model.spq")
        trainer.export("firmware", target="c")
        trainer.report("report.html")
    """

    def __init__(
        self,
        model: str | nn.Module,
        dataset: object,
        quantization_bits: Bits = 8,
        *,
        weight_bits: Bits | Mapping[str, Bits] | None = None,
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
        self._owner = RunOwner(join(), folder_named("out", out))
        given = take_objects(options)
        self._functions, self._teacher = given.functions, given.teacher
        setup = set_up(
            self._owner.world,
            model,
            dataset,
            given.options,
            device=device,
            data_dir=folder_named("data_dir", data_dir),
            quiet=quiet,
            task=given.task,
        )
        self.config, self.device, self.data, self.network = setup.config, setup.device, setup.data, setup.network
        self._streams = setup.streams
        self.quiet, self._bar = quiet, self._owner.shown(quiet)
        self._wanted = self.world.together(lambda: objective_for(setup, self.config, self._functions, self.world))

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        model: nn.Module | None = None,
        dataset: object = None,
        *,
        teacher: nn.Module | None = None,
        options: Mapping[str, Any] | None = None,
        **places: Any,
    ) -> SpQuantTrainer:
        """The trainer of a run that was stopped; its ``train()`` goes on from the last checkpoint.

        Args:
            model, dataset, teacher: again, if they were not given by name; the last to go on training.
            options: fields of ``TrainConfig`` that the run must have been started with.
            places: data_dir, device, quiet and callbacks, as for the class; and again whatever of loss, optimizer,
                schedule and metric was given as a function.

        Raises:
            RunError: the folder is not a run's, or its configuration differs from ``options``.
            FileFormatError: a file of the run is damaged.
        """
        if not isinstance(options, Mapping | None):
            raise ConfigError(f"options must be a mapping of names and values, not {options!r}")
        owner = RunOwner(join())
        config = owner.resume(Path(path_text(folder)), dict(options or {}))
        for what, given in (("model", model), ("dataset", dataset)):
            if getattr(config, what) == CUSTOM and given is None:
                raise RunError(f"the {what} of {folder} was given in Python: give it again to resume")
        skipped = ("model", "dataset", "teacher", *(() if model is None else NEURON_OPTIONS))
        if teacher is not None and config.teacher != CUSTOM:
            had = f"that of {config.teacher}" if config.teacher else "none"
            raise RunError(f"the run in {folder} has another teacher, {had}: leave teacher out to resume it")
        held = {name: value for name, value in asdict(config).items() if name not in skipped}
        trainer = cls(
            config.model if model is None else model,
            config.dataset if dataset is None else dataset,
            teacher=config.teacher if teacher is None else teacher,
            **held | owner.named_task() | places,
        )
        trainer._owner = owner
        owner.hold_to(trainer._fingerprint)
        owner.load_best(trainer.network, if_any=True)
        return trainer

    @property
    def run(self) -> RunFolder | None:
        """The folder of the run; None before ``train``."""
        return self._owner.run

    @property
    def world(self) -> World:
        """The processes that train together."""
        return self._owner.world

    def train(self, epochs: int | None = None) -> SpQuantTrainer:
        """Train, keep the best epoch by the accuracy on the validation set, and return the trainer.

        Called again, it trains on from the best weights, through a whole schedule, as a new run in the next folder.
        Meanwhile the process keeps memory that it frees, for the next step; see ``train.device.freed_memory_kept``.
        Random numbers follow from ``seed``; those of the rest of the program go on as if nothing was trained.

        Args:
            epochs: of the schedule; the configuration's by default. A resumed run keeps its own.

        Raises:
            ConfigError: the teacher does not take the images, or has other classes.
            ModelError: target_ops cannot be met without emptying a layer.
            RunError: the folder cannot be written or is gone, or the loss is no longer finite.
        """
        train, validation, teacher = self._prepare(epochs)
        owner, config, network = self._owner, self.config, self.network
        wanted, functions = self._wanted, self._functions
        goes_on = owner.goes_on(config, self._fingerprint)
        if not goes_on:
            self._begin(train)
        run = owner.open(config, self.data, self._fingerprint, network.output_format)
        with owner.locked(), self._display(run) as display, freed_memory_kept(not config.checkpoint_time):
            augmentation = default_augmentation(config.dataset) if config.augment else Augmentation()
            optimizer = make_optimizer(network, config, functions)
            start = owner.start(network, optimizer, new=not goes_on)
            network.frozen = bool(config.finetune_epochs) and start.epochs >= config.epochs
            sparse = self._sparse_training()  # which looks at what was loaded
            training = Training(
                network, optimizer, config, augmentation, teacher, sparse, wanted, functions, owner.world
            )
            self._introduce(display, train, validation, run)
            if not goes_on and Path(config.init).is_file():
                first = measure(self._frozen(), validation, world=owner.world, wanted=wanted)
                name, score = wanted.metric.name.lower(), wanted.metric.shown(first.score)
                display.say(f"begins at {config.init}: {name} {score} in validation")
            chosen = self._streams is None or self._streams.validation is not None or self._streams.sets_apart
            keep = BestCheckpoint(owner, run, training, validation, chosen).keep
            with deaths_told("training or validation"):
                end = fit(training, train, validation, start=start, keep=keep, display=display)
            owner.finish(network, end.best, self.export if config.quant.integer else None, wanted.metric)
            self._tell_sample(display, run)
        return self

    def evaluate(self) -> float:
        """How good the deployed form is on the test set: integers, or floating point where the network has no integer
        form. Where several processes train, all of them call it and get the same.

        Returns:
            The metric of the task: accuracy in percent, of classes; the mean of the labels' F1 scores in percent, where
            several may be true; the root of the mean squared error in the unit of the labels, of numbers; the mean
            intersection over union in percent, of classes of pixels; or what a ``metric`` of your own says.
        """
        found = measure(self.deployed(), self._test(), world=self.world, wanted=self._wanted, progress=self._bar)
        noted = {f"test_{found.metric.key}": found.score} | ({"test_details": found.details} if found.details else {})
        self._owner.note(**noted)
        return found.score

    @property
    def metric(self) -> Metric:
        """What ``evaluate`` returns, and epochs are compared by."""
        return self._wanted.metric

    def early_exit(self, given_up: Sequence[float] = GIVEN_UP) -> EarlyExit:
        """Accuracy on the test set against the time steps used; margins are chosen on the validation set, to give up at
        most so many points of accuracy there.

        Raises:
            ModelError: the network is floating point.
            ConfigError: ``given_up`` holds something that is no number of points.
        """
        if self.data.task.kind != "classification":
            raise ConfigError(f"early exit is of classes, and the task is {self.data.task.kind}: evaluate() all steps")
        self._resolve(None)
        _, validation = self._split()
        return measure_early_exit(self._frozen(), validation, self._test(), given_up, self._bar)

    def verify(self, count: int = 1000, backend: IntegerBackend = "reference") -> Verdict:
        """Compare the frozen network in torch with its integers in every spike, every stored code and every logit, on
        test images.

        Args:
            count: how many of the test images, the first ones; 0 takes all.
            backend: what runs the integers: NumPy ("reference") or C ("native").

        Returns:
            A verdict: ``verdict.equal``, how much was compared, and the first difference, if there is one.

        Raises:
            ConfigError: there is no such backend, or a negative number of images.
            ModelError: the network is floating point.
        """
        count = check_count("count", count, least=0)
        network = self._frozen()
        test = Items.of(self.data.test, self.data.name).first(count)
        return verify(network, lower(network), test.padded(), backend, self._bar, test.lengths)

    def deployed(self) -> SpikingNetwork:
        """A copy of the network in its deployed form: without pruned channels, and frozen, where it has an integer
        form."""
        return self._frozen() if self.config.quant.integer else compact(self.network).eval()

    def export(
        self,
        path: str | Path,
        target: Target = "spq",
        *,
        force: bool = False,
        prefer: Prefer = "speed",
        amalgamate: bool = False,
        layout: Layout = "plain",
        name: str = "model",
        share_runtime: bool = False,
        onnx_kind: OnnxKind | None = None,
        ram: Limit | None = None,
        flash: Limit | None = None,
        board: str | None = None,
    ) -> Path:
        """Write the network's integers: as an ``.spq`` file, which ``spquant_snn.load`` runs without torch, as C
        firmware with its own self-test, as a web page that runs it, or as an ONNX or NIR file. Test images for the
        self-test and the page are those of the trainer's data set.

        Args:
            path: the file, or the folder of the firmware or the page.
            target: "spq", "c", "web", "onnx" or "nir".
            force: replace an earlier export of the same kind in the same folder, or a NIR file of another program.
            prefer, amalgamate, layout, name, share_runtime, ram, flash, board: of firmware, see ``ExportOptions``.
            onnx_kind: of ONNX, see ``to_onnx``; None: as the data set is.

        Raises:
            ConfigError: there is no such choice, or an option is of another target.
            MissingDependencyError: a page needs ziglang, ONNX onnx, NIR nir.
            ModelError: the network is floating point, or too large for the target, or NIR has no nodes for it.
            RunError: something else is there, or it cannot be written.
        """
        kept = self.config.remember_sample
        options = ExportOptions(
            target, force, prefer, amalgamate, layout, name, share_runtime, kept, onnx_kind, ram, flash, board
        )
        graph = self._graph()
        run = visible(run_name(self.run, self.config))
        known = None if self.config.dataset == CUSTOM else self.config.dataset
        title = f"{run}, trained on {title_of(known) if known else 'data given in Python'}"
        test = Items.of(self.data.test, known or "data given in Python")
        return self._write(path, lambda out: export_graph(graph, out, options, title, known, test))

    def report(
        self,
        path: str | Path,
        count: int = 1000,
        raster: Sequence[int] = RASTERS,
        baseline: SpQuantTrainer | str | Path | None = None,
    ) -> Path:
        """Write a page on what the network costs and how its neurons live, measured on its integers and test images.

        Args:
            path: the HTML file to write.
            count: how many of the test images are counted on; 0 takes all.
            raster: indices of test images that are shown spike by spike.
            baseline: whose firing rates are compared with the network's: another trainer, or the folder of a run, such
                as of the same network in fp32.

        Raises:
            ModelError: the network is floating point.
            ConfigError: an image is not there, or the baseline is of other images or layers.
            RunError: the file cannot be written.
        """
        if isinstance(baseline, SpQuantTrainer):
            other: Baseline | None = Baseline(run_name(baseline.run, baseline.config), baseline.deployed())
        else:
            other = None if baseline is None else load_baseline(Path(path_text(baseline)), self.config.dataset)

        def write(out: Path) -> None:
            subject = in_training(compact(self.network).eval(), self.data.test, self.config, self.run)
            write_page(run_page(build_report(subject, count, raster, other, self._bar)), out)

        return self._write(path, write)

    def plot(self) -> Plot:
        """The learning curves of the run, as a picture that a notebook shows and ``save`` writes.

        Raises:
            RunError: no epoch is done.
        """
        if self.run is None:
            raise RunError("there are no learning curves before train(): call it first")
        return curves(self.run.place)

    def _repr_html_(self) -> str:
        """What is trained and how far it came, as a notebook shows it."""
        return run_html(self.config, self.data.name, self.run, self.metric)

    @together
    def _prepare(self, epochs: int | None) -> tuple[Batches, Batches, nn.Module | None]:
        """The training set, the validation set, and the teacher, if there is one, tried on some images."""
        self._resolve(epochs)
        train, validation = self._split()
        return train, validation, self._taught_by(train)

    def _resolve(self, epochs: int | None) -> None:
        """Resolve what the configuration leaves open, on this data set and this machine."""
        begun = self._owner.unfinished
        if epochs is not None and begun is not None and epochs != self.config.epochs:
            raise RunError(
                f"{begun.path} was started for {self.config.epochs} epochs, not {epochs}: resume it with train()"
            )
        config = self.config if epochs is None else replace(self.config, epochs=epochs)
        count, apart, streams = len(self.data.train), self.data.validation is None, self._streams
        if streams is not None:
            config = replace(config, batch_size=streams.batch_size or config.batch_size)
            count, apart = streams.count or 1 << 20, streams.sets_apart
        several = self.data.train.lengths is not None
        self.config = resolve(config, count, self.network, self.device, self._owner.world, apart, several)

    def _test(self) -> Batches:
        """The test set."""
        return as_tensors(self.data.test) if self._streams is None else self._streams.test

    def _split(self) -> tuple[Batches, Batches]:
        """The images that are trained on, and the validation set."""
        if self._streams is not None:
            return self._streams.split(self.config)
        if self.data.validation is not None:
            return as_tensors(self.data.train), as_tensors(self.data.validation)
        train, validation = hold_out(self.data.train, self.config.validation, self.config.seed)
        return as_tensors(train), as_tensors(validation)

    def _taught_by(self, train: Batches) -> nn.Module | None:
        if self._teacher is not None:
            return as_teacher(self._teacher, self.network, train.first(2 * (train.frames or 1)).inputs())
        if self.config.teacher == CUSTOM:
            raise RunError("the teacher of this run was given in Python: give it again, as resume(..., teacher=...)")
        return load_teacher(Path(self.config.teacher), self.network) if self.config.teacher else None

    @together
    def _begin(self, train: Batches) -> None:
        """Take the first weights from another run, if one is named, and refuse a target that a batch of the training
        images shows to be out of reach, before anything is written."""
        if self.config.init and not self._owner.finished:
            few = train.first(_FEW * (train.frames or 1)).inputs().to(self.device)
            start_from(Path(self.config.init), self.network, few)
        if (sparse := self._sparse_training()) is not None:
            first = train.first(self.config.batch_size * (train.frames or 1)).inputs().to(self.device)
            with torch_kept():
                seed_torch(self.config.seed)  # dropout
                sparse.start(first)

    def _sparse_training(self) -> SparseTraining | None:
        if not self.config.goals.any:
            return None
        return SparseTraining(self.network, self.config.goals, self.config.epochs, self._static_input)

    def _display(self, run: RunFolder) -> Display:
        to_go_on = f"stopped; the last checkpoint is kept, to go on: spquant train --resume {quote(str(run.path))}"
        quiet = self.quiet or not self._owner.first
        return Display(self.config.epochs + self.config.finetune_epochs, quiet=quiet, to_go_on=to_go_on)

    def _introduce(self, display: Display, train: Batches, validation: Batches, run: RunFolder) -> None:
        """Say what is trained, on how many images, and where to."""
        config, what = self.config, "images" if self._static_input else "recordings"
        bits = f"weights {describe(config.weight_bits)}, state {describe(config.state_bits)}"
        display.say(f"{what_and_on(config)}: {bits}, T = {config.timesteps}")
        display.say(f"{amounts(train, validation, config.batch_size, what)}; run folder {run.path}")
        for told_of in () if self._streams is None else self._streams.notes(config, self.data.task):
            display.say(told_of)
        for note in slower_forms(self.network, config.weight_bits, self.device):
            display.say(note)

    def _tell_sample(self, display: Display, run: RunFolder) -> None:
        """Say what of the test set is kept in the integer model, where there is one."""
        if not (self.config.quant.integer and self.config.remember_sample):
            return
        display.say(sample_note(Items.of(self.data.test, self.data.name), run.integers.name))

    def _frozen(self) -> SpikingNetwork:
        """A frozen copy, without pruned channels."""
        return compact(self.network).eval().freeze()

    def _graph(self) -> Graph:
        """The integers."""
        return lower(self._frozen())

    def _write(self, path: str | Path, write: Callable[[Path], object]) -> Path:
        """Let the first process write a file or a folder; returns its path."""
        out = Path(path_text(path))
        if self._owner.first:
            write(out)
        return out

    def _fingerprint(self) -> dict[str, Print]:
        """What a run of this trainer is held to."""
        known = self.data if self._streams is None else self._streams.known
        found = fingerprint(self.config, self.network, known, self._teacher)
        return found | {"functions": dict(self._functions.names())}

    @property
    def _static_input(self) -> bool:
        """Whether an input is one image shown at all steps, not a sequence."""
        return self.data.frames is None
