"""Steppers: a network that takes one frame after the other and keeps what its neurons store in between."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..dtypes import Int32, UInt8
from . import reference
from .graph import Graph
from .memory import refuse_beyond_reference


class Stepper(Protocol):
    """A network between two frames. One that is not the reference's gives the same integers."""

    def step(self, frame: UInt8) -> Int32:
        """One time step with a contiguous frame [C, H, W]; what the first readout says so far,
        int32; later steps leave it as it is."""

    def reset(self) -> None:
        """Forget all frames."""


class ReferenceStepper:
    """A step of the reference."""

    def __init__(self, graph: Graph) -> None:
        refuse_beyond_reference(graph, 1)
        self._graph = graph
        self.reset()

    def reset(self) -> None:
        self._state = reference.State(self._graph, 1)
        self._said: Int32 = np.zeros(self._graph.outputs[0], np.int32)

    def step(self, frame: UInt8) -> Int32:
        _, said = self._state.step([frame[None]], set())
        self._said = reference.so_far(self._graph.readout, self._said, said[0][0], self._state.steps)
        return self._said
