"""The idx format of MNIST and Fashion-MNIST: a big-endian header of sizes, then the bytes.

A header is a claim. It is checked against the size of the file before anything is read, and a gzipped file is
unpacked no further than its header says, so that memory follows the file's true content.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from ..dtypes import UInt8
from ..errors import DataError, FileFormatError
from ..io.reading import Readable, guarded, open_file, read_up_to

_UNSIGNED_BYTE = 8
_DEFLATE_RATIO = 1032  # zlib cannot pack tighter than this


def read_idx(path: Path, item: tuple[int, ...]) -> UInt8:
    """Read an idx file of unsigned bytes, gzipped or not (its first bytes tell, not its name).

    Args:
        item: shape of one entry; (28, 28) for the images of MNIST, () for labels.

    Returns:
        uint8 [N, *item].

    Raises:
        DataError: the file cannot be opened or read.
        FileFormatError: it is no idx file of such items, is truncated or corrupted, or goes on after its end.
    """
    with guarded(path, "fetch it again", unread=DataError), open_file(path) as file:
        size = path.stat().st_size
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return _parse(path, file, item, size)
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as unpacked:
            return _parse(path, unpacked, item, None, most=size * _DEFLATE_RATIO)


def _parse(path: Path, stream: Readable, item: tuple[int, ...], size: int | None, most: int | None = None) -> UInt8:
    axes = 1 + len(item)
    header = stream.read(4 + 4 * axes)
    if len(header) < 4 or header[:2] != b"\0\0":
        raise FileFormatError(f"{path} is not an idx file, it starts with {header[:4].hex() or 'nothing'}: replace it")
    if header[2] != _UNSIGNED_BYTE or header[3] != axes:
        raise FileFormatError(
            f"{path} holds type {header[2]} in {header[3]} dimensions, expected unsigned bytes (type 8) in {axes}: "
            "check that images and labels are not mixed up"
        )
    if len(header) < 4 + 4 * axes:
        raise FileFormatError(f"{path} ends within its header, after {len(header)} bytes: fetch it again")
    count, *found = struct.unpack(f">{axes}I", header[4:])
    if tuple(found) != item:
        raise FileFormatError(f"{path} holds items of shape {found}, expected {list(item)}: it is another data set")
    need = count * math.prod(item)
    if size is not None and size != len(header) + need:
        raise FileFormatError(f"{path} has {size} bytes, its header says {len(header) + need}: fetch it again")
    if most is not None and len(header) + need > most:
        raise FileFormatError(f"{path} says it holds {need} bytes, more than can be packed into it: fetch it again")
    content = read_up_to(stream, need)
    if len(content) < need or stream.read(1):
        more = "fewer" if len(content) < need else "more"
        raise FileFormatError(f"{path} holds {more} than the {need} bytes that its header says: fetch it again")
    return np.frombuffer(content, np.uint8).reshape(count, *item)
