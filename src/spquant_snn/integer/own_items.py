"""A user's arrays as items for a network: shape, dtype and labels are checked against its input and its task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.items import Items
from ..data.task import Task, check_fits, read_labels
from ..dtypes import Array
from ..errors import DataError
from .graph import Graph, Input
from .inputs import as_images, as_pixels, task_of


@dataclass(frozen=True)
class Interface:
    """The input and the task of a network.

    Args:
        given: its input.
        timesteps: for which it is shown what stands still.
        task: what it was trained for.
    """

    given: Input
    timesteps: int
    task: Task

    @classmethod
    def of(cls, graph: Graph) -> Interface:
        """That of a graph of one input."""
        return cls(graph.inputs[0], graph.timesteps, task_of(graph))


def own_items(images: Array, labels: Array | None, network: Interface, name: str) -> Items:
    """Images [N, C, H, W], sequences [N, T, C, H, W], and the forms of both that ``Program`` takes of grey images,
    vectors and signals, as items with or without labels.

    Args:
        name: of the file, for messages.

    Raises:
        DataError: dtype or shape are not what the network takes, or the labels do not fit; the message says which
            would.
    """
    shape, wanted = network.given.shape, "x".join(map(str, network.given.shape))
    dtype, values = ("int8", "-127 to 127") if network.given.signed else ("uint8", "0 to 255")
    if images.dtype.kind in "iub" and images.dtype != dtype:
        raise DataError(
            f"the images of {name} must be {dtype}, {values}, not {images.dtype} {list(images.shape)}: save them so, "
            "or as floats in the units of training"
        )
    array = as_pixels(images, f"the images of {name}", network.given)
    if array.ndim > 2 and (1, *array.shape[-2:]) == shape and array.shape[-3:] != shape:
        array = np.expand_dims(array, -3)  # grey ones
    array = as_images(array, shape)
    if array.ndim not in (4, 5) or array.shape[-3:] != shape:
        last = array.ndim == 4 and (array.shape[3], *array.shape[1:3]) == shape
        remedy = "bring the channels to the front" if last else "bring them to one of the two"
        raise DataError(
            f"the images of {name} are {list(array.shape)}, and the network takes [N, {wanted}] or sequences "
            f"[N, T, {wanted}]: {remedy}"
        )
    if 0 in array.shape:
        raise DataError(f"there are no images in {name}, it holds {list(array.shape)}: give at least one")
    return Items(name, array, None if labels is None else _labels(labels, len(array), network, name))


def _labels(labels: Array, count: int, network: Interface, name: str) -> Array:
    """Labels of the task of a network."""
    where = f"the labels of {name}"
    if labels.dtype.kind not in "uifb" or labels.ndim == 0:
        found = f"{labels.dtype} {list(labels.shape)}"
        raise DataError(f"{where} must be numbers, one or more for each image, not {found}: save them as such")
    if len(labels) != count:
        raise DataError(f"{name} has {count} images and {len(labels)} labels: give one label for each image")
    _, read = read_labels(labels, network.task.kind, where)
    check_fits(network.task, read, where)
    return read
