"""Pooling windows, described; torch and NumPy each apply them in their own way. And the sums that a pool behind a
convolution makes of its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Integer = TypeVar("Integer", bound=np.signedinteger)


@dataclass(frozen=True)
class Pool:
    """Windows of ``kernel`` x ``kernel``, ``stride`` apart, whole windows only; "sum" also stands for an average,
    whose divisor is a scale."""

    kind: str
    kernel: int
    stride: int

    @property
    def area(self) -> int:
        """What pooling can multiply the largest value by."""
        return self.kernel**2 if self.kind == "sum" else 1

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width behind the pool."""
        return (height - self.kernel) // self.stride + 1, (width - self.kernel) // self.stride + 1


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
