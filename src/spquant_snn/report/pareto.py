"""Pareto plots of runs: the metric of their task against cost, and the runs that no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from ..data import Task
from ..data.scores import ACCURACY, Metric
from ..data.task import OutputFormat
from ..dtypes import Array, UInt8
from ..integer.graph import Graph
from ..integer.inputs import check_predicts, check_takes_one
from ..io.terminal import Report, unseen
from .answer_scores import AnswerCounter
from .counts import Counts
from .energy import HOROWITZ, scenarios
from .ledger import cost, make_ledger
from .network_info import FLOAT_BITS, NetworkInfo
from .text_table import TextTable

if TYPE_CHECKING:
    from ..quant.network import SpikingNetwork


@dataclass(frozen=True)
class ComparedRun:
    """A run.

    Args:
        name: that tells it from the others.
        counts: of its network on test images.
        metric: that the runs are compared by.
        value: of it, on the images that were counted on.
        weight_bits, state_bits: 32 for floating point.
        stored: bytes of weights and state, packed.
        energies: of one inference in each scenario, by its name, in pJ.
    """

    name: str
    counts: Counts
    metric: Metric
    value: float
    weight_bits: float
    state_bits: float
    stored: int
    energies: dict[str, float]

    @property
    def worth(self) -> float:
        """More of it is better."""
        return self.value if self.metric.larger_is_better else -self.value

    @property
    def error(self) -> float | None:
        """Standard error of an accuracy, in percent, of so many images drawn at random; None of other metrics."""
        if self.metric != ACCURACY:
            return None
        share = self.value / 100
        return 100 * sqrt(share * (1 - share) / self.counts.images)

    @property
    def energy(self) -> tuple[float, float]:
        """The least and the most of one inference over the scenarios, in pJ."""
        return min(self.energies.values()), max(self.energies.values())

    @property
    def done(self) -> float:
        """Synaptic operations done in one inference."""
        return sum(layer.done for layer in self.counts.rows)

    @property
    def dense(self) -> float:
        """Synaptic operations of the same layers, computed densely."""
        return sum(layer.dense for layer in self.counts.rows)


def measure_run(
    name: str,
    model: Graph | SpikingNetwork,
    images: UInt8,
    labels: Array,
    progress: Report = unseen,
) -> ComparedRun:
    """Count a run, and how good its answers are.

    Args:
        name: that tells it from the others.
        model: its integer graph; or its network, without gates, where it is floating point.
        images: [N, C, H, W] test images, or sequences [T, N, C, H, W].
        labels: of the network's task, N in the first axis.
        progress: called with the number of images done.

    Raises:
        ConfigError: the network takes several inputs, or gives no single answer.
        DataError: the images are not what the network takes.
    """
    classes = labels if labels.ndim == 1 else None
    if isinstance(model, Graph):
        check_takes_one(model, "a comparison")
        check_predicts(model)
        counter = AnswerCounter.of(model, labels, model.timesteps if images.ndim == 4 else len(images))
        ledger = make_ledger(model, images, classes, progress=progress, watch=counter)
        counts, energies, sizes = ledger.counts, ledger.costs[0].energies, ledger.sizes
        stored = sizes.weights + sizes.state
    else:
        from .floating import count_floating  # which needs torch

        said = model.output_format or OutputFormat(Task("classification", model.outputs))
        counter = AnswerCounter(said.task, said.in_units, labels)
        counts = count_floating(model, images, classes, progress, counter)
        network = NetworkInfo("floating point", "events", floating=True)
        energies = cost(network, counts.rows, scenarios(HOROWITZ), HOROWITZ).energies
        stored = FLOAT_BITS // 8 * sum(layer.weights + layer.neurons for layer in counts.rows)
    totals = {place.name: energy.total for place, energy in zip(scenarios(HOROWITZ), energies, strict=True)}
    hidden = counts.layers[0]
    answers = counter.found
    return ComparedRun(
        name, counts, answers.metric, answers.value, hidden.weight_bits, hidden.state_bits, stored, totals
    )


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, worth) on the Pareto front, in order of cost: no other costs no more and is worth no
    less, with one of the two better."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    found: list[int] = []
    for i in order:
        if not found or points[i][1] > points[found[-1]][1] or points[i] == points[found[-1]]:
            found.append(i)
    return found


def runs_table(runs: Sequence[ComparedRun], fronts: Mapping[str, Sequence[int]]) -> TextTable:
    """The table of the runs; those on the front of a cost, "stored" or "done", are starred."""
    images = ", ".join(sorted({f"{run.counts.images:,}" for run in runs}))
    rows = tuple(
        (
            str(place + 1),
            run.name,
            f"{run.weight_bits:g}/{run.state_bits:g}",
            str(run.counts.steps),
            f"{run.value:.2f}" if run.metric.percent else f"{run.value:.4g}",
            f"{run.stored / 1e3:,.1f}{'*' if place in fronts['stored'] else ' '}",
            f"{run.done / 1e6:,.3f}{'*' if place in fronts['done'] else ' '}",
            f"{run.dense / run.done:.1f}" if run.done else "-",
            f"{run.energy[0] / 1e6:.2f} - {run.energy[1] / 1e6:,.0f}",
        )
        for place, run in enumerate(runs)
    )
    metric = runs[0].metric
    name = metric_name(metric)
    measured = f"{name}{' in percent' if metric.percent else f' in {metric.unit}' if metric.unit else ''}"
    caption = (
        f"runs on {images} test images: bits of weights and state, time steps, {measured}, kilobytes of weights and "
        "state, millions of operations done, times fewer than dense, uJ of an inference by where data lie; "
        f"* no run is better in {name} and in this"
    )
    head = "acc." if metric == ACCURACY else metric.name
    return TextTable(caption, ("", "run", "bits"), ("T", head, "kB", "Mops", "fewer", "uJ"), rows)


def metric_name(metric: Metric) -> str:
    """A metric within a sentence."""
    return "accuracy" if metric == ACCURACY else metric.name


def savings_table(runs: Sequence[ComparedRun]) -> TextTable | None:
    """What each run saves against the first one in floating point, each with its own spikes; None where there is none.

    Operations are the dense ones of that run over those that are done; energies include memory.
    """
    baseline = next((run for run in runs if run.state_bits == FLOAT_BITS), None)
    others = [run for run in runs if run is not baseline]
    if baseline is None or not others:
        return None
    rows = tuple(
        (
            run.name,
            f"{baseline.dense / run.done:.1f}" if run.done else "-",
            f"{baseline.stored / run.stored:.1f}",
            *(f"{100 * (1 - run.energies[place] / energy):.1f}" for place, energy in baseline.energies.items()),
        )
        for run in others
    )
    caption = (
        f"against {baseline.name}, in floating point: its dense operations over those done, times less memory for "
        "weights and state, and percent of its energy that is saved, by where data lie"
    )
    return TextTable(caption, ("run",), ("operations", "memory", *baseline.energies), rows)
