"""Wiring: which synapses take what, all that counting needs to know of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..integer.connection import Connection, Shape
from ..integer.graph import Graph, Layer, Readout
from ..integer.term_names import term_names


@dataclass(frozen=True, eq=False)
class WiredTerm:
    """A term of a layer or a readout.

    Args:
        name: of the layer whose sums it adds to; of terms behind the first, with what they take.
        connection: its synapses.
        source: input ``source``, or layer ``source - I`` of a network of I inputs.
        target: layer ``target``, or readout ``target - L`` of a network of L layers.
        first: of its layer: its row in tables stands for the neurons too.
        delay: in steps.
        multiplies: its sums meet a multiplier that is no power of two.
    """

    name: str
    connection: Connection
    source: int
    target: int
    first: bool = True
    delay: int = 0
    multiplies: bool = False


@dataclass(frozen=True)
class Wiring:
    """What counting needs to know of a network.

    Args:
        inputs: shape of each input.
        shapes: of the neurons of each layer.
        state_bits: of each layer, of a code that a neuron stores.
        codes: that a neuron of each layer stores; none: one.
        terms: of all layers, then of the readouts, the first of each before its others.
        largest: the largest absolute value of each input.
        leaks: outputs of each readout that leaks, 0 of one that does not; none: no readout does.
        layers: whose blocks are looked at too; none of a network in floating point.
    """

    inputs: tuple[Shape, ...]
    shapes: tuple[Shape, ...]
    state_bits: tuple[float, ...]
    terms: tuple[WiredTerm, ...]
    largest: tuple[int, ...]
    codes: tuple[int, ...] = ()
    leaks: tuple[int, ...] = ()
    layers: tuple[Layer, ...] = ()

    @property
    def sources(self) -> tuple[Shape, ...]:
        """Shape of each input, then of each layer."""
        return (*self.inputs, *self.shapes)


def wiring_of(graph: Graph) -> Wiring:
    """That of an integer graph."""
    return Wiring(
        tuple(given.shape for given in graph.inputs),
        graph.shapes,
        tuple(layer.neuron.bits for layer in graph.layers),
        tuple(_terms(graph)),
        tuple(given.largest for given in graph.inputs),
        tuple(1 if layer.neuron.current is None else 2 for layer in graph.layers),
        tuple(0 if readout.leak is None else len(readout.bias) for readout in graph.readouts),
        graph.layers,
    )


def _terms(graph: Graph) -> Iterator[WiredTerm]:
    names = iter(term_names(graph))
    parts: tuple[Layer | Readout, ...] = (*graph.layers, *graph.readouts)
    for target, part in enumerate(parts):
        for i, term in enumerate(part.terms):
            multiplies = term.left_shift is None
            yield WiredTerm(next(names), term.connection, term.source, target, i == 0, term.delay, multiplies)
