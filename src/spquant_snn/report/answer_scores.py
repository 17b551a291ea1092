"""Scores of a network's answers, class by class, label by label or number by number, as values and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..data import Task
from ..data.scores import Counts, Metric, add, count, details, metric_of, score
from ..dtypes import Array
from ..integer.compare import Trace
from ..integer.graph import Graph
from ..integer.inputs import task_of
from .text_table import TextTable

_MOST = 20  # classes of a confusion matrix that a page shows, and rows of the other tables 5 times that


@dataclass(frozen=True, eq=False)
class AnswerScores:
    """The scores of answers to a task."""

    task: Task
    counts: Counts

    @property
    def metric(self) -> Metric:
        return metric_of(self.task)

    @property
    def value(self) -> float:
        """The value of the metric."""
        return score(self.task, self.counts)

    @property
    def details(self) -> dict[str, object]:
        """Further scores by name, as plain values."""
        return details(self.task, self.counts)

    def tables(self) -> Iterator[TextTable]:
        """Each class, label or number, and the confusion matrix, where there are not too many."""
        each = {name: row for name, row in self.details.items() if isinstance(row, list)}
        if each and self.task.outputs <= 5 * _MOST:
            yield self._each(each)
        cells = self.counts.get("confusion")
        if cells is not None and max(cells.shape) <= _MOST:
            yield self._confusion(cells)

    def _each(self, each: dict[str, list[float | None]]) -> TextTable:
        heads = tuple(name.removesuffix("_of_each").replace("_", " ") for name in each)
        counted = self.counts["confusion"].sum(1) if "confusion" in self.counts else None
        rows = tuple(
            (
                self._name(i),
                *(() if counted is None else (f"{counted[i]:,.0f}",)),
                *("-" if row[i] is None else f"{row[i]:.4g}" for row in each.values()),
            )
            for i in range(self.task.outputs)
        )
        what = "number" if self.task.kind == "regression" else "label" if counted is None else "class"
        unit = f", in {self.task.unit}" if self.task.unit else "" if self.task.kind == "regression" else ", in percent"
        items = () if counted is None else ("pixels" if self.task.kind == "segmentation" else "images",)
        return TextTable(f"how right each {what} is{unit}", (what,), (*items, *heads), rows)

    def _confusion(self, cells: Array) -> TextTable:
        names = tuple(self._name(i) for i in range(cells.shape[1]))
        rows = tuple((self._name(i), *(f"{x:,.0f}" for x in row)) for i, row in enumerate(cells))
        return TextTable("confusion matrix: a row for each class, a column for each answer", ("class",), names, rows)

    def _name(self, output: int) -> str:
        return self.task.names[output] if output < len(self.task.names) else str(output)


class AnswerCounter:
    """Adds up the scores of a network over batches; call it with the trace of each.

    Args:
        task: of the network.
        values_of: what its answers in a trace, [N, ...], stand for, in the units of the labels.
        labels: of all items, in their order; they must be of the network's task.
    """

    def __init__(self, task: Task, values_of: Callable[[Array], Array], labels: Array) -> None:
        self._task, self._values_of, self._labels = task, values_of, labels
        self._seen = 0
        self._counts: Counts = {}

    @classmethod
    def of(cls, graph: Graph, labels: Array, steps: int) -> AnswerCounter:
        """That of integers; each item is shown for so many steps."""
        return cls(task_of(graph), lambda said: graph.readout.values(said, steps), labels)

    def __call__(self, trace: Trace) -> None:
        """Add a batch."""
        said = np.asarray(trace.logits)
        labels = self._labels[self._seen : self._seen + len(said)]
        self._counts = add(self._counts, count(self._task, self._values_of(said), labels))
        self._seen += len(said)

    @property
    def found(self) -> AnswerScores:
        """The scores of all batches so far."""
        return AnswerScores(self._task, self._counts)
