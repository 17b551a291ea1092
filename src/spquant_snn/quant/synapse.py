"""Synapses: a convolution or a fully connected layer whose weights may be codes of a few bits, with the sum-pool that
follows it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from ..integer.grids import FLOAT
from ..integer.pool import Pool
from ..nn.layers import pool_into_kernel
from ..nn.sums import Geometry
from ..nn.sums import sums as exact_sums
from .quant_config import QuantConfig
from .weight import WeightQuantizer, weight_quantizer


def apply_pool(pool: Pool, x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H', W']; a sum is a sum, its divisor is the stage's affair."""
    if pool.kind == "max":
        return F.max_pool2d(x, pool.kernel, pool.stride)
    return F.avg_pool2d(x, pool.kernel, pool.stride, divisor_override=1)


class Synapse(nn.Module):
    """Sums of weights, [N, ...] -> [N, ...]; a layer of torch taken over with its parameters.

    Args:
        layer: Conv2d or Linear.
        pool: the sum-pool behind it, if any; it becomes part of the kernel where that takes fewer operations.
        config: precision of the weights.
        free_scale: whether nothing behind undoes the scale of the weights, so that it must be trained.
        per_tensor: one scale for all outputs.

    Attributes:
        plain: whether sums are left to torch's convolutions and linear layers, in floating point.
    """

    def __init__(
        self, layer: nn.Conv2d | nn.Linear, pool: Pool | None, config: QuantConfig, free_scale: bool, per_tensor: bool
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.pool = pool
        self.convolves = isinstance(layer, nn.Conv2d)
        self.stride = cast(tuple[int, int], layer.stride) if isinstance(layer, nn.Conv2d) else (1, 1)
        self.padding = _padding(layer) if isinstance(layer, nn.Conv2d) else (0, 0)
        self.groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        self.plain = False
        self.quantizer: WeightQuantizer | None = None
        if config.weight_bits != FLOAT:
            bits = cast(float, config.weight_bits)
            self.quantizer = weight_quantizer(config.weight_quantizer, self.weight, bits, free_scale, per_tensor)

    @property
    def folds(self) -> bool:
        """Whether the pool is computed inside the convolution."""
        if self.pool is None or self.stride != (1, 1) or self.pool.kernel != self.pool.stride:
            return False
        height, width = self.weight.shape[2:]
        p = self.pool.kernel
        return int((height + p - 1) * (width + p - 1)) < int(height * width) * p * p

    def codes(self) -> Tensor:
        """The weight codes [O, ...] as floats with a gradient; the weights themselves where they are not quantised."""
        return self.weight if self.quantizer is None else self.quantizer.codes(self.weight)

    def scale(self) -> Tensor:
        """[O] or [1] what a code of one is worth."""
        return self.weight.new_ones(1) if self.quantizer is None else self.quantizer.positive_scale()

    @property
    def rounds(self) -> bool:
        """Whether the codes are integers."""
        return self.quantizer is not None

    @property
    def largest_code(self) -> int:
        """The largest absolute value of a weight code, or of a sum of them over the pool; 0 of weights that are not
        rounded."""
        if self.quantizer is None:
            return 0
        return max(-self.quantizer.low, self.quantizer.high) * (1 if self.pool is None else self.pool.area)

    def sums(self, x: Tensor, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """[N, ...] sums of the codes weighted by x, pooled; times the ``scale`` [O] or [1], if given."""
        if not self.convolves:
            x = x.flatten(1)
        if self.pool is None or self.folds:
            return self._weigh(x, *self.kernel(codes), scale)
        return apply_pool(self.pool, self._weigh(x, codes, self.geometry, scale))

    @property
    def geometry(self) -> Geometry:
        """How the weights look at the input, without a pool."""
        return Geometry(self.stride, self.padding, self.groups)

    def kernel(self, codes: Tensor) -> tuple[Tensor, Geometry]:
        """The weights that give the sums in one go, and how they look at the input: the codes, with the pool inside if
        it is to be."""
        if self.pool is None or not self.folds:
            return codes, self.geometry
        return pool_into_kernel(codes, self.pool.kernel), replace(self.geometry, stride=(self.pool.kernel,) * 2)

    def _weigh(self, x: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor | None) -> Tensor:
        if scale is not None and self.rounds and not self.plain:
            return exact_sums(x, weight, scale, geometry)
        if scale is not None:
            weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
        if not self.convolves:
            return F.linear(x, weight)
        return F.conv2d(x, weight, None, geometry.stride, geometry.padding, groups=geometry.groups)

    @property
    def field(self) -> tuple[int, int]:
        """Height and width of the part of the input that a pooled sum of a convolution looks at."""
        reach = 0 if self.pool is None else self.pool.kernel - 1
        (dy, dx), (height, width) = self.stride, self.weight.shape[2:]
        return reach * dy + int(height), reach * dx + int(width)

    def active(self, x: Tensor) -> Tensor:
        """[N, 1, H', W'], or [N, 1] of a linear layer: how many inputs are not zero among those that the sums of one
        place look at; whole numbers as floats."""
        found = (x != 0).float()
        if not self.convolves:
            return found.flatten(1).sum(1, keepdim=True)
        apart = 1 if self.pool is None else self.pool.stride
        with torch.autocast(x.device.type, enabled=False):
            summed = found.sum(1, keepdim=True)
            strides = (self.stride[0] * apart, self.stride[1] * apart)
            return F.conv2d(summed, summed.new_ones(1, 1, *self.field), None, strides, self.padding).round_()

    def reach(self, codes: Tensor, largest_input: int) -> Tensor:
        """[O] int64, the largest absolute value that a pooled sum of integer codes can take."""
        area = 1 if self.pool is None else self.pool.area
        positive = codes.clamp(min=0).flatten(1).to(torch.int64).sum(1)
        negative = (-codes).clamp(min=0).flatten(1).to(torch.int64).sum(1)
        return torch.maximum(positive, negative) * (area * largest_input)


def _padding(layer: nn.Conv2d) -> tuple[int, int]:
    if layer.padding == "valid":
        return (0, 0)
    if layer.padding == "same":
        height, width = layer.kernel_size
        if height % 2 == 0 or width % 2 == 0:
            raise ModelError(
                f"padding='same' needs an odd kernel, not {height}x{width}: pad by hand or change the kernel"
            )
        return (height // 2, width // 2)
    return cast(tuple[int, int], layer.padding)
