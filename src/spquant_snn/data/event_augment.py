"""Augmentation of recordings before they become frames: every event is moved or left out, no count is rounded.

Trainings change frames, by ``train.augment.Augmentation``, because frames are kept and recordings are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from .events import Events

_LIMITS = {"rotate": 180.0, "scale": 0.9, "drop": 0.99}


@dataclass(frozen=True)
class EventAugmentation:
    """Random changes of a recording; all off by default. Events that leave the sensor are left out.

    Args:
        shift: pixels, at most this many each way.
        rotate: degrees about the centre of the sensor, at most this many each way.
        scale: share by which it grows or shrinks at most, 0 to 0.9.
        drop: share of the events that is left out at most, 0 to 0.99.
        jitter: standard deviation in microseconds of what is added to each time.
        flip: left-right, half of the recordings; only where a mirrored recording is of the same class.
        polarity: brighter and darker change places in half of the recordings; only where that keeps the class.

    Raises:
        ConfigError: a value is negative, not finite, out of range or of another type.
    """

    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    drop: float = 0.0
    jitter: float = 0.0
    flip: bool = False
    polarity: bool = False

    def __post_init__(self) -> None:
        for name in ("flip", "polarity"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"augmentation: {name} must be true or false, not {getattr(self, name)!r}")
        for name in ("shift", "rotate", "scale", "drop", "jitter"):
            value, most = getattr(self, name), _LIMITS.get(name, math.inf)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not 0 <= value <= most:
                upper = f" to {most:g}" if math.isfinite(most) else " or more"
                raise ConfigError(f"augmentation: {name} must be a number, 0{upper}, not {value!r}")

    def __call__(self, events: Events, draw: np.random.Generator) -> Events:
        """A changed recording; where nothing would be left of it, the recording itself.

        Args:
            draw: source of every draw; its state alone decides the result.
        """
        (rows, columns), count = events.sensor, len(events)
        angle, size, right, down = draw.uniform(-1, 1, 4) * (
            math.radians(self.rotate),
            self.scale,
            self.shift,
            self.shift,
        )
        flipped, swapped = self.flip and draw.integers(0, 2) == 1, self.polarity and draw.integers(0, 2) == 1
        x, y = events.x - (columns - 1) / 2, events.y - (rows - 1) / 2  # from the centre
        if flipped:
            x = -x
        cosine, sine = (1 + size) * math.cos(angle), (1 + size) * math.sin(angle)
        column = np.rint(cosine * x - sine * y + right + (columns - 1) / 2).astype(np.int64)
        row = np.rint(sine * x + cosine * y + down + (rows - 1) / 2).astype(np.int64)
        kept = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        if self.drop:
            kept &= draw.random(count) >= draw.uniform(0, self.drop)
        if not kept.any():
            return events
        t = events.t[kept]
        column, row, p = column[kept], row[kept], events.p[kept]
        if self.jitter:
            t = np.maximum(t + np.rint(draw.normal(0, self.jitter, len(t))).astype(np.int64), 0)
            order = np.argsort(t, kind="stable")
            t, column, row, p = t[order], column[order], row[order], p[order]
        return Events(t, column.astype(np.uint16), row.astype(np.uint16), 1 - p if swapped else p, events.sensor)
