"""A network as its costs see it: widths, and how it moves its data. ``twins`` lists those that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from ..integer.grids import TERNARY

FLOAT_BITS = 32
TRITS = 1.6  # bits of a ternary code as it is packed, five in a byte


@dataclass(frozen=True)
class NetworkInfo:
    """A network of the shape that was counted.

    Args:
        name: in tables.
        flow: "events" adds what spiked, "dense" adds everything; the first layer is dense in both.
        spiking: it runs all time steps and has a state; else it is an ANN, which runs once.
        floating: it computes in fp32, and its weights and state are fp32.
        weight_bits, state_bits: of its integers; None for those of the layer that was counted.
        activation_bits: of what its layers send each other; 1 for spikes.
        gated: it skips blocks as the network that was counted.
    """

    name: str
    flow: Literal["events", "dense"]
    spiking: bool = True
    floating: bool = False
    weight_bits: float | None = None
    state_bits: float | None = None
    activation_bits: int = 1
    gated: bool = False


def stored_bits(bits: float) -> float:
    """Bits that a code takes in memory."""
    return TRITS if bits == TERNARY else bits


def wire_bits(bits: float) -> int:
    """Bits that a code takes in an adder or a multiplier."""
    return ceil(bits)
