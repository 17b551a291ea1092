"""Packing: integer codes at their true width, as they lie in a file or in the flash of a device.

Codes are counted from the lowest of their grid, ``field = code - low``, so that every field is unsigned.

- 1.58 bits: five fields a byte, in base 3, the first the least significant digit: f0 + 3 f1 + 9 f2 + 27 f3 + 81 f4.
- b = 2 .. 8 bits: field i lies at bits i*b .. i*b + b - 1 of one stream, its least significant bit first; bit j of the
  stream is bit j mod 8 of byte j div 8, bit 0 the least significant.

Digits and bits behind the last field are zero. NumPy only.
"""

from __future__ import annotations

import numpy as np

from ..dtypes import Int8
from ..errors import FileFormatError, ModelError
from .grids import TERNARY, WEIGHT_GRIDS

Buffer = bytes | bytearray | memoryview

_DIGITS = 5
_POWERS = np.array([1, 3, 9, 27, 81], np.uint8)


def packed_size(count: int, bits: float) -> int:
    """Bytes that ``count`` codes of ``bits`` bits, 1.58 or 2 to 8, take."""
    return -(-count // _DIGITS) if bits == TERNARY else -(-count * int(bits) // 8)


def pack(codes: Int8, bits: float) -> bytes:
    """The bytes of codes of any shape, read row by row.

    Raises:
        ModelError: a code is not on the grid of this width.
    """
    grid = WEIGHT_GRIDS[bits]
    flat = np.ascontiguousarray(codes).reshape(-1)
    if flat.size and not grid.low <= int(flat.min()) <= int(flat.max()) <= grid.high:
        raise ModelError(
            f"codes {flat.min()}..{flat.max()} do not fit {bits:g} bits: quantise them to {grid.low}..{grid.high} first"
        )
    fields = flat.astype(np.uint8) - np.uint8(grid.low % 256)  # wraps around, as intended
    if bits == TERNARY:
        digits = np.zeros((packed_size(flat.size, bits), _DIGITS), np.uint8)
        digits.reshape(-1)[: flat.size] = fields
        return bytes((digits * _POWERS).sum(1, dtype=np.uint8))
    stream = np.unpackbits(fields[:, None], axis=1, count=int(bits), bitorder="little")  # [count, b]
    packed: bytes = np.packbits(stream, bitorder="little").tobytes()
    return packed


def unpack(data: Buffer, bits: float, count: int) -> Int8:
    """The codes of ``pack``, int8 [count]; takes memory of a small multiple of ``data``.

    Raises:
        FileFormatError: ``data`` is not exactly what ``count`` codes pack to.
    """
    if len(data) != packed_size(count, bits):
        raise FileFormatError(
            f"{count} codes of {bits:g} bits take {packed_size(count, bits)} bytes, found {len(data)}"
        )
    raw = np.frombuffer(data, np.uint8)
    if bits == TERNARY:
        if raw.size and int(raw.max()) >= 3**_DIGITS:
            raise FileFormatError(f"a byte of ternary codes is {raw.max()}, more than five digits in base 3 can be")
        digits = (raw[:, None] // _POWERS % 3).reshape(-1)
        fields, padding = digits[:count], digits[count:]
    else:
        width = int(bits)
        stream = np.unpackbits(raw, bitorder="little")
        fields, padding = stream[: count * width].reshape(count, width), stream[count * width :]
        fields = np.packbits(fields, axis=1, bitorder="little").reshape(-1)
    if padding.any():
        raise FileFormatError(f"the padding behind {count} codes of {bits:g} bits is not zero")
    return (fields + np.uint8(WEIGHT_GRIDS[bits].low % 256)).view(np.int8)  # wraps around, as intended
