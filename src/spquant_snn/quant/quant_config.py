"""What ``prepare`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ConfigError
from ..integer.grids import FLOAT, Bits, width

QuantizerName = Literal["normalized", "learned"]


@dataclass(frozen=True)
class QuantConfig:
    """Precision and duration of a network.

    Args:
        weight_bits: 1.58 (or "ternary"), 2 to 8; 32 leaves the weights in floating point.
        state_bits: the same for the potential stored between time steps.
        timesteps: steps for which a still image is shown; a sequence brings its own.
        weight_quantizer: "normalized": codes at a distance that follows the size of the channel's weights;
            "learned": at a trained one (LSQ, Esser et al. 2020). Both begin at the codes nearest to the
            weights of the model.
        full_scale: input that stands for 1, from 1 to 255: of pixels 255; of event counts, which are small, a few.

    Raises:
        ConfigError: a value that does not exist.

    Example:
        >>> QuantConfig(weight_bits="ternary", state_bits=2).weight_bits
        1.58
    """

    weight_bits: Bits = 2
    state_bits: Bits = 2
    timesteps: int = 2
    weight_quantizer: QuantizerName = "normalized"
    full_scale: int = 255

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_bits", width(self.weight_bits, "weight bits"))
        object.__setattr__(self, "state_bits", width(self.state_bits, "state bits"))
        if isinstance(self.timesteps, bool) or not isinstance(self.timesteps, int) or not 1 <= self.timesteps <= 1024:
            raise ConfigError(f"timesteps must be a whole number from 1 to 1024, not {self.timesteps!r}")
        quantizers = get_args(QuantizerName)
        if self.weight_quantizer not in quantizers:
            raise ConfigError(f"weight_quantizer must be {' or '.join(quantizers)}, not {self.weight_quantizer!r}")
        if isinstance(self.full_scale, bool) or not isinstance(self.full_scale, int) or not 1 <= self.full_scale <= 255:
            raise ConfigError(f"full_scale must be a whole number from 1 to 255, not {self.full_scale!r}")

    @property
    def integer(self) -> bool:
        """Whether a network of this precision can be frozen and lowered to integers."""
        return FLOAT not in (self.weight_bits, self.state_bits)
