"""Layers of functions that take parameters: ``F.conv2d(x, weight)`` is a Conv2d with that weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _convolution(kind: Any) -> tuple[Callable[..., nn.Module], int]:
    def build(
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> nn.Module:
        layer = kind(
            weight.shape[1] * groups,
            len(weight),
            tuple(weight.shape[2:]),
            stride,
            padding,
            dilation,
            groups,
            bias is not None,
            device="meta",
        )
        return _with(layer, weight=weight, bias=bias)

    return build, 1


def _transposed(kind: Any) -> tuple[Callable[..., nn.Module], int]:
    def build(
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> nn.Module:
        layer = kind(
            len(weight),
            weight.shape[1] * groups,
            tuple(weight.shape[2:]),
            stride,
            padding,
            output_padding,
            groups,
            bias is not None,
            dilation,
            device="meta",
        )
        return _with(layer, weight=weight, bias=bias)

    return build, 1


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    layer = nn.Linear(weight.shape[1], len(weight), bias is not None, device="meta")
    return _with(layer, weight=weight, bias=bias)


def _norm(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> nn.Module:
    channels = 1 if running_mean is None else len(running_mean)
    layer = nn.BatchNorm2d(channels, eps, momentum, weight is not None, running_mean is not None, device="meta")
    if running_mean is not None and running_var is not None:
        layer.running_mean, layer.running_var = running_mean, running_var
        layer.num_batches_tracked = torch.zeros((), dtype=torch.long)
    return _with(layer, weight=weight, bias=bias)


def _with(layer: nn.Module, **tensors: Tensor | None) -> nn.Module:
    for name, tensor in tensors.items():
        if tensor is not None or hasattr(layer, name):
            setattr(layer, name, tensor if isinstance(tensor, nn.Parameter | None) else nn.Parameter(tensor))
    return layer


# Functions of parameters: how the layer is made, and where its parameters begin among the arguments.
PARAMETRIC: dict[Any, tuple[Callable[..., nn.Module], int]] = {
    F.conv1d: _convolution(nn.Conv1d),
    F.conv2d: _convolution(nn.Conv2d),
    F.conv_transpose1d: _transposed(nn.ConvTranspose1d),
    F.conv_transpose2d: _transposed(nn.ConvTranspose2d),
    F.linear: (_linear, 1),
    F.batch_norm: (_norm, 1),
}
