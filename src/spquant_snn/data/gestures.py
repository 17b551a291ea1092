"""Generated gestures: a simulated event camera watches a figure that moves its arms, in 11 classes named after those of
DVS128 Gesture (Amir et al. 2017).

Figures differ by subject (size, arms, tempo, reach) and by trial (place, phase, contrast, noise), and the last quarter
of the subjects is the test set. The sign of the contrast is drawn for each trial: a bright figure on a dark ground, or
a dark one on a bright ground. A frame of a bright arm that circles one way is therefore as likely as a frame of a dark
arm that circles the other way, and three pairs of classes differ in nothing but the order of their frames: the two ways
round of the right arm, those of the left arm, and arm roll, forwards, against other gestures, which here are the same
roll backwards. Whatever has lost the order, as by shuffling or adding up frames, is left with 8 of the 11 classes to
tell apart, and is right in (5 + 6 / 2) / 11 of all cases at most, but for luck: 72.7 %.

Sides are those of the figure, which faces the camera; directions are as the camera sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from math import pi

import numpy as np

from ..dtypes import Float32, Float64
from .camera import Camera
from .events import Events
from .recordings import Recordings

CLASSES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
REVERSED = ((3, 4), (5, 6), (7, 10))  # pairs of classes that are one another's reverse in time
_SIDE_BY_SIDE = 16  # recordings that are simulated at once; it changes nothing but the speed
_FORMAT = 1  # to be raised when recordings come out otherwise


@dataclass(frozen=True)
class Studio:
    """What is played: ``subjects`` x ``trials`` x 11 recordings, each ``duration`` microseconds long.

    Args:
        interval: microseconds between two looks at the scene.
        seed: of everything random.
    """

    subjects: int = 12
    trials: int = 10
    duration: int = 1_600_000
    interval: int = 8_000
    seed: int = 0
    camera: Camera = field(default_factory=Camera)

    @property
    def identity(self) -> dict[str, object]:
        """Everything that decides the events, as plain data."""
        return {"format": _FORMAT, **asdict(self)}

    def cast(self, test: bool) -> list[tuple[int, int, int]]:
        """(class, subject, trial) of each recording of one of the two splits: no subject is in both."""
        first = self.subjects - max(1, self.subjects // 4)
        subjects = range(first, self.subjects) if test else range(first)
        return [(label, s, trial) for s in subjects for trial in range(self.trials) for label in range(len(CLASSES))]

    def play(self, cast: list[tuple[int, int, int]]) -> Iterator[Events]:
        """The recordings, one after the other; the same on every call."""
        for start in range(0, len(cast), _SIDE_BY_SIDE):
            part = cast[start : start + _SIDE_BY_SIDE]
            draws = [np.random.default_rng([self.seed, 7, *who]) for who in part]
            takes = [
                _Take.of(label, np.random.default_rng([self.seed, 3, subject]), draw)
                for (label, subject, _), draw in zip(part, draws, strict=True)
            ]
            moments = np.arange(0, self.duration + 1, self.interval, dtype=np.float64) * 1e-6
            yield from self.camera.watch(_scenes(takes, moments, self.camera.size), self.interval, draws)


def gestures(studio: Studio) -> tuple[Recordings, Recordings]:
    """The recordings of training and of test; they are simulated when they are read."""

    def part(test: bool) -> Recordings:
        cast, side = studio.cast(test), studio.camera.size
        labels = tuple(label for label, _, _ in cast)
        name = f"gestures {'test' if test else 'train'}"
        return Recordings(name, (side, side), labels, studio.identity, lambda: studio.play(cast))

    return part(False), part(True)


@dataclass(frozen=True)
class _Take:
    """One figure playing one gesture; lengths in sides of the picture, y downwards."""

    label: int
    middle: float  # column of the spine
    top: float  # row of the shoulders
    scale: float
    arms: float  # length of an upper arm and of a forearm
    reach: float  # of the motion, as a share of the usual one
    tempo: float  # rounds a second
    phase: float
    lift: float
    contrast: float

    @classmethod
    def of(cls, label: int, subject: np.random.Generator, trial: np.random.Generator) -> _Take:
        scale, arms, reach, tempo, lift = (subject.uniform(*span) for span in _SUBJECT)
        sign = 1.0 if trial.integers(0, 2) else -1.0
        return cls(
            label,
            middle=0.5 + trial.uniform(-0.04, 0.04),
            top=0.37 + trial.uniform(-0.04, 0.04),
            scale=scale * trial.uniform(0.96, 1.04),
            arms=0.185 * scale * arms,
            reach=reach * trial.uniform(0.9, 1.1),
            tempo=tempo * trial.uniform(0.9, 1.1),
            phase=trial.uniform(0, 2 * pi),
            lift=lift + trial.uniform(-0.02, 0.02),
            contrast=sign * trial.uniform(0.6, 1.1),
        )

    def arms_at(self, moments: Float64) -> list[tuple[Float64, Float64, Float64]]:
        """Shoulder, elbow and hand [S, 2] of the right and the left arm."""
        phase = self.phase + 2 * pi * self.tempo * moments
        hands = _MOTIONS[self.label](phase, self.reach)  # right and left, from the shoulder, outwards and downwards
        found = []
        for side, (out, down) in zip((-1.0, 1.0), hands, strict=True):
            shoulder = np.array([self.middle + side * 0.145 * self.scale, self.top])
            target = np.stack([side * out, down + np.zeros_like(out)], 1) * self.scale
            target[:, 1] += self.lift if np.ptp(down) or np.ptp(out) else 0.0
            elbow, hand = _bend(target, self.arms, side)
            found.append((shoulder + np.zeros_like(hand), shoulder + elbow, shoulder + hand))
        return found


_SUBJECT = ((0.88, 1.1), (0.92, 1.08), (0.85, 1.15), (1.0, 1.35), (-0.03, 0.03))
Hands = tuple[tuple[Float64, Float64], tuple[Float64, Float64]]


def _still(phase: Float64) -> tuple[Float64, Float64]:
    """An arm that hangs down."""
    return np.full_like(phase, 0.04), np.full_like(phase, 0.36)


def _clap(phase: Float64, reach: float) -> Hands:
    hand = -0.125 + 0.12 * reach * (1 + np.cos(phase)), np.full_like(phase, 0.12)
    return hand, hand


def _waving(phase: Float64, reach: float) -> tuple[Float64, Float64]:
    angle = 0.75 * reach * np.sin(phase)
    return 0.15 + 0.19 * np.sin(angle), 0.02 - 0.2 * np.cos(angle)


def _circling(phase: Float64, reach: float) -> tuple[Float64, Float64]:
    return 0.17 + 0.115 * reach * np.cos(phase), -0.01 + 0.125 * reach * np.sin(phase)


def _rolling(phase: Float64, reach: float) -> Hands:
    def hand(turn: float) -> tuple[Float64, Float64]:
        return -0.1 + 0.07 * reach * np.cos(phase + turn), 0.16 + 0.09 * reach * np.sin(phase + turn)

    return hand(0), (-0.2 - hand(pi)[0], hand(pi)[1])  # the two hands opposite on one ellipse


def _drums(phase: Float64, reach: float) -> Hands:
    return tuple(  # type: ignore[return-value]
        (np.full_like(phase, 0.06), 0.13 + 0.1 * reach * np.sin(phase + turn)) for turn in (0.0, pi)
    )


def _guitar(phase: Float64, reach: float) -> Hands:
    strum = -0.09 + 0.02 * np.cos(1.5 * phase), 0.27 + 0.08 * reach * np.sin(1.5 * phase)
    return strum, (0.2 + 0.04 * np.cos(0.5 * phase), 0.1 + 0.03 * np.cos(0.5 * phase))


_MOTIONS: tuple[Callable[[Float64, float], Hands], ...] = (
    _clap,
    lambda phase, reach: (_waving(phase, reach), _still(phase)),
    lambda phase, reach: (_still(phase), _waving(phase, reach)),
    lambda phase, reach: (_circling(-phase, reach), _still(phase)),  # the right arm's outwards is the picture's left
    lambda phase, reach: (_circling(phase, reach), _still(phase)),
    lambda phase, reach: (_still(phase), _circling(phase, reach)),
    lambda phase, reach: (_still(phase), _circling(-phase, reach)),
    _rolling,
    _drums,
    _guitar,
    lambda phase, reach: _rolling(-phase, reach),
)


def _bend(target: Float64, length: float, side: float) -> tuple[Float64, Float64]:
    """Elbow and hand [S, 2] of an arm of two equal parts that reaches for a target, elbow outwards and down."""
    distance = np.maximum(np.hypot(target[:, 0], target[:, 1]), 1e-6)
    reached = np.clip(distance, 0.15 * length, 1.98 * length)
    along = target / distance[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], 1) * -side
    half = reached / 2
    elbow = half[:, None] * along + np.sqrt(length**2 - half**2)[:, None] * across
    return elbow, reached[:, None] * along


def _scenes(takes: list[_Take], moments: Float64, size: int) -> Iterator[Float32]:
    """Logarithms of light [B, size, size] at each moment: 0 the ground, edges mixed over one pixel."""
    places = np.array([take.arms_at(moments) for take in takes]) * size - 0.5  # [B, 2, 3, S, 2]
    joints = places.astype(np.float32).transpose(3, 1, 2, 0, 4)  # [S, 2, 3, B, 2]
    scale = np.array([take.scale for take in takes], np.float32)[:, None, None] * size
    level = np.array([take.contrast for take in takes], np.float32)[:, None, None]
    ground = np.zeros((len(takes), size, size), np.float32)
    head, chest, hips = (
        (np.array([[take.middle, take.top + down * take.scale] for take in takes]) * size - 0.5).astype(np.float32)
        for down in (-0.16, 0.1, 0.5)
    )
    rows = np.arange(size, dtype=np.float32)[:, None]
    columns = np.arange(size, dtype=np.float32)[None]
    _cover(ground, _from_bone(chest, hips, rows, columns), 0.14 * scale, 0.4 * level)
    _cover(ground, _from_point(head, rows, columns), 0.085 * scale, 0.7 * level)
    thick = 0.032 * scale
    for arms in joints:
        scene = ground.copy()
        for shoulder, elbow, hand in arms:
            bones = _from_bone(shoulder, elbow, rows, columns)
            np.minimum(bones, _from_bone(elbow, hand, rows, columns), out=bones)
            np.minimum(bones, _from_point(hand, rows, columns) * np.float32(0.5), out=bones)  # hands are thicker
            _cover(scene, bones, thick, level)
        yield scene


def _from_bone(a: Float32, b: Float32, rows: Float32, columns: Float32) -> Float32:
    """Squared distances [B, H, W] of the pixels from lines a - b, both [B, 2] as (x, y)."""
    (ax, ay), (bx, by) = a.T[:, :, None, None], (b - a).T[:, :, None, None]
    across, down = columns - ax, rows - ay  # [B, 1, W], [B, H, 1]
    square = bx * bx + by * by
    share = across * (bx / square) + down * (by / square)
    np.clip(share, 0, 1, out=share)
    # |p - share b|^2 = |p|^2 - share (2 p.b - share b.b)
    inner = across * (2 * bx) + down * (2 * by)
    inner -= share * square
    inner *= share
    distance: Float32 = across * across + down * down
    distance -= inner
    return distance


def _from_point(a: Float32, rows: Float32, columns: Float32) -> Float32:
    ax, ay = a.T[:, :, None, None]
    distance: Float32 = (columns - ax) ** 2 + (rows - ay) ** 2
    return distance


def _cover(scene: Float32, squares: Float32, radius: Float32, level: Float32) -> None:
    """Paint what lies within a radius, in place; ``squares`` is used up."""
    np.maximum(squares, 0, out=squares)
    np.sqrt(squares, out=squares)
    np.subtract(radius + np.float32(0.5), squares, out=squares)
    np.clip(squares, 0, 1, out=squares)
    squares *= level - scene
    scene += squares
