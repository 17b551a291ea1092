"""The answer to one item, in words and as pictures: a class, labels, numbers in their unit, or a map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data import Task
from ..data.scores import decide
from ..dtypes import Array

_MOST = 4  # numbers or labels that are named


def is_map(task: Task, values: Array) -> bool:
    """Whether the answer is one for each place, [K, H, W]."""
    return task.kind == "segmentation" or values.size > len(values)


def answer_words(task: Task, values: Array, wanted: Array | None) -> str:
    """What was answered, and what would have been right.

    Args:
        values: [K, ...] what the network says, in the unit of the labels.
        wanted: the label; None where it is not known.
    """
    said = decide(task, values[None])[0]
    if task.kind == "classification" and not is_map(task, values):
        answer = int(said)
        if wanted is None:
            return f"class {answer} answered"
        right = int(wanted)
        return f"class {right}, recognised" if answer == right else f"class {right}, taken for class {answer}"
    if is_map(task, values):
        return _of_map(task, said, wanted)
    flat = said.reshape(-1)
    words = [_listed(task, flat), *([] if wanted is None else [_listed(task, wanted.reshape(-1))])]
    return f"{words[0]} answered" + (f", {words[1]} right" if wanted is not None else "")


def answer_maps(task: Task, values: Array, wanted: Array | None) -> Iterator[tuple[str, Array]]:
    """The answer and the label as grey pictures uint8 [H, W], the first channel of each, with what they show; nothing
    where answers are no maps."""
    if not is_map(task, values):
        return
    maps = {"answered": _places(task, decide(task, values[None])[0])}
    if wanted is not None:
        maps["right"] = _places(task, wanted)
    low, high = (float(end(list(maps.values()))) for end in (np.min, np.max))
    for what, found in maps.items():
        yield what, np.rint((found - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)


def _of_map(task: Task, said: Array, wanted: Array | None) -> str:
    if wanted is None:
        return "a map answered"
    if task.kind == "regression":
        off = float(np.sqrt(np.mean((said.reshape(wanted.shape) - wanted) ** 2)))
        return f"a map answered, off by {off:.4g} {task.unit}".rstrip() + " (RMSE)"
    counted = wanted >= 0
    right = float((said.reshape(wanted.shape) == wanted)[counted].mean()) if counted.any() else 0.0
    return f"{right:.1%} of its pixels right"


def _places(task: Task, values: Array) -> Array:
    """[H, W] of a map, of several channels the first."""
    spread = values if task.kind == "segmentation" else values[0]
    return np.atleast_2d(np.squeeze(spread)).astype(np.float64)


def _listed(task: Task, values: Array) -> str:
    if task.kind == "multilabel":
        named = [task.name_of(int(place)) for place in np.flatnonzero(values == 1)]
        return " and ".join(named[:_MOST]) + (f" and {len(named) - _MOST} more" if len(named) > _MOST else "") or "none"
    numbers = ", ".join(f"{value:.4g}" for value in values[:_MOST]) + (" ..." if len(values) > _MOST else "")
    return f"{numbers} {task.unit}".rstrip()
