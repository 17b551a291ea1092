"""The native stepper: an arena of its own, in which C keeps the stored codes packed from frame to frame."""

from __future__ import annotations

import ctypes
from typing import Any, Protocol

import numpy as np

from ..dtypes import Array, Int32, UInt8
from .loaded_plan import ArenaBlock, LoadedPlan, address
from .plan import Region


class Owner(Protocol):
    """The program that a stepper is of."""

    @property
    def built(self) -> ctypes.CDLL:
        """The runtime, declared."""

    def told(self, said: Int32) -> list[Int32]:
        """What each readout says, of answers [N, answers]."""

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
        self._answers: Int32 = self._arena.block[start : start + 4 * self._loaded.plan.answers].view(np.int32)
        self.reset()

    def reset(self) -> None:
        self._check_open()
        self._built.spq_reset(self._loaded.at, self._arena.address)

    def step(self, frame: Array) -> Int32:
        self._check_open()
        self._built.spq_step(self._loaded.at, self._arena.address, address(frame), None, 0)
        said: Int32 = self._owner.told(self._answers.copy()[None])[0][0]
        return said

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
        regions = [*(layer.state for layer in plan.hidden), Region(plan.logits.offset, self._answers.nbytes)]
        if plan.general is not None:
            terms = [layer.terms for layer in plan.hidden if layer.terms is not None]
            regions += [part.current_state for part in terms if part.current is not None]
            regions += [past.region for past in plan.general.pasts]
            regions += [readout.integrator for readout in plan.general.readouts]
        return [self._arena.block[region.offset : region.offset + region.size] for region in regions]


def _resumed(owner: Owner, kept: list[UInt8]) -> NativeStepper:
    stepper = owner.stepper()
    stepper.resume(kept)
    return stepper
