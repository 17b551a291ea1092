"""Shortcuts: what the spikes of an earlier layer add to the sums of a later one, in the same accumulator.

    sums = codes * spikes of the layer before + 2**shift * (codes of the shortcut * spikes of its source)

Both branches share one scale per channel, one normalisation and one neuron. Nothing is rescaled: the integers of a
residual network are sums and comparisons, as those of any other.

A projection is a convolution of few bits of its own. Its codes vary as much as the main branch's, of which more meet in
a sum; the shift makes up for that, to the nearest power of two. An identity, which adds the spikes themselves, becomes
one trained weight of 8 bits per channel, so that training decides what a spike that was passed on is worth; it begins
at one standard deviation of the main branch's sums while 15 % of its inputs spike.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..integer.grids import FLOAT, WEIGHT_GRIDS
from .normalize import uniform_distance
from .quant_config import QuantConfig
from .synapse import Synapse
from .weight import Multiples

_ACTIVE = 0.15  # of the inputs, at the start


class TrainableShortcut(nn.Module):
    """Synapses from the spikes of an earlier layer.

    Args:
        name: path of its layer in the user's module, or of the sum where it has none.
        source: index of the layer of neurons whose spikes it takes.
        layer: Conv2d; None for the identity.
        main: weight [O, I, kh, kw] of the branch that it is added to.
        config: precision of the weights.

    Attributes:
        shift: of its sums.
    """

    def __init__(self, name: str, source: int, layer: nn.Conv2d | None, main: Tensor, config: QuantConfig) -> None:
        super().__init__()
        self.name, self.source = name, source
        self.shift = 0
        channels, inputs = len(main), main[0].numel()
        bits = cast(float, config.weight_bits)
        plain = bits == FLOAT  # weights as they are, nothing to make up for
        if layer is not None:
            self.synapse = Synapse(layer, None, config, free_scale=False, per_tensor=False)
            if not plain:
                self.shift = max(0, round(0.5 * math.log2(inputs / layer.weight[0].numel())))
            return
        identity = nn.Conv2d(channels, channels, 1, groups=channels, bias=False, dtype=torch.float32)
        nn.init.ones_(identity.weight)
        self.synapse = Synapse(identity, None, config, free_scale=False, per_tensor=False)
        if plain:
            return
        strength = _first_size(bits) * math.sqrt(inputs * _ACTIVE)
        self.shift = max(0, math.ceil(math.log2(strength / 64)))  # training may double it
        self.synapse.quantizer = Multiples(self.synapse.weight, strength / 2**self.shift)

    @property
    def identity(self) -> bool:
        """Whether it has one weight per channel, at any stride: channel c adds to channel c."""
        return self.synapse.groups == len(self.synapse.weight) and self.synapse.weight[0].numel() == 1

    def sums(self, x: Tensor, factor: Tensor) -> Tensor:
        """[N, O, H, W] what spikes [N, ...] add to the current, where a code of the main branch is worth ``factor``
        [O] or [1]."""
        return self.synapse.sums(x, self.synapse.codes(), factor * 2**self.shift)

    def reach(self, codes: Tensor) -> Tensor:
        """[O] int64, the largest absolute value that it can add."""
        return self.synapse.reach(codes, 1) << self.shift

    def extra_repr(self) -> str:
        return f"{self.name!r} from layer {self.source}, shift={self.shift}"


def check_shape(shortcut: TrainableShortcut, layer: str, shapes: list[tuple[int, ...]]) -> None:
    """Check that what a shortcut to a layer adds has the shape of the layer's sums, the last of ``shapes``. Raises
    ModelError."""
    shape, weight = shapes[shortcut.source], shortcut.synapse.weight
    name, wanted = shortcut.name, "x".join(map(str, shapes[-1]))
    try:
        found = shortcut.synapse.sums(
            torch.zeros(1, *shape, dtype=torch.float32), torch.zeros_like(weight, device="cpu")
        ).shape[1:]
    except RuntimeError:
        found = torch.Size()
    if tuple(found) != shapes[-1]:
        gives = "does not take them" if not found else "makes them " + "x".join(map(str, found))
        raise ModelError(
            f"the shortcut {name!r} to layer {layer!r} starts at spikes of {'x'.join(map(str, shape))} and "
            f"{gives}, but {wanted} is wanted: use a Conv2d of kernel 1 with the stride and the channels of the block"
        )


def _first_size(bits: float) -> float:
    """The root mean square of the codes of weights that are drawn uniformly, as torch draws those of its layers."""
    grid = WEIGHT_GRIDS[bits]
    return 1 / math.sqrt(3) / uniform_distance(float(grid.step), (grid.low, grid.high))
