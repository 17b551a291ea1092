"""Weights in units that follow their own size, and their nearest codes, in few passes over memory.

The distance between two codes, of a channel's weights w and a grid ``low .. high``, is the smaller of

    step * sqrt(2 / pi) * sum(w^2) / sum(|w|)          of least mean square error, of a normal distribution about 0
    max(max(w) / (high + 1/2), min(w) / (low - 1/2))   the smallest that clips nothing

The first knows no zeros: it is the same whether or not weights of zero stand between the others, so pruned weights keep
their values. Both grow as the weights do, so that the codes do not depend on their size and no code dies out.

Left to autograd, this takes some thirty passes over weights that fit no cache. Here a few channels at a time are taken
through all of it, forward and backward; on GPUs each in one launch, where Triton works.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..nn.fused import triton_on

NORMAL = math.sqrt(2 / math.pi)  # mean absolute value of a normal distribution of variance one

_NOTHING = 1e-10  # a channel whose largest weight is below this counts as one of zeros: squares would vanish

_HALVINGS = 60

_TAKEN = 1 << 17  # weights at once, which stay in the second cache; a GPU takes all


def normalized_codes(weight: Tensor, step: float, grid: tuple[int, int], per_tensor: bool) -> Tensor:
    """The codes nearest to the weight [O, ...], halves rounding up; the gradient passes as if nothing were rounded or
    clipped.

    Args:
        step: distance of least mean square error, in standard deviations of a normal distribution.
        grid: lowest and highest code.
        per_tensor: one distance for all channels, else each has its own.
    """
    codes: Tensor = _Normalize.apply(weight, step, grid, per_tensor)  # type: ignore[no-untyped-call]
    return codes


def code_distance(weight: Tensor, step: float, grid: tuple[int, int], per_tensor: bool) -> Tensor:
    """[O], or [1] with ``per_tensor``: how far apart two neighbouring codes of the weight [O, ...] are; in a channel of
    zeros, of weights as torch draws those of its layers."""
    rows = _rows(weight, per_tensor)
    found, inputs = _sizes(rows, step, grid).distance, weight[0].numel()
    return torch.where(_holds_nothing(rows), uniform_distance(step, grid) / math.sqrt(inputs), found)


def weight_of_codes(codes: Tensor, step: float, grid: tuple[int, int], per_tensor: bool) -> Tensor:
    """A weight [O, ...] whose codes are these, float64, at a distance of one.

    Codes at an end of the grid stand for anything beyond it: they lie as far outside as makes the distance one, the
    others in the middle of what is rounded to them. A channel without a code at an end has no such weight; what is
    given for it is rounded to other codes.
    """
    rows = _rows(codes, per_tensor)
    ends = (rows == grid[1]).double() - (rows == grid[0]).double()
    low, high = (torch.zeros(len(rows), 1, dtype=torch.float64, device=codes.device) + bound for bound in (0.0, 2**20))
    spread = step * NORMAL

    def moved(out: Tensor) -> Tensor:
        return rows + ends * (0.5 + out)

    def near(weight: Tensor) -> Tensor:
        return spread * weight.square().sum(1, keepdim=True) < weight.abs().sum(1, keepdim=True)

    out = torch.where(near(moved(low)) & ends.any(1, keepdim=True), high, low)
    for _ in range(_HALVINGS):
        middle = (low + out) / 2
        short = near(moved(middle))
        low, out = torch.where(short, middle, low), torch.where(short, out, middle)
    return moved(out).view_as(codes)


def uniform_distance(step: float, grid: tuple[int, int]) -> float:
    """How far apart two neighbouring codes are of weights that are drawn uniformly from -1 to 1."""
    uniform = torch.linspace(-1, 1, 1001, dtype=torch.float64, device="cpu")
    return float(_sizes(uniform[None], step, grid).distance)


def best_scale(codes: Tensor, weight: Tensor, otherwise: Tensor) -> Tensor:
    """[O] or [1], as ``otherwise``, the factor of the codes [O, ...] of least mean square error on the weight; where
    all codes are zero, what stands in ``otherwise``."""
    rows = (len(otherwise), -1)
    along, square = (codes * weight).reshape(rows).sum(1), codes.square().reshape(rows).sum(1)
    return torch.where((along > 0) & (square > 0), along / square.clamp(min=1), otherwise)


class _Sizes(NamedTuple):
    """Of each row, [R]: the distance of its codes d, and how it follows the weights: d d / d w = ``square`` * w -
    ``absolute`` * sign(w), and ``reach`` in all where w is ``extreme``."""

    distance: Tensor
    square: Tensor
    absolute: Tensor
    extreme: Tensor
    reach: Tensor


def _sizes(rows: Tensor, step: float, grid: tuple[int, int]) -> _Sizes:
    parts = [(p.square().sum(1), p.abs().sum(1), p.amin(1), p.amax(1)) for p in _parts(rows)]  # aminmax is slower
    square, absolute, lowest, highest = (torch.cat(part) for part in zip(*parts, strict=True))
    low, high = grid[0] - 0.5, grid[1] + 0.5
    factor = step * NORMAL / absolute
    spread, upper, lower = factor * square, highest / high, lowest / low
    bound = torch.maximum(upper, lower)
    empty, bounded = torch.maximum(highest, -lowest) < _NOTHING, bound < spread
    free = ~(empty | bounded)
    nothing, above = torch.zeros_like(square), upper >= lower
    return _Sizes(
        torch.where(empty, step, torch.minimum(spread, bound)),
        torch.where(free, 2 * factor, nothing),
        torch.where(free, spread / absolute, nothing),
        torch.where(above, highest, lowest),
        torch.where(bounded & ~empty, torch.where(above, nothing + 1 / high, nothing + 1 / low), nothing),
    )


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: float, grid: tuple[int, int], per_tensor: bool) -> Tensor:
        rows = _rows(weight, per_tensor)
        ctx.per_tensor, ctx.kernels = per_tensor, _kernels(rows, per_tensor)
        if ctx.kernels is not None:
            codes, sizes = ctx.kernels.forward(rows.contiguous(), step * NORMAL, step, _NOTHING, grid)
            ctx.save_for_backward(weight, *sizes)
            return cast(Tensor, codes.view_as(weight))
        sizes = _sizes(rows, step, grid)
        ctx.save_for_backward(weight, *sizes)
        codes = torch.empty_like(rows)
        for part, one, out in zip(_parts(rows), _parts(sizes.distance[:, None], rows), _parts(codes), strict=True):
            torch.div(part, one, out=out)
            out.add_(0.5).floor_().clamp_(*grid)
        return codes.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        weight, *saved = ctx.saved_tensors
        sizes = _Sizes(*saved)
        rows, pull = _rows(weight, ctx.per_tensor), _rows(gradient, ctx.per_tensor)
        if ctx.kernels is not None:
            found = ctx.kernels.backward(rows.contiguous(), sizes, pull.contiguous())
            return found.view_as(weight), None, None, None
        # x = w / d: the gradient of w is g / d - sum(g w) / d^2 * (d d / d w).
        slope = torch.cat([(w * g).sum(1) for w, g in zip(_parts(rows), _parts(pull), strict=True)])
        slope = slope / sizes.distance.square()
        factors = torch.stack([1 / sizes.distance, -slope * sizes.square, slope * sizes.absolute], dim=1)  # [R, 3]
        found = torch.empty_like(rows)
        for w, g, factor, out in zip(_parts(rows), _parts(pull), _parts(factors, rows), _parts(found), strict=True):
            torch.mul(g, factor[:, :1], out=out)
            out.addcmul_(w, factor[:, 1:2]).addcmul_(w.sign(), factor[:, 2:])
        bounded = sizes.reach.nonzero()[:, 0]
        if len(bounded):
            ends = (rows[bounded] == sizes.extreme[bounded, None]).to(rows.dtype)
            found[bounded] -= ends * ((slope * sizes.reach)[bounded] / ends.sum(1))[:, None]
        return found.view_as(weight), None, None, None


def _holds_nothing(rows: Tensor) -> Tensor:
    return rows.detach().abs().amax(1) < _NOTHING


def _kernels(rows: Tensor, per_tensor: bool) -> Any:
    """What does all of it in one launch, on GPUs where Triton works; None elsewhere."""
    if per_tensor or rows.dtype != torch.float32 or not triton_on(rows.device):
        return None
    from . import triton_normalize

    return triton_normalize


def _rows(weight: Tensor, per_tensor: bool) -> Tensor:
    """[O, N], or [1, N] of all channels."""
    return weight.reshape(1, -1) if per_tensor else weight.flatten(1)


def _parts(rows: Tensor, like: Tensor | None = None) -> tuple[Tensor, ...]:
    """Rows in parts, as many in each as of those of ``like``."""
    width = (rows if like is None else like).shape[1]
    return tuple(rows.split(len(rows) if rows.is_cuda else max(1, _TAKEN // width)))  # type: ignore[no-untyped-call]
