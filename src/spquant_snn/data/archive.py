"""Archive: named files out of a gzipped tar file, and nothing else of it.

Only the content of regular members with the names asked for is written: links, folders, owners, extended headers and
paths that lead elsewhere have no effect.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError, FileFormatError
from ..io.reading import CHUNK, guarded, open_file

_BLOCK = 512


def unpack(archive: Path, names: tuple[str, ...], folder: Path, most: int) -> None:
    """Write the members ``names`` into ``folder``, each under the last part of its name, all or none.

    Raises:
        DataError: a file cannot be read or written.
        FileFormatError: the archive is damaged, lacks a member, or unpacks to more than ``most`` bytes.
    """
    written: dict[str, Path] = {}
    try:
        with guarded(archive, "fetch it again", unread=DataError), open_file(archive) as file:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _write(archive, gzip.GzipFile(fileobj=file), names, folder, most, written)
            except OSError as error:
                if error.errno is None:  # not of the system: the archive is damaged
                    raise
                raise DataError(
                    f"cannot unpack {archive} into {folder} ({error.strerror}): choose a folder that can be written"
                ) from error
    finally:
        for target in written.values():
            _part(target).unlink(missing_ok=True)


def _write(
    archive: Path, packed: gzip.GzipFile, names: tuple[str, ...], folder: Path, most: int, written: dict[str, Path]
) -> None:
    """Write the members beside their places, as ``written`` then says, and when all are there, into them."""
    stream = _Bounded(archive, packed, most)
    while any(header := stream.read(_BLOCK)):
        name, size, regular = _member(archive, header)
        if regular and name in names and name not in written:
            written[name] = folder / name.rpartition("/")[2]
            with _part(written[name]).open("wb") as part:
                stream.copy(size, part)
        else:
            stream.copy(size, None)
        stream.copy(-size % _BLOCK, None)
    while stream.read(CHUNK):
        pass
    if missing := [name for name in names if name not in written]:
        raise FileFormatError(f"{archive} lacks {', '.join(missing)}: use the official file")
    for target in written.values():
        _part(target).replace(target)


class _Bounded:
    """The unpacked bytes of an archive, of which no more than ``most`` are accepted."""

    def __init__(self, archive: Path, packed: gzip.GzipFile, most: int) -> None:
        self.archive, self.packed, self.most, self.left = archive, packed, most, most

    def read(self, size: int) -> bytes:
        chunk = self.packed.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise FileFormatError(f"{self.archive} unpacks to more than {self.most} bytes: use the official file")
        return chunk

    def copy(self, size: int, file: BinaryIO | None) -> None:
        """Move past ``size`` bytes, writing them to ``file`` where there is one."""
        while size:
            chunk = self.read(min(size, CHUNK))
            if not chunk:
                raise FileFormatError(f"{self.archive} ends within a file: fetch it again")
            size -= len(chunk)
            if file is not None:
                file.write(chunk)


def _member(archive: Path, header: bytes) -> tuple[str, int, bool]:
    """Name, size in bytes, and whether it is a regular file, from one header block."""
    try:
        checksum = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
        size = int(header[124:136].strip(b" \0") or b"0", 8)
        if len(header) != _BLOCK or size < 0 or int(header[148:156].strip(b" \0"), 8) != checksum:
            raise ValueError
    except ValueError:
        raise FileFormatError(f"{archive} is a damaged tar file: fetch it again") from None
    return header[:100].partition(b"\0")[0].decode("latin-1"), size, header[156:157] in (b"0", b"\0")


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")
