"""Pixels: what users give, as an array of uint8, or a sentence that says why it is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

UInt8 = NDArray[np.uint8]


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
