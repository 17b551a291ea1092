"""What the header of exported C says of a network: its layers, and what each readout answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..integer.connection import image
from ..integer.graph import Graph
from ..integer.inputs import task_of
from ..io.output import visible

_OVER_TIME = {
    "last": "the last step's",
    "largest": "the largest of all steps",
    "sum": "the sum over all steps",
    "all": "each step's; the last where an image is run",
}


def layer_names(graph: Graph) -> list[str]:
    """Those of the layers, then of the readouts."""
    return [*(layer.name for layer in graph.layers), *(readout.name for readout in graph.readouts)]


@dataclass(frozen=True)
class ReadoutAnswers:
    """What a readout says, for the header: int32 [height][width][outputs] from ``start`` on."""

    name: str
    start: int
    shape: tuple[int, int, int]
    over_time: str


@dataclass(frozen=True)
class FirstOutputs:
    """What the first readout's answers stand for, for the header.

    Args:
        labels: names of the outputs; empty where they have none.
        numbers: whether they are numbers in a unit.
        unit: in words; empty where none is known.
        scales, offsets: of each output, as constants of C: of the answer to an image.
        summed: whether answers are sums over steps.
    """

    labels: tuple[str, ...]
    numbers: bool
    unit: str
    scales: tuple[str, ...]
    offsets: tuple[str, ...]
    summed: bool

    @classmethod
    def of(cls, graph: Graph) -> FirstOutputs:
        readout, task, count = graph.readout, task_of(graph), len(graph.readout.bias)
        steps = graph.timesteps
        zero = np.zeros((steps, 1, count) if readout.over_time == "all" else (1, count), np.int32)
        offsets, both = (readout.values(zero + x, steps).reshape(-1, count)[0] for x in (0, 1))
        said = [f"{x:.9e}f" for x in both - offsets], [f"{x:.9e}f" for x in offsets]
        summed = readout.sums_all or readout.over_time == "sum"
        unit = commentable(task.unit) if task.unit else ""
        return cls(task.names, task.kind == "regression", unit, tuple(said[0]), tuple(said[1]), summed)


def readouts_of(graph: Graph) -> list[ReadoutAnswers]:
    """Of all readouts, one behind the other."""
    found, start = [], 0
    for readout, shape in zip(graph.readouts, graph.outputs, strict=True):
        outputs, height, width = image(shape)
        said = "the sum over all steps" if readout.sums_all else _OVER_TIME[readout.over_time]
        found.append(ReadoutAnswers(commentable(readout.name), start, (height, width, outputs), said))
        start += math.prod(shape)
    return found


def answers_of(graph: Graph) -> int:
    """How many numbers all readouts say."""
    return sum(math.prod(shape) for shape in graph.outputs)


def commentable(title: str) -> str:
    """A title that ends no comment and no line."""
    return visible(" ".join(title.split())).replace("*/", "* /").replace("/*", "/ *")
