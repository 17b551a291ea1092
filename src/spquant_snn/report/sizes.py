"""Sizes: the bytes that a network takes, as packed data and in the runtime."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ModelError
from ..integer.graph import Graph
from ..integer.pack import packed_size
from ..runtime.layout import plan_network

_FLOAT = 4


@dataclass(frozen=True)
class Sizes:
    """Bytes.

    Args:
        weights: all codes, packed.
        state: the stored codes of all layers, packed: what a stream keeps from frame to frame.
        largest_state: those of the largest layer: enough where a layer takes all its steps before the next one.
        float_weights, float_state: of the float baseline, the same network in fp32.
        arena: what the portable runtime works in, state, spikes and scratch, for a still image; None if the network is
            too large for it.
        stream_arena: the same for frames that come one by one.
    """

    weights: int
    state: int
    largest_state: int
    float_weights: int
    float_state: int
    arena: int | None
    stream_arena: int | None

    @property
    def smaller(self) -> float:
        """How many times smaller weights and state are than those of the float baseline."""
        return (self.float_weights + self.float_state) / (self.weights + self.state)


def sizes(graph: Graph) -> Sizes:
    """The sizes of a graph."""
    stored = [
        math.prod(layer.neuron.stored_shape(shape)) for layer, shape in zip(graph.layers, graph.shapes, strict=True)
    ]
    states = [packed_size(n, layer.neuron.bits) for n, layer in zip(stored, graph.layers, strict=True)]
    return Sizes(
        weights=sum(packed_size(connection.codes.size, connection.bits) for connection in graph.connections),
        state=sum(states),
        largest_state=max(states, default=0),
        float_weights=_FLOAT * sum(connection.codes.size for connection in graph.connections),
        float_state=_FLOAT * sum(stored),
        arena=_arena(graph, streams=False),
        stream_arena=_arena(graph, streams=True),
    )


def _arena(graph: Graph, streams: bool) -> int | None:
    try:
        return plan_network(graph, streams=streams).arena_size
    except ModelError:
        return None
