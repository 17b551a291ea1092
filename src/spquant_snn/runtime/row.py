"""A graph as a row: each layer takes the spikes of the one before it, and at most one more term, a plain shortcut. It
is what the fast forms of the C source run."""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import Int64
from ..errors import ModelError
from ..integer.connection import Connection
from ..integer.graph import BlockGate, Graph, Layer, Term
from ..integer.neuron import Neuron


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


@dataclass(frozen=True, eq=False)
class Row:
    """The layers of a row, and the connection of its readout."""

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
    one = len(graph.inputs) == len(graph.readouts) == 1 and not graph.inputs[0].signed and graph.readout.sums_all
    last = graph.readout.terms[0]
    layers = [_row_layer(layer, i) for i, layer in enumerate(graph.layers)]
    if not one or None in layers or not layers or len(graph.readout.terms) > 1 or not _follows(last, len(layers)):
        raise ModelError("the native runtime runs layers in a row alone: use the reference")
    return Row(tuple(layer for layer in layers if layer is not None), last.connection)


def _row_layer(layer: Layer, index: int) -> RowLayer | None:
    first, *others = layer.terms
    if not _follows(first, index) or len(others) > 1:
        return None
    shortcut = _shortcut(others[0], index) if others else None
    if others and shortcut is None:
        return None
    return RowLayer(layer.name, first.connection, layer.neuron, layer.gate, shortcut)


def _follows(term: Term, index: int) -> bool:
    """Whether a term takes, as it is, what comes just before layer ``index``."""
    return term.plain and term.source == index and _is_plain(term.connection)


def _shortcut(term: Term, index: int) -> RowShortcut | None:
    connection, shift = term.connection, term.left_shift
    if term.delay or shift is None or not 1 <= term.source <= index or not _is_plain(connection):
        return None
    if not connection.convolves or connection.pools or connection.sum_pool is not None:
        return None
    return RowShortcut(term.source - 1, connection, shift)


def _is_plain(connection: Connection) -> bool:
    """Whether the C source knows its geometry."""
    top, bottom, left, right = connection.padding
    pools = (*connection.pools, *([connection.sum_pool] if connection.sum_pool else []))
    sums = connection.sum_pool is None or connection.sum_pool.kind == "sum"
    near = connection.dilation == connection.spread == (1, 1) and top == bottom and left == right
    return near and sums and all(hasattr(pool, "plain") and pool.plain for pool in pools)
