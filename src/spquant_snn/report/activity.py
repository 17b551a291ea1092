"""Activity of neurons on test images: how often each code is stored and each neuron fires."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import Float64, Int64
from ..integer.compare import Trace, potentials
from ..integer.graph import Graph
from ..integer.grids import STATE_GRIDS


@dataclass(frozen=True, eq=False)
class Activity:
    """The activity of a layer.

    Args:
        name: of the layer.
        bits: of its state.
        codes: int64 [levels] how often each code of the grid was stored of a potential, the lowest first.
        spikes: int64 [C, H, W] or [F] how often each neuron fired.
        moments: images times steps: how often each neuron could fire.
    """

    name: str
    bits: float
    codes: Int64
    spikes: Int64
    moments: int

    @property
    def lowest(self) -> int:
        """The lowest code of the grid."""
        return STATE_GRIDS[self.bits].low

    @property
    def shares(self) -> Float64:
        """[levels] share of each code among those that were stored."""
        shares: Float64 = self.codes / self.codes.sum()
        return shares

    @property
    def rates(self) -> Float64:
        """[neurons] spikes per step of each neuron."""
        return self.spikes.reshape(-1) / self.moments

    @property
    def rate(self) -> float:
        """Spikes per neuron and step."""
        return float(self.rates.mean())

    @property
    def saturated(self) -> float:
        """Share of the stored codes at either end of the grid."""
        return float(self.shares[0] + self.shares[-1])

    @property
    def silent(self) -> float:
        """Share of the neurons that never fired."""
        return float((self.spikes == 0).mean())


class Observer:
    """Adds up the activity of a network over batches; call it with the trace of each."""

    def __init__(self, graph: Graph) -> None:
        self.layers = tuple(
            Activity(
                layer.name,
                layer.neuron.bits,
                np.zeros(layer.neuron.high - layer.neuron.low + 1, np.int64),
                np.zeros(shape, np.int64),
                0,
            )
            for layer, shape in zip(graph.layers, graph.shapes, strict=True)
        )

    def __call__(self, trace: Trace) -> None:
        """Add a batch."""
        self.layers = tuple(
            Activity(
                layer.name,
                layer.bits,
                layer.codes
                + np.bincount(
                    potentials(spikes, codes).reshape(-1).astype(np.int64) - layer.lowest, minlength=layer.codes.size
                ),
                layer.spikes + spikes.sum((0, 1), dtype=np.int64),
                layer.moments + spikes.shape[0] * spikes.shape[1],
            )
            for layer, (_, spikes, codes) in zip(self.layers, trace.layers, strict=True)
        )
