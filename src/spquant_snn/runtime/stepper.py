"""The native stepper: an arena of its own, in which C keeps the stored codes packed from frame to frame."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..quant.fold import Int32
from .placed import Memory, Placed, address


class NativeStepper:
    """A step of the runtime; see ``integer.stepper.Stepper``.

    Args:
        built: the runtime, declared.
        placed: the network, laid out for frames that come one by one.
        classes: how many logits there are.
        check_open: raises where the program is closed.
    """

    def __init__(self, built: ctypes.CDLL, placed: Placed, classes: int, check_open: Callable[[], None]) -> None:
        self._built = built
        self._placed = placed
        self._check_open = check_open
        self._arena = Memory.of(placed.plan.arena_size)
        start = placed.plan.logits.offset
        self._logits: Int32 = self._arena.block[start : start + 4 * classes].view(np.int32)
        self.reset()

    def reset(self) -> None:
        self._check_open()
        self._built.spq_reset(self._placed.at, self._arena.address)

    def step(self, frame: NDArray[np.uint8]) -> Int32:
        self._check_open()
        self._built.spq_step(self._placed.at, self._arena.address, address(frame), None, 0)
        return self._logits.copy()
