"""A comparison of runs on the same images: the metric of their task against cost, as charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..data.scores import Metric
from .draw.axes import short_number
from .draw.scatter import Spot, scatter_chart
from .draw.svg import Chart
from .pareto import ComparedRun, front, metric_name, runs_table, savings_table
from .text_table import TextTable


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same images.

    Args:
        dataset: the data set of all of them.
        runs: that are compared.
        fronts: for each cost, "stored" and "done", the places of the runs that no other beats in it and in the metric.
        charts: the metric against each cost.
        table: of all of them.
        saved: what they save against the one in floating point; None where there is none.
    """

    dataset: str
    runs: tuple[ComparedRun, ...]
    fronts: dict[str, list[int]]
    charts: tuple[Chart, ...]
    table: TextTable
    saved: TextTable | None

    @property
    def title(self) -> str:
        """Of the page."""
        return f"{len(self.runs)} run{'s' * (len(self.runs) > 1)} on {self.dataset}"

    @property
    def metric(self) -> Metric:
        """That the runs are compared by."""
        return self.runs[0].metric

    @property
    def images(self) -> int:
        """How many test images they were counted on."""
        return self.runs[0].counts.images


def make_comparison(runs: Sequence[ComparedRun], dataset: str) -> Comparison:
    """Compare runs of one task that were counted on the same images of a data set."""
    metric = runs[0].metric
    costs = (
        ("stored", f"{metric.name} against bits", "kilobits of weights and state", [run.stored * 8e-3 for run in runs]),
        ("done", f"{metric.name} against operations", "operations done an inference", [run.done for run in runs]),
    )
    fronts = {
        which: front([(cost, run.worth) for cost, run in zip(held, runs, strict=True)]) for which, _, _, held in costs
    }
    charts = tuple(
        scatter_chart(
            title,
            [Spot(run.name, cost, run.value, run.error) for run, cost in zip(runs, held, strict=True)],
            fronts[which],
            name,
            metric_name(metric),
            short_number,
            lambda value: f"{value:.2f} %" if metric.percent else metric.shown(value),
            metric.larger_is_better,
        )
        for which, title, name, held in costs
    )
    return Comparison(dataset, tuple(runs), fronts, charts, runs_table(runs, fronts), savings_table(runs))
