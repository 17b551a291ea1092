"""Gradients of a convolution's inputs, by a product of matrices for each place of its kernel.

The kernels of oneDNN first bring weights into an order of their own. Where a layer has many weights and few places to
use them at, as the last ones of a network do, that takes far longer than what is multiplied then.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import Geometry

_PLACES = 8  # of the outputs, for each output channel, up to which this takes less time


def few_places(gradient: Tensor, geometry: Geometry) -> bool:
    """Whether the gradient [N, O, H, W] of the outputs has few places, and lies as ``input_gradients`` takes it."""
    return (
        gradient.device.type == "cpu"
        and gradient.dtype in (torch.float32, torch.bfloat16)
        and geometry.groups == 1
        and weights_prevail(gradient)
        and gradient.is_contiguous(memory_format=torch.channels_last)
    )


def weights_prevail(gradient: Tensor) -> bool:
    """Whether a gradient [N, O, ...] has so few places for its output channels that bringing weights into another order
    takes longer than what is multiplied."""
    return gradient.numel() <= _PLACES * gradient.shape[1] ** 2


def input_gradients(gradient: Tensor, weight: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
    """The gradient of the inputs, float32, channels last; of several places of the kernel it is added up in float32.

    Args:
        gradient: of the outputs [N, O, H, W], channels last.
        weight: [O, I, kh, kw] of the same type.
        shape: of the inputs, [N, I, H, W].
    """
    images, inputs, *size = shape
    outputs, made = gradient.shape[1], gradient.shape[2:]
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)
    weight = weight.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    found = torch.zeros((images, *size, inputs), dtype=torch.float32, device=gradient.device)
    down, right = (_met(axis, weight.shape[1 + axis], made[axis], size[axis], geometry) for axis in (0, 1))
    for y, (rows_made, rows_met) in down.items():
        for x, (columns_made, columns_met) in right.items():
            part = (rows @ weight[:, y, x]).view(images, *made, inputs)
            found[:, rows_met, columns_met] += part[:, rows_made, columns_made]
    return found.permute(0, 3, 1, 2)


def _met(axis: int, kernel: int, made: int, size: int, geometry: Geometry) -> dict[int, tuple[slice, slice]]:
    """For each place of the kernel along an axis that meets the image: the outputs that meet it, and what they meet."""
    stride, padding, dilation = geometry.stride[axis], geometry.padding[axis], geometry.dilation[axis]
    found = {}
    for place in range(kernel):
        before = padding - place * dilation  # from what an output meets to the place that is its stride times its own
        first, last = max(0, -(-before // stride)), min(made - 1, (size - 1 + before) // stride)
        if first <= last:
            met = slice(first * stride - before, last * stride - before + 1, stride)
            found[place] = slice(first, last + 1), met
    return found
