"""AEDAT: the files that the cameras of iniVation and their tools write, in versions 3.1 and 2.

Version 3.1 is a text header, lines that begin with #, and then packets: 28 bytes of header, little-endian, and events
of one type and size. Of these, polarity events are read and all others passed over, but for special events that say
that the clock was set back to zero: times go on from where they were. Version 2 is a text header and then address and
time of each event, big-endian.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import UInt32
from ..errors import DataError
from ..io.reading import Flaw, guarded, open_file
from .events import LATEST, Events, checked

_HEADER = struct.Struct("<hhiiiiii")  # type, source, size, offset of the time, overflow, capacity, number, valid
_SPECIAL, _POLARITY = 0, 1
_EVENT = 8  # bytes of a polarity or special event
_CLOCK = 1 << 31  # microseconds after which the clock of a packet begins anew
_RESET = 1  # the special event of a clock that was set back
_END = b"#!END-HEADER"
_LONGEST_TEXT = 1 << 20  # bytes of the text header
_DVS128 = (128, 128)


def read_aedat3(path: Path, sensor: tuple[int, int] = _DVS128, *, truncated: bool = False) -> Events:
    """Read the polarity events of an AEDAT 3.1 file that are marked as valid.

    Args:
        sensor: (rows, columns) of the camera.
        truncated: take a file that breaks off within a packet up to its last whole event.

    Raises:
        DataError: the file cannot be read, is of another version, is damaged, or breaks off; or what it holds is no
            recording of that camera.

    Example:
        >>> events = read_aedat3(Path("user01_fluorescent.aedat"))
    """
    content = _map(path)
    at = _after_text(path, content, b"#!AER-DAT3.")
    words: list[UInt32] = []
    bases: list[int] = []  # microseconds to add to the times of each packet
    elapsed = newest = 0  # what passed before the clock was last set back, and the latest time since
    while at < len(content):
        if len(content) - at < _HEADER.size:
            _refuse_tail(path, at, len(content), truncated)
            break
        kind, _, size, _, overflow, _, number, _ = _HEADER.unpack_from(content, at)
        if kind < 0 or size < 1 or number < 0 or overflow < 0:
            raise DataError(f"{path} holds no packet at byte {at}, where one should begin: it is damaged")
        begin, at = at + _HEADER.size, at + _HEADER.size + size * number
        whole = number if at <= len(content) else (len(content) - begin) // size
        if kind in (_SPECIAL, _POLARITY):
            if size != _EVENT:
                raise DataError(f"{path} has events of {size} bytes at byte {begin}, not of {_EVENT}: it is damaged")
            pairs = np.frombuffer(content, "<u4", 2 * whole, begin)
            if kind == _SPECIAL and _has_reset(pairs):
                elapsed, newest = elapsed + newest, 0
            elif kind == _POLARITY and whole:
                latest = int(pairs[1::2].max())
                if latest >= _CLOCK:
                    raise DataError(f"{path} has a time of {latest} at byte {begin}, a clock of 31 bits: it is damaged")
                if elapsed + overflow * _CLOCK > LATEST:
                    raise DataError(
                        f"{path} has a time of more than {LATEST} microseconds at byte {begin}: it is damaged"
                    )
                words.append(pairs)
                bases.append(elapsed + overflow * _CLOCK)
                newest = max(newest, overflow * _CLOCK + latest)
        if at > len(content):
            _refuse_tail(path, begin - _HEADER.size, len(content), truncated)
            break
    joined = np.concatenate(words) if words else np.zeros(0, np.uint32)
    t = joined[1::2].astype(np.int64)
    if any(bases):
        t += np.repeat(np.array(bases, np.int64), [len(pairs) // 2 for pairs in words])
    data = joined[::2]
    valid = (data & 1).astype(bool)
    if not valid.all():
        data, t = data[valid], t[valid]
    x, y = (data >> 17).astype(np.uint16), (data >> 2 & 0x7FFF).astype(np.uint16)
    return checked(t, x, y, (data >> 1 & 1).astype(np.uint8), str(path), sensor)


def read_aedat2(path: Path, *, truncated: bool = False) -> Events:
    """Read an AEDAT 2 file of a DVS128, as those of CIFAR10-DVS (Li et al. 2017).

    An address holds a bit of polarity (0: brighter), seven of the column, counted from the right, and seven of the row;
    addresses with higher bits are no events of a pixel and passed over. A clock of 32 bits that runs over goes on.

    Args, Raises: as ``read_aedat3``.

    Example:
        >>> events = read_aedat2(Path("cifar10_airplane_0.aedat"))
    """
    content = _map(path)
    at = _after_text(path, content, b"#!AER-DAT2.")
    count, rest = divmod(len(content) - at, _EVENT)
    if rest:
        _refuse_tail(path, at + _EVENT * count, len(content), truncated)
    pairs = np.frombuffer(content, ">u4", 2 * count, at)
    address, t = pairs[::2].astype(np.uint32), pairs[1::2].astype(np.int64)
    wraps = np.flatnonzero(np.diff(t) < -(1 << 31))
    if wraps.size:
        t += np.searchsorted(wraps, np.arange(len(t)), side="left") << 32
    pixels = address >> 15 == 0
    if not pixels.all():
        address, t = address[pixels], t[pixels]
    x, y = (127 - (address >> 1 & 127)).astype(np.uint16), (address >> 8 & 127).astype(np.uint16)
    return checked(t, x, y, (1 - (address & 1)).astype(np.uint8), str(path), _DVS128)


def _map(path: Path) -> Any:
    """The content of a file, mapped into memory."""
    with guarded(path, "fetch it again", unread=DataError, damaged=DataError), open_file(path) as file:
        if not file.read(1):
            raise Flaw("it is empty")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _after_text(path: Path, content: Any, version: bytes) -> int:
    """Where the text header ends: behind the line that says so, or before the first that does not begin with #."""
    first = content[: len(version) + 8]
    if not first.startswith(version):
        name = version.decode().removeprefix("#!AER-DAT")
        raise DataError(f"{path} is not an AEDAT {name} file, it begins with {first[:14]!r}: check what it is")
    at = 0
    while content[at : at + 1] == b"#":
        end = content.find(b"\n", at, at + _LONGEST_TEXT)
        if end < 0 or at > _LONGEST_TEXT:
            raise DataError(f"{path} has a text header that does not end: it is damaged")
        line, at = content[at:end], end + 1
        if line.rstrip() == _END:
            break
    return at


def _has_reset(pairs: UInt32) -> bool:
    """Whether one of some special events, that is valid, says that the clock was set back."""
    data = pairs[::2]
    return bool(((data & 1 == 1) & (data >> 1 & 127 == _RESET)).any())


def _refuse_tail(path: Path, at: int, size: int, truncated: bool) -> None:
    if not truncated:
        raise DataError(
            f"{path} breaks off after {size} bytes, within what begins at byte {at}: fetch it again, or read what is "
            "whole with truncated=True"
        )
