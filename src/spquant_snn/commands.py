"""What the subcommands of ``spquant`` do, as functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .bench.runtime import Report
from .bench.runtime import measure as measure_runtime
from .data import Labelled, load
from .errors import ConfigError, ModelError, RunError
from .integer.file import load_graph, save
from .integer.graph import Graph
from .integer.lower import frozen_trace, lower
from .integer.program import Program
from .integer.verify import Verdict, reference_trace
from .integer.verify import verify as compare_backends
from .report.ledger import Ledger, make_ledger
from .runtime.native import NativeProgram
from .train.config import CUSTOM, TrainConfig, load_config
from .train.metrics import measure
from .train.run import RunFolder, load_network

_TIMED = 100  # images that are timed one by one


def evaluate_source(
    source: Path, backend: str, dataset: str | None, images: int, data_dir: Path | None, threads: int
) -> dict[str, Any]:
    """Accuracy in percent, with what it was measured on."""
    _check_there(source)
    is_run = source.is_dir()
    if backend == "torch" and not is_run:
        raise ConfigError(f"{source} is no run folder, and torch needs one: use --backend reference")
    config = load_config(RunFolder(source).config) if is_run else None
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


def report_source(source: Path, dataset: str | None, images: int, data_dir: Path | None) -> Ledger:
    """The ledger of a run, or of an .spq file, on test images."""
    _check_there(source)
    config = load_config(RunFolder(source).config) if source.is_dir() else None
    if config is not None and not config.quant.integer:
        raise ModelError(f"{source} is a floating-point run, without integers: report on a run of 1.58 to 8 bits")
    name = _data_of(source, dataset, config)
    graph, test = _graph(source), _test_images(source, name, images, data_dir)
    with _progress(len(test), "counting") as advance:
        pixels = np.ascontiguousarray(test.images.numpy())
        return make_ledger(graph, pixels, test.labels.numpy(), f"{source} on {name}", progress=_by_total(advance))


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


def bench_runtime(lenet: Path | None, rates: Sequence[float], rounds: int, data_dir: Path | None) -> Report:
    """Time the native runtime on networks of noise and, where one is given, on a LeNet-SNN and MNIST's test images."""
    subject = None
    if lenet is not None:
        _check_there(lenet)
        subject = _graph(lenet), np.ascontiguousarray(_test_images(lenet, "mnist", _TIMED, data_dir).images.numpy())
    return measure_runtime(subject, rates, rounds, _say)


def _check_there(source: Path) -> None:
    if not source.exists():
        raise RunError(f"there is no {source}: give the folder of a run, or an .spq file")


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
            f"the data set of {source} was given in Python: name another with --dataset, or evaluate it there"
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
