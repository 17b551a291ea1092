"""How good answers are, by the task: what is counted of each batch, and the metric of all that was counted.

Counts add up, over batches and over processes. NumPy alone: a training, the reference and the native runtime are judged
by the same arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import Array, Float64
from .task import KINDS, Task

Counts = dict[str, Float64]  # by what they count; whole numbers in all but regression

_MOST_CELLS = 1 << 20  # of a confusion matrix; with more classes only what was right is counted


@dataclass(frozen=True)
class Metric:
    """What answers are judged by.

    Args:
        key: its name in records and in JSON.
        name: its name in words.
        percent: whether it is given in percent.
        unit: of the numbers of a regression.
        larger_is_better: else less is.
    """

    key: str
    name: str
    percent: bool = False
    unit: str = ""
    larger_is_better: bool = True

    def shown(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:.2f}%" if self.percent else f"{value:.4g} {self.unit}".rstrip()

    @property
    def worst(self) -> float:
        """What every value is better than."""
        return -float("inf") if self.larger_is_better else float("inf")

    def better(self, value: float, than: float) -> bool:
        """Whether a value is better than another."""
        return value > than if self.larger_is_better else value < than


ACCURACY = Metric("accuracy", "Accuracy", percent=True)


def metric_of(task: Task) -> Metric:
    """What answers to a task are judged by: accuracy; of labels of which each may be true, the mean of the F1 scores of
    the labels; of numbers, the root of the mean squared error (RMSE), in their unit; of the classes of pixels, the mean
    of the classes' intersection over union."""
    if task.kind == "multilabel":
        return Metric("f1", "F1", percent=True)
    if task.kind == "regression":
        return Metric("rmse", "RMSE", unit=task.unit, larger_is_better=False)
    return Metric("mean_iou", "Mean IoU", percent=True) if task.kind == "segmentation" else ACCURACY


def metric_named(key: str) -> str:
    """The name in words of a task's metric; the key itself, of a user's own."""
    found = (metric_of(Task(kind, 1)) for kind in KINDS)
    return next((metric.name for metric in found if metric.key == key), key)


def decide(task: Task, values: Array) -> Array:
    """The answers of a task: the class of each image int64 [N], or of each pixel [N, H, W], the first of the largest
    values; 1 for each label whose value is above zero, int64 [N, K]; the numbers themselves, float64.

    Args:
        values: [N, K, ...] what a network says in the units of training.
    """
    if task.kind == "regression":
        return np.asarray(values, np.float64)
    return np.asarray(values > 0 if task.kind == "multilabel" else values.argmax(1), np.int64)


def count(task: Task, values: Array, labels: Array) -> Counts:
    """What is counted of some answers.

    Args:
        values: [N, K, ...] what a network says, in the unit of the labels for numbers.
        labels: of the task.
    """
    answers = decide(task, values)
    if task.kind == "regression":
        return _errors(answers.reshape(labels.shape), labels.astype(np.float64))
    if task.kind == "multilabel":
        said, true = answers == 1, labels == 1
        return {
            "hits": (said & true).sum(0).astype(np.float64),
            "false": (said & ~true).sum(0).astype(np.float64),
            "missed": (~said & true).sum(0).astype(np.float64),
        }
    answers, classes = answers.reshape(labels.shape), values.shape[1]
    answers, labels = answers[labels >= 0], labels[labels >= 0]
    found: Counts = {"right": _number((answers == labels).sum()), "count": _number(labels.size)}
    if task.outputs * classes <= _MOST_CELLS:
        cells = np.bincount(labels * classes + answers, minlength=task.outputs * classes)
        found["confusion"] = cells.reshape(task.outputs, classes).astype(np.float64)
    return found


def add(counts: Counts, further: Counts) -> Counts:
    """Both together; either may be of nothing, as those of a process without a batch are."""
    return {name: counts.get(name, np.zeros(())) + further.get(name, np.zeros(())) for name in counts | further}


def score(task: Task, counts: Counts) -> float:
    """The metric of all that was counted; not a number where nothing was."""
    if task.kind == "classification":
        return 100.0 * int(counts["right"]) / int(counts["count"])
    if task.kind == "regression":
        return float(np.sqrt(counts["squared"].sum() / counts["count"].sum()))
    parts = {"multilabel": f1_of_each, "segmentation": iou_of_each}[task.kind](counts)
    occurring = parts[~np.isnan(parts)]
    return 100.0 * float(occurring.mean()) if len(occurring) else float("nan")


def f1_of_each(counts: Counts) -> Float64:
    """The F1 score of each label, [K]; not a number where it was neither said nor true."""
    twice = 2 * counts["hits"]
    return _over(twice, twice + counts["false"] + counts["missed"])


def iou_of_each(counts: Counts) -> Float64:
    """Of each class, the pixels that are of it and were said to be, among those that are one of both, [K]; not a number
    where there are none. Classes too many for a confusion matrix count as one."""
    if "confusion" not in counts:
        return _over(counts["right"][None], 2 * counts["count"][None] - counts["right"][None])
    cells = counts["confusion"]
    hits = np.diagonal(cells)
    return _over(hits, cells.sum(1) + cells.sum(0)[: len(cells)] - hits)


def right_of_each(counts: Counts) -> Float64:
    """The share of the images of each class that were right, [K]; not a number where there are none."""
    cells = counts["confusion"]
    return _over(np.diagonal(cells), cells.sum(1))


def r2_of_each(counts: Counts) -> Float64:
    """The share of the variance of each number that its answers explain, [K]; not a number where it does not vary."""
    spread = counts["square"] - counts["sum"] ** 2 / counts["count"]
    return 1 - _over(counts["squared"], np.where(spread > 0, spread, 0.0))


def details(task: Task, counts: Counts) -> dict[str, object]:
    """What else is said of the answers, as plain values for JSON: of numbers the mean absolute error and R2 (the mean
    over the outputs, and of each where there are several), of labels and of classes each one's own share."""
    if task.kind == "regression":
        each = {"rmse": np.sqrt(counts["squared"] / counts["count"]), "r2": r2_of_each(counts)}
        whole = {"mae": float(counts["absolute"].sum() / counts["count"].sum()), "r2": _mean(each["r2"])}
        return whole | ({} if task.outputs == 1 else {f"{name}_of_each": _plain(x) for name, x in each.items()})
    if task.kind == "multilabel":
        return {"f1_of_each": _plain(100 * f1_of_each(counts))}
    if "confusion" not in counts:
        return {}
    if task.kind == "segmentation":
        right = 100.0 * float(counts["right"]) / max(1.0, float(counts["count"]))
        return {"pixel_accuracy": right, "iou_of_each": _plain(100 * iou_of_each(counts))}
    return {"accuracy_of_each": _plain(100 * right_of_each(counts))}


def _errors(answers: Float64, labels: Float64) -> Counts:
    axes = (0, *range(2, labels.ndim))
    error = answers - labels
    return {
        "count": np.full(labels.shape[1], labels.size / labels.shape[1]),
        "squared": (error**2).sum(axes),
        "absolute": np.abs(error).sum(axes),
        "sum": labels.sum(axes),
        "square": (labels**2).sum(axes),
    }


def _over(part: Float64, whole: Float64) -> Float64:
    found: Float64 = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return found


def _mean(values: Float64) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _plain(values: Float64) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _number(value: int) -> Float64:
    return np.array(float(value))
