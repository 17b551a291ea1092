"""A network as its costs see it: widths, and how it moves its data; and those that a ledger compares."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from ..integer.grids import TERNARY

FLOAT_BITS = 32
TRITS = 1.6  # bits of a ternary code as it is packed, five in a byte
_WIDEST = 8  # bits of the activations of an ANN


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


def compared_networks(steps: int) -> tuple[NetworkInfo, ...]:
    """The networks of a ledger of ``steps`` time steps.

    First the network that was counted, then the fp32 SNN of the same shape, steps and spikes, driven by events as it
    is: savings are against this one. Then the same fp32 SNN as a dense network, as frameworks run it; ours as a dense
    network; the 8-bit SNN; the 8-bit ANN; and the ANN of the same bit budget, bits of weight x bits of activation x
    steps (Shen et al., arXiv 2311.10802): weights of our width, activations of as many bits as there are steps.
    """
    return (
        NetworkInfo("this network", "events", gated=True),
        NetworkInfo("fp32 SNN", "events", floating=True),
        NetworkInfo("fp32 SNN, dense", "dense", floating=True),
        NetworkInfo("this network, dense", "dense"),
        NetworkInfo("int8 SNN", "events", weight_bits=8, state_bits=8),
        NetworkInfo("int8 ANN", "dense", spiking=False, weight_bits=8, activation_bits=8),
        NetworkInfo("ANN, equal bit budget", "dense", spiking=False, activation_bits=min(steps, _WIDEST)),
    )
