"""Pooling windows, described; torch and NumPy each apply them in their own way."""

from __future__ import annotations

from dataclasses import dataclass


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
