"""Which layers of a graph lie in a row: each takes the spikes of the one before it, and at most one more term, a plain
shortcut. The C source has fast forms for them; what else there is runs in the general form."""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import Int64
from ..errors import ModelError
from ..integer.connection import Connection
from ..integer.graph import BlockGate, Graph, Term
from ..integer.neuron import Neuron
from ..integer.pool import Pool, Upsample


@dataclass(frozen=True, eq=False)
class RowShortcut:
    """A second term: ``sums += shortcut's sums << shift``, of the spikes of layer ``source``."""

    source: int
    connection: Connection
    shift: int

    def reach(self) -> Int64:
        """[O] the largest absolute value that it adds."""
        reach: Int64 = self.connection.reach(1) << self.shift
        return reach


@dataclass(frozen=True, eq=False)
class RowLayer:
    """A layer of a row."""

    name: str
    connection: Connection
    neuron: Neuron
    gate: BlockGate | None = None
    shortcut: RowShortcut | None = None

    def reach(self, largest: int) -> Int64:
        """[O] the largest absolute value of a sum, the shortcut's part too, of inputs 0 .. ``largest``."""
        reach = self.connection.reach(largest)
        return reach if self.shortcut is None else reach + self.shortcut.reach()


def row_layer(graph: Graph, index: int) -> RowLayer | str:
    """A layer as one of a row, or why it is none."""
    layer = graph.layers[index]
    first, *others = layer.terms
    if why := _apart(graph, first, index):
        return why
    if layer.neuron.current is not None:
        return "its neurons have synaptic currents"
    if len(others) > 1:
        return f"it sums {1 + len(others)} terms"
    if not others:
        return RowLayer(layer.name, first.connection, layer.neuron, layer.gate)
    shortcut = _shortcut(graph, others[0], index)
    if isinstance(shortcut, str):
        return shortcut
    return RowLayer(layer.name, first.connection, layer.neuron, layer.gate, shortcut)


def row_readout(graph: Graph) -> Connection | str:
    """The connection of the one readout of a row, or why there is none."""
    if len(graph.readouts) > 1:
        return f"there are {len(graph.readouts)} readouts"
    readout = graph.readout
    if not readout.sums_all:
        return "it does not sum what is said at every step"
    if not graph.layers or len(readout.terms) > 1:
        return "it reads no layer" if not graph.layers else f"it sums {len(readout.terms)} terms"
    first = readout.terms[0]
    if len(graph.outputs[0]) > 1 and graph.outputs[0][1:] != (1, 1):
        return "it says a map"
    return _apart(graph, first, len(graph.layers)) or first.connection


def _apart(graph: Graph, term: Term, index: int) -> str:
    """Why a term is not what comes just before layer ``index``, as it is; nothing where it is."""
    before = len(graph.inputs) + index - 1 if index else 0
    if term.delay:
        return "a term takes what was in the step before"
    if term.source != before:
        return "its first term does not take what comes just before it"
    if index == 0 and graph.inputs[0].signed:
        return "its input has signs"
    if not term.plain:
        return "its first term is weighed"
    return _odd(term.connection)


def _shortcut(graph: Graph, term: Term, index: int) -> RowShortcut | str:
    connection, shift, source = term.connection, term.left_shift, term.source - len(graph.inputs)
    if term.delay:
        return "a term takes what was in the step before"
    if source < 0:
        return "a term beside the first takes an input"
    if shift is None:
        return "a term is weighed by channel"
    if not connection.convolves or connection.pools or connection.sum_pool is not None:
        return "a term beside the first is a linear layer, or has pools"
    return _odd(connection) or RowShortcut(source, connection, shift)


def _odd(connection: Connection) -> str:
    """What of a connection's geometry the fast forms do not know."""
    if connection.dilation != (1, 1) or connection.spread != (1, 1):
        return "a convolution is dilated or transposed"
    top, bottom, left, right = connection.padding
    if (top, left) != (bottom, right):
        return "padding is not the same on all sides"
    if any(_is_odd(step) for step in connection.pools):
        return "pools are no squares within the image, or it is up-sampled"
    pool = connection.sum_pool
    if pool is not None and (pool.kind == "max" or _is_odd(pool)):
        return "sums are pooled by their largest, or by no squares"
    return ""


def _is_odd(step: Pool | Upsample) -> bool:
    return isinstance(step, Upsample) or not step.plain


@dataclass(frozen=True, eq=False)
class Row:
    """The layers of a graph that is a row from end to end, and the connection of its readout."""

    layers: tuple[RowLayer, ...]
    last: Connection

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Those of the layers and of the readout, without shortcuts."""
        return (*(layer.connection for layer in self.layers), self.last)


def row_of(graph: Graph) -> Row:
    """A graph as a row.

    Raises:
        ModelError: it is none.
    """
    layers = []
    for i, layer in enumerate(graph.layers):
        found = row_layer(graph, i)
        if isinstance(found, str):
            raise ModelError(f"layer {layer.name!r}: {found}; the network is no row of layers")
        layers.append(found)
    last = row_readout(graph)
    if isinstance(last, str):
        raise ModelError(f"layer {graph.readout.name!r}: {last}; the network is no row of layers")
    return Row(tuple(layers), last)
