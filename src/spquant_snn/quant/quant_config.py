"""The configuration of a quantised network: bits, time steps, the scale of its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal, get_args

import numpy as np

from ..data.input_format import PIXELS, InputFormat
from ..errors import ConfigError
from ..integer.grids import FLOAT, Bits, width
from ..io.texts import short

QuantizerName = Literal["normalized", "learned"]


@dataclass(frozen=True)
class QuantConfig:
    """Bits, time steps and input scale of a quantised network.

    Args:
        weight_bits: 1.58 (or "ternary") or 2 to 8; 32 leaves the weights in floating point. A mapping sets each layer
            by its path in the module, {"conv1": 8, "*": 2} or as a text "conv1=8,*=2": "*" matches any characters, and
            the first match counts.
        state_bits: 1.58, 2 to 8 or 32, of the membrane potential that is stored between time steps.
        timesteps: steps for which a still image is shown, 1 to 1024; a sequence has as many as it has frames.
        weight_quantizer: how the step between weight codes is found: "normalized" computes it from each channel's
            weights, "learned" trains it (LSQ, Esser et al. 2020).
        input_format: range and scale of the input. The default is pixels, 0 to 255 at a scale of 1/255; for event
            counts, which are small, a scale of 1/4 may suit. With several inputs, one for all or a tuple with one each.

    Raises:
        ConfigError: an argument has a value that it cannot have.

    Example:
        >>> QuantConfig(weight_bits="ternary", state_bits=2).weight_bits
        1.58
    """

    weight_bits: Bits | Mapping[str, Bits] = 2
    state_bits: Bits = 2
    timesteps: int = 2
    weight_quantizer: QuantizerName = "normalized"
    input_format: InputFormat | tuple[InputFormat, ...] = PIXELS

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_bits", _weight_bits(self.weight_bits))
        object.__setattr__(self, "state_bits", width(self.state_bits, "state bits"))
        steps: object = self.timesteps
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= 1024:
            hint = ": say for how many steps the network runs, which one without a loop of its own does not"
            raise ConfigError(
                f"timesteps must be a whole number from 1 to 1024, not {steps!r}{hint if steps is None else ''}"
            )
        object.__setattr__(self, "timesteps", int(steps))
        quantizers = get_args(QuantizerName)
        if self.weight_quantizer not in quantizers:
            raise ConfigError(f"weight_quantizer must be {' or '.join(quantizers)}, not {self.weight_quantizer!r}")
        formats = self.input_format if isinstance(self.input_format, tuple) else (self.input_format,)
        if not formats or not all(isinstance(given, InputFormat) for given in formats):
            raise ConfigError(f"input_format must be an InputFormat, or a tuple of them, not {self.input_format!r}")

    def input_formats(self, count: int) -> tuple[InputFormat, ...]:
        """The format of each of ``count`` inputs.

        Raises:
            ConfigError: ``input_format`` is a tuple of another length.
        """
        if not isinstance(self.input_format, tuple):
            return (self.input_format,) * count
        if len(self.input_format) != count:
            raise ConfigError(f"input_format has {len(self.input_format)} formats, the network {count} inputs")
        return self.input_format

    @property
    def integer(self) -> bool:
        """Whether a network of this precision can be frozen and lowered to integers."""
        return self.state_bits != FLOAT and self.weight_bits != FLOAT

    def at(self, layer: str) -> QuantConfig:
        """This configuration for the layer of a path, with a single number as ``weight_bits``.

        Raises:
            ConfigError: no name in ``weight_bits`` fits the path.
        """
        if not isinstance(self.weight_bits, Mapping):
            return self
        for name, bits in self.weight_bits.items():
            if fnmatchcase(layer, name):
                return replace(self, weight_bits=bits)
        names = ", ".join(map(repr, self.weight_bits))
        raise ConfigError(
            f"weight_bits has no width for layer {layer!r}, only for {names}: add it, or '*' for all others"
        )


def widths_text(bits: Bits | Mapping[str, Bits]) -> Bits:
    """Widths of layers as the text that ``QuantConfig`` reads, "conv1=8,*=2"; one width as it is.

    Raises:
        ConfigError: a name holds what the text cannot.
    """
    if not isinstance(bits, Mapping):
        return bits
    for name in bits:
        if set(str(name)) & set(",= "):
            raise ConfigError(f"weight_bits names {name!r}, with a comma, a blank or an equals sign: write ? for it")
    return ",".join(f"{name}={each:g}" if isinstance(each, float) else f"{name}={each}" for name, each in bits.items())


def _weight_bits(given: Bits | Mapping[str, Bits]) -> Bits | Mapping[str, Bits]:
    if isinstance(given, str) and "=" in given:
        parts = [part.partition("=") for part in given.split(",")]
        if not all(name.strip() and equals for name, equals, _ in parts):
            raise ConfigError(f"weight_bits by layers are written as conv1=8,*=2, not {short(given)}")
        if len({name.strip() for name, *_ in parts}) < len(parts):
            raise ConfigError(f"weight_bits names a layer twice in {short(given)}: leave one out")
        given = {name.strip(): bits.strip() for name, _, bits in parts}
    if not isinstance(given, Mapping):
        return width(given, "weight bits")
    found = {name: width(bits, f"weight bits of {name!r}") for name, bits in given.items()}
    if not found or any(not isinstance(name, str) or not name for name in found):
        raise ConfigError(f"weight_bits by layers needs names of layers and their widths, not {dict(given)!r}")
    if FLOAT in found.values():
        raise ConfigError(
            "weight_bits by layers are 1.58 to 8: a network has weights in floating point in all or in none"
        )
    return found
