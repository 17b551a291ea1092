"""From a graph to the header of a .spq file, part by part, in the order of the format that ``file`` defines."""

from __future__ import annotations

from .blobs import BlobWriter
from .graph import BlockGate, Connection, Graph, Layer, Shortcut
from .grids import TERNARY
from .neuron import Neuron, ScaledStore, TableStore
from .pool import Pool

Part = dict[str, object]


def encode(graph: Graph, blobs: BlobWriter) -> Part:
    """The header of a graph, ready for JSON; its arrays go to ``blobs``."""
    return {
        "input_shape": _row(graph.input_shape),
        "timesteps": int(graph.timesteps),
        "layers": [_layer(layer, blobs) for layer in graph.layers],
        "readout": {
            "connection": _connection(graph.readout.connection, blobs),
            "fraction": int(graph.readout.fraction),
            "bias": blobs.add(graph.readout.bias),
            "scale": float(graph.readout.scale),
        },
    }


def _layer(layer: Layer, blobs: BlobWriter) -> Part:
    part: Part = {
        "connection": _connection(layer.connection, blobs),
        "neuron": _neuron(layer.neuron, blobs),
        "gate": None if layer.gate is None else _gate(layer.gate, blobs),
    }
    if layer.shortcut is not None:
        part["shortcut"] = _shortcut(layer.shortcut, blobs)
    return part


def _shortcut(shortcut: Shortcut, blobs: BlobWriter) -> Part:
    return {
        "source": int(shortcut.source),
        "shift": int(shortcut.shift),
        "connection": _connection(shortcut.connection, blobs),
    }


def _connection(connection: Connection, blobs: BlobWriter) -> Part:
    return {
        "name": connection.name,
        "bits": _bits(connection.bits),
        "stride": _row(connection.stride),
        "padding": _row(connection.padding),
        "groups": int(connection.groups),
        "pools": [_pool(pool) for pool in connection.pools],
        "sum_pool": None if connection.sum_pool is None else _pool(connection.sum_pool),
        "codes": blobs.add_codes(connection.codes, connection.bits),
    }


def _pool(pool: Pool) -> Part:
    return {"kind": pool.kind, "kernel": int(pool.kernel), "stride": int(pool.stride)}


def _neuron(neuron: Neuron, blobs: BlobWriter) -> Part:
    return {
        "bits": _bits(neuron.bits),
        "fraction": int(neuron.fraction),
        "reset": neuron.reset,
        "fire": blobs.add(neuron.fire),
        "drop": blobs.add(neuron.drop),
        "store": _store(neuron.store, blobs),
    }


def _gate(gate: BlockGate, blobs: BlobWriter) -> Part:
    return {"count": blobs.add(gate.count), "code": blobs.add(gate.code), "least": blobs.add(gate.least)}


def _store(store: TableStore | ScaledStore, blobs: BlobWriter) -> Part:
    if isinstance(store, TableStore):
        return {"kind": "table", "decay": blobs.add(store.decay), "edges": blobs.add(store.edges)}
    return {
        "kind": "scaled",
        "decay": blobs.add(store.decay),
        "decay_shift": int(store.decay_shift),
        "gain": blobs.add(store.gain),
        "offset": blobs.add(store.offset),
        "shift": int(store.shift),
    }


def _row(numbers: tuple[int, ...]) -> list[int]:
    return [int(number) for number in numbers]


def _bits(bits: float) -> float:
    return TERNARY if bits == TERNARY else int(bits)
