"""What a page says of answers, by the task: a class, labels of which each may be true, numbers in their unit, or a
class for each pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..data.task import check_fits
from ..dtypes import Array
from ..errors import ConfigError, DataError
from ..integer.graph import Graph
from ..integer.inputs import check_takes_one, task_of

_NAMES = {
    "fashion-mnist": ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    "cifar10": ("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}


def check_shown(graph: Graph) -> None:
    """Refuse a network whose answers no page shows.

    Raises:
        ConfigError: it has several inputs, or answers at every step or with maps of other than classes.
    """
    check_takes_one(graph, "a page")
    shape, task = graph.outputs[0], task_of(graph)
    if graph.readout.over_time == "all":
        found = "answers at every time step"
    elif math.prod(shape) != shape[0] and task.kind != "segmentation":
        what = "maps of numbers" if task.kind == "regression" else "maps that are not a segmentation's"
        found = f"answers with {what} ({'x'.join(map(str, shape))})"
    else:
        return
    raise ConfigError(
        f"a page shows a class, labels, numbers or a map of classes, and this network {found}: export it as C "
        "(--target c), or call it from Python"
    )


def check_right(graph: Graph, items: int, labels: Array) -> None:
    """Refuse labels that are not what would be right of ``items`` answers.

    Raises:
        DataError: they are of another number, task or size, or name classes that the network has not.
    """
    if len(labels) != items:
        raise DataError(f"{items} test items have {len(labels)} labels: give one label for each")
    task = task_of(graph)
    if task.kind != "classification":
        check_fits(task, labels, "the labels of the test items")
        if task.kind == "segmentation" and labels.shape[1:] != (size := _cube(graph)[1:]):
            wanted, found = ("x".join(map(str, sizes)) for sizes in (size, labels.shape[1:]))
            raise DataError(
                f"the maps of the test items are {found}, those of the network {wanted}: bring them to its size"
            )
    elif int(labels.max()) >= graph.classes:
        raise DataError(f"a label is {int(labels.max())}, and the network has {graph.classes} classes: name its data")


def about_answers(graph: Graph, dataset: str) -> dict[str, Any]:
    """What the scripts of the page know of the answers of a network: ``Readout.values`` in its parts."""
    readout, task = graph.readout, task_of(graph)
    said = readout.output_format
    return {
        "task": task.kind,
        "shape": _cube(graph),
        "outputs": _names(graph, dataset),
        "unit": task.unit,
        "scale": readout.scale,
        "gains": [] if said is None else list(said.gains),
        "offsets": [] if said is None else list(said.offsets),
        "summed": readout.sums_all or readout.over_time == "sum",
    }


def plain_label(label: Array | np.generic[Any]) -> int | list[float]:
    """What is right of an item, for JSON: a class, a number for each output, or the class of each pixel, row by row."""
    found: int | list[float] = label.reshape(-1).tolist() if label.ndim else label.tolist()
    return found


def _cube(graph: Graph) -> tuple[int, ...]:
    """[K, H, W], of answers without a place too."""
    shape = graph.outputs[0]
    return (*shape, *[1] * (3 - len(shape)))


def _names(graph: Graph, dataset: str) -> list[str]:
    """Of the outputs; of classes their numbers where they have none."""
    task = task_of(graph)
    if task.kind != "classification":
        return [task.name_of(i) for i in range(max(task.outputs, graph.outputs[0][0]))]
    names = task.names or _NAMES.get(dataset, ())
    return list(names) if len(names) == graph.classes else list(map(str, range(graph.classes)))
