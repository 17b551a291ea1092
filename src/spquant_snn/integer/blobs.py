"""Blobs: the arrays of a .spq file, described in its header and stored after it. ``file`` defines the format."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Array, Int8, Int32, Int64
from ..errors import FileFormatError
from ..io.fields import Fields
from .grids import TERNARY, WEIGHT_GRIDS
from .pack import pack, packed_size, unpack

Description = dict[str, object]

INTEGERS = ("int8", "int16", "int32", "int64")  # from narrow to wide
CODES: dict[str, float] = {"ternary" if bits == TERNARY else f"bits{bits:g}": bits for bits in WEIGHT_GRIDS}

_UINT32 = (1 << 32) - 1
_LARGEST_SIZE = (1 << 31) - 1


class BlobWriter:
    """Collects arrays; each ``add`` returns the header entry of one."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._end = 0

    def add_codes(self, codes: Int8, bits: float) -> Description:
        """Weight codes at their width."""
        encoding = next(name for name, width in CODES.items() if width == bits)
        return self._add(pack(codes, bits), encoding, codes.shape)

    def add(self, array: NDArray[np.signedinteger[Any]]) -> Description:
        """Integers, in the narrowest type that holds them all."""
        low, high = int(array.min()), int(array.max())
        encoding = next(name for name in INTEGERS if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
        return self._add(array.astype(_little(encoding)).tobytes(), encoding, array.shape)

    def add_plain(self, array: Array) -> Description:
        """An array as it is."""
        encoding = array.dtype.name
        return self._add(array.astype(_little(encoding)).tobytes(), encoding, array.shape)

    def _add(self, data: bytes, encoding: str, shape: tuple[int, ...]) -> Description:
        offset = self._end
        self.parts.append(data)
        self._end += len(data)
        return {
            "offset": offset,
            "length": len(data),
            "encoding": encoding,
            "shape": list(shape),
            "crc32": zlib.crc32(data),
        }


@dataclass(frozen=True)
class Blob:
    """An array that is known to lie whole in the file, and not made yet."""

    data: memoryview
    encoding: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes that shape and encoding ask for."""
        count = math.prod(self.shape)
        return (
            packed_size(count, CODES[self.encoding])
            if self.encoding in CODES
            else count * _little(self.encoding).itemsize
        )

    def codes(self) -> Int8:
        return unpack(self.data, CODES[self.encoding], math.prod(self.shape)).reshape(self.shape)

    def int32(self) -> Int32:
        return self._integers().astype(np.int32)

    def int64(self) -> Int64:
        return self._integers().astype(np.int64)

    def array(self) -> Array:
        """In its own type."""
        return np.frombuffer(self.data, _little(self.encoding)).reshape(self.shape).astype(self.encoding)

    def _integers(self) -> NDArray[np.signedinteger[Any]]:
        array: NDArray[np.signedinteger[Any]] = np.frombuffer(self.data, _little(self.encoding)).reshape(self.shape)
        return array


class BlobReader:
    """Hands out the blobs of a file in their order; all are checked before any of them becomes an array.

    Raises:
        FileFormatError: by every method, where a description and the bytes do not agree.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._end = 0

    def claim_codes(self, fields: Fields, bits: float) -> Blob:
        """The next blob, weight codes of a width."""
        return self._claim(fields, tuple(name for name, width in CODES.items() if width == bits), (2, 4))

    def claim(self, fields: Fields, widest: str = "int32") -> Blob:
        """The next blob, integers of one or two dimensions."""
        return self._claim(fields, INTEGERS[: INTEGERS.index(widest) + 1], (1, 2))

    def claim_plain(self, fields: Fields, encodings: tuple[str, ...], ranks: tuple[int, ...]) -> Blob:
        """The next blob, numbers of one of these types and so many dimensions."""
        return self._claim(fields, encodings, ranks)

    def close(self) -> None:
        """Refuse bytes that belong to no blob."""
        if self._end != len(self._data):
            raise FileFormatError(f"{len(self._data) - self._end} bytes follow the last array")

    def _claim(self, fields: Fields, encodings: tuple[str, ...], ranks: tuple[int, ...]) -> Blob:
        start = fields.integer("offset", self._end, self._end)
        length = fields.integer("length", 0, len(self._data) - start)
        encoding = fields.choice("encoding", encodings)
        shape = fields.integers("shape", ranks, 1, _LARGEST_SIZE)
        checksum = fields.integer("crc32", 0, _UINT32)
        fields.close()
        blob = Blob(self._data[start : start + length], encoding, shape)
        if length != blob.size:
            raise FileFormatError(
                f"{fields.where} has {length} bytes, where {encoding} of shape {list(shape)} takes {blob.size}"
            )
        if zlib.crc32(blob.data) != checksum:
            raise FileFormatError(f"the checksum of {fields.where} does not hold")
        self._end += length
        return blob


def _little(encoding: str) -> np.dtype[Any]:
    return np.dtype(encoding).newbyteorder("<")
