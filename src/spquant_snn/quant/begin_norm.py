"""Batch normalisation that begins at a slope and an offset, to far more digits than one parameter has.

A slope is a quotient of two numbers in float32, an offset a sum of two: of those that lie near the statistics that were
measured, the pair is taken that comes nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..dtypes import Bools, Float32, Float64, Int64
from .stage import Norm

_SLOPES = 2048  # variances that are tried
_APART = 97  # numbers of float32 that lie between two of them: of neighbours, roots are too much alike
_NEAREST = 16  # of them, which are taken in turn
_FEW = 512  # whose square is how many means are tried
_INSIDE = 0.45  # of what an offset may be, to either side of the middle
_SMALLEST_MEAN = 0.05  # standard deviations; of a smaller one, products with a slope are too much alike


@dataclass(frozen=True, eq=False)
class Statistics:
    """Means and variances of what meets a normalisation, [C]."""

    mean: Float64
    variance: Float64

    @property
    def deviates(self) -> Float64:
        """[C] standard deviations, 1 where nothing varies."""
        found: Float64 = np.sqrt(np.where(self.variance > 0, self.variance, 1.0))
        return found


@torch.no_grad()
def begin_at_slope(norm: Norm, slope: Float64, known: Statistics, left: Bools, turn: int) -> Float64:
    """Set the weight and the variance of a normalisation so that it has slopes [C] of any sign, in the channels that
    are ``left``; returns the slopes [C] that all channels have now.

    Args:
        turn: of several that are tried one after the other; each gives other ones, nearly as near.
    """
    block, place = divmod(turn, _NEAREST)
    tried = _neighbours(known.deviates.astype(np.float32) ** 2, block + _APART * np.arange(_SLOPES))
    root = np.sqrt(tried.astype(np.float64) + norm.eps)
    weight = (np.abs(slope)[:, None] * root).astype(np.float32)
    best = np.abs(weight / root - np.abs(slope)[:, None]).argsort(1)[:, place, None]
    for parameter, chosen in ((norm.running_var, tried), (norm.weight, weight)):
        _take(parameter, np.take_along_axis(chosen, best, 1)[:, 0], left)
    found = _numbers(norm.weight) / np.sqrt(_numbers(norm.running_var) + norm.eps)
    return np.copysign(found, slope)


@torch.no_grad()
def begin_at_offset(norm: Norm, slope: Float64, low: Float64, high: Float64, known: Statistics, left: Bools) -> Bools:
    """Set the bias and the mean of a normalisation so that its offset lies in the middle of two bounds [C], given its
    slopes, in the channels that are ``left``; returns a mask [C] of channels whose offset is well inside."""
    least = _SMALLEST_MEAN * known.deviates
    start = np.where(np.abs(known.mean) < least, np.copysign(least, known.mean), known.mean).astype(np.float32)
    middle, room, wanted = (low + high) / 2, _INSIDE * (high - low), np.flatnonzero(left)
    mean = start.copy()
    for channel in wanted:
        steps = _steps_to(start[channel], slope[channel], middle[channel])
        mean[channel] = _neighbours(start[channel : channel + 1], np.array([steps]))[0, 0]
    product = mean * slope
    bias = (middle + product).astype(np.float32)
    _take(norm.running_mean, mean, left)
    _take(norm.bias, bias, left)
    return ~left | (np.abs(bias - product - middle) <= room)


def _steps_to(mean: np.float32, slope: float, offset: float) -> int:
    """By how many numbers of float32 a mean moves, so that ``offset + mean * slope`` is nearly one of them: of all
    steps i + _FEW * j, where each j finds its i among those in order."""
    start = offset + float(mean) * slope
    move = float(np.spacing(np.abs(mean))) * float(np.sign(mean)) * slope
    apart = float(np.spacing(np.float32(max(abs(start), abs(start + _FEW * _FEW * move)))))  # the widest on the way
    fine = np.arange(_FEW) * move % apart
    order = np.argsort(fine)
    sought = -(start + np.arange(_FEW) * (_FEW * move)) % apart
    place = np.searchsorted(fine[order], sought)
    beside = np.stack([order[place - 1], order[place % _FEW]])  # around
    away = np.abs(fine[beside] - sought)
    away = np.minimum(away, apart - away)
    side, coarse = np.unravel_index(int(away.argmin()), away.shape)
    return int(beside[side, coarse] + _FEW * coarse)


def _take(parameter: Tensor, values: Float32, left: Bools) -> None:
    here = torch.from_numpy(values).to(parameter.device)
    parameter.copy_(torch.where(torch.from_numpy(left).to(parameter.device), here, parameter))


def _numbers(parameter: Tensor) -> Float64:
    found: Float64 = parameter.detach().cpu().double().numpy()
    return found


def _neighbours(values: Float32, steps: Int64) -> Float32:
    """[C, S] the numbers of float32 that lie so many steps further from zero than [C] values."""
    found: Float32 = (values.view(np.int32)[:, None] + steps.astype(np.int32)).view(np.float32)
    return found
