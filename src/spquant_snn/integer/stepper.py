"""Steppers: a network that takes one frame after the other and keeps what its neurons store in between."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..dtypes import Int8, Int32, UInt8
from . import reference
from .graph import PIXEL, Graph
from .memory import refuse_beyond_reference


class Stepper(Protocol):
    """A network between two frames. One that is not the reference's gives the same integers."""

    def step(self, frame: UInt8) -> Int32:
        """One time step with a contiguous frame [C, H, W]; the logits so far, int32 [classes], which later steps leave
        as they are."""

    def reset(self) -> None:
        """Forget all frames."""


class ReferenceStepper:
    """A step of the reference; a stored code takes a byte."""

    def __init__(self, graph: Graph) -> None:
        refuse_beyond_reference(graph, 1)
        self._graph = graph
        self.reset()

    def reset(self) -> None:
        self._codes = [np.zeros((1, *shape), np.int8) for shape in self._graph.shapes]  # [1, C, H, W] or [1, O]
        self._logits = np.zeros(self._graph.classes, np.int32)

    def step(self, frame: UInt8) -> Int32:
        x: Int32 = frame[None].astype(np.int32)
        stored: list[Int8] = []
        fired: list[Int32] = []
        for i, (layer, codes) in enumerate(zip(self._graph.layers, self._codes, strict=True)):
            sums = reference.connect(layer.connection, x, layer.connection.largest_input(PIXEL if i == 0 else 1))
            if layer.shortcut is not None:
                sums = reference.added(layer.shortcut, sums, fired[layer.shortcut.source])
            active = [reference.active_inputs(layer.connection, x)] if layer.gate else None
            spikes, after = reference.integrate(layer.neuron, [sums], layer.gate, active, codes.astype(np.int32))
            stored.append(after[0].astype(np.int8))
            x = spikes[0].astype(np.int32)
            fired.append(x)
        logits: Int32 = self._logits + reference.read_out(self._graph.readout, x[None])[0]
        self._codes, self._logits = stored, logits
        return logits
