"""Weights in units of their channel's standard deviation, and their nearest codes, in few passes over memory.

Left to autograd, this takes some thirty passes over weights that fit no cache. Here a few channels at a time are taken
through all of it, forward and backward; on GPUs each in one launch, where Triton works.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..nn.fused import triton_on

TINY = 1e-8

_TAKEN = 1 << 17  # weights at once, which stay in the second cache; a GPU takes all


def standardize(weight: Tensor, step: float, grid: tuple[int, int] | None, per_tensor: bool) -> Tensor:
    """The weight [O, ...] less its channel's mean, in steps of ``step`` standard deviations; a channel of a single
    weight, which would vanish, is not centred.

    Args:
        grid: lowest and highest code, if the result is to be the nearest code, halves rounding up; the gradient passes
            as if nothing were rounded.
        per_tensor: one standard deviation for all channels, else each has its own.
    """
    codes: Tensor = _Standardize.apply(weight, step, grid, per_tensor)  # type: ignore[no-untyped-call]
    return codes


def deviation(weight: Tensor, per_tensor: bool) -> Tensor:
    """[O] standard deviation of each channel, or [1] of all."""
    square = torch.cat([_centred(part).square().mean(1) for part in _parts(weight.flatten(1))])
    return ((square.mean(0, keepdim=True) if per_tensor else square) + TINY**2).sqrt()


class _Standardize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: float, grid: tuple[int, int] | None, per_tensor: bool) -> Tensor:
        flat = weight.flatten(1)
        ctx.step, ctx.per_tensor = step, per_tensor
        ctx.kernels = _kernels(flat, per_tensor)
        if ctx.kernels is not None:
            codes, spread = ctx.kernels.forward(flat.contiguous(), step, TINY, grid)
            ctx.save_for_backward(weight, spread)
            return cast(Tensor, codes.view_as(weight))
        spread = deviation(weight, per_tensor)
        ctx.save_for_backward(weight, spread)
        codes = torch.empty_like(flat)
        unit = (spread * step).expand(len(flat))[:, None]
        for part, one, out in zip(_parts(flat), _parts(unit, flat), _parts(codes), strict=True):
            torch.div(_centred(part), one, out=out)
            if grid is not None:
                out.add_(0.5).floor_().clamp_(*grid)
        return codes.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        weight, spread = ctx.saved_tensors
        flat, pull = weight.flatten(1), gradient.flatten(1)
        if ctx.kernels is not None:
            found = ctx.kernels.backward(flat.contiguous(), spread, ctx.step, pull.contiguous())
            return found.view_as(weight), None, None, None
        inverse = (1 / (spread * ctx.step)).expand(len(flat))[:, None]
        # x = c / (step * s), s = sqrt(mean(c^2)): the gradient of c is g / (step * s) - c * sum(g c) / (n step s^3).
        slopes = torch.cat(
            [(_centred(w) * g).sum(1, keepdim=True) for w, g in zip(_parts(flat), _parts(pull), strict=True)]
        )
        if ctx.per_tensor:
            slopes = slopes.sum().expand_as(slopes)
        counted = flat.numel() if ctx.per_tensor else flat.shape[1]
        pulls = slopes * inverse / (spread.square().expand(len(flat))[:, None] * counted)
        found = torch.empty_like(flat)
        for w, g, one, slope, out in zip(
            _parts(flat), _parts(pull), _parts(inverse, flat), _parts(pulls, flat), _parts(found), strict=True
        ):
            torch.mul(_centred(g), one, out=out)
            out.addcmul_(_centred(w), slope, value=-1)
        return found.view_as(weight), None, None, None


def _kernels(flat: Tensor, per_tensor: bool) -> Any:
    """What does all of it in one launch, on GPUs where Triton works; None elsewhere."""
    if per_tensor or flat.shape[1] == 1 or flat.dtype != torch.float32 or not triton_on(flat.device):
        return None
    from . import triton_standardize

    return triton_standardize


def _centred(flat: Tensor) -> Tensor:
    """Rows less their mean."""
    return flat if flat.shape[1] == 1 else flat - flat.mean(1, keepdim=True)


def _parts(rows: Tensor, like: Tensor | None = None) -> tuple[Tensor, ...]:
    """Rows in parts, as many in each as of those of ``like``."""
    width = (rows if like is None else like).shape[1]
    return tuple(rows.split(len(rows) if rows.is_cuda else max(1, _TAKEN // width)))  # type: ignore[no-untyped-call]
