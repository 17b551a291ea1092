"""Surrogate gradients: what stands in for the derivative of the spike, which is zero almost everywhere.

Each is a function of ``x = v - v_threshold`` that returns ds/dv, of the shape of x. Widths are in units of the
potential.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import ConfigError

Surrogate = Callable[[Tensor], Tensor]


def triangle(x: Tensor) -> Tensor:
    """max(0, 1 - |x|), the surrogate of SpQuant-SNN (Hasssan et al. 2024)."""
    return x.abs().neg_().add_(1.0).clamp_(min=0.0)


def rectangle(x: Tensor) -> Tensor:
    """1 where |x| < 1/2, else 0 (STBP, Wu et al. 2018)."""
    return (x.abs() < 0.5).to(x.dtype)


def atan(x: Tensor) -> Tensor:
    """1 / (1 + (pi x)^2), the derivative of atan(pi x) / pi (Fang et al. 2021)."""
    return x.mul(math.pi).square_().add_(1.0).reciprocal_()


def sigmoid(x: Tensor) -> Tensor:
    """4 z (1 - z) with z = sigmoid(4 x): a logistic bump of height 1."""
    z = torch.sigmoid(x.mul(4.0))
    return z.mul(1.0 - z).mul_(4.0)


SURROGATES: dict[str, Surrogate] = {"triangle": triangle, "rectangle": rectangle, "atan": atan, "sigmoid": sigmoid}


def surrogate(choice: str | Surrogate) -> Surrogate:
    """The surrogate of a name, or the callable itself.

    Raises:
        ConfigError: no surrogate has that name.
    """
    if callable(choice):
        return choice
    if not isinstance(choice, str) or choice not in SURROGATES:
        raise ConfigError(f"surrogate must be one of {', '.join(SURROGATES)} or a callable, not {choice!r}")
    return SURROGATES[choice]


def name_of(function: Surrogate) -> str | None:
    """The name of a surrogate; None for one of the user's own."""
    return next((name for name, known in SURROGATES.items() if known is function), None)
