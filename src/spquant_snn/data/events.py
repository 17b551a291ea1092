"""Events: what an event camera reports, as columns, and the readers of plain files.

An event says that one pixel became brighter (ON, p = 1) or darker (OFF, p = 0) at a time. AEDAT files, which have
packets, are read in ``aedat``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Array, Int64, UInt8
from ..errors import DataError
from ..io.reading import guarded, read_bytes
from ..io.texts import short
from .npz import read_npy_or_npz

FIELDS = ("t", "x", "y", "p")
NMNIST_SENSOR = (34, 34)
_JITTER = 1000  # microseconds by which an event may come too late: those of one camera's packets may overlap
_NMNIST_OVERFLOW = 240  # a row that no pixel has: the clock ran over
_NMNIST_CLOCK = 1 << 13  # microseconds that pass at each such mark
_MOST_NMNIST = 1 << 26  # bytes; recordings of N-MNIST have about 20,000
LATEST = 1 << 53  # microseconds, 285 years: frames are computed with times


class NoEvents(DataError):
    """A recording is sound, but nothing happened in it."""


@dataclass(frozen=True, eq=False)
class Events:
    """A recording of E events, in the order of their times.

    Args:
        t: int64 [E] microseconds, never falling.
        x, y: unsigned [E] column and row of the pixel, from the upper left.
        p: uint8 [E] 1 brighter, 0 darker.
        sensor: (rows, columns) of the camera.

    The columns are taken as they are; ``checked`` is for those that come from elsewhere.

    Example:
        >>> t, x, y, p = numpy.array([0, 40]), numpy.array([3, 4]), numpy.array([1, 1]), numpy.array([1, 0])
        >>> events = Events(t, x.astype("u2"), y.astype("u2"), p.astype("u1"), sensor=(16, 16))
        >>> len(events.between(0, 20))
        1
    """

    t: Int64
    x: NDArray[np.unsignedinteger[Any]]
    y: NDArray[np.unsignedinteger[Any]]
    p: UInt8
    sensor: tuple[int, int]

    def __len__(self) -> int:
        return len(self.t)

    def between(self, start: int, stop: int) -> Events:
        """The events with times in [start, stop)."""
        part = slice(*np.searchsorted(self.t, (start, stop)))
        return Events(self.t[part], self.x[part], self.y[part], self.p[part], self.sensor)

    def structured(self) -> NDArray[np.void]:
        """A structured array with the fields t, x, y, p, as ``read_array`` takes."""
        array = np.empty(len(self), [("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.uint8)])
        for name in FIELDS:
            array[name] = getattr(self, name)
        return array


def checked(t: Array, x: Array, y: Array, p: Array, where: str, sensor: Any) -> Events:
    """Columns from elsewhere as Events; events that come up to a millisecond too late are put into their order.

    Args:
        t, x, y: whole numbers [E]; p: 0 or 1.
        where: what messages call the recording.
        sensor: (rows, columns); None for one just large enough.

    Raises:
        NoEvents: there are none.
        DataError: a pixel lies outside the sensor, or times run backwards or are negative.
    """
    if not len(t):
        raise NoEvents(f"{where} holds no events: leave it out, or record it again")
    if sensor is None:
        sensor = (int(y.max()) + 1, int(x.max()) + 1)
    rows, columns = sensor
    if int(x.max()) >= columns or int(y.max()) >= rows:
        at = int(np.argmax((x >= columns) | (y >= rows)))
        raise DataError(
            f"{where}: event {at} lies at column {int(x[at])}, row {int(y[at])}, outside the sensor of "
            f"{columns}x{rows} pixels: check what camera it is of"
        )
    late = t[1:] < t[:-1]
    if late.any():
        back = t - np.maximum.accumulate(t)
        if int(back.min()) < -_JITTER:
            at = int(np.argmax(back < -_JITTER))
            raise DataError(
                f"{where}: times run backwards, by {-int(back[at])} microseconds at event {at}: "
                "the recording is damaged, or is of two that were put together"
            )
        order = np.argsort(t, kind="stable")
        t, x, y, p = t[order], x[order], y[order], p[order]
    if int(t[0]) < 0 or int(t[-1]) > LATEST:
        at = int(t[0]) if int(t[0]) < 0 else int(t[-1])
        raise DataError(f"{where}: {at} microseconds is no time: give them from 0 to {LATEST}")
    return Events(t, x, y, p, (int(rows), int(columns)))


def read_nmnist(path: Path, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read a recording of N-MNIST or N-Caltech101 (Orchard et al. 2015): five bytes an event, column, row, then one
    bit of polarity and 23 of the time, the highest first.

    A row of 240 is no event: it says that 2^13 microseconds have passed.

    Raises:
        DataError: the file cannot be read, ends within an event, or ``checked`` refuses what it holds.

    Example:
        >>> _ = Path("00001.bin").write_bytes(bytes([3, 1, 128, 0, 40]))  # column, row, polarity and time
        >>> read_nmnist(Path("00001.bin")).t
        array([40])
    """
    with guarded(path, "check the file", unread=DataError, damaged=DataError):
        content = np.frombuffer(read_bytes(path, _MOST_NMNIST), np.uint8)
    if len(content) % 5:
        raise DataError(f"{path} has {len(content)} bytes, events of N-MNIST have five each: fetch it again")
    x, y, high, middle, low = content.reshape(-1, 5).T
    t = (high & 127).astype(np.int64) << 16
    t |= middle.astype(np.int64) << 8
    t |= low
    p = high >> 7
    marks = y == _NMNIST_OVERFLOW
    if marks.any():
        t += np.cumsum(marks) * _NMNIST_CLOCK
        t, x, y, p = t[~marks], x[~marks], y[~marks], p[~marks]
    return checked(t, np.ascontiguousarray(x), np.ascontiguousarray(y), p, str(path), sensor)


def read_array(path: Path, sensor: tuple[int, int] | None = None) -> Events:
    """Read events that NumPy has saved: a structured array with the fields t, x, y and p in an .npy file, or an .npz
    file that holds one, or one array for each of the four.

    Args:
        sensor: (rows, columns); None for one just large enough.

    Raises:
        DataError: the file cannot be read, or ``from_array`` refuses what it holds.

    Example:
        >>> numpy.savez("events.npz", t=[0, 40], x=[3, 4], y=[1, 1], p=[1, 0])
        >>> read_array(Path("events.npz"), sensor=(16, 16)).p
        array([1, 0], dtype=uint8)
    """
    wrong = "is not an .npy or .npz file of numbers"
    with guarded(path, "save it again", wrong=wrong, unread=DataError, damaged=DataError):
        members = read_npy_or_npz(path, FIELDS)
    if len(members) == 1:
        return from_array(next(iter(members.values())), str(path), sensor)
    return _from_columns([members[name] for name in FIELDS], str(path), sensor)


def from_array(array: Any, where: str, sensor: tuple[int, int] | None = None) -> Events:
    """Events of a structured array with the fields t (whole microseconds), x, y and p (0 or 1, or -1 or 1).

    Args:
        where: what messages call it.
        sensor: (rows, columns); None for one just large enough.

    Raises:
        DataError: it is no such array, or ``checked`` refuses it.
    """
    if not is_events(array):
        names = getattr(getattr(array, "dtype", None), "names", None)
        found = f"the fields {short(', '.join(names))[1:-1]}" if names else f"{type(array).__name__} without fields"
        raise DataError(f"{where} has {found}: give a structured array with t, x, y and p")
    return _from_columns([array[name] for name in FIELDS], where, sensor)


def is_events(value: object) -> bool:
    """Whether it is a structured array with fields t, x, y and p."""
    names = getattr(getattr(value, "dtype", None), "names", None)
    return isinstance(value, np.ndarray) and names is not None and set(FIELDS) <= set(names)


def _from_columns(columns: list[Any], where: str, sensor: tuple[int, int] | None) -> Events:
    for name, column in zip(FIELDS, columns, strict=True):
        kinds = "uib" if name == "p" else "ui"
        if column.ndim != 1 or column.dtype.kind not in kinds or len(column) != len(columns[0]):
            found = f"{column.dtype} {list(column.shape)}"
            raise DataError(f"{where}: {name} is {found}: give whole numbers [E], as many of each, t in microseconds")
    t, x, y, p = columns
    if not len(t):
        return checked(t, x, y, p, where, (1, 1))
    for name, column in (("t", t), ("x", x), ("y", y)):
        most = LATEST if name == "t" else 0xFFFF
        if int(column.min()) < 0 or int(column.max()) > most:
            extreme = int(column.min()) if int(column.min()) < 0 else int(column.max())
            raise DataError(f"{where}: {name} holds {extreme}: give 0 to {most}")
    signs = set(np.unique(p).tolist())
    if not (signs <= {0, 1} or signs <= {-1, 1}):
        raise DataError(f"{where}: p holds {sorted(signs)[:4]}: give 1 for brighter, 0 or -1 for darker")
    whole = (t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), (p > 0).astype(np.uint8))
    return checked(*whole, where, sensor)
