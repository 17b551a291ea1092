"""What the subcommands of ``spquant`` do, as functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..data import of_events
from ..errors import ConfigError, ModelError
from ..export.boards import board_of
from ..export.c import export_c
from ..export.firmware import Emulator, load_manifest
from ..export.firmware import run_firmware as run_on_board
from ..export.outcome import Outcome
from ..export.packaging import Packaging
from ..export.toolchain import Compiler
from ..export.web import export_web
from ..integer.compare import Verdict, reference_trace
from ..integer.compare import compare_backends as compare_backends
from ..integer.file import MAGIC, load_graph, save
from ..integer.graph import Graph
from ..integer.program import Program
from ..io.output import error_is_seen, say_progress, visible
from ..io.terminal import to_stderr
from ..io.writing import refuse_other
from ..quant.lower import lower
from ..quant.trace import frozen_trace
from ..report.comparison import Comparison, make_comparison
from ..report.curves import read_epochs
from ..report.firmware_cost import with_prediction
from ..report.pareto import measure_run
from ..report.present import Report
from ..report.run_report import RASTERS, ReportInput, build_report, load_baseline
from ..runtime.native import NativeProgram
from ..train.config import CUSTOM, load_config
from ..train.loading import load_network
from ..train.metrics import measure
from ..train.run import RunFolder
from ..train.tensors import as_tensors
from .sources import (
    check_there,
    config_of,
    data_of,
    finished_network,
    graph_of,
    integer_config_of,
    integers_of,
    refuse_other_network,
    test_images,
)

_VECTORS = 2  # images of a firmware's self-test


def evaluate_source(
    source: Path, backend: str, dataset: str | None, images: int, data_dir: Path | None, threads: int
) -> dict[str, Any]:
    """Accuracy in percent, with what it was measured on."""
    check_there(source)
    is_run = os.path.isdir(source)
    if backend == "torch" and not is_run:
        raise ConfigError(f"{source} is no run folder, and torch needs one: use --backend reference")
    config = config_of(source)
    if config is not None and backend != "torch" and not config.quant.integer:
        raise ModelError(f"{source} is a floating-point run, without integers: use --backend torch")
    name = data_of(source, dataset, config)
    if backend == "torch":
        network = load_network(source).eval()
        test = test_images(source, name, images, data_dir, network.config.timesteps)
        shipped = network.freeze() if network.config.integer else network
        accuracy = measure(shipped, as_tensors(test), sample=0).accuracy
    else:
        graph = graph_of(source)
        test = test_images(source, name, images, data_dir, graph.timesteps)
        program = Program(graph, NativeProgram(graph)) if backend == "native" else Program(graph)
        threads = threads or os.cpu_count() or 1
        correct = 0
        with _progress(len(test), backend) as advance:
            for start in range(0, len(test), 250):
                part = slice(start, start + 250)
                found = program.predict(test.inputs(part), threads=threads)
                correct += int((found == test.labels[part]).sum())
                advance(len(found))
        accuracy = 100 * correct / len(test)
    return {
        "accuracy": accuracy,
        "backend": backend,
        "dataset": name,
        "images": len(test),
        "source": str(source),
    }


def export_run(run: Path, out: Path) -> int:
    """Write the integers of a run, over no file of another kind; returns the file's size in bytes."""
    refuse_other(out, MAGIC, "an .spq file")
    save(lower(load_network(run).eval().freeze()), out)
    return out.stat().st_size


def export_firmware(
    source: Path, out: Path, dataset: str | None, data_dir: Path | None, force: bool, small: bool, shape: Packaging
) -> None:
    """Write the integers of a run, or of an .spq file, as C."""
    (name, title), graph = _exported(source, dataset), graph_of(source)
    test = test_images(source, name, _VECTORS, data_dir, graph.timesteps)
    images = np.ascontiguousarray(test.images[:, 0] if test.frames else test.images)
    export_c(graph, images, out, title, name, force, small, shape)


def export_page(source: Path, out: Path, dataset: str | None, data_dir: Path | None, force: bool) -> int:
    """Write the integers of a run, or of an .spq file, as a web page; returns the size of its folder in bytes."""
    name, title = _exported(source, dataset)
    _refuse_recordings(name, "a page")
    graph = graph_of(source)
    test = test_images(source, name, 0, data_dir, graph.timesteps)
    return export_web(graph, test.images, test.labels, out, title, name, force)


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
    chosen, name = board_of(board), load_manifest(folder)["dataset"] if dataset is None else dataset
    if name is None:
        raise ConfigError(f"{folder} does not say what it was trained on: add --dataset")
    _refuse_recordings(name, "run-firmware")
    test = test_images(folder, name, images, data_dir, timesteps=1)  # images are shown as the program says
    pixels = np.ascontiguousarray(test.images)
    outcome = run_on_board(folder, chosen, pixels, test.labels, compiler, emulator, count, say_progress)
    return with_prediction(outcome, folder, pixels) if count else outcome


def verify_run(run: Path, backend: str, dataset: str | None, images: int, data_dir: Path | None) -> Verdict:
    """Frozen torch against the run's own .spq file, run by "reference" or "native"."""
    network = load_network(run).eval().freeze()
    graph = load_graph(integers_of(run))
    refuse_other_network(run, graph, network)
    name = load_config(RunFolder(run).config).dataset if dataset is None else dataset
    test = test_images(run, name, images, data_dir, graph.timesteps)
    with _progress(len(test), "verifying") as advance:
        return compare_backends(
            lambda x: frozen_trace(network, x),
            NativeProgram(graph).trace if backend == "native" else lambda x: reference_trace(graph, x),
            test.inputs(),
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
        sources = [source for source in sources if source.suffix != ".html" or os.path.isdir(source)]
    if not sources:
        raise ConfigError("there is nothing to report on: give the folder of a run, or several")
    if len(sources) == 1:
        return _report_on(sources[0], dataset, images, RASTERS if rasters is None else rasters, twin, data_dir)
    if rasters is not None or twin is not None:
        raise ConfigError(f"--raster and --twin are of a report on one run, not on {len(sources)}: leave them out")
    return compare_runs(sources, dataset, images, data_dir)


def _report_on(
    source: Path, dataset: str | None, images: int, rasters: Sequence[int], twin: Path | None, data_dir: Path | None
) -> Report:
    config = integer_config_of(source, "report on")
    name, graph = data_of(source, dataset, config), graph_of(source)
    network = None if config is None or config.model == CUSTOM else load_network(source).eval()
    if network is not None:
        refuse_other_network(source, graph, network)
    test = test_images(source, name, 0, data_dir, graph.timesteps)
    subject = ReportInput(
        visible(source.resolve().name),
        visible(f"{source} on {name}"),
        name,
        graph,
        test.inputs(),
        test.labels,
    )
    if config is not None:
        run = RunFolder(source)
        subject = replace(
            subject,
            network=network,
            config=config,
            epochs=read_epochs(run),
            record=run.read_record(),
        )
    other = None if twin is None else load_baseline(twin, name)
    with _progress(min(images or len(test), len(test)), "counting") as advance:
        return build_report(subject, images, rasters, other, _by_total(advance))


def compare_runs(sources: Sequence[Path], dataset: str | None, images: int, data_dir: Path | None) -> Comparison:
    """Runs or .spq files beside one another, one or more, on test images of one data set."""
    for source in sources:
        check_there(source)
    configs = [config_of(source) for source in sources]
    known = [data_of(source, dataset, config) for source, config in zip(sources, configs, strict=True)]
    trained = [config.dataset if config else name for config, name in zip(configs, known, strict=True)]
    for source, name in zip(sources, trained, strict=True):
        if name != trained[0]:
            raise ConfigError(
                f"{sources[0]} is of {trained[0]} and {source} of {name}: only runs of one data set can be compared"
            )
    plain = len({source.resolve().name for source in sources}) == len(sources)
    names = [visible(source.resolve().name if plain else str(source)) for source in sources]
    each = zip(sources, configs, strict=True)
    found = [graph_of(run) if not config or config.quant.integer else finished_network(run) for run, config in each]
    steps = {network.timesteps if isinstance(network, Graph) else network.config.timesteps for network in found}
    if of_events(known[0]) and len(steps) > 1:
        raise ConfigError(f"recordings of {known[0]} have as many frames as a network has steps: compare runs of one T")
    test = test_images(sources[0], known[0], images, data_dir, max(steps))
    inputs, labels = test.inputs(), test.labels
    with _progress(len(sources) * len(test), "counting") as advance:
        named = zip(names, found, strict=True)
        runs = [measure_run(name, network, inputs, labels, _by_total(advance)) for name, network in named]
    return make_comparison(runs, known[0])


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


def _exported(source: Path, dataset: str | None) -> tuple[str, str]:
    """The data set of what is exported with test images, and a line that says what it is."""
    name = data_of(source, dataset, integer_config_of(source, "export"))
    return name, f"{visible(source.resolve().name)}, trained on {name}"


def _refuse_recordings(name: str, what: str) -> None:
    if of_events(name):
        raise ConfigError(f"{what} shows still images, {name} is of recordings: name images by --dataset")


@contextmanager
def _progress(total: int, what: str) -> Iterator[Any]:
    """A bar on standard error, if that is a terminal."""
    columns = (TextColumn(what), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=to_stderr(), transient=True, disable=not error_is_seen()) as bar:
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
