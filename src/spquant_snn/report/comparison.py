"""Runs in one picture: what each reaches beside what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .draw.axes import short
from .draw.scatter import Spot, scatter_chart
from .draw.svg import Chart
from .pareto import ComparedRun, compared, front, saved
from .text_table import TextTable


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same images.

    Args:
        dataset: the data set of all of them.
        contenders: the runs.
        fronts: for each cost, "stored" and "done", the places of the runs that no other beats in it and in accuracy.
        charts: accuracy against each cost.
        table: of all of them.
        saved: what they save against the one in floating point; None where there is none.
    """

    dataset: str
    contenders: tuple[ComparedRun, ...]
    fronts: dict[str, list[int]]
    charts: tuple[Chart, ...]
    table: TextTable
    saved: TextTable | None

    @property
    def title(self) -> str:
        """Of the page."""
        return f"{len(self.contenders)} run{'s' * (len(self.contenders) > 1)} on {self.dataset}"

    @property
    def images(self) -> int:
        """How many test images they were counted on."""
        return self.contenders[0].counts.images


def compare(contenders: Sequence[ComparedRun], dataset: str) -> Comparison:
    """Compare runs that were counted on the same images of a data set."""
    costs = (
        ("stored", "Accuracy against bits", "kilobits of weights and state", [run.stored * 8e-3 for run in contenders]),
        ("done", "Accuracy against operations", "operations done an inference", [run.done for run in contenders]),
    )
    fronts = {
        which: front([(cost, run.accuracy) for cost, run in zip(held, contenders, strict=True)])
        for which, _, _, held in costs
    }
    charts = tuple(
        scatter_chart(
            title,
            [Spot(run.name, cost, run.accuracy, run.error) for run, cost in zip(contenders, held, strict=True)],
            fronts[which],
            name,
            "accuracy",
            short,
            lambda value: f"{value:.2f} %",
        )
        for which, title, name, held in costs
    )
    return Comparison(dataset, tuple(contenders), fronts, charts, compared(contenders, fronts), saved(contenders))
