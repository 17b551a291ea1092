"""A report on one network: everything that its page shows, measured.

torch is needed for a network in training form alone, not for an integer model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import Labelled
from ..data.items import Items
from ..dtypes import UInt8
from ..errors import ConfigError
from ..integer.compare import Trace
from ..integer.graph import Graph
from ..integer.inputs import check_count, check_takes_one, says_classes
from ..io.terminal import Report
from ..train.config import TrainConfig, load_config
from ..train.run import RunFolder
from .activity import Activity, Observer
from .answer_scores import AnswerCounter, AnswerScores
from .curves import Epoch, read_epochs
from .drift import Drift, find_drift
from .ledger import Ledger, make_ledger
from .raster import Raster, take_rasters

if TYPE_CHECKING:
    from ..quant.network import SpikingNetwork

RASTERS = (0, 1, 2)  # test images that are shown where none are named


@dataclass(frozen=True, eq=False)
class ReportInput:
    """What a report is on.

    Args:
        name: a short one, as that of the run's folder.
        title: what is measured on what, for the ledger.
        dataset: name of the data set that the images are of.
        graph: the integers.
        test: all test items, with labels or without.
        network: the same in training form, without gates; None where there are only integers.
        config: of its training, if there was one.
        epochs: of its training.
        record: what the run wrote down of itself, the content of run.json.
    """

    name: str
    title: str
    dataset: str
    graph: Graph
    test: Items
    network: SpikingNetwork | None = None
    config: TrainConfig | None = None
    epochs: tuple[Epoch, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Baseline:
    """Another network to compare firing rates with, in the form that is deployed; ``name`` is in words."""

    name: str
    network: SpikingNetwork


def load_baseline(folder: Path, dataset: str) -> Baseline:
    """The network of a run as the baseline of one that knows a data set.

    Raises:
        RunError, FileFormatError: the folder is not a run's, or damaged, or its model was given in Python.
        ConfigError: it was trained on another data set.
    """
    from ..train.loading import load_network

    config = load_config(RunFolder(folder).config)
    if config.dataset != dataset:
        raise ConfigError(
            f"the baseline {folder} was trained on {config.dataset}, not on {dataset}: choose one of the same data set"
        )
    network = load_network(folder).eval()
    return Baseline(folder.resolve().name, network.freeze() if config.quant.integer else network)


@dataclass(frozen=True, eq=False)
class RunReport:
    """A report on one network.

    Args:
        subject: what it is on.
        ledger: of its integers on the images that were counted on.
        activity: of its layers on the same images.
        rasters: of chosen images.
        drifts: to its integers, from its own training form and from a baseline, if they are there.
        has_baseline: whether the last of them is from a baseline.
        scores: of the answers; None where labels are not known, or answers are given at every step.
    """

    subject: ReportInput
    ledger: Ledger
    activity: tuple[Activity, ...]
    rasters: tuple[Raster, ...]
    drifts: tuple[Drift, ...]
    has_baseline: bool
    scores: AnswerScores | None = None


def in_training(network: SpikingNetwork, test: Labelled, config: TrainConfig, run: RunFolder | None) -> ReportInput:
    """A network in training form, without gates, as the input of a report; ``run`` is its folder, if there is one.

    Raises:
        ModelError: it is floating point.
    """
    from ..quant.lower import lower

    name = run_name(run, config)
    return ReportInput(
        name,
        f"{name} on {config.dataset}",
        config.dataset,
        lower(copy.deepcopy(network).freeze()),
        Items.of(test, config.dataset),
        network,
        config,
        () if run is None else read_epochs(run),
        {} if run is None else run.read_record(),
    )


def run_name(run: RunFolder | None, config: TrainConfig) -> str:
    """What a training is called: as its folder, or else as its model."""
    return config.model if run is None else run.place.resolve().name


def build_report(
    subject: ReportInput,
    count: int = 1000,
    rasters: Sequence[int] = (),
    baseline: Baseline | None = None,
    progress: Report | None = None,
) -> RunReport:
    """Measure everything.

    Args:
        count: how many of the test images are counted on, the first ones; 0 takes all. Of sequences of several lengths,
            those of the commonest one.
        rasters: indices of test images whose every spike is shown.
        baseline: to compare firing rates with.
        progress: called with the number of images counted on so far; a bar by default, as ``make_ledger`` has it.

    Raises:
        ConfigError: a network of several inputs, a number of images that does not exist, an image for a raster that is
            not there, or a baseline of other images or other layers.
        DataError: the images are not what the network takes.
    """
    check_takes_one(subject.graph, "a report")
    count = check_count("count", count, least=0)
    subject = replace(subject, test=subject.test.of_one_length())
    counted = subject.test.first(count)
    pixels = counted.inputs()
    if baseline is not None:
        _check(subject, baseline)
    shown = take_rasters(subject.graph, subject.test, rasters)
    observer = Observer(subject.graph)
    judges = counted.labels is not None and subject.graph.readout.over_time != "all"
    steps = len(pixels) if pixels.ndim == 5 else subject.graph.timesteps
    counter = AnswerCounter.of(subject.graph, counted.labels, steps) if judges and counted.labels is not None else None

    def watch(trace: Trace) -> None:
        observer(trace)
        if counter is not None:
            counter(trace)

    classes = counted.classes if says_classes(subject.graph) else None
    ledger = make_ledger(subject.graph, pixels, classes, subject.title, progress=progress, watch=watch)
    drifts = _drifts(subject, observer.layers, pixels, baseline)
    scores = None if counter is None else counter.found
    return RunReport(subject, ledger, observer.layers, shown, drifts, baseline is not None, scores)


def _drifts(
    subject: ReportInput, layers: tuple[Activity, ...], pixels: UInt8, baseline: Baseline | None
) -> tuple[Drift, ...]:
    """To the integers, from the training form and from a baseline, if they are there."""
    if subject.network is None and baseline is None:
        return ()
    from .floating import firing_rates  # which needs torch

    ours, found = {layer.name: layer.rates for layer in layers}, []
    if subject.network is not None:
        found.append(find_drift("integers", ours, "training form", firing_rates(subject.network, pixels)))
    if baseline is not None:
        found.append(find_drift(subject.name, ours, baseline.name, firing_rates(baseline.network, pixels)))
    return tuple(found)


def _check(subject: ReportInput, baseline: Baseline) -> None:
    """Raise ConfigError, in words, unless two networks can be compared."""
    graph = subject.graph
    names = [layer.name for layer in graph.layers]
    if baseline.network.input_shape != graph.input_shape:
        ours, theirs = ("x".join(map(str, shape)) for shape in (graph.input_shape, baseline.network.input_shape))
        raise ConfigError(
            f"the baseline {baseline.name} takes images of {theirs}, not of {ours}: choose one of the same data set"
        )
    others = [stage.name for stage in baseline.network.hidden]
    if not set(names) & set(others):
        raise ConfigError(
            f"the baseline {baseline.name} has no layer of the same name ({', '.join(others)}; here "
            f"{', '.join(names)}): choose one of the same model"
        )
