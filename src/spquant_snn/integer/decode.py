"""From the header of a .spq file to a graph, by the annotations of its dataclasses.

Each part of the header is checked and gives what builds it, so that the whole header, the extent of every array and
every checksum are checked before the first array is made. That the parts fit one another is for the graph to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from ..data.items import Items
from ..errors import ConfigError, FileFormatError
from ..io.fields import Fields
from .blobs import BlobReader
from .connection import Connection
from .graph import Graph
from .grids import WEIGHT_GRIDS
from .pool import Pool
from .sample import decode_sample

_LARGEST = (1 << 31) - 1
_MOST = 1024  # parts of one kind in a row
_FEWER = {"terms": 256, "pools": 16, "inputs": 16, "readouts": 64}
_AREA = 1 << 23  # times the largest pixel, below 2**31: the checks of the graph, in 64 bits, cannot overflow
_LONGEST_NAME = 256
_MOST_NAMES = 1 << 16  # of outputs

Build = Callable[[], Any]


def decode(header: Fields, blobs: BlobReader) -> Callable[[], tuple[Graph, Items | None]]:
    """What makes the graph and the sample of a header of a format whose arrays are ``blobs``; it may raise ModelError,
    and FileFormatError where they do not fit one another.

    Raises:
        FileFormatError: a field is missing, unknown, of another type or out of range, or does not agree with its array.
    """
    reader, part = _Reader(blobs), header.inner("sample") if header.has("sample") else None
    builders = [reader.connection(part) for part in header.inner_row("connections", 4 * _MOST)]
    build = reader.fields(header, Graph, without=())
    if reader.used < len(builders):
        raise FileFormatError(f"connections[{reader.used}] belongs to no term")
    if reader.used > len(builders):
        raise FileFormatError(f"connections has {len(builders)} elements, and terms have {reader.used}")
    sample = None if part is None else decode_sample(part, blobs)
    blobs.close()

    def make() -> tuple[Graph, Items | None]:
        reader.made = [connection() for connection in builders]
        try:
            graph: Graph = build()
        except ConfigError as error:  # of what answers stand for
            raise FileFormatError(str(error)) from error
        return graph, None if sample is None else sample(graph)

    return make


class _Reader:
    """Reads the parts of a header in the order in which their arrays lie.

    Attributes:
        used: how many connections the terms so far have: they are numbered in the order of these.
        made: the connections, while a graph is built.
    """

    def __init__(self, blobs: BlobReader) -> None:
        self._blobs = blobs
        self.used = 0
        self.made: list[Connection] = []

    def connection(self, part: Fields) -> Build:
        bits = part.choice("bits", tuple(WEIGHT_GRIDS))
        codes = self._blobs.claim_codes(part.inner("codes"), bits)
        rest = self.fields(part, Connection, without=("codes", "bits"))
        return lambda: rest(codes=codes.codes(), bits=bits)

    def fields(self, part: Fields, kind: type, without: tuple[str, ...]) -> Callable[..., Any]:
        """What builds a dataclass, of its fields but some."""
        builders = {name: self._value(part, name, hint) for name, hint in _fields_of(kind) if name not in without}
        part.close()
        return lambda **given: kind(**{name: build() for name, build in builders.items()}, **given)

    def _value(self, part: Fields, name: str, hint: Any) -> Build:
        """What builds the value of a field."""
        kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
        if NoneType in kinds:
            kinds = tuple(kind for kind in kinds if kind is not NoneType)
            if not part.has(name):
                part.value(name)  # it is null, or it is missing
                return lambda: None
        if all(is_dataclass(kind) for kind in kinds):
            return self._dataclass_in(part, name, kinds)
        return self._plain(part, name, kinds[0])

    def _dataclass_in(self, part: Fields, name: str, kinds: tuple[type, ...]) -> Build:
        if kinds == (Connection,):
            index = part.integer(name, 0, self.used)
            self.used = max(self.used, index + 1)
            return lambda: self.made[index]
        return self._dataclass(part.inner(name), kinds)

    def _dataclass(self, part: Fields, kinds: tuple[type, ...]) -> Build:
        chosen = part.choice("type", tuple(kind.__name__ for kind in kinds))
        kind = next(kind for kind in kinds if kind.__name__ == chosen)
        build = self.fields(part, kind, without=())
        if kind is Pool and build().area > _AREA:
            raise FileFormatError(f"{part.where} pools windows of more than {_AREA:,} values")
        return build

    def _plain(self, part: Fields, name: str, hint: Any) -> Build:
        origin, inner = get_origin(hint), get_args(hint)
        if origin is np.ndarray:
            return self._array(part.inner(name), np.dtype(get_args(inner[1])[0]))
        if origin is tuple and inner[-1] is not ...:
            row = part.integers(name, (len(inner),), 0, _LARGEST)
            return lambda: row
        if origin is tuple and inner[0] in (str, float):
            texts = inner[0] is str
            items = part.texts(name, _MOST_NAMES, _LONGEST_NAME) if texts else part.numbers(name, _MOST_NAMES)
            return lambda: tuple(items)
        if origin is tuple:
            kinds = get_args(inner[0]) if get_origin(inner[0]) is UnionType else (inner[0],)
            built = [self._dataclass(item, kinds) for item in part.inner_row(name, _FEWER.get(name, _MOST))]
            return lambda: tuple(build() for build in built)
        found = self._number(part, name, hint)
        return lambda: found

    def _number(self, part: Fields, name: str, hint: Any) -> object:
        if get_origin(hint) is Literal:
            return part.choice(name, get_args(hint))
        if hint is bool:
            return part.flag(name)
        if hint is int:
            return part.integer(name, 0, _LARGEST)
        if hint is float:
            return part.choice(name, tuple(WEIGHT_GRIDS)) if name == "bits" else part.positive(name)
        return part.text(name, _LONGEST_NAME, least=0 if name == "unit" else 1)

    def _array(self, part: Fields, dtype: np.dtype[Any]) -> Build:
        blob = self._blobs.claim(part, widest=dtype.name)
        return lambda: blob.int64() if dtype == np.int64 else blob.int32()


@cache
def _fields_of(kind: type) -> list[tuple[str, Any]]:
    """Name and type of the fields that the constructor of a dataclass takes."""
    hints = get_type_hints(kind)
    return [(field.name, hints[field.name]) for field in fields(kind) if field.init]
