"""What users give a network, checked once for every engine: images and sequences, their length, and whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import UInt8
from ..errors import ConfigError, DataError
from .graph import Graph


def as_batch(graph: Graph, images: Any) -> UInt8:
    """Images [N, C, H, W] or sequences [T, N, C, H, W], from what ``Program`` says that it takes.

    Raises:
        DataError: they have another dtype or shape, there are none, or a sequence is too long.
    """
    array, shape = as_pixels(images, "images"), graph.input_shape
    if array.ndim == 3:
        one, grey = array.shape == shape, (1, *array.shape[1:]) == shape
        array = array[None] if one else array[:, None] if grey else array
    check_images(graph, array)
    return array


def check_images(graph: Graph, images: UInt8) -> None:
    """Refuse all but images [N, C, H, W] and sequences [T, N, C, H, W] that the graph takes.

    Raises:
        DataError: they have another dtype or shape, there are none, or a sequence is so long that logits could leave 32
            bits.
    """
    if len(graph.inputs) > 1 or graph.inputs[0].signed:
        raise DataError("this network does not take one array of uint8 images: give each of its inputs by itself")
    if images.dtype != np.uint8:
        as_pixels(images, "images")
    if images.ndim not in (4, 5) or images.shape[-3:] != graph.input_shape:
        shape = "x".join(map(str, graph.input_shape))
        raise DataError(
            f"this network takes images [N, {shape}] or sequences [T, N, {shape}], not {list(images.shape)}"
        )
    if 0 in images.shape:
        raise DataError(f"there are no images in an array of shape {list(images.shape)}: give at least one")
    _check_length(graph, images)


def check_inputs(graph: Graph, given: tuple[NDArray[Any], ...]) -> int:
    """The time steps of what is given for each input of a graph, images [N, C, H, W] or sequences [T, N, C, H, W].

    Raises:
        DataError: they are not what the graph takes, or not as many and as long as one another.
    """
    if len(given) != len(graph.inputs):
        raise DataError(f"this network takes {len(graph.inputs)} inputs, not {len(given)}")
    for i, (wanted, x) in enumerate(zip(graph.inputs, given, strict=True)):
        dtype = np.dtype(np.int8 if wanted.signed else np.uint8)
        if x.dtype != dtype or x.ndim not in (4, 5) or x.shape[-3:] != wanted.shape or 0 in x.shape:
            shape = "x".join(map(str, wanted.shape))
            raise DataError(
                f"input {i} takes {dtype} images [N, {shape}] or sequences [T, N, {shape}], not {x.dtype} "
                f"{list(x.shape)}"
            )
        _check_length(graph, x)
    counts, lengths = {x.shape[-4] for x in given}, {len(x) for x in given if x.ndim == 5}
    if len(counts) > 1 or len(lengths) > 1:
        raise DataError(f"inputs must be of one number and length, not {', '.join(str(list(x.shape)) for x in given)}")
    return lengths.pop() if lengths else graph.timesteps


def _check_length(graph: Graph, x: NDArray[Any]) -> None:
    """Refuse a sequence whose answers could leave 32 bits."""
    if x.ndim == 5 and len(x) > graph.longest:
        raise DataError(
            f"a sequence of {len(x)} frames is too long, its logits could leave 32 bits: give {graph.longest} at most"
        )


def check_count(name: str, value: Any) -> int:
    """A whole number above zero, which the option ``name`` must be.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name} must be a whole number above zero, not {value!r}")
    return int(value)


def as_pixels(value: Any, what: str) -> UInt8:
    """Anything that ``numpy.asarray`` takes (arrays, lists of them, torch tensors on CPUs) that holds uint8.

    Args:
        what: messages call it, in the plural.

    Raises:
        DataError: it is no array, or of another dtype.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{what} cannot be read as a NumPy array ({error}): give one uint8 array, on the CPU"
        ) from error
    if array.dtype != np.uint8:
        raise DataError(f"{what} must be uint8, 0 to 255, not {array.dtype}: {_conversion(array.dtype, what)}")
    return array


def _conversion(dtype: np.dtype[Any], what: str) -> str:
    if dtype.kind == "f":
        return f"pixels from 0 to 1 become ({what} * 255).round().astype('uint8')"
    if dtype.kind in "iub":
        return f"convert them with {what}.astype('uint8') if they lie in 0 to 255"
    return "give an array of whole numbers"
