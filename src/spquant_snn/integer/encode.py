"""From a graph to the header of a .spq file, by the annotations of its dataclasses; ``file`` defines the format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass

import numpy as np

from .blobs import BlobWriter
from .connection import Connection
from .graph import Graph
from .grids import TERNARY

Part = dict[str, object]


def encode(graph: Graph, blobs: BlobWriter) -> Part:
    """The header of a graph, ready for JSON; its arrays go to ``blobs``. A connection that several terms share is
    written once."""
    connections = graph.connections
    places = {id(connection): i for i, connection in enumerate(connections)}

    def value(part: object) -> object:
        if isinstance(part, Connection):
            return places[id(part)]
        if isinstance(part, np.ndarray):
            return blobs.add(part)
        return _plain(part, value)

    def connection(part: Connection) -> Part:
        codes = blobs.add_codes(part.codes, part.bits)
        return {"codes": codes} | _fields(part, lambda x: _plain(x, value), without=("codes",))

    return {"connections": [connection(part) for part in connections]} | _fields(graph, value)


def _fields(part: object, value: Callable[[object], object], without: tuple[str, ...] = ()) -> Part:
    """Of a dataclass, those that its constructor takes."""
    named = [field.name for field in fields(part) if field.init and field.name not in without]  # type: ignore[arg-type]
    return {name: value(getattr(part, name)) for name in named}


def _plain(part: object, value: Callable[[object], object]) -> object:
    """JSON of anything but arrays."""
    if is_dataclass(part):
        return {"type": type(part).__name__} | _fields(part, value)
    if isinstance(part, tuple):
        return [value(item) for item in part]
    if isinstance(part, np.bool_ | np.integer | np.floating):
        part = part.item()
    if isinstance(part, float):
        return int(part) if part.is_integer() and abs(part) < 1 << 31 else TERNARY if part == TERNARY else part
    return part
