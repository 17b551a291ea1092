"""A simulated event camera: pixels that report changes of the logarithm of light, one by one and at once.

A pixel remembers the level at which it last spoke. When the level of the moment differs from it by the pixel's
threshold, it emits an event, ON for brighter or OFF for darker, and remembers the level that was crossed (Lichtsteiner,
Posch, Delbruck 2008; simulated in the manner of ESIM, Rebecq et al. 2018). Between two samples of the scene the level
moves in a straight line, and events bear the times at which it crosses. Thresholds differ from pixel to pixel; a pixel
is deaf for a while after each event; and there are events of noise, which mean nothing.

ON and OFF are treated alike in everything: the events of a scene whose contrast is inverted, run backwards, are those
of the scene up to chance. What tells a motion from its reverse is order alone, where the sign of the contrast is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..dtypes import Bools, Float32, Int64
from .events import Events


@dataclass(frozen=True)
class Camera:
    """A camera of ``size`` x ``size`` pixels.

    Args:
        threshold: change of the natural logarithm of light that a pixel reports, in the mean.
        mismatch: its standard deviation from pixel to pixel, as a share; the same pixels in all recordings.
        refractory: microseconds for which a pixel is deaf after an event.
        noise: events of noise a second and pixel.
    """

    size: int = 64
    threshold: float = 0.25
    mismatch: float = 0.08
    refractory: int = 500
    noise: float = 0.3

    def thresholds(self) -> Float32:
        """[size, size] of the pixels."""
        draw = np.random.default_rng([20, self.size]).standard_normal((self.size, self.size))
        return (self.threshold * np.clip(1 + self.mismatch * draw, 0.5, 2)).astype(np.float32)

    def watch(self, scenes: Iterable[Float32], interval: int, draws: list[np.random.Generator]) -> list[Events]:
        """The events of B scenes that are looked at side by side.

        Args:
            scenes: logarithms of light [B, size, size], at instants ``interval`` microseconds apart; at least one.
            draws: B sources of chance, one for each scene, so that its events do not depend on its neighbours.
        """
        threshold, count = self.thresholds().ravel(), len(draws)
        pixels = threshold.size
        threshold = np.tile(threshold, count)
        residue = np.concatenate([draw.uniform(-1, 1, pixels) for draw in draws]).astype(np.float32)
        before: Float32 | None = None
        memory = last = None
        found: list[tuple[Int64, Int64, Bools]] = []
        step = -1
        for step, scene in enumerate(scenes):
            level = scene.reshape(-1)
            if before is None or memory is None or last is None:
                before, memory = level.copy(), level + residue * threshold
                last = np.full(level.shape, -self.refractory, np.int64)
                continue
            change = level - memory
            speaking = np.flatnonzero(np.abs(change) >= threshold)
            while speaking.size:
                up = change[speaking] > 0
                reach = np.where(up, threshold[speaking], -threshold[speaking])
                memory[speaking] += reach
                begin, end = before[speaking], level[speaking]
                with np.errstate(divide="ignore", invalid="ignore"):
                    share = np.nan_to_num((memory[speaking] - begin) / (end - begin), nan=0.0)
                times = ((step - 1 + np.clip(share, 0, 1)) * interval).astype(np.int64)
                heard = times - last[speaking] >= self.refractory
                last[speaking[heard]] = times[heard]
                found.append((speaking[heard], times[heard], up[heard]))
                change[speaking] -= reach
                speaking = speaking[np.abs(change[speaking]) >= threshold[speaking]]
            np.copyto(before, level)
        place, times, up = (np.concatenate(parts) for parts in zip(*found, strict=True)) if found else _nothing()
        scene_of, pixel = np.divmod(place, pixels)
        duration = max(step, 0) * interval
        return [
            self._with_noise(pixel[mine], times[mine], up[mine], duration, draw)
            for mine, draw in ((scene_of == b, draw) for b, draw in enumerate(draws))
        ]

    def _with_noise(
        self,
        pixel: Int64,
        times: Int64,
        up: Bools,
        duration: int,
        draw: np.random.Generator,
    ) -> Events:
        """One scene's events in the order of their times."""
        count = draw.poisson(self.noise * self.size**2 * duration * 1e-6)
        pixel = np.concatenate([pixel, draw.integers(0, self.size**2, count)])
        times = np.concatenate([times, draw.integers(0, max(duration, 1), count)])
        up = np.concatenate([up, draw.integers(0, 2, count) == 1])
        order = np.argsort(times, kind="stable")
        y, x = np.divmod(pixel[order], self.size)
        return Events(
            times[order], x.astype(np.uint16), y.astype(np.uint16), up[order].astype(np.uint8), (self.size, self.size)
        )


def _nothing() -> tuple[Int64, Int64, Bools]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
