"""How lists of events fill in the compact form: of spikes that are given, and of any spikes at most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dtypes import Array, Int64, UInt16
from .planned_rows import UNIT, PlannedRows

_FOUR = 4  # events that are counted at a time


@dataclass(frozen=True, eq=False)
class Spiking:
    """What a layer may make of a pixel, and what costs about most of that.

    Args:
        pixel: [units, steps] the spikes that are run, of which as many are events as can be.
        lists: which lists some spikes go to.
        firing: neurons that fire, at most.
        each: events of one of them, at most.
    """

    pixel: UInt16
    lists: tuple[int, ...]
    firing: int
    each: int

    @classmethod
    def of(cls, channels: int, steps: int, patterns: set[int], most: int) -> Spiking:
        """The spikes of so many neurons: of those with the most events, the last of each unit, which are listed last.

        Args:
            patterns: what a neuron may do, bit t for step t.
            most: neurons of a pixel that fire at all.
        """
        whole = (1 << steps) - 1
        events = {p: 1 if p == whole else p.bit_count() for p in patterns if p}
        each = max(events.values(), default=0)
        busiest = sorted(p for p in events if events[p] == each)
        found = np.zeros((-(-channels // UNIT), steps), np.uint16)
        ends = [min(channels, first + UNIT) for first in range(0, channels, UNIT)]
        places = [(rank, unit) for rank in range(UNIT) for unit, end in enumerate(ends) if end - rank > UNIT * unit]
        most = min(most, channels) if busiest else 0
        for rank, unit in places[:most]:
            pattern = busiest[rank % len(busiest)]
            bit = 0x8000 >> (ends[unit] - 1 - rank) % UNIT
            for t in range(steps):
                found[unit, t] |= bit * (pattern >> t & 1)
        lists = {0} if whole in events else set[int]()
        lists |= {1 + t for p in events if p != whole for t in range(steps) if p >> t & 1}
        return cls(found, tuple(sorted(lists)), most, each)

    @property
    def listed(self) -> Int64:
        """[units, lists] the events of each list."""
        return np.array([[int(word).bit_count() for word in unit] for unit in self._words])

    @property
    def passed(self) -> Int64:
        """[units, lists] channels that are looked at, up to the last one that is listed."""
        return np.array(
            [[UNIT - (word & -word).bit_length() + 1 if word else 0 for word in unit] for unit in self._words]
        )

    @property
    def _words(self) -> list[list[int]]:
        if self.pixel.shape[1] == 1:
            return [[int(word)] for word in self.pixel[:, 0]]
        every = np.bitwise_and.reduce(self.pixel, 1)
        return [[int(a), *(int(word ^ a) for word in unit)] for a, unit in zip(every, self.pixel, strict=True)]


@dataclass(frozen=True)
class Filled:
    """Lists of a stretch of pixels, behind which all are emptied.

    Args:
        emptied: lists.
        again: units that are listed once more, as they did not fit.
        idle: of the events that are counted four at a time, those that are none, by fours.
    """

    emptied: float
    again: float
    idle: float

    def less(self, other: Filled) -> Filled:
        return Filled(self.emptied - other.emptied, self.again - other.again, self.idle - other.idle)


@dataclass(frozen=True)
class Stretch:
    """Pixels that are listed one after the other: so many places of the kernel for each visit."""

    places: tuple[int, ...]


def stretches(layer: PlannedRows) -> Counter[Stretch]:
    """Those of an image, and how often each occurs; of windows that share lists those of rows, of one column."""
    f = layer.fields
    if f["linear"]:
        return Counter({Stretch((1,) * f["in_width"]): f["in_height"]})
    if layer.shares:
        return Counter(Stretch(rows) for rows in _places(f, True))
    each = Counter[Stretch]()
    for rows in _places(f, True):
        for columns in _places(f, False):
            each[Stretch(tuple(1 for r in rows for c in columns for _ in range(r * c)))] += 1
    return each


def _places(f: dict[str, Any], down: bool) -> list[tuple[int, ...]]:
    """For each row of windows, or column of them, the places of the kernel of each row that lies in the image."""
    size, count, step, before, window, kernel, pool = (
        f[key]
        for key in (
            ("in_height", "out_height", "down", "top", "rows", "kernel_rows", "pool_rows")
            if down
            else ("in_width", "out_width", "right", "left", "columns", "kernel_columns", "pool_columns")
        )
    )
    return [
        tuple(_of_place(r, kernel, pool) for r in range(window) if 0 <= i * step - before + r < size)
        for i in range(count)
    ]


def _of_place(place: int, kernel: int, pool: int) -> int:
    return min(place + 1, pool) - max(0, place + 1 - kernel)


def seen_columns(f: dict[str, Any]) -> tuple[int, int, int]:
    """Columns that are listed for a row of windows, the windows that see them, and the times that these count them."""
    columns = Counter[int]()
    parts = 0
    for i in range(f["out_width"]):
        for c in range(f["columns"]):
            x = i * f["right"] - f["left"] + c
            if 0 <= x < f["in_width"]:
                columns[x] += 1
                parts += counted_times(f, c)
    return len(columns), columns.total(), parts


def counted_times(f: dict[str, Any], column: int) -> int:
    """How often a window counts a column of pixels, in its places of the kernel two at a time."""
    return -(-_of_place(column, f["kernel_columns"], f["pool_columns"]) // 2)


def multiplicities(f: dict[str, Any], down: bool) -> Int64:
    """[windows, kernel] how many sums of the pool of a window take each row, or column, of the kernel in the image."""
    keys = ("in_height", "out_height", "down", "top", "kernel_rows", "pool_rows")
    if not down:
        keys = ("in_width", "out_width", "right", "left", "kernel_columns", "pool_columns")
    size, count, step, before, kernel, pool = (f[key] for key in keys)
    i, k, p = np.ogrid[:count, :kernel, :pool]
    at = i * step - before + k + p
    found: Int64 = ((at >= 0) & (at < size)).sum(2)
    return found


def filled(stretch: Stretch, listed: Array, room: int, shares: bool) -> Filled:
    """What becomes of the lists of a stretch whose pixels are all the same.

    Args:
        listed: [units, lists] events of a pixel.
        room: events of a list.
        shares: places are listed together, and once more where they do not fit.
    """
    fill = [0] * listed.shape[1]
    emptied = again = 0
    idle = 0.0
    for places in stretch.places:
        for unit in listed.tolist():
            for k, events in enumerate(unit):
                if not events:
                    continue
                full = fill[k] > room - UNIT
                misfits = shares and places > 1 and not full and room - fill[k] < events * places
                if full or misfits:
                    emptied, idle, fill[k] = emptied + 1, idle + -fill[k] % _FOUR / _FOUR, 0
                again += misfits
                fill[k] += events * places
    return Filled(emptied + sum(f > 0 for f in fill), again, idle + sum(-f % _FOUR / _FOUR for f in fill))


def filled_at_most(stretch: Stretch, events: int, lists: int, room: int, shares: bool) -> Filled:
    """The same of any spikes.

    Args:
        events: of a pixel, at most.
        lists: that they may go to.
    """
    listed = events * sum(stretch.places)
    most = max(stretch.places, default=1) if shares else 1
    # two lists, one behind the other, hold more than fits; and one what a unit's events leave room for
    least = max((room + 1) / 2 if most > 1 else 1, room - UNIT * most + 1)
    full = listed / least
    emptied = full + min(lists, listed)
    return Filled(emptied, full if most > 1 else 0, emptied * (_FOUR - 1) / _FOUR)
