"""PNG files of few colours, as ISO/IEC 15948 defines them, without a library."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int, int]
"""Red, green, blue and opacity, 0 to 255."""


def indexed(pixels: NDArray[np.uint8], palette: Sequence[Colour]) -> bytes:
    """A picture whose pixels [H, W] are places in a palette of at most 256 colours.

    Raises:
        ValueError: a pixel has no colour.
    """
    height, width = pixels.shape
    if not 1 <= len(palette) <= 256 or int(pixels.max()) >= len(palette):
        raise ValueError(f"pixels up to {int(pixels.max())} do not fit a palette of {len(palette)} colours")
    depth = next(bits for bits in (1, 2, 4, 8) if len(palette) <= 1 << bits)
    planes = np.unpackbits(pixels[..., None], axis=2)[:, :, 8 - depth :]  # [H, W, depth], the highest bit first
    rows = np.packbits(planes.reshape(height, width * depth), axis=1)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(part for colour in palette for part in colour[:3])),
            _chunk(b"tRNS", bytes(colour[3] for colour in palette)),
            _chunk(b"IDAT", _compressed(rows)),
            _chunk(b"IEND", b""),
        ]
    )


def colours(pixels: NDArray[np.uint8]) -> bytes:
    """A picture of pixels [H, W, 3], red, green and blue."""
    height, width, _ = pixels.shape
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", _compressed(pixels.reshape(height, width * 3)))
    return b"\x89PNG\r\n\x1a\n" + header + data + _chunk(b"IEND", b"")


def data_address(png: bytes) -> str:
    """A PNG as an address that a page can hold."""
    return "data:image/png;base64," + b64encode(png).decode()


def _compressed(rows: NDArray[np.uint8]) -> bytes:
    """Rows of bytes, each behind the number of the filter that it was not changed by."""
    return zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes(), 9)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
