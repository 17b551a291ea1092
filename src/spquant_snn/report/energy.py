"""Energy: what arithmetic and memory cost, by a published table, for several places in which data may lie.

Energies are in picojoules (pJ). They are of one technology, for the operation alone: no control, no clock, no leakage,
no wires. They rank designs; they are not what a chip would draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .work import Operation, Work

WORD = 64  # bits of a memory access


@dataclass(frozen=True)
class Memory:
    """A memory of ``size`` bytes, None for any number; ``access`` is the energy of 64 bits, read or written."""

    name: str
    size: int | None
    access: float


@dataclass(frozen=True)
class EnergyTable:
    """Published energies.

    Args:
        source: in words.
        add8, add32, multiply8, multiply32: of integers of that width.
        float_add, float_multiply: of fp32.
        srams: rising in size.
        dram: the low and the high end of its range.
    """

    source: str
    add8: float
    add32: float
    multiply8: float
    multiply32: float
    float_add: float
    float_multiply: float
    srams: tuple[Memory, ...]
    dram: tuple[Memory, Memory]

    def cost(self, operation: Operation) -> float:
        """Energy of all of an operation. Adders are straight lines over their width, multipliers over the product of
        theirs, through zero, the 8-bit and the 32-bit figure."""
        adds = operation.kind == "add"
        if operation.floating:
            return operation.count * (self.float_add if adds else self.float_multiply)
        if adds:
            return operation.count * _line(operation.size, (8, self.add8), (32, self.add32))
        return operation.count * _line(operation.size, (8 * 8, self.multiply8), (32 * 32, self.multiply32))

    def fitting(self, size: float) -> Memory:
        """The smallest SRAM that holds ``size`` bytes, else DRAM at the low end."""
        return next((sram for sram in self.srams if sram.size is not None and size <= sram.size), self.dram[0])


HOROWITZ = EnergyTable(
    source="M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014: 45 nm, 0.9 V",
    add8=0.03,
    add32=0.1,
    multiply8=0.2,
    multiply32=3.1,
    float_add=0.9,
    float_multiply=3.7,
    srams=(Memory("8 KB SRAM", 8 << 10, 10), Memory("32 KB SRAM", 32 << 10, 20), Memory("1 MB SRAM", 1 << 20, 100)),
    dram=(Memory("DRAM", None, 1300), Memory("DRAM", None, 2600)),
)


@dataclass(frozen=True)
class Scenario:
    """Where data lie.

    Args:
        name: in tables.
        weights: memory of weights and constants; None for the smallest that holds them.
        others: memory of state and activations; None likewise.
        sums: memory of sums; None if they stay beside the adder.
    """

    name: str
    weights: Memory | None = None
    others: Memory | None = None
    sums: Memory | None = None


def scenarios(table: EnergyTable) -> tuple[Scenario, ...]:
    """The scenarios of a table, from the cheapest to the most expensive, and one with another data flow."""
    small, (_, dear) = table.srams[0], table.dram
    return (
        Scenario("small SRAM", small, small),
        Scenario("as it fits"),
        Scenario("weights in DRAM", weights=dear),
        Scenario("sums in SRAM", small, small, small),
    )


@dataclass(frozen=True)
class Energy:
    """Of one inference, in pJ."""

    arithmetic: float
    weights: float
    state: float
    activations: float
    sums: float

    @property
    def total(self) -> float:
        return self.arithmetic + self.weights + self.state + self.activations + self.sums


def energy(layers: Iterable[Work], scenario: Scenario, table: EnergyTable) -> Energy:
    """Energy of layers whose data lie where the scenario says; "as it fits" looks at all layers together."""
    layers = tuple(layers)
    weights = scenario.weights or table.fitting(sum(layer.weights for layer in layers))
    state = scenario.others or table.fitting(sum(layer.state for layer in layers))
    activations = scenario.others or table.fitting(sum(layer.activations for layer in layers))
    return Energy(
        arithmetic=sum(table.cost(operation) for layer in layers for operation in layer.arithmetic),
        weights=sum(layer.traffic.weights + layer.traffic.constants for layer in layers) * weights.access / WORD,
        state=sum(layer.traffic.state for layer in layers) * state.access / WORD,
        activations=sum(layer.traffic.activations for layer in layers) * activations.access / WORD,
        sums=sum(layer.traffic.sums for layer in layers) * scenario.sums.access / WORD if scenario.sums else 0.0,
    )


def _line(x: float, near: tuple[float, float], far: tuple[float, float]) -> float:
    """The straight line from zero to ``near``, and on through ``far``."""
    if x <= near[0]:
        return near[1] * x / near[0]
    return near[1] + (far[1] - near[1]) * (x - near[0]) / (far[0] - near[0])
