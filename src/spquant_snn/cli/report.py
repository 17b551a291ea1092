"""``spquant report``: what an inference costs and what neurons do; of several runs, accuracy against cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import ConfigError, RunError
from ..io.output import say, say_error, say_json, visible
from .options import AsJson, OptionalFolder, unset
from .source import Source, open_source
from .test_set import TestSet, interface_of

if TYPE_CHECKING:
    from ..data import Task
    from ..integer.graph import Graph
    from ..quant.network import SpikingNetwork
    from ..report.comparison import Comparison
    from ..report.pareto import ComparedRun
    from ..report.present import Report

_FIRST = TestSet(count=1000)


def command(
    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, unset(metavar="RUN-FOLDER|SPQ-FILE ...")],
    test_set: tyro.conf.OmitArgPrefixes[TestSet] = _FIRST,
    out: Annotated[Path | None, unset(metavar="FILE")] = None,
    html: bool = True,
    raster: Annotated[str | None, unset(metavar="INDICES")] = None,
    baseline: OptionalFolder = None,
    as_json: AsJson = False,
) -> int:
    """What an inference costs and what neurons do: tables, and a page.

    Args:
        sources: folder of a run, or an .spq file (then on --images, --dataset, or the sample in it); of several,
            accuracy against cost.
        test_set: what is counted on.
        out: the page; report.html in the folder of the run, or in the folder that holds all runs, by default.
            With --json it is written only if it is named here.
        html: write the page.
        raster: which test images are shown spike by spike, their numbers with commas, or none; the first three by
            default.
        baseline: run whose firing rates are compared with those of this one, such as the same network in fp32.
    """
    if out is not None and not html:
        raise ConfigError("give either --out, for the page, or --no-html")
    indices, opened = _indices(raster), open_sources(sources)
    from ..io.terminal import print_tables
    from ..report.page import page_place, write_page
    from ..report.present import as_page, as_plain, as_tables

    place = page_place(sources, out) if html and (out is not None or not as_json) else None
    found = report_on(opened, test_set, indices, baseline)
    size = write_page(as_page(found), place) if place is not None else 0  # first: a reader may have seen enough
    if as_json:
        say_json(as_plain(found))
    else:
        print_tables(as_tables(found))
    if place is not None:
        tell = say_error if as_json else say
        tell("")
        tell(f"page: {place} ({size:,} bytes)")
    return 0


def open_sources(paths: Sequence[Path]) -> list[Source]:
    """The runs or files at some paths, at least one. A page among several, as ``runs/*`` finds last time's, is passed
    over."""
    if len(paths) > 1:
        paths = [path for path in paths if path.suffix != ".html" or os.path.isdir(path)]
    if not paths:
        raise ConfigError("there is nothing to report on: give the folder of a run, or several")
    return [open_source(path) for path in paths]


def report_on(
    sources: Sequence[Source], test_set: TestSet, rasters: Sequence[int] | None = None, baseline: Path | None = None
) -> Report:
    """A report on a network, or on several beside one another.

    Args:
        rasters: numbers of the test images that are shown spike by spike; None: the first three.
        baseline: run whose firing rates are compared with those of the one.
    """
    if len(sources) == 1:
        return _report_on_one(sources[0], test_set, rasters, baseline)
    if rasters is not None or baseline is not None:
        raise ConfigError(f"--raster and --baseline are of a report on one run, not on {len(sources)}: leave them out")
    return compare_runs(sources, test_set)


def _report_on_one(source: Source, test_set: TestSet, rasters: Sequence[int] | None, baseline: Path | None) -> Report:
    from ..integer.inputs import check_takes_one
    from ..integer.own_items import Interface
    from ..report.curves import read_epochs
    from ..report.run_report import RASTERS, ReportInput, build_report, load_baseline
    from ..train.config import CUSTOM
    from ..train.run import RunFolder
    from .verify import refuse_other_network

    path, config = source.path, source.config
    source.need_integers("report on a run of 1.58 to 8 bits")
    name, graph = test_set.name_for(source), source.graph()
    check_takes_one(graph, "a report")
    network = None
    if config is not None and config.model != CUSTOM:
        from ..train.loading import load_network  # which needs torch

        network = load_network(path).eval()
        refuse_other_network(path, graph, network)
    test = replace(test_set, count=0).items(source, Interface.of(graph))
    subject = ReportInput(
        visible(path.resolve().name), visible(f"{path} on {name}"), visible(name), graph, test, network, config
    )
    if config is not None:
        run = RunFolder(path)
        subject = replace(subject, epochs=read_epochs(run), record=run.read_record())
    other = None if baseline is None else load_baseline(baseline, name)
    shown = RASTERS if rasters is None else rasters
    return build_report(subject, test_set.count, shown, other)


def compare_runs(sources: Sequence[Source], test_set: TestSet) -> Comparison:
    """Networks beside one another, one or more, on test images of one data set."""
    from ..data import of_events
    from ..integer.graph import Graph
    from ..integer.own_items import Interface
    from ..io.terminal import progress
    from ..report.comparison import make_comparison
    from ..report.pareto import measure_run

    paths = [source.path for source in sources]
    known = [test_set.name_for(source) for source in sources]
    trained = [source.dataset or name for source, name in zip(sources, known, strict=True)]
    for source, name in zip(sources, trained, strict=True):
        if name != trained[0]:
            raise ConfigError(
                f"{paths[0]} is of {trained[0]} and {source.path} of {name}: only runs of one data set can be compared"
            )
    if test_set.images is None and test_set.dataset is None:
        _refuse_other_data(sources)
    plain = len({path.resolve().name for path in paths}) == len(paths)
    names = [visible(path.resolve().name if plain else str(path)) for path in paths]
    found = [_finished_network(source.path) if source.floating else source.graph() for source in sources]
    steps = {_timesteps(network) for network in found}
    if of_events(known[0]) and len(steps) > 1:
        raise ConfigError(f"recordings of {known[0]} have as many frames as a network has steps: compare runs of one T")
    takes = [Interface.of(each) if isinstance(each, Graph) else interface_of(each) for each in found]
    _refuse_other_tasks(paths, [each.task for each in takes])
    test = test_set.items(sources[0], replace(takes[0], timesteps=max(steps)), "a comparison")
    test = test.of_one_length()
    images, labels = test.inputs(), test.labelled().labels
    runs: list[ComparedRun] = []
    with progress(len(sources) * len(test), "counting") as report:
        for name, network in zip(names, found, strict=True):
            before = len(runs) * len(test)
            runs.append(measure_run(name, network, images, labels, partial(_add, report, before)))
    return make_comparison(runs, visible(known[0]))


def _refuse_other_tasks(paths: Sequence[Path], tasks: Sequence[Task]) -> None:
    """Refuse networks whose answers are not judged alike."""
    for path, task in zip(paths, tasks, strict=True):
        if (task.kind, task.outputs) != (tasks[0].kind, tasks[0].outputs):
            said = [f"{each.kind} of {each.outputs} outputs" for each in (tasks[0], task)]
            raise ConfigError(
                f"{paths[0]} is of {said[0]} and {path} of {said[1]}: only runs of one task can be compared"
            )


def _refuse_other_data(sources: Sequence[Source]) -> None:
    """Refuse runs whose data were given in Python, and were not the same: they have no name that would tell."""
    from ..train.config import CUSTOM
    from ..train.run import RunFolder, departures_from

    runs = [source for source in sources if source.config is not None and source.dataset == CUSTOM]
    prints = [RunFolder(run.path).read_record().get("fingerprint") for run in runs]
    data = [each.get("data") if isinstance(each, dict) else None for each in prints]
    for run, known in zip(runs, data, strict=True):
        if isinstance(known, dict) and isinstance(data[0], dict) and known != data[0]:
            changed = departures_from({"data": data[0]}, {"data": known})
            raise ConfigError(
                f"{runs[0].path} and {run.path} were trained on other data ({'; '.join(changed)}): only runs of one "
                "data set can be compared, or any on --images"
            )


def _add(report: Callable[[int], object], before: int, done: int) -> None:
    """Say that so many images are done, beside those of the runs before."""
    report(before + done)


def _finished_network(run: Path) -> SpikingNetwork:
    """The network of a floating-point run that came to its end."""
    from ..train.loading import load_network
    from ..train.run import RunFolder

    if "best" not in RunFolder(run).read_record():
        raise RunError(f"{run} is not finished: resume it")
    return load_network(run).eval()


def _timesteps(network: Graph | SpikingNetwork) -> int:
    from ..integer.graph import Graph

    return network.timesteps if isinstance(network, Graph) else network.config.timesteps


def _indices(raster: str | None) -> tuple[int, ...] | None:
    """The images of --raster."""
    if raster is None:
        return None
    parts = [] if raster == "none" else raster.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"--raster takes numbers of test images, as 0,1,2, or none; not {raster!r}")
    return tuple(map(int, parts))
