"""Generated signals of a sensor of motion worn at the waist: three axes of acceleration, three of rotation, 50 times a
second, while people rest, walk, run, climb stairs, cycle or fall.

People differ in cadence, vigour, harmonics of their gait and how they wear the sensor; no one is in two of training,
validation and test. Each window of 2.56 s draws its phase, pace, noise and the bias of the sensor anew. Ranges overlap:
a slow run has the cadence of a brisk walk, and stairs are a walk but for their rhythm and what they rise by.

Acceleration is in units of 4 g and rotation in units of 500 degrees a second, the sensor's full scale, so that one
range of -1 to 1 holds both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..dtypes import Float32, Float64, Int64

ACTIVITIES = ("rest", "walk", "run", "stairs", "cycle", "fall")
RATE, STEPS = 50, 128  # samples a second, and of a window
_G, _TURN = 1 / 4, 1 / 500  # of a g, and of a degree a second, in units of full scale
Split = Literal["train", "validation", "test"]
_SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class MotionStudy:
    """How much is recorded.

    Args:
        train, validation, test: people of each split.
        windows: of each person and class.
        seed: of everything random.
    """

    train: int = 24
    validation: int = 6
    test: int = 10
    windows: int = 24
    seed: int = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        """Windows of training, validation and test."""
        each = self.windows * len(ACTIVITIES)
        return self.train * each, self.validation * each, self.test * each

    def record(self, split: Split) -> tuple[Float32, Int64]:
        """Signals float32 [N, 6, 128] from -1 to 1, and the class of each."""
        first = sum(getattr(self, name) for name in _SPLITS[: _SPLITS.index(split)])
        signals, labels = [], []
        for number in range(first, first + getattr(self, split)):
            person = _Person.drawn(np.random.default_rng([self.seed, 1, number]))
            for window in range(self.windows):
                for label in range(len(ACTIVITIES)):
                    rng = np.random.default_rng([self.seed, 2, number, window, label])
                    signals.append(person.wear(_MOTIONS[label](person, rng), rng))
                    labels.append(label)
        return np.stack(signals).astype(np.float32), np.array(labels, np.int64)


@dataclass(frozen=True, eq=False)
class _Person:
    """One who wears the sensor, axes forwards, to the left and up."""

    cadence: float  # steps a second of a walk
    vigour: float
    harmonics: Float64  # [6, 3], shares of the second to the fourth harmonic of a step in each axis
    phases: Float64  # [6, 4]
    lean: float  # degrees, by which the sensor leans
    turn: float  # degrees, by which it is worn round the waist

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Person:
        return cls(
            cadence=rng.uniform(1.6, 2.1),
            vigour=rng.uniform(0.75, 1.3),
            harmonics=rng.uniform(0.1, 0.6, (6, 3)) * np.array([1, 0.6, 0.35]),
            phases=rng.uniform(-0.6, 0.6, (6, 4)),
            lean=rng.uniform(-20, 20),
            turn=rng.uniform(-180, 180),
        )

    def gait(self, phase: Float64, amplitudes: Float64) -> Float64:
        """[6, S] of a motion whose steps have a phase; the sway to the side and the turns go with every second one."""
        pace = np.array([1, 0.5, 1, 0.5, 1, 0.5])[:, None] * phase
        wave = np.sin(pace + self.phases[:, :1])
        for number in range(3):
            share, shift = self.harmonics[:, number, None], self.phases[:, number + 1, None]
            wave = wave + share * np.sin((number + 2) * pace + shift)
        return np.asarray(wave * amplitudes[:, None] * self.vigour)

    def wear(self, motion: Float64, rng: np.random.Generator) -> Float64:
        """What the sensor says of a motion [6, S], gravity in it: turned, biased, noisy, and within its full scale."""
        lean, turn = np.radians(self.lean + rng.normal(0, 4)), np.radians(self.turn + rng.normal(0, 4))
        askew = _about(1, lean) @ _about(2, turn)
        said = np.concatenate([askew @ motion[:3], askew @ motion[3:]])
        scale = np.array([_G] * 3 + [_TURN] * 3)[:, None]
        bias = rng.normal(0, 1, (6, 1)) * np.array([0.02] * 3 + [2.0] * 3)[:, None]
        noise = rng.normal(0, 1, said.shape) * np.array([0.02] * 3 + [2.5] * 3)[:, None]
        return np.asarray(np.clip((said + bias + noise) * scale, -1, 1))


def _time(rng: np.random.Generator) -> Float64:
    return np.arange(STEPS) / RATE + rng.uniform(0, 10)


def _phase(rng: np.random.Generator, frequency: float, jitter: float = 0.03) -> Float64:
    """Of steps whose frequency wanders a little within a window."""
    wander = np.cumsum(rng.normal(0, jitter * frequency / RATE, STEPS))
    return np.asarray(2 * np.pi * (frequency * _time(rng) + wander))


def _upright(motion: Float64) -> Float64:
    motion = motion.copy()
    motion[2] += 1  # g
    return motion


def _lying(rng: np.random.Generator) -> Float64:
    """Gravity [3] of somebody on the ground, on the belly, the back or a side."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), rng.normal(0, 0.15)])


def _rest(person: _Person, rng: np.random.Generator) -> Float64:
    """Standing, sitting or lying, with a fidget now and then."""
    breath = np.sin(2 * np.pi * rng.uniform(0.2, 0.4) * _time(rng)) * np.array([0.01, 0.0, 0.01, 0, 1.0, 0])[:, None]
    start = rng.uniform(-1, STEPS / RATE)
    bump = np.exp(-(((np.arange(STEPS) / RATE - start) / 0.25) ** 2))
    fidget = rng.normal(0, 1, (6, 1)) * np.array([0.12] * 3 + [25.0] * 3)[:, None] * bump * (rng.uniform() < 0.4)
    motion = breath + fidget
    gravity = _lying(rng) if rng.uniform() < 0.3 else np.array([rng.normal(0, 0.2), rng.normal(0, 0.1), 1])
    motion[:3] += (gravity / np.linalg.norm(gravity))[:, None]
    return np.asarray(motion)


def _walk(person: _Person, rng: np.random.Generator) -> Float64:
    pace = rng.uniform(0.8, 1.25)
    amplitudes = np.array([0.16, 0.1, 0.26, 22, 12, 28]) * pace**1.5 * rng.uniform(0.8, 1.2)
    return _upright(person.gait(_phase(rng, person.cadence * pace), amplitudes))


def _run(person: _Person, rng: np.random.Generator) -> Float64:
    """A run leaves the ground: between steps nothing weighs, and each landing is a blow."""
    pace = rng.uniform(1.25, 1.7)
    phase = _phase(rng, person.cadence * pace)
    motion = person.gait(phase, np.array([0.35, 0.25, 0.5, 60, 35, 55]) * rng.uniform(0.7, 1.2))
    motion[2] += 1.1 * person.vigour * np.maximum(np.sin(phase), 0) ** 2 - 0.45
    return _upright(motion)


def _stairs(person: _Person, rng: np.random.Generator) -> Float64:
    """Slower than a walk, up or down, each second step a little heavier, the trunk bent forwards."""
    pace, rise = rng.uniform(0.65, 1.0), rng.choice([-1.0, 1.0])
    phase = _phase(rng, person.cadence * pace, jitter=0.06)
    motion = person.gait(phase, np.array([0.12, 0.14, 0.24, 30, 26, 20]) * rng.uniform(0.8, 1.2))
    motion[2] += 0.22 * rise * np.sin(phase + 1.2) * np.abs(np.sin(phase / 2))
    motion[4] += 14 * np.sin(phase + 0.5)
    motion[0] += 0.1 + 0.06 * rise
    return _upright(motion)


def _cycle(person: _Person, rng: np.random.Generator) -> Float64:
    """Pedals turn evenly; the trunk is bent, sways a little, and the road shakes it."""
    frequency = rng.uniform(1.0, 1.8)
    phase = _phase(rng, 2 * frequency, jitter=0.015)
    motion = person.gait(phase, np.array([0.06, 0.07, 0.06, 16, 8, 12]) * rng.uniform(0.6, 1.3))
    motion[:3] += rng.normal(0, rng.uniform(0.03, 0.12), (3, STEPS))
    bent = np.radians(rng.uniform(10, 45))
    return np.concatenate([_about(1, bent) @ _upright(motion)[:3], motion[3:]])


def _fall(person: _Person, rng: np.random.Generator) -> Float64:
    """Out of a stand or a walk: nothing weighs for a moment, a blow, and somebody lies there."""
    before = _walk(person, rng) if rng.uniform() < 0.6 else _rest(person, rng)
    start = rng.uniform(0.3, 1.5)
    length = rng.uniform(0.25, 0.5)
    time = np.arange(STEPS) / RATE
    falling = ((time >= start) & (time < start + length)).astype(float)
    after = (time >= start + length).astype(float)
    landed = time - start - length
    blow = rng.uniform(1.5, 4.5) * np.exp(-np.maximum(landed, 0) / 0.06) * np.cos(2 * np.pi * 6 * landed) * after
    way = rng.normal(0, 1, 3)
    way /= np.linalg.norm(way)
    motion = before * (1 - falling - after) + 0.25 * before * falling
    motion[:3] += way[:, None] * blow + _lying(rng)[:, None] * after
    axis = rng.normal(0, 1, 3)
    motion[3:] += (axis / np.linalg.norm(axis))[:, None] * rng.uniform(120, 320) * (falling + 0.4 * np.abs(blow))
    return np.asarray(motion)


_MOTIONS: tuple[Callable[[_Person, np.random.Generator], Float64], ...] = (_rest, _walk, _run, _stairs, _cycle, _fall)


def _about(axis: int, angle: float) -> Float64:
    """The rotation [3, 3] about an axis by an angle in radians."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turned = np.eye(3)
    turned[[first, second], [first, second]] = np.cos(angle)
    turned[first, second], turned[second, first] = -np.sin(angle), np.sin(angle)
    return turned
