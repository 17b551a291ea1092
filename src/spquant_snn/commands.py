"""What the subcommands of ``spquant`` do, as functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .bench.arms import Plan
from .bench.runtime import Report as Timings
from .bench.runtime import measure as measure_runtime
from .bench.sparsity import Report as SparsityReport
from .bench.sparsity import measure as measure_sparsity
from .data import Labelled, load
from .errors import ConfigError, ModelError, RunError
from .export.boards import board_of
from .export.c import export_c
from .export.firmware import Emulator, load_manifest
from .export.firmware import run_firmware as run_on_board
from .export.library import Shape
from .export.outcome import Outcome
from .export.toolchain import Compiler
from .integer.file import load_graph, save
from .integer.graph import Graph
from .integer.lower import frozen_trace, lower
from .integer.program import Program
from .integer.verify import Verdict, reference_trace
from .integer.verify import verify as compare_backends
from .quant.network import SpikingNetwork
from .report.contest import hold_contest
from .report.curves import read_epochs
from .report.pareto import contend
from .report.present import Report
from .report.story import RASTERS, Subject, load_twin, tell
from .runtime.native import NativeProgram
from .train.config import CUSTOM, TrainConfig, TrainOptions, load_config
from .train.metrics import measure
from .train.run import RunFolder, load_network
from .trainer import SpQuantTrainer

_TIMED = 100  # images that are timed one by one
_VECTORS = 2  # images of a firmware's self-test


def evaluate_source(
    source: Path, backend: str, dataset: str | None, images: int, data_dir: Path | None, threads: int
) -> dict[str, Any]:
    """Accuracy in percent, with what it was measured on."""
    _check_there(source)
    is_run = source.is_dir()
    if backend == "torch" and not is_run:
        raise ConfigError(f"{source} is no run folder, and torch needs one: use --backend reference")
    config = _config(source)
    if config is not None and backend != "torch" and not config.quant.integer:
        raise ModelError(f"{source} is a floating-point run, without integers: use --backend torch")
    test = _test_images(source, _data_of(source, dataset, config), images, data_dir)
    if backend == "torch":
        network = load_network(source).eval()
        accuracy = measure(network.freeze() if network.config.integer else network, test, sample=0).accuracy
    else:
        graph = _graph(source)
        program = Program(graph, NativeProgram(graph)) if backend == "native" else Program(graph)
        threads = threads or os.cpu_count() or 1
        correct = 0
        with _progress(len(test), backend) as advance:
            for start in range(0, len(test), 250):
                part = slice(start, start + 250)
                found = program.predict(test.images[part].numpy(), threads=threads)
                correct += int((found == test.labels[part].numpy()).sum())
                advance(len(found))
        accuracy = 100 * correct / len(test)
    return {
        "accuracy": accuracy,
        "backend": backend,
        "dataset": _data_of(source, dataset, config),
        "images": len(test),
        "source": str(source),
    }


def export_run(run: Path, out: Path) -> int:
    """Write the integers of a run; returns the file's size in bytes."""
    save(lower(load_network(run).eval().freeze()), out)
    return out.stat().st_size


def export_firmware(
    source: Path, out: Path, dataset: str | None, data_dir: Path | None, force: bool, small: bool, shape: Shape
) -> None:
    """Write the integers of a run, or of an .spq file, as C."""
    _check_there(source)
    config = _config(source)
    if config is not None and not config.quant.integer:
        raise ModelError(f"{source} is a floating-point run, without integers: export a run of 1.58 to 8 bits")
    name = _data_of(source, dataset, config)
    images = np.ascontiguousarray(_test_images(source, name, _VECTORS, data_dir).images.numpy())
    export_c(_graph(source), images, out, f"{source.resolve().name}, trained on {name}", name, force, small, shape)


def run_firmware(
    folder: Path,
    board: str,
    images: int,
    dataset: str | None,
    data_dir: Path | None,
    compiler: Compiler,
    emulator: Emulator,
    count: bool,
) -> Outcome:
    """Run exported C on an emulated board, on test images."""
    chosen, name = board_of(board), dataset or load_manifest(folder)["dataset"]
    if name is None:
        raise ConfigError(f"{folder} does not say what it was trained on: add --dataset")
    test = _test_images(folder, name, images, data_dir)
    pixels = np.ascontiguousarray(test.images.numpy())
    return run_on_board(folder, chosen, pixels, test.labels.numpy(), compiler, emulator, count, _say)


def verify_run(run: Path, backend: str, dataset: str | None, images: int, data_dir: Path | None) -> Verdict:
    """Frozen torch against the run's own .spq file, run by "reference" or "native"."""
    network = load_network(run).eval().freeze()
    graph = load_graph(_integers(run))
    if _form(graph) != _form(lower(network)):
        raise RunError(f"{RunFolder(run).integers} holds another network than this run: export it again")
    test = _test_images(run, dataset or load_config(RunFolder(run).config).dataset, images, data_dir)
    with _progress(len(test), "verifying") as advance:
        return compare_backends(
            lambda x: frozen_trace(network, x),
            NativeProgram(graph).trace if backend == "native" else lambda x: reference_trace(graph, x),
            np.ascontiguousarray(test.images.numpy()),
            progress=_by_total(advance),
        )


def report_sources(
    sources: Sequence[Path],
    dataset: str | None,
    images: int,
    rasters: Sequence[int] | None,
    twin: Path | None,
    data_dir: Path | None,
) -> Report:
    """A report on a run or an .spq file, or on several beside one another, on test images. A page among several, as
    ``runs/*`` finds last time's, is passed over."""
    if len(sources) > 1:
        sources = [source for source in sources if source.suffix != ".html" or source.is_dir()]
    if not sources:
        raise ConfigError("there is nothing to report on: give the folder of a run, or several")
    if len(sources) == 1:
        return _report_on(sources[0], dataset, images, RASTERS if rasters is None else rasters, twin, data_dir)
    if rasters is not None or twin is not None:
        raise ConfigError(f"--raster and --twin are of a report on one run, not on {len(sources)}: leave them out")
    return _compare(sources, dataset, images, data_dir)


def _report_on(
    source: Path, dataset: str | None, images: int, rasters: Sequence[int], twin: Path | None, data_dir: Path | None
) -> Report:
    _check_there(source)
    config = _config(source)
    if config is not None and not config.quant.integer:
        raise ModelError(f"{source} is a floating-point run, without integers: report on a run of 1.58 to 8 bits")
    name = _data_of(source, dataset, config)
    graph, test = _graph(source), _test_images(source, name, 0, data_dir)
    subject = Subject(
        source.resolve().name, f"{source} on {name}", name, graph, test.images.numpy(), test.labels.numpy()
    )
    if config is not None:
        run = RunFolder(source)
        subject = replace(
            subject,
            network=None if config.model == CUSTOM else load_network(source).eval(),
            config=config,
            epochs=read_epochs(run.metrics),
            record=run.read_record(),
        )
    other = None if twin is None else load_twin(twin, name)
    with _progress(min(images or len(test), len(test)), "counting") as advance:
        return tell(subject, images, rasters, other, _by_total(advance))


def _compare(sources: Sequence[Path], dataset: str | None, images: int, data_dir: Path | None) -> Report:
    for source in sources:
        _check_there(source)
    configs = [_config(source) for source in sources]
    known = [_data_of(source, dataset, config) for source, config in zip(sources, configs, strict=True)]
    trained = [config.dataset if config else name for config, name in zip(configs, known, strict=True)]
    for source, name in zip(sources, trained, strict=True):
        if name != trained[0]:
            raise ConfigError(
                f"{sources[0]} is of {trained[0]} and {source} of {name}: only runs of one data set can be compared"
            )
    plain = len({source.resolve().name for source in sources}) == len(sources)
    names = [source.resolve().name if plain else str(source) for source in sources]
    found = [
        _graph(source) if config is None or config.quant.integer else _finished(source)
        for source, config in zip(sources, configs, strict=True)
    ]
    test = _test_images(sources[0], known[0], images, data_dir)
    pixels, labels = np.ascontiguousarray(test.images.numpy()), test.labels.numpy()
    with _progress(len(sources) * len(test), "counting") as advance:
        contenders = [
            contend(name, network, pixels, labels, _by_total(advance))
            for name, network in zip(names, found, strict=True)
        ]
    return hold_contest(contenders, known[0])


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    first = verdict.difference
    return {
        "equal": verdict.equal,
        "images": verdict.images,
        "spikes": verdict.spikes,
        "codes": verdict.codes,
        "logits": verdict.logits,
        "difference": None if first is None else {**vars(first), "index": list(first.index)},
    }


def bench_runtime(lenet: Path | None, rates: Sequence[float], rounds: int, data_dir: Path | None) -> Timings:
    """Time the native runtime on networks of noise and, where one is given, on a LeNet-SNN and MNIST's test images."""
    subject = None
    if lenet is not None:
        _check_there(lenet)
        subject = _graph(lenet), np.ascontiguousarray(_test_images(lenet, "mnist", _TIMED, data_dir).images.numpy())
    return measure_runtime(subject, rates, rounds, _say)


def bench_sparsity(
    options: TrainOptions,
    more_seeds: Sequence[int],
    out: Path,
    data_dir: Path | None,
    device: str | None,
    quiet: bool = False,
) -> SparsityReport:
    """Train the arms that are not trained yet, and compare them."""
    plan = Plan(TrainConfig(**asdict(options)), tuple(more_seeds), out)
    data = load(options.dataset, data_dir, progress=not quiet)

    def train(config: TrainConfig, folder: Path) -> None:
        given = asdict(config)
        places: dict[str, Any] = {"data_dir": data_dir, "device": device, "quiet": quiet}
        if RunFolder(folder).config.exists():
            trainer = SpQuantTrainer.resume(folder, **places)
        else:
            trainer = SpQuantTrainer(given.pop("model"), given.pop("dataset"), out=folder, **given, **places)
        trainer.train()

    return measure_sparsity(plan, data, train, _say if quiet else print)


def _check_there(source: Path) -> None:
    if not source.exists():
        raise RunError(f"there is no {source}: give the folder of a run, or an .spq file")


def _config(source: Path) -> TrainConfig | None:
    """The configuration of a run; None for an .spq file."""
    return load_config(RunFolder(source).config) if source.is_dir() else None


def _graph(source: Path) -> Graph:
    """The integers of a run, or of an .spq file."""
    return load_graph(_integers(source) if source.is_dir() else source)


def _integers(run: Path) -> Path:
    path = RunFolder(run).integers
    if not path.exists():
        raise RunError(
            f"{run} is not finished: resume it, or write its integers with spquant export {run} --out {path}"
        )
    return path


def _finished(run: Path) -> SpikingNetwork:
    """The network of a floating-point run that came to its end."""
    if "best" not in RunFolder(run).read_record():
        raise RunError(f"{run} is not finished: resume it")
    return load_network(run).eval()


def _data_of(source: Path, dataset: str | None, config: TrainConfig | None) -> str:
    """The data set that was asked for, or else that of the run."""
    name = dataset or (config.dataset if config else None)
    if name is None:
        raise ConfigError(f"{source} does not say what it was trained on: add --dataset")
    return name


def _form(graph: Graph) -> tuple[object, ...]:
    """What two graphs must share to be compared."""
    connections = tuple((connection.name, connection.codes.shape) for connection in graph.connections)
    return graph.input_shape, graph.timesteps, connections


def _test_images(source: Path, name: str, images: int, data_dir: Path | None) -> Labelled:
    if name == CUSTOM:
        raise RunError(
            f"the data set of {source} was given in Python: name another with --dataset, or use SpQuantTrainer there"
        )
    if images < 0:
        raise ConfigError(f"images must be at least 0, not {images}")
    test = load(name, data_dir).test
    return Labelled(test.images[:images], test.labels[:images]) if images else test


def _say(doing: str) -> None:
    """A line on standard error, if that is a terminal; nothing moves beside what is timed."""
    if sys.stderr.isatty():
        print(doing, file=sys.stderr)


@contextmanager
def _progress(total: int, what: str) -> Iterator[Any]:
    """A bar on standard error, if that is a terminal."""
    columns = (TextColumn(what), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _by_total(advance: Callable[[int], object]) -> Callable[[int], None]:
    """What moves a bar when it is told how many are done in all."""
    done = 0

    def report(total: int) -> None:
        nonlocal done
        advance(total - done)
        done = total

    return report
