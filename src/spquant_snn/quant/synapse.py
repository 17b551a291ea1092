"""Synapses: a convolution or a fully connected layer whose weights may be codes of a few bits, with the sum-pool that
follows it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from ..integer.grids import FLOAT
from ..integer.pool import NO_SIDES, Pair, Pool, Sides, Upsample
from ..nn.geometry import Geometry
from ..nn.layers import OneToOne, pool_into_kernel
from ..nn.sums import products
from ..nn.sums import sums as exact_sums
from .quant_config import QuantConfig
from .weight import WeightQuantizer, weight_quantizer


def apply_pool(pool: Pool | Upsample, x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H', W']; a sum is a sum, its divisor is somebody else's affair. A vector is an image of
    one pixel."""
    if x.dim() == 2:
        x = x[:, :, None, None]
    if isinstance(pool, Upsample):
        return x.repeat_interleave(pool.factor[0], 2).repeat_interleave(pool.factor[1], 3)
    if pool.padding != NO_SIDES:
        top, bottom, left, right = pool.padding
        x = F.pad(x, (left, right, top, bottom), value=-math.inf if pool.kind == "max" else 0.0)
    if pool.kind == "max":
        return F.max_pool2d(x, pool.kernel, pool.stride, 0, pool.dilation)
    return F.avg_pool2d(x, pool.kernel, pool.stride, divisor_override=1)


def spread_out(x: Tensor, apart: Pair) -> Tensor:
    """[N, C, H, W] with its rows and columns that far from one another, zeros between them."""
    if apart == (1, 1):
        return x
    height, width = ((size - 1) * step + 1 for size, step in zip(x.shape[2:], apart, strict=True))
    wide = x.new_zeros(*x.shape[:2], height, width)
    wide[:, :, :: apart[0], :: apart[1]] = x
    return wide


class Synapse(nn.Module):
    """Sums of weights, [N, ...] -> [N, ...]; a layer of torch taken over with its parameters.

    Signals are images one pixel high, and a transposed convolution is a plain one, its kernel turned round, over an
    input whose rows and columns are spread.

    Args:
        layer: Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear or OneToOne.
        pool: over the sums, if any; sums become part of the kernel where that takes fewer operations.
        config: precision of the weights.
        free_scale: whether nothing behind undoes the scale of the weights, so that it must be trained.
        per_tensor: one scale for all outputs.

    Attributes:
        plain: whether sums are left to torch's convolutions and linear layers, in floating point.
    """

    def __init__(
        self, layer: nn.Module, pool: Pool | None, config: QuantConfig, free_scale: bool, per_tensor: bool
    ) -> None:
        super().__init__()
        taken = layout_of(layer)
        self.weight = nn.Parameter(taken.weight.clone())
        bias = cast(Tensor | None, getattr(layer, "bias", None))
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.pool = pool
        self.convolves = self.weight.dim() == 4
        self.stride, self.padding, self.groups = taken.stride, taken.padding, taken.groups
        self.dilation, self.spread = taken.dilation, taken.spread
        self.plain = False
        self.quantizer: WeightQuantizer | None = None
        if config.weight_bits != FLOAT:
            bits = cast(float, config.weight_bits)
            self.quantizer = weight_quantizer(config.weight_quantizer, self.weight, bits, free_scale, per_tensor)

    @property
    def bits(self) -> float:
        """Of the weights, 32 in floating point."""
        return float(FLOAT) if self.quantizer is None else self.quantizer.bits

    @property
    def folds(self) -> bool:
        """Whether the pool is computed inside the convolution."""
        pool = self.pool
        if pool is None or pool.kind != "sum" or not pool.plain or pool.kernel != pool.stride:
            return False
        if self.stride != (1, 1) or self.dilation != (1, 1):
            return False
        height, width = self.weight.shape[2:]
        p = pool.kernel[0]
        return int((height + p - 1) * (width + p - 1)) < int(height * width) * p * p

    def codes(self) -> Tensor:
        """The weight codes [O, ...] as floats with a gradient; the weights themselves where they are not quantised."""
        return self.weight if self.quantizer is None else self.quantizer.codes(self.weight)

    def scale(self) -> Tensor:
        """[O] or [1] the value of a code of 1."""
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
        x = self.laid_out(x)
        if self.pool is None or self.folds:
            return self._weigh(x, *self.kernel(codes), scale)
        return apply_pool(self.pool, self._weigh(x, codes, self.geometry, scale))

    @property
    def geometry(self) -> Geometry:
        """How the weights look at the input, laid out, without a pool."""
        padding = (self.padding[0], self.padding[2]) if self.even else (0, 0)
        return Geometry(self.stride, padding, self.groups, self.dilation)

    @property
    def even(self) -> bool:
        """Whether padding is the same on opposite sides."""
        top, bottom, left, right = self.padding
        return top == bottom and left == right

    def laid_out(self, x: Tensor) -> Tensor:
        """Inputs [N, ...] as a convolution of ``geometry`` or a linear layer takes them."""
        if not self.convolves:
            return x.flatten(1)
        if x.dim() == 2:
            x = x[:, :, None, None]
        x = spread_out(x, self.spread)
        top, bottom, left, right = self.padding
        return x if self.even else F.pad(x, (left, right, top, bottom))

    def kernel(self, codes: Tensor) -> tuple[Tensor, Geometry]:
        """The weights that give the sums in one go, and how they look at the input: the codes, with the pool inside if
        it is to be."""
        if self.pool is None or not self.folds:
            return codes, self.geometry
        return pool_into_kernel(codes, self.pool.kernel[0]), replace(self.geometry, stride=self.pool.kernel)

    def _weigh(self, x: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor | None) -> Tensor:
        if scale is not None and self.rounds and not self.plain:
            return exact_sums(x, weight, scale, geometry)
        if scale is not None:
            weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
        return products(x, weight, geometry)

    @property
    def field(self) -> tuple[int, int]:
        """Height and width of the part of the input that a pooled sum of a convolution looks at."""
        (tall, wide), (dy, dx) = (1, 1) if self.pool is None else self.pool.field, self.stride
        height, width = self.weight.shape[2:]
        return (tall - 1) * dy + int(height), (wide - 1) * dx + int(width)

    def active(self, x: Tensor) -> Tensor:
        """[N, 1, H', W'], or [N, 1] of a linear layer: how many inputs are not zero among those that the sums of one
        place look at; whole numbers as floats."""
        found = (x != 0).float()
        if not self.convolves:
            return found.flatten(1).sum(1, keepdim=True)
        apart = (1, 1) if self.pool is None else self.pool.stride
        with torch.autocast(x.device.type, enabled=False):
            summed = self.laid_out(found.sum(1, keepdim=True))
            strides = (self.stride[0] * apart[0], self.stride[1] * apart[1])
            ones = summed.new_ones(1, 1, *self.field)
            return F.conv2d(summed, ones, None, strides, self.geometry.padding).round_()

    def reach(self, codes: Tensor, largest_input: int) -> Tensor:
        """[O] int64, the largest absolute value that a pooled sum of integer codes can take."""
        area = 1 if self.pool is None else self.pool.area
        positive = codes.clamp(min=0).flatten(1).to(torch.int64).sum(1)
        negative = (-codes).clamp(min=0).flatten(1).to(torch.int64).sum(1)
        return torch.maximum(positive, negative) * (area * largest_input)


@dataclass(frozen=True)
class Layout:
    """The weight of a layer of torch, and how it looks at images: as ``integer.connection.Connection`` says."""

    weight: Tensor  # [O, I/groups, kh, kw], or [O, F]
    stride: Pair = (1, 1)
    padding: Sides = NO_SIDES
    groups: int = 1
    dilation: Pair = (1, 1)
    spread: Pair = (1, 1)


def layout_of(layer: nn.Module) -> Layout:
    """The layout of a layer.

    Raises:
        ModelError: it cannot be laid out so.
    """
    if isinstance(layer, OneToOne):
        return Layout(layer.weight.detach()[:, None, None, None], groups=len(layer.weight))
    if isinstance(layer, nn.Linear):
        return Layout(layer.weight.detach())
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d)
    weight = layer.weight.detach()
    weight = weight if weight.dim() == 4 else weight[:, :, None]
    stride, dilation = _pair(layer.stride, 1), _pair(layer.dilation, 1)
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        return Layout(weight, stride, _padding(layer, weight.shape[2:], dilation), layer.groups, dilation)
    reach = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    padding, more = _pair(cast(tuple[int, ...], layer.padding), 0), _pair(layer.output_padding, 0)
    before = [r - p for r, p in zip(reach, padding, strict=True)]
    if min(before) < 0:
        raise ModelError(f"a transposed convolution whose padding {padding} exceeds its kernel has no integer form")
    sides = (before[0], before[0] + more[0], before[1], before[1] + more[1])
    parts = [part.transpose(0, 1) for part in weight.flip(2, 3).chunk(layer.groups)]
    return Layout(torch.cat(parts), (1, 1), sides, layer.groups, dilation, stride)


def _pair(value: tuple[int, ...], beside: int) -> Pair:
    """(height, width) of what a layer says of both, or of its one direction."""
    return (beside, value[0]) if len(value) == 1 else (value[0], value[1])


def _padding(layer: nn.Conv1d | nn.Conv2d, kernel: tuple[int, ...], dilation: Pair) -> Sides:
    if layer.padding == "valid":
        return NO_SIDES
    if layer.padding == "same":  # what is odd lies behind
        (down, right) = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        return down // 2, down - down // 2, right // 2, right - right // 2
    down, right = _pair(cast(tuple[int, ...], layer.padding), 0)
    return down, down, right, right
