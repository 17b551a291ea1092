"""How many neurons of the first layer can fire at one place, of any input: an integer program, solved by scipy.

A neuron fires if the sum of its inputs reaches a threshold, and the neurons of a place look at the same inputs: not all
of them can be content at once. What is sought is the largest number of thresholds that some input within its range
reaches, where a sum is a number of its own for each neuron. The bound is that of the solver's relaxation, which holds
also where it stops early; half a unit is taken off every threshold, so that no rounding of floats matters.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import Array, Float64, Int64
from ..integer import reference
from ..integer.connection import Connection
from ..integer.graph import Graph, Layer

_NODES = 400  # of the search, which then stops
_LARGEST = 1 << 12  # coefficients of a program that is tried
_SPAN = 1 << 16  # sums of which the spikes are counted one by one


def most_spikes(graph: Graph, streams: bool) -> int | None:
    """Spikes at a place of the first layer, at most: of a still image in the mean over its steps, of a sequence in any
    step. None where nothing is known but that all may fire: of layers of other forms, and without scipy.

    Args:
        streams: every step has a frame of its own.
    """
    program = _program(graph, streams)
    found = None if program is None else program.most()
    steps = 1 if streams or graph.layers[0].gate is not None else graph.timesteps
    return None if program is None or found is None else min(-(-found // steps), len(program.weights))


def most_firing(graph: Graph) -> int | None:
    """Neurons at a place of the first layer that fire in some step of a still image, at most; None as above."""
    program = _program(graph, streams=False)
    found = None if program is None else program.most_reached(0)
    return None if program is None or found is None else min(found, len(program.weights))


def _program(graph: Graph, streams: bool) -> _Program | None:
    layer = graph.layers[0]
    weights = _weights(layer) if len(graph.inputs) == 1 and len(layer.terms) == 1 else None
    solver = _solver()
    if weights is None or solver is None:
        return None
    given = graph.inputs[0]
    low, high = (-given.largest if given.signed else 0), given.largest
    still = not streams and layer.gate is None
    least = np.minimum(weights * low, weights * high).sum(1)
    most = np.maximum(weights * low, weights * high).sum(1)
    thresholds = _of_images(layer, graph.timesteps, least, most) if still else _of_steps(layer)
    if thresholds is None or weights.size * len(thresholds) > _LARGEST:
        return None
    return _Program(solver, weights, thresholds, least, (low, high))


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing reaches standard output, whoever writes there."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _solver() -> Any:
    try:
        return importlib.import_module("scipy.optimize")
    except ImportError:
        return None


def _weights(layer: Layer) -> Int64 | None:
    """[O, inputs] of all inputs under one place; None where the layer is of another form."""
    term = layer.terms[0]
    c, pool = term.connection, term.connection.sum_pool
    plain = term.plain and term.source == 0 and not c.pools and c.groups == 1 and c.spread == (1, 1)
    if not plain or layer.neuron.current is not None or (pool is not None and pool.kind != "sum"):
        return None
    codes = c.codes.astype(np.int64)
    return codes if codes.ndim == 2 else _folded(c, codes).reshape(len(codes), -1)


def _folded(c: Connection, codes: Int64) -> Int64:
    """The kernel of a convolution together with the sum-pool behind it."""
    kernel, apart = ((1, 1), (1, 1)) if c.sum_pool is None else (c.sum_pool.kernel, c.sum_pool.dilation)
    each = zip(kernel, apart, c.stride, codes.shape[2:], c.dilation, strict=True)
    size = [(pooled - 1) * far * stride + (own - 1) * wide + 1 for pooled, far, stride, own, wide in each]
    found = np.zeros((*codes.shape[:2], *size), np.int64)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * apart[0] * c.stride[0], j * apart[1] * c.stride[1]
            bottom, right = (
                top + (codes.shape[2] - 1) * c.dilation[0] + 1,
                left + (codes.shape[3] - 1) * c.dilation[1] + 1,
            )
            found[:, :, top : bottom : c.dilation[0], left : right : c.dilation[1]] += codes
    return found


def _of_images(layer: Layer, steps: int, least: Int64, most: Int64) -> Float64 | None:
    """[J, O] the sum from which on a neuron may fire so many times when it comes in at every step; infinite where it
    cannot."""
    low, high = int(least.min()), int(most.max())
    if high - low > _SPAN:
        return None
    sums = np.arange(low, high + 1)
    outputs, neuron = len(least), layer.neuron
    drive = np.broadcast_to(sums[:, None, None, None], (len(sums), outputs, 1, 1)).astype(np.int32)
    code, fired = np.zeros_like(drive), np.zeros(drive.shape, np.int64)
    for _ in range(steps):
        spikes, code = reference.step(neuron, drive, code)
        fired += spikes != 0
    at_most: Array = np.maximum.accumulate(fired[:, :, 0, 0], 0)  # of any sum up to this one
    reached = at_most[None] >= np.arange(1, steps + 1)[:, None, None]
    found: Float64 = np.where(reached.any(1), sums[reached.argmax(1)], np.inf)
    return found


def _of_steps(layer: Layer) -> Float64:
    """[1, O] the sum from which on a neuron may fire, whatever it has stored."""
    neuron = layer.neuron
    codes = np.arange(neuron.low, neuron.high + 1, dtype=np.int32)
    shape = (len(codes), len(neuron.fire), 1, 1)
    left = reference.remainder(neuron, np.broadcast_to(codes[:, None, None, None], shape).astype(np.int32))
    highest = left.astype(np.int64).max(0).ravel()
    least: Float64 = np.ceil((neuron.fire.astype(np.int64) - highest) / 2.0**neuron.fraction)[None]
    return least


@dataclass(frozen=True, eq=False)
class _Program:
    """Numbers 0 and 1, one for each threshold that some input reaches.

    Args:
        solver: scipy.optimize.
        weights: [O, inputs].
        thresholds: [J, O], each not below that of the same neuron before.
        least: [O] the smallest sum.
        values: the least and the largest of an input.
    """

    solver: Any
    weights: Int64
    thresholds: Float64
    least: Int64
    values: tuple[int, int]

    def most(self) -> int | None:
        """How many of all thresholds an input reaches at most: the most of each row of them is known first."""
        rows = [self.most_reached(i) for i in range(len(self.thresholds))]
        if None in rows or len(rows) == 1:
            return rows[0] if len(rows) == 1 else None
        return self._most(list(range(len(rows))), [most for most in rows if most is not None])

    def most_reached(self, row: int) -> int | None:
        """How many of the thresholds of one row."""
        return self._most([row], [])

    def _most(self, rows: list[int], largest: list[int]) -> int | None:
        which, channel = np.nonzero(np.isfinite(self.thresholds[rows]))
        wanted = self.thresholds[rows][which, channel] - 0.5 - self.least[channel]
        inputs, count = self.weights.shape[1], len(channel)
        if not count:
            return 0
        reached = np.concatenate([self.weights[channel], -np.diag(np.maximum(wanted, 0))], 1)
        whole = np.arange(len(largest))[:, None] == which
        limits = np.concatenate([np.zeros((len(largest), inputs)), whole], 1)
        bounds = (
            np.repeat([float(each), other], [inputs, count])
            for each, other in zip(self.values, (0.0, 1.0), strict=True)
        )
        constraint = self.solver.LinearConstraint
        with _silent():  # the solver leaves a line of its own there
            found = self.solver.milp(
                np.repeat([0.0, -1.0], [inputs, count]),
                constraints=[
                    constraint(reached, self.least[channel], np.inf),
                    *([constraint(limits, -np.inf, largest)] if largest else []),
                ],
                integrality=np.repeat([0, 1], [inputs, count]),
                bounds=self.solver.Bounds(*bounds),
                options={"node_limit": _NODES},
            )
        bound = getattr(found, "mip_dual_bound", None)
        return None if bound is None or not np.isfinite(bound) else int(np.floor(1e-6 - bound))
