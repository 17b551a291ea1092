"""How a convolution looks at its input."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """Stride, zeros at each side, groups and dilation of a convolution of two dimensions."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)
