"""Weight quantisers: integer codes and one scale per output channel, with gradients.

All begin with the codes and the scale of least mean square error, ``weight ~ scale * codes``, so that trained weights
keep their function and weights of zero get codes of zero. The gradient of the codes passes to the latent weight.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..integer.grids import WEIGHT_GRIDS
from .normalize import best_scale, code_distance, normalized_codes, weight_of_codes

TINY = 1e-8

_FITTING = 4  # turns of codes for the scale and the scale for the codes


class WeightQuantizer(nn.Module, ABC):
    """Codes of a weight of ``bits`` bits.

    Args:
        weight: [O, ...] the weights to start from.
        bits: 1.58 or 2 to 8.
        learn_scale: train the scale; without use where batch normalisation follows, which undoes it.
        per_tensor: one scale for all channels, as the readout needs it: its sums are compared with one another.

    Attributes:
        scale: [O] or [1] what a code of one is worth in the sums, at first.
        gain: [O] or [1] what training makes of that: a factor, since an optimiser moves parameters by amounts that suit
            numbers near one, and a scale may be a thousandth.
    """

    scale: Tensor

    def __init__(self, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> None:
        super().__init__()
        grid = WEIGHT_GRIDS[bits]
        self.bits = float(bits)
        self.low, self.high, self.step = grid.low, grid.high, float(grid.step)
        self.per_tensor = per_tensor
        self.register_buffer("scale", self._usual_scale(weight))
        self.gain = nn.Parameter(torch.ones_like(self.scale), requires_grad=learn_scale)

    @torch.no_grad()
    def fit(self, weight: Tensor) -> None:
        """Begin anew, at the scale of least mean square error on the weight [O, ...] and its codes."""
        self.gain.fill_(1)
        self.scale.copy_(self._usual_scale(weight))
        for _ in range(_FITTING):
            self.scale.copy_(best_scale(self.codes(weight), weight, self.scale))

    def keep(self, outputs: Tensor) -> None:
        """Keep the channels in the mask [O] alone."""
        if not self.per_tensor:
            self.scale = self.scale[outputs]
            self.gain = nn.Parameter(self.gain.detach()[outputs], requires_grad=self.gain.requires_grad)

    @abstractmethod
    def codes(self, weight: Tensor) -> Tensor:
        """[O, ...] integer codes, as floats that carry a gradient."""

    @torch.no_grad()
    def begin_at(self, codes: Tensor, scale: Tensor) -> Tensor:
        """Begin at codes [O, ...] that are each worth ``scale`` [O] or [1]; the weight [O, ...] to train from.

        Raises:
            ModelError: this quantiser never gives such codes.
        """
        self.gain.fill_(1)
        self.scale.copy_(_before_tiny(scale))
        worth = self.positive_scale().double().view(-1, *[1] * (codes.dim() - 1))
        weight = (worth * self._between(codes.double())).to(self.scale.dtype)
        if not torch.equal(integer_codes(self, weight), codes.to(torch.int8)):
            raise ModelError("its weight codes are none that this weight quantizer gives: train with 'learned'")
        return weight

    def _between(self, codes: Tensor) -> Tensor:
        """A weight in units of its scale that is rounded to codes [O, ...], far from where it would not."""
        return codes

    def positive_scale(self) -> Tensor:
        """[O] or [1] the value of a code of 1 in the sums, above zero."""
        return self.scale * self.gain.abs() + TINY

    @torch.no_grad()
    def _usual_scale(self, weight: Tensor) -> Tensor:
        return code_distance(weight, self.step, (self.low, self.high), self.per_tensor)


class Normalized(WeightQuantizer):
    """Codes of the weight in units that follow its own size (``quant.normalize``).

    Nothing is taken off the weights, so a channel may have any mean. Whatever training does to their size, the rounding
    sees them as they were, so that no code dies out.
    """

    def __init__(self, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> None:
        super().__init__(weight, bits, learn_scale, per_tensor)
        self.fit(weight)

    def codes(self, weight: Tensor) -> Tensor:
        return normalized_codes(weight, self.step, (self.low, self.high), self.per_tensor)

    def _between(self, codes: Tensor) -> Tensor:
        return weight_of_codes(codes, self.step, (self.low, self.high), self.per_tensor)


class Learned(WeightQuantizer):
    """Codes of the weight in units of a trained step, which is also the scale (LSQ, Esser et al. 2020)."""

    def __init__(self, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> None:
        super().__init__(weight, bits, True, per_tensor)
        self.damping = 1.0 / math.sqrt(weight[0].numel() * max(self.high, 1) * (len(weight) if per_tensor else 1))
        self.fit(weight)

    def codes(self, weight: Tensor) -> Tensor:
        step = self.positive_scale().view(-1, *[1] * (weight.dim() - 1))
        step = step * self.damping + (step - step * self.damping).detach()
        clipped = (weight / step).clamp(self.low, self.high)
        return clipped + ((clipped + 0.5).floor().clamp(self.low, self.high) - clipped).detach()


class Multiples(WeightQuantizer):
    """Codes of 8 bits that are trained multiples of a fixed number of codes; the gradient passes as if nothing were
    rounded or clipped.

    Args:
        unit: codes that a weight of one stands for.
    """

    def __init__(self, weight: Tensor, unit: float) -> None:
        super().__init__(weight, 8, False, False)
        self.unit = unit

    def _between(self, codes: Tensor) -> Tensor:
        return codes / (self.unit * self.positive_scale().double().view(-1, *[1] * (codes.dim() - 1)))

    def codes(self, weight: Tensor) -> Tensor:
        scaled = weight * self.unit
        return scaled + ((scaled + 0.5).floor().clamp(self.low, self.high) - scaled).detach()


def weight_quantizer(choice: str, weight: Tensor, bits: float, learn_scale: bool, per_tensor: bool) -> WeightQuantizer:
    """The quantiser of a name, as ``QuantConfig.weight_quantizer`` allows it. A weight alone in its channel, which its
    own size would hold where it is, gets a learned step."""
    alone = weight[0].numel() == 1 and not per_tensor
    kind = Learned if alone else {"normalized": Normalized, "learned": Learned}[choice]
    return kind(weight, bits, learn_scale, per_tensor)


def _before_tiny(scale: Tensor) -> Tensor:
    """What is stored of a positive scale, so that with ``TINY`` it comes nearest to it."""
    stored = (scale.double() - TINY).clamp(min=0).float()
    near = torch.stack([stored, *(torch.nextafter(stored, stored.new_tensor(end)) for end in (0.0, math.inf))])
    return near.gather(0, ((near + TINY).double() - scale.double()).abs().argmin(0, keepdim=True))[0]


def integer_codes(quantizer: WeightQuantizer, weight: Tensor) -> Tensor:
    """[O, ...] the codes as int8, without a gradient.

    They are computed in float64 on the CPU, whatever device the weights are on: in float32 a weight in the middle
    between two codes would go one way on a GPU and the other on a CPU, by the order in which each adds up squares, and
    the integers of a network would depend on the machine that takes them out.
    """
    with torch.no_grad():
        return copy.deepcopy(quantizer).cpu().double().codes(weight.cpu().double()).to(weight.device, torch.int8)
