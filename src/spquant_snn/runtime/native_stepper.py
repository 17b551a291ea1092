"""The native stepper: an arena of its own, in which C keeps the stored codes packed from frame to frame."""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

import numpy as np

from ..dtypes import Int32, UInt8
from .loaded_plan import ArenaBlock, LoadedPlan, address
from .plan import Region


class Owner(Protocol):
    """The program that a stepper is of."""

    @property
    def built(self) -> ctypes.CDLL:
        """The runtime, declared."""

    @property
    def classes(self) -> int:
        """How many logits there are."""

    def frames(self) -> LoadedPlan:
        """The network, laid out for frames that come one by one."""

    def check_open(self) -> None:
        """Raise RunError where the program is closed."""

    def stepper(self) -> NativeStepper:
        """One more, at its start."""


class NativeStepper:
    """A step of the runtime; see ``integer.stepper.Stepper``. A copy, pickled or not, goes on from the same state."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._built = owner.built
        self._loaded = owner.frames()
        self._check_open = owner.check_open
        self._arena = ArenaBlock.of(self._loaded.plan.arena_size)
        start = self._loaded.plan.logits.offset
        self._logits: Int32 = self._arena.block[start : start + 4 * owner.classes].view(np.int32)
        self.reset()

    def reset(self) -> None:
        self._check_open()
        self._built.spq_reset(self._loaded.at, self._arena.address)

    def step(self, frame: UInt8) -> Int32:
        self._check_open()
        self._built.spq_step(self._loaded.at, self._arena.address, address(frame), None, 0)
        return self._logits.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_open()
        return _resumed, (self._owner, [part.copy() for part in self._lasting()])

    def resume(self, kept: list[UInt8]) -> None:
        """Go on from what another stepper of the same network kept."""
        for part, values in zip(self._lasting(), kept, strict=True):
            part[:] = values

    def _lasting(self) -> list[UInt8]:
        """The parts of the arena that last from one frame to the next; they are alike on every machine."""
        plan = self._loaded.plan
        regions = [*(layer.state for layer in plan.layers[:-1]), Region(plan.logits.offset, self._logits.nbytes)]
        return [self._arena.block[region.offset : region.offset + region.size] for region in regions]


def _resumed(owner: Owner, kept: list[UInt8]) -> NativeStepper:
    stepper = owner.stepper()
    stepper.resume(kept)
    return stepper
