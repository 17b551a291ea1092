"""Checks of what users give a network, the same for every engine: images, sequences and their length, and whole
numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.task import Task
from ..dtypes import Array
from ..errors import ConfigError, DataError
from ..io.texts import counted
from .graph import Graph, Input

_UNSIGNED, _SIGNED = np.dtype(np.uint8), np.dtype(np.int8)
_OTHERWISE = "call it from Python, or export it as C (--target c)"


def as_batch(graph: Graph, images: Any) -> Array:
    """Images [N, C, H, W] or sequences [T, N, C, H, W] for a network of one input, from any of the forms that
    ``Program`` lists.

    Raises:
        DataError: they have another dtype or shape, there are none, a sequence is too long, or the network has several
            inputs.
    """
    _check_one_input(graph)
    array, shape = as_pixels(images, "images", graph.inputs[0]), graph.input_shape
    if array.ndim == 3:
        one, grey = array.shape == shape, (1, *array.shape[1:]) == shape
        array = array[None] if one else array[:, None] if grey else array
    array = as_images(array, shape)
    _check_shape(graph, array)
    return array


def as_images(array: Array, shape: tuple[int, int, int]) -> Array:
    """Vectors [N, F] and [T, N, F] as images of one pixel (F, 1, 1), signals [N, C, L] and [T, N, C, L] as images of
    one row (C, 1, L), where the network takes such images; anything else unchanged."""
    channels, height, width = shape
    if array.ndim >= 3 and array.shape[-3:] == shape:
        return array
    if height == width == 1 and array.ndim in (2, 3) and array.shape[-1] == channels:
        return array.reshape(*array.shape, 1, 1)
    if height == 1 and array.ndim in (3, 4) and array.shape[-2:] == (channels, width):
        return array.reshape(*array.shape[:-1], 1, width)
    return array


def as_inputs(graph: Graph, given: tuple[Any, ...]) -> tuple[Array, ...]:
    """Arrays for each input of a network, as ``as_batch`` gives them for one.

    Raises:
        DataError: as ``as_batch`` and ``check_inputs``.
    """
    if len(graph.inputs) == len(given) == 1:
        return (as_batch(graph, given[0]),)
    named = [as_array(x, f"what is given for input {i}") for i, x in enumerate(given)]
    arrays = tuple(as_images(array, wanted.shape) for array, wanted in zip(named, graph.inputs, strict=False))
    arrays += tuple(named[len(arrays) :])
    check_inputs(graph, arrays)
    return arrays


def check_images(graph: Graph, images: Array) -> None:
    """Refuse all but images [N, C, H, W] and sequences [T, N, C, H, W] that a graph of one input takes.

    Raises:
        DataError: they have another dtype or shape, there are none, or a sequence is so long that logits could leave 32
            bits.
    """
    _check_one_input(graph)
    as_pixels(images, "images", graph.inputs[0])
    _check_shape(graph, images)


def _check_shape(graph: Graph, images: Array) -> None:
    if images.ndim not in (4, 5) or images.shape[-3:] != graph.input_shape:
        shape = "x".join(map(str, graph.input_shape))
        raise DataError(
            f"this network takes images [N, {shape}] or sequences [T, N, {shape}], not {list(images.shape)}"
        )
    if 0 in images.shape:
        raise DataError(f"there are no images in an array of shape {list(images.shape)}: give at least one")
    _check_length(graph, images)


def check_inputs(graph: Graph, given: tuple[Array, ...]) -> int:
    """Check the arrays for the inputs of a graph, images [N, C, H, W] or sequences [T, N, C, H, W]; returns their time
    steps.

    Raises:
        DataError: they are not what the graph takes, or not as many and as long as one another.
    """
    if len(given) != len(graph.inputs):
        raise DataError(
            f"this network takes {counted(len(graph.inputs), 'input')}, not {len(given)}: give an array for each"
        )
    if len(given) == 1:
        check_images(graph, given[0])
    for i, (wanted, x) in enumerate(zip(graph.inputs, given, strict=True)):
        if x.dtype != _dtype(wanted) or x.ndim not in (4, 5) or x.shape[-3:] != wanted.shape or 0 in x.shape:
            shape = "x".join(map(str, wanted.shape))
            raise DataError(
                f"input {i} takes {_dtype(wanted)} images [N, {shape}] or sequences [T, N, {shape}], not {x.dtype} "
                f"{list(x.shape)}"
            )
        _check_lowest(wanted, x, f"input {i}")
        _check_length(graph, x)
    counts, lengths = {x.shape[-4] for x in given}, {len(x) for x in given if x.ndim == 5}
    if len(counts) > 1 or len(lengths) > 1:
        shapes = ", ".join(str(list(x.shape)) for x in given)
        raise DataError(f"inputs must be of one number and length, not {shapes}: give as much for each")
    return lengths.pop() if lengths else graph.timesteps


def task_of(graph: Graph) -> Task:
    """The task that a network was trained for; classification, with a class for each output of its first readout, where
    its file names none."""
    said = graph.readout.output_format
    return Task("classification", graph.classes) if said is None else said.task


def check_predicts(graph: Graph) -> None:
    """Refuse a network without a single prediction: one that answers at every step, or with maps that are no task's.

    Raises:
        ConfigError: it answers at every step, or with a map.
    """
    shape = graph.outputs[0]
    if graph.readout.over_time == "all":
        raise ConfigError("this network answers at every time step, there is no one prediction: use its logits")
    if math.prod(shape) != shape[0] and graph.readout.output_format is None:
        found = "x".join(map(str, shape))
        raise ConfigError(f"this network answers with maps of {found}, there is no one prediction: use its logits")


def says_classes(graph: Graph) -> bool:
    """Whether the first readout gives one answer for each class."""
    one = graph.readout.over_time != "all" and math.prod(graph.outputs[0]) == graph.outputs[0][0]
    return one and task_of(graph).kind == "classification"


def takes_images(graph: Graph) -> bool:
    """Whether one array of uint8 is all that the network takes."""
    return len(graph.inputs) == 1 and not graph.inputs[0].signed


def check_takes_one(graph: Graph, purpose: str) -> None:
    """Refuse a network of several inputs.

    Args:
        purpose: what gives it one, as the subject of the sentence.

    Raises:
        ConfigError: it has several.
    """
    if len(graph.inputs) > 1:
        raise ConfigError(f"{purpose} gives a network one input, this one has {len(graph.inputs)}: {_OTHERWISE}")


def _check_one_input(graph: Graph) -> None:
    if len(graph.inputs) > 1:
        raise DataError(f"this network takes {len(graph.inputs)} inputs, not one: give an array for each to answers()")


def _check_length(graph: Graph, x: Array) -> None:
    """Refuse a sequence whose answers could leave 32 bits."""
    if x.ndim == 5 and len(x) > graph.longest:
        raise DataError(
            f"a sequence of {len(x)} frames is too long, its logits could leave 32 bits: give {graph.longest} at most"
        )


def _check_lowest(wanted: Input, x: Array, what: str) -> None:
    if wanted.signed and int(x.min()) < -wanted.largest:
        raise DataError(f"{what} must lie in -127 to 127, and there is a -128: clip it")


def _dtype(wanted: Input) -> np.dtype[Any]:
    return _SIGNED if wanted.signed else _UNSIGNED


def check_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number of 1, or ``least``, or more, which the option ``name`` must be.

    Raises:
        ConfigError: it is none.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and value >= least:
        return int(value)
    if whole and least == 0:
        raise ConfigError(f"{name} must be at least 0, not {value!r}")
    raise ConfigError(f"{name} must be a whole number{' above zero' if least else ''}, not {value!r}")


def as_pixels(value: Any, what: str, wanted: Input | None = None) -> Array:
    """Anything that ``numpy.asarray`` takes (arrays, lists of them, torch tensors on CPUs) that holds uint8, or what an
    input takes.

    Args:
        what: messages call it, in the plural.
        wanted: the input.

    Raises:
        DataError: it is no array, or of another dtype.
    """
    array = as_array(value, what)
    signed = wanted is not None and wanted.signed
    if array.dtype != (_SIGNED if signed else _UNSIGNED):
        dtype, values = ("int8", "-127 to 127") if signed else ("uint8", "0 to 255")
        advice = _conversion(array.dtype, what)
        raise DataError(f"{what} must be {dtype}, {values}, not {array.dtype}: {advice}")
    if wanted is not None and array.size:
        _check_lowest(wanted, array, what)
    return array


def as_array(value: Any, what: str) -> NDArray[Any]:
    """Anything that ``numpy.asarray`` takes; ``what`` is what messages call it.

    Raises:
        DataError: it is no array.
    """
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{what} cannot be read as a NumPy array ({error}): give one array of whole numbers, on the CPU"
        ) from error


def _conversion(dtype: np.dtype[Any], what: str) -> str:
    if dtype.kind == "f":
        return f"quantize({what}) of the program makes them so, by the scale of the network"
    if dtype.kind in "iub":
        return f"quantize({what}) of the program makes them so, where they lie in its range"
    return "give an array of whole numbers"
