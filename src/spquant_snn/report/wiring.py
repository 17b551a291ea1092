"""Wiring: which connection takes what, all that counting needs to know of a network."""

from __future__ import annotations

from dataclasses import dataclass

from ..integer.graph import Connection, Graph, Layer


@dataclass(frozen=True)
class Beside:
    """The shortcut of layer ``layer``, from the spikes of layer ``source``."""

    layer: int
    source: int
    connection: Connection


@dataclass(frozen=True)
class Wiring:
    """What counting needs to know of a network.

    Args:
        connections: the readout's last.
        inputs: shape of what comes into each of them; behind the first, these are the shapes of the neurons.
        state_bits: of each layer of neurons.
        layers: whose blocks are looked at too; none of a network in floating point.
        shortcuts: of the layers.
    """

    connections: tuple[Connection, ...]
    inputs: tuple[tuple[int, ...], ...]
    state_bits: tuple[float, ...]
    layers: tuple[Layer, ...] = ()
    shortcuts: tuple[Beside, ...] = ()


def wiring_of(graph: Graph) -> Wiring:
    """That of an integer graph."""
    return Wiring(
        graph.connections,
        (graph.input_shape, *graph.shapes),
        tuple(layer.neuron.bits for layer in graph.layers),
        graph.layers,
        tuple(
            Beside(i, layer.shortcut.source, layer.shortcut.connection)
            for i, layer in enumerate(graph.layers)
            if layer.shortcut is not None
        ),
    )
