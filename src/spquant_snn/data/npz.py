"""Arrays that NumPy has saved, with no more memory than the arrays that are wanted take and the file can hold.

A header is a claim. It is checked against the file and a limit before any array is unpacked; members that nobody wants
are never unpacked, and pickles are not read.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reading import Flaw, Readable, open_file, read_up_to

_MOST = 1 << 30  # bytes of an array that is unpacked; one in an .npy file is mapped, whatever its size
_DEFLATE_RATIO = 1032  # zlib cannot pack tighter than this
_MEMBERS = 1000
_SUFFIX = ".npy"

Array = NDArray[Any]


def read_npy_or_npz(path: Path, wanted: Sequence[str]) -> dict[str, Array]:
    """The array of an .npy file, mapped, or the one of an .npz file that holds one, by any name; or those of an .npz
    file that are ``wanted``. To be called within ``guarded``.

    Raises:
        Flaw: the file holds something else.
        Exception: whatever NumPy and zipfile raise where it is damaged.
    """
    with open_file(path) as file:
        zipped = file.read(2) == b"PK"
        file.seek(0)
        if not zipped:
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        with zipfile.ZipFile(file) as archive:
            return {name: _unpack(archive, name, path.stat().st_size) for name in _names(archive, wanted)}


def _names(archive: zipfile.ZipFile, wanted: Sequence[str]) -> Sequence[str]:
    members = archive.namelist()
    if len(members) > _MEMBERS:
        raise Flaw(f"it holds {len(members)} members")
    found = [name.removesuffix(_SUFFIX) for name in members if name.endswith(_SUFFIX)]
    if len(members) == 1 and found:
        return found
    if not set(wanted) <= set(found):
        named = ", ".join(name if name.isprintable() else ascii(name) for name in found[:8]) or "none"
        raise Flaw(f"it holds the arrays {named}, and needs {', '.join(wanted)}")
    return wanted


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
    version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)  # type: ignore[arg-type]
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)  # type: ignore[arg-type]
    raise Flaw(f"it is of version {version} of the format")
