"""Sums of copies of an array that lie a stride apart: what a pool behind a convolution makes of its kernel."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Integer = TypeVar("Integer", bound=np.signedinteger)


def repeated_sums(values: NDArray[Integer], axis: int, count: int, stride: int) -> NDArray[Integer]:
    """``out[i] = values[i] + values[i - stride] + ... + values[i - (count - 1) * stride]`` along an axis, nothing where
    there is no such entry; ``out`` has ``(count - 1) * stride`` entries more than ``values``.

    Time and memory grow with the size of the result alone, not with ``count``.
    """
    last = np.moveaxis(values, axis, -1)
    size, end = last.shape[-1], count * stride
    steps = np.zeros((*last.shape[:-1], -(-(end + size) // stride), stride), values.dtype)
    flat = steps.reshape(*last.shape[:-1], -1)
    flat[..., :size] += last  # every copy begins where one is added, and ends where one is taken away
    flat[..., end : end + size] -= last
    np.add.accumulate(steps, -2, out=steps)
    sums: NDArray[Integer] = np.moveaxis(flat[..., : end - stride + size], -1, axis)
    return sums
