"""Grids: the values that a membrane potential or a weight of a few bits may hold.

A neuron computes with full precision inside a time step and stores only an integer code k of a few bits; the stored
potential is ``u = step * threshold * k`` (SpQuant-SNN, Hasssan et al. 2024, doi 10.3389/fnins.2024.1440000; the
official code is the case step = 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import ConfigError

Bits = float | int | str

TERNARY = 1.58
FLOAT = 32


@dataclass(frozen=True)
class Grid:
    """Codes ``low .. high``, spaced by ``step``. Below the threshold only the negative side of a membrane needs range:
    a neuron that reaches the threshold fires and resets."""

    low: int
    high: int
    step: Fraction

    @property
    def boundaries(self) -> tuple[Fraction, ...]:
        """Values at which the code rises by one: halfway between neighbours, the boundary itself rounding up."""
        return tuple(self.step * (Fraction(k) - Fraction(1, 2)) for k in range(self.low + 1, self.high + 1))


# Steps in units of the threshold.
STATE_GRIDS: dict[float, Grid] = {
    TERNARY: Grid(-1, 1, Fraction(1)),
    2: Grid(-2, 1, Fraction(1)),
    **{bits: Grid(-(1 << bits - 1), (1 << bits - 1) - 1, Fraction(1, 1 << bits - 2)) for bits in range(3, 9)},
}

# Of synaptic currents, in units of the threshold. As many codes as of the potential, twice as far apart: a current is
# not reset by a spike, so what comes in upon what is left of it adds up to several thresholds; and what is lost when it
# is rounded is less than one input, as a rule, adds.
CURRENT_STEP = 2  # steps of the potential's grid
CURRENT_GRIDS: dict[float, Grid] = {
    bits: Grid(grid.low, grid.high, CURRENT_STEP * grid.step) for bits, grid in STATE_GRIDS.items()
}

# Steps in standard deviations: those of least mean square error on a normal distribution about zero (Max 1960, computed
# for these codes).
WEIGHT_GRIDS: dict[float, Grid] = {
    TERNARY: Grid(-1, 1, Fraction("1.2240")),
    2: Grid(-2, 1, Fraction("1.0484")),
    3: Grid(-4, 3, Fraction("0.6018")),
    4: Grid(-8, 7, Fraction("0.3386")),
    5: Grid(-16, 15, Fraction("0.1888")),
    6: Grid(-32, 31, Fraction("0.1042")),
    7: Grid(-64, 63, Fraction("0.0569")),
    8: Grid(-128, 127, Fraction("0.0308")),
}


def width(bits: Bits, what: str) -> float:
    """``bits`` as a number: 1.58, 2 to 8, or 32 for floating point. ``"ternary"`` is 1.58, ``"fp32"`` is 32, digits in
    a string are read.

    Raises:
        ConfigError: there is no such width; the message begins with ``what``.
    """
    named = {"ternary": TERNARY, "fp32": float(FLOAT), "float": float(FLOAT)}
    value: object = bits
    if isinstance(bits, str):
        try:
            value = named[bits] if bits in named else float(bits)
        except ValueError:
            value = math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer) or value not in (*STATE_GRIDS, FLOAT):
        raise ConfigError(f"{what} must be 1.58 (or 'ternary'), 2 to 8, or 32 for floating point, not {bits!r}")
    return float(value) if value == TERNARY else int(value)


def describe(bits: Bits) -> str:
    """How a width is written in words: "1.58 bits", "2 bits", "floating point"."""
    return "floating point" if bits == FLOAT else f"{bits:g} bits" if isinstance(bits, float) else f"{bits} bits"
