"""Frames: events counted, pixel by pixel, over stretches of time. What a network takes as a sequence.

A frame holds a count of the darker events of each pixel and one of the brighter, uint8 [2, H, W]. Counts above 255 are
cut there, and how many events that left out is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dtypes import Int64, UInt8
from ..errors import ConfigError, DataError
from .events import Events

_MOST = 1 << 31  # bytes of the frames of one recording


@dataclass(frozen=True)
class Framing:
    """How a recording is cut into frames.

    Args:
        steps: frames of a recording. Alone, its time from the first to the last event is divided evenly among them;
            with one of the next two, a longer recording is cut after so many, and a shorter one ends in empty frames.
        window: microseconds of a frame.
        events: of a frame; the last one may have fewer.
        shrink: side of the squares of pixels whose counts are summed into one.

    Raises:
        ConfigError: a value is no whole number above zero, window and events are both given, or none of the three.
    """

    steps: int | None = None
    window: int | None = None
    events: int | None = None
    shrink: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "window", "events", "shrink"):
            value = getattr(self, name)
            if value is None and name != "shrink":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"framing: {name} must be a whole number above zero, not {value!r}")
        if self.window is not None and self.events is not None:
            raise ConfigError("framing: frames are cut by window or by events: give one of the two")
        if self.steps is None and self.window is None and self.events is None:
            raise ConfigError("framing: give steps, a window in microseconds, or events of a frame")

    def shape(self, sensor: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the frames of a sensor of (rows, columns); what is left over at the edge is a square too."""
        return -(-sensor[0] // self.shrink), -(-sensor[1] // self.shrink)


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a recording.

    Args:
        counts: uint8 [T, 2, H, W], darker then brighter.
        events: that fell into them.
        lost: of these, those above the 255 that a count can hold.
    """

    counts: UInt8
    events: int
    lost: int


def to_frames(events: Events, framing: Framing) -> Frames:
    """Count the events of a recording.

    Raises:
        DataError: there are no events, or the frames would take more than 2 GiB.
    """
    if not len(events):
        raise DataError("a recording without events has no frames: leave it out, or record it again")
    frame, steps = _frame_of(events, framing)
    height, width = framing.shape(events.sensor)
    cells = 2 * height * width
    if steps * cells > _MOST:
        raise DataError(
            f"the recording would become {steps:,} frames of {width}x{height}: give steps, or longer frames"
        )
    kept = slice(int(np.searchsorted(frame, steps)))  # frames never fall
    place = frame[kept] * cells
    place += events.p[kept].astype(np.int64) * (height * width)
    if framing.shrink == 1:
        place += events.y[kept].astype(np.int64) * width
        place += events.x[kept]
    else:
        place += (events.y[kept] // framing.shrink).astype(np.int64) * width
        place += events.x[kept] // framing.shrink
    counts = np.bincount(place, minlength=steps * cells)
    over = counts[counts > 255]
    if over.size:
        np.minimum(counts, 255, out=counts)
    shaped = counts.astype(np.uint8).reshape(steps, 2, height, width)
    return Frames(shaped, len(place), int(over.sum()) - 255 * over.size)


def one_frame(events: Events, shrink: int) -> Frames:
    """All events of a stretch of time as one frame, counted as ``to_frames`` counts; without events, one of zeros."""
    framing = Framing(steps=1, shrink=shrink)
    if len(events):
        return to_frames(events, framing)
    return Frames(np.zeros((1, 2, *framing.shape(events.sensor)), np.uint8), 0, 0)


def shrink_to(sensor: tuple[int, int], size: tuple[int, int]) -> int:
    """Side of the squares that make frames of (H, W) of a sensor of (rows, columns).

    Raises:
        ConfigError: the sensor is no pair of whole numbers above zero, no square does, or several do.
    """
    if not _is_sensor(sensor):
        raise ConfigError(f"a sensor is (rows, columns), two whole numbers above zero, not {sensor!r}")
    lengths = list(zip(sensor, size, strict=True))
    least = max(-(-length // parts) for length, parts in lengths)
    most = min(((length - 1) // (parts - 1) for length, parts in lengths if parts > 1), default=least)
    if least != most and any(length != parts * least for length, parts in lengths):
        ways = "in no way" if most < least else "in several ways"
        raise ConfigError(
            f"counts of {sensor[1]}x{sensor[0]} pixels sum to frames of {size[1]}x{size[0]} {ways}: "
            "check the sensor, or give frames of your own"
        )
    return int(least)


def _is_sensor(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side > 0 for side in value)
    )


def _frame_of(events: Events, framing: Framing) -> tuple[Int64, int]:
    """The frame of each event, [E], and how many frames there are."""
    if framing.events is not None:
        frame = np.arange(len(events), dtype=np.int64) // framing.events
    elif framing.window is not None:
        frame = (events.t - events.t[0]) // framing.window
    else:
        assert framing.steps is not None
        duration = int(events.t[-1]) - int(events.t[0]) + 1
        whole, rest = divmod(duration, framing.steps)
        number = np.arange(framing.steps, dtype=np.int64)
        # the first microsecond of each frame, number * duration / steps rounded up; times lie in order, so the events
        # of a frame are a stretch of them, which is searched for
        begin = int(events.t[0]) + number * whole - (-number * rest) // framing.steps
        first = np.searchsorted(events.t, begin)
        return np.repeat(number, np.diff(np.append(first, len(events)))), framing.steps
    return frame, framing.steps or int(frame[-1]) + 1
