"""Graphs that are a row: one term a layer, of the layer before, and at most one more, of an earlier one."""

from dataclasses import dataclass

import numpy as np

from spquant_snn.integer.graph import BlockGate, Connection, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.neuron import Neuron
from spquant_snn.integer.pool import Pool


@dataclass(frozen=True, eq=False)
class Shortcut:
    """What the spikes of layer ``source`` add, shifted to the left."""

    source: int
    connection: Connection
    shift: int = 0

    def reach(self):
        return self.connection.reach(1) << self.shift


@dataclass(frozen=True, eq=False)
class Part:
    """A layer of a row."""

    connection: Connection
    neuron: Neuron
    gate: BlockGate | None = None
    shortcut: Shortcut | None = None


@dataclass(frozen=True, eq=False)
class Last:
    """The readout of a row."""

    connection: Connection
    fraction: int
    bias: np.ndarray
    scale: float


def row(input_shape, timesteps, parts, last):
    """The graph of parts in a row."""
    layers = []
    for i, part in enumerate(parts):
        terms = [Term(part.connection, i)]
        if part.shortcut is not None:
            terms.append(_beside(part.shortcut))
        layers.append(Layer(part.connection.name, tuple(terms), part.neuron, part.gate))
    readout = Readout(last.connection.name, (Term(last.connection, len(layers)),), last.fraction, last.bias, last.scale)
    return Graph((Input(input_shape),), timesteps, tuple(layers), (readout,))


def _beside(shortcut):
    """A second term; a multiplier only where it is not one."""
    factor = np.full(len(shortcut.connection.codes), 1 << shortcut.shift, np.int32) if shortcut.shift else None
    return Term(shortcut.connection, shortcut.source + 1, multiplier=factor)


def square(kind, kernel, stride):
    """A pool of squares."""
    return Pool(kind, (kernel, kernel), (stride, stride))


def around(down, right):
    """Padding that is the same on opposite sides."""
    return down, down, right, right
