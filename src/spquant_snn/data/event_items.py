"""Map-style Datasets whose items are (events, label), as other packages have them, counted into frames.

They are known by what they give: structured arrays with the fields t, x, y and p. A ``sensor_size`` of the Dataset,
(columns, rows, ...), is believed; without one the camera is taken to be as large as the events of both splits need.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import DataError
from ..io.terminal import progress as progress_bar
from ..io.terminal import to_stderr
from .arrays import Labelled
from .events import Events, NoEvents, from_array, is_events
from .frames import Framing, to_frames

Sensor = tuple[int, int]


def gives_events(member: Any) -> bool:
    """Whether its first item is a pair of events and something else."""
    if not hasattr(member, "__len__") or not hasattr(member, "__getitem__") or isinstance(member, (str, bytes, dict)):
        return False
    if not len(member) or hasattr(member, "ndim"):
        return False
    try:
        first, _ = member[0]
    except (TypeError, ValueError, LookupError):
        return False
    return is_events(first)


def frame_items(train: Any, test: Any, timesteps: int, *, progress: bool) -> tuple[Labelled, Labelled]:
    """Count the events of two Datasets into ``timesteps`` frames each. Items without events are left out.

    Args:
        progress: draw a bar on standard error, if that is a terminal; and say there how many items hold no events.

    Raises:
        DataError: no item of one of them holds an event, or one is no such pair, or holds no recording of the camera.
    """
    members, total = ((train, "training"), (test, "test")), len(train) + len(test)
    sensor = _named_sensor(train) or _named_sensor(test) or _largest_sensor(members, total, progress)
    parts: list[Labelled] = []
    with progress_bar(total, "events to frames", quiet=not progress) as report:
        for member, what in members:
            if not len(member):
                raise DataError(f"the {what} data are empty: give at least one recording")
            framing, done = Framing(steps=timesteps), sum(len(part) for part, _ in members[: len(parts)])
            frames = np.empty((len(member), timesteps, 2, *sensor), np.uint8)
            labels: list[int] = []
            for index in range(len(member)):
                events, label = _item(member, index, what, sensor)
                if events is not None:
                    frames[len(labels)] = to_frames(events, framing).counts
                    labels.append(label)
                report(done + index + 1)
            if not labels:
                raise DataError(f"none of the {len(member)} {what} items holds an event: check the recordings")
            if progress and len(labels) < len(member):
                left = len(member) - len(labels)
                to_stderr().print(f"{left:,} of {len(member):,} {what} items hold no events, left out")
            parts.append(Labelled(frames[: len(labels)], np.array(labels, np.int64)))
    return parts[0], parts[1]


def _largest_sensor(members: tuple[tuple[Any, str], ...], total: int, progress: bool) -> Sensor:
    """Rows and columns that hold all events, in a pass of its own: all at once may be too many to hold."""
    rows = columns = 1
    done = 0
    with progress_bar(total, "looking for the size of the camera", quiet=not progress) as report:
        for member, what in members:
            for index in range(len(member)):
                events, _ = _item(member, index, what, None)
                if events is not None:
                    rows, columns = max(rows, events.sensor[0]), max(columns, events.sensor[1])
                report(done := done + 1)
    return rows, columns


def _item(member: Any, index: int, what: str, sensor: Sensor | None) -> tuple[Events | None, int]:
    """Events, None if there are none, and label of an item."""
    where = f"{what} item {index}"
    try:
        array, label = member[index]
    except (TypeError, ValueError, LookupError) as error:
        raise DataError(f"{where} is no pair (events, label): give a Dataset of such pairs") from error
    try:
        events = from_array(array, where, sensor)
    except NoEvents:
        events = None
    try:
        number = operator.index(label)
    except TypeError:
        number = -1
    if not 0 <= number < 10_000:
        raise DataError(f"{where} has the label {label!r}: give a class index, a whole number from 0")
    return events, number


def _named_sensor(member: Any) -> Sensor | None:
    """(rows, columns) that a Dataset says its camera has."""
    size = getattr(member, "sensor_size", None)
    try:
        columns, rows, *_ = map(operator.index, size or ())
    except (TypeError, ValueError):
        return None
    return (rows, columns) if min(rows, columns) > 0 else None
