"""Whatever an item holds, of torch, NumPy, PIL or Python, as arrays: its label, and its image, signal or sequence."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import DataError
from .input_kind import Decide, InputKind, laid_out
from .task import TaskKind


def item_label(label: object, kind: TaskKind | None, where: str) -> Array:
    """The label of one item: a class index, a number, or several of either."""
    try:
        index = operator.index(label)  # type: ignore[arg-type]
    except TypeError:
        index = None
    if index is not None:
        least = -(2**63) if kind == "regression" else 0
        if not least <= index < 2**63:
            raise DataError(f"{where} has the label {index}: number the classes from 0")
        return np.array(index, np.int64)
    try:
        value = _of_tensor(label) if _is_tensor(label) else np.asarray(label)
    except (ValueError, TypeError, RuntimeError):
        value = np.array(None)
    if value.dtype.kind not in "uifb" or value.dtype.itemsize > 8:
        raise DataError(f"{where} has the label {described(label)}: give a class index, a whole number, or numbers")
    return value


def item_pixels(image: object, where: str, kind: InputKind | None, decide: Decide | None) -> Array:
    """One item: an image [C, H, W], or a sequence [T, C, H, W], of numbers as they are given."""
    mode = getattr(image, "mode", None)
    if mode in ("P", "1"):
        raise DataError(f'{where} is a palette or bit image: call convert("RGB") or convert("L") on it first')
    values = as_numbers(image, where)
    pictured: InputKind | None = "image" if isinstance(mode, str) and kind is None else kind
    found: Array = laid_out(values[None], where, pictured, decide, _is_tensor(image))[0]
    return found if _is_tensor(image) else found.copy()  # its memory may be that of the next item too


def item_values(given: object, where: str, kind: InputKind | None = None, decide: Decide | None = None) -> Array:
    """Items of any numbers, [N, ...], as images [N, C, H, W] or sequences [N, T, C, H, W] of these."""
    values = as_numbers(given, where)
    if not values.ndim:
        raise DataError(f"{where} are one number: give an array, [N, ...]")
    found = laid_out(values, where, kind, decide, _is_tensor(given))
    # Bytes are taken as they are; but not in memory of an array, in which its owner may go on to write.
    shared = isinstance(given, np.ndarray) and values.dtype.itemsize == 1 and np.may_share_memory(found, given)
    return found.copy() if shared else found


def as_numbers(value: object, where: str) -> Array:
    """Numbers as an array, in the memory of the tensor or array that is given where it can be."""
    try:
        array = _of_tensor(value) if _is_tensor(value) else np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{where} cannot be made an array ({reason}): bring them to one shape") from error
    if array.dtype.kind not in "uifb" or array.dtype.itemsize > 8:
        raise DataError(
            f"{where} are of {described(value)}, dtype {array.dtype}: give real numbers, as of float32 or uint8"
        )
    return array


def _is_tensor(value: object) -> bool:
    """Whether it is one of torch, which is asked only where the user has imported it."""
    torch = sys.modules.get("torch")
    return isinstance(value, getattr(torch, "Tensor", ()))


def _of_tensor(tensor: Any) -> Array:
    held = tensor.detach().cpu()
    try:
        array: Array = held.numpy()
    except (TypeError, RuntimeError):  # of bfloat16, which NumPy does not know, as of some others
        array = held.float().numpy()
    return array


def described(value: object) -> str:
    """What a message calls it."""
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__
