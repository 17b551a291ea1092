"""Arrays that NumPy has saved, with no more memory than the arrays that are wanted take and the file can hold.

A header is a claim. It is checked against the file and a limit before any array is unpacked; members that nobody wants
are never unpacked, and pickles are not read.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..dtypes import Array
from ..io.reading import Flaw, Readable, open_file, read_up_to

_MOST = 1 << 30  # bytes of an array that is unpacked; one in an .npy file is mapped, whatever its size
_DEFLATE_RATIO = 1032  # zlib cannot pack tighter than this
_MEMBERS = 1000
_SUFFIX, _MAGIC = ".npy", b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # bytes, as NumPy has it


def map_npy(path: Path, mode: Literal["r", "c"]) -> Array:
    """The array of an .npy file, mapped into memory: to be read, or, with "c", changed there but not in the file. To be
    called within ``guarded``.

    Raises:
        Flaw, ValueError: the file holds something else, or is not as large as its header says.
    """
    with open_file(path) as file:
        shape, fortran, dtype = _header(file)
        offset, size = file.tell(), file.seek(0, os.SEEK_END)
    if dtype.hasobject:
        raise Flaw("it holds Python objects")
    need = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or offset + need != size:
        raise Flaw(f"it does not have the {size} bytes that its header says")
    order: Literal["F", "C"] = "F" if fortran else "C"
    if not need:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode, offset, shape, order)


def npy_array(content: bytes) -> Array:
    """The array of the content of an .npy file. To be called within ``guarded``.

    Raises:
        Flaw, ValueError: it holds something else, or is not as long as its header says.
    """
    stream = io.BytesIO(content)
    shape, fortran, dtype = _header(stream)
    need, left = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if dtype.hasobject:
        raise Flaw("it holds Python objects")
    if min(shape, default=0) < 0 or need != left:
        raise Flaw(f"it does not have the {need:,} bytes that its header says")
    if not need:
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")


def read_npy_or_npz(path: Path, wanted: Sequence[str]) -> dict[str, Array]:
    """The array of an .npy file, mapped, or the one of an .npz file that holds one, by any name; or those of an .npz
    file that are ``wanted``. To be called within ``guarded``.

    Raises:
        Flaw: the file holds something else.
        Exception: whatever NumPy and zipfile raise where it is damaged.
    """

    def choose(found: Sequence[str]) -> Sequence[str]:
        if len(found) == 1:
            return found
        if not set(wanted) <= set(found):
            raise Flaw(f"it holds {named(found)}, and needs {', '.join(wanted)}")
        return wanted

    return read_chosen(path, choose)


def read_chosen(path: Path, choose: Callable[[Sequence[str]], Sequence[str]]) -> dict[str, Array]:
    """The array of an .npy file, mapped, by the name ""; or of an .npz file those that are chosen of the names that it
    holds. To be called within ``guarded``; raises as ``read_npy_or_npz``."""
    with open_file(path) as file:
        zipped = file.read(2) == b"PK"
        file.seek(0)
        if not zipped:
            return {"": map_npy(path, "r")}
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
            if len(members) > _MEMBERS:
                raise Flaw(f"it holds {len(members)} members")
            found = [name.removesuffix(_SUFFIX) for name in members if name.endswith(_SUFFIX)]
            return {name: _unpack(archive, name, path.stat().st_size) for name in choose(found)}


def named(found: Sequence[str]) -> str:
    """The names of arrays, as a part of a line."""
    names = ", ".join(name if name.isprintable() else ascii(name) for name in found[:8]) or "none"
    return f"the arrays {names}"


def _unpack(archive: zipfile.ZipFile, name: str, size: int) -> Array:
    """One array of an archive of ``size`` bytes."""
    member = archive.getinfo(name + _SUFFIX)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Flaw(f"the array {name!r} is packed in a way that NumPy does not use")
    with archive.open(member) as stream:
        shape, fortran, dtype = _header(stream)
        need = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise Flaw(f"the array {name!r} holds Python objects")
        if min(shape, default=0) < 0 or need > min(_MOST, _DEFLATE_RATIO * size, member.file_size):
            raise Flaw(f"the array {name!r} claims {need:,} bytes")
        content = read_up_to(stream, need)
        if len(content) < need or stream.read(1):
            raise Flaw(f"the array {name!r} does not have the {need:,} bytes that its header says")
    return (
        np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C") if need else np.empty(shape, dtype)
    )


def _header(stream: Readable) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first index runs fastest, and type of the elements; the stream then stands at the first."""
    magic = bytes(read_up_to(stream, 8))
    version = magic[6:]
    if not magic.startswith(_MAGIC) or version not in (b"\1\0", b"\2\0"):
        raise Flaw(f"an array begins with {magic.hex() or 'nothing'}")
    length = bytes(read_up_to(stream, 2 if version == b"\1\0" else 4))
    if (size := int.from_bytes(length, "little")) > _LONGEST_HEADER:
        raise Flaw(f"the header of an array claims {size} bytes")
    text = io.BytesIO(length + read_up_to(stream, size))
    if version == b"\1\0":
        return np.lib.format.read_array_header_1_0(text)
    return np.lib.format.read_array_header_2_0(text)
