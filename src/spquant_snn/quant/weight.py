"""Weight quantisers: integer codes and one scale per output channel, with gradients.

Both give ``weight ~ scale * codes`` and let the gradient of the codes pass to the latent weight.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .grids import WEIGHT_GRIDS
from .standardize import TINY, deviation, standardize


class WeightQuantizer(nn.Module, ABC):
    """Codes of a weight of ``bits`` bits.

    Args:
        weight: [O, ...] the weights to start from; the scale is set so that ``scale * codes`` is near to them.
        bits: 1.58 or 2 to 8.
        learn_scale: train the scale; without use where batch normalisation follows, which undoes it.
        per_tensor: one scale for all channels, as the readout needs it: its sums are compared with one another.

    Attributes:
        rounds: whether codes are integers; where not, the network is in floating point.
    """

    rounds = True

    def __init__(self, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> None:
        super().__init__()
        grid = WEIGHT_GRIDS[bits]
        self.low, self.high, self.step = grid.low, grid.high, float(grid.step)
        self.per_tensor = per_tensor
        self.scale = nn.Parameter(
            self.step * deviation(weight.detach(), per_tensor), requires_grad=learn_scale
        )  # [O] or [1]

    def round(self, x: Tensor) -> Tensor:
        """Nearest code, halves rounding up; the gradient passes as if nothing were rounded."""
        codes = (x + 0.5).floor().clamp(self.low, self.high)
        return x + (codes - x).detach()

    @abstractmethod
    def codes(self, weight: Tensor) -> Tensor:
        """[O, ...] integer codes, as floats that carry a gradient."""

    def positive_scale(self) -> Tensor:
        return self.scale.abs() + TINY


class Standardized(WeightQuantizer):
    """Codes of the weight less its channel's mean, in units of a fixed number of standard deviations.

    The rounding sees a distribution of unit variance whatever training does to the latent weights, so that no code
    dies out.
    """

    def codes(self, weight: Tensor) -> Tensor:
        grid = (self.low, self.high) if self.rounds else None
        return standardize(weight, self.step, grid, self.per_tensor)


class Unrounded(Standardized):
    """The standardised weight as it is: what the quantised networks train, but for the rounding (weight
    standardization, Qiao et al. 2019); in steps of the finest grid."""

    rounds = False

    def __init__(self, weight: Tensor, learn_scale: bool, per_tensor: bool) -> None:
        super().__init__(weight, 8, learn_scale, per_tensor)


class Learned(WeightQuantizer):
    """Codes of the weight in units of a trained step, which is also the scale (LSQ, Esser et al. 2020)."""

    def __init__(self, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> None:
        super().__init__(weight, bits, True, per_tensor)
        self.damping = 1.0 / math.sqrt(weight[0].numel() * max(self.high, 1) * (len(weight) if per_tensor else 1))

    def codes(self, weight: Tensor) -> Tensor:
        step = self.positive_scale().view(-1, *[1] * (weight.dim() - 1))
        step = step * self.damping + (step - step * self.damping).detach()
        scaled = weight / step
        clipped = scaled.clamp(self.low, self.high)
        return clipped + ((clipped + 0.5).floor().clamp(self.low, self.high) - clipped).detach()


class Multiples(WeightQuantizer):
    """Codes of 8 bits that are trained multiples of a fixed number of codes.

    Args:
        unit: codes that a weight of one stands for.
        rounds: whether they are rounded; where not, the network is in floating point.
    """

    def __init__(self, weight: Tensor, unit: float, rounds: bool) -> None:
        super().__init__(weight, 8, False, False)
        self.unit, self.rounds = unit, rounds

    def codes(self, weight: Tensor) -> Tensor:
        scaled = weight * self.unit
        return self.round(scaled) if self.rounds else scaled


def weight_quantizer(choice: str, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> WeightQuantizer:
    """The quantiser of a name, as ``QuantConfig.weight_quantizer`` allows it."""
    kind = {"standardized": Standardized, "learned": Learned}[choice]
    return kind(weight, bits, learn_scale, per_tensor)


def integer_codes(quantizer: WeightQuantizer, weight: Tensor) -> Tensor:
    """[O, ...] the codes as int8, without a gradient.

    They are computed in float64 on the CPU, whatever device the weights are on: in float32 a weight in the middle
    between two codes would go one way on a GPU and the other on a CPU, by the order in which each adds up a mean, and
    the integers of a network would depend on the machine that takes them out.
    """
    with torch.no_grad():
        return copy.deepcopy(quantizer).cpu().double().codes(weight.cpu().double()).to(weight.device, torch.int8)
