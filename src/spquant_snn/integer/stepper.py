"""Steppers: a network that takes one frame after the other and keeps what its neurons store in between."""

from __future__ import annotations

from copy import copy
from typing import Protocol

import numpy as np

from ..dtypes import Array, Int32
from . import reference
from .graph import Graph
from .memory import refuse_beyond_reference


class Stepper(Protocol):
    """A network between two frames. One that is not the reference's gives the same integers."""

    def step(self, frame: Array) -> Int32:
        """Compute one time step with a contiguous frame [C, H, W]. Returns the answer of the first readout so far,
        int32, in an array that later steps do not change; of a readout of all steps, its answer at this step."""

    def reset(self) -> None:
        """Start a new sequence, from zero state."""


class ReferenceStepper:
    """A step of the reference, of a graph of one input. A copy goes on from the same state by itself."""

    def __init__(self, graph: Graph) -> None:
        refuse_beyond_reference(graph, 1)
        self._graph = graph
        self.reset()

    def reset(self) -> None:
        self._state = reference.State(self._graph, 1)
        self._said: Int32 = np.zeros(self._graph.outputs[0], np.int32)

    def __copy__(self) -> ReferenceStepper:
        other = ReferenceStepper.__new__(ReferenceStepper)
        other.__dict__.update(self.__dict__, _state=copy(self._state))
        return other

    def step(self, frame: Array) -> Int32:
        _, said = self._state.step([frame[None]], set())
        self._said = reference.so_far(self._graph.readout, self._said, said[0][0], self._state.steps)
        return self._said
