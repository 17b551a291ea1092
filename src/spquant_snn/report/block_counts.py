"""Counts of skipped blocks of neurons: those that gates skip, and those that a bound proves silent.

As in ``fanout``, a convolution is counted at all positions of its output before a sum-pool; those of a skipped block
are the ones that no computed block adds up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Int32, Int64
from ..integer.graph import BLOCK, PIXEL, Connection, Layer, Shape, blocks_of
from ..integer.reference import active_inputs, computed_blocks, connect, pooled
from ..integer.silent_blocks import silent_inputs

_LARGEST = BLOCK  # synapses of an input in a block, at most, at one position


@dataclass
class Skipped:
    """Sums over images and steps.

    Args:
        decisions: of gates.
        updates: of neurons, that gates leave out.
        dense, done, effective, folded: synaptic operations that gates leave out.
        silent: dense operations of blocks that meet so few inputs that they cannot matter.
    """

    decisions: int = 0
    updates: int = 0
    dense: int = 0
    done: int = 0
    effective: int = 0
    folded: int = 0
    silent: int = 0


class BlockCounter:
    """Counts the blocks of one layer that are skipped; its first term has no delay.

    Args:
        layer: with its neurons.
        source: number of what its first term takes.
        shape: of that.
        pixels, unsigned: it is an input; it is never below zero.
    """

    def __init__(self, layer: Layer, source: int, shape: Shape, pixels: bool, unsigned: bool = True) -> None:
        self.layer, self.source, self.shape = layer, source, shape
        self.connection = layer.terms[0].connection
        self.counted = Skipped()
        alone = len(layer.terms) == 1 and layer.terms[0].plain and unsigned and self.connection.groups == 1
        silent = silent_inputs(self.connection, layer.neuron, PIXEL if pixels else 1) if alone else None
        self._silent = None if silent is None else silent.astype(np.int64)

    def add(self, inputs: NDArray[np.integer], codes: NDArray[np.integer] | None) -> None:
        """Add steps.

        Args:
            inputs: [N, ...] of the layer.
            codes: [N, C, ...] that its neurons store before the step; only a gate asks for them.
        """
        gate, connection = self.layer.gate, self.connection
        if self._silent is None and gate is None:
            return
        active = active_inputs(connection, inputs.astype(np.int32))
        shape = (-1, *[1] * (active.ndim - 2))
        held = np.zeros((len(active), blocks_of(len(connection.codes)), *active.shape[2:]), np.bool_)
        if gate is not None and codes is not None:
            held = ~computed_blocks(gate, active, codes.astype(np.int32))
            self._add_held(held, inputs, active)
        if self._silent is not None:
            silent = (active <= self._silent.reshape(shape)) & ~held
            self.counted.silent += int((self._positions(silent) * self._dense).sum())

    def _add_held(self, held: NDArray[np.bool_], inputs: NDArray[np.integer], active: Int32) -> None:
        counted, connection = self.counted, self.connection
        sizes = self._sizes.reshape(-1, *[1] * (held.ndim - 2))
        counted.decisions += held.size
        counted.updates += int((held * sizes).sum())
        positions = self._positions(held)
        counted.dense += int((positions * self._dense).sum())
        counted.folded += int((held * sizes * active.astype(np.int64)).sum())
        met = (pooled(connection, inputs.astype(np.int32)) != 0).astype(np.int32)
        for name, kernel in (("done", self._all), ("effective", self._nonzero)):
            reached = connect(kernel, met, _LARGEST)
            setattr(counted, name, getattr(counted, name) + int((positions * reached.astype(np.int64)).sum()))

    def _positions(self, skipped: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """[N, B, H, W] the positions before a pool over sums that only skipped blocks [N, B, H', W'] look at."""
        pool = self.connection.sum_pool
        if pool is None:
            return skipped
        top, bottom, left, right = pool.padding
        inner = self._dense.shape[1:]
        padded = (inner[0] + top + bottom, inner[1] + left + right)
        added, needed = np.zeros((2, *skipped.shape[:2], *padded), np.bool_)
        height, width = (stride * (size - 1) + 1 for stride, size in zip(pool.stride, skipped.shape[2:], strict=True))
        for y in range(0, pool.field[0], pool.dilation[0]):
            for x in range(0, pool.field[1], pool.dilation[1]):
                place = (..., slice(y, y + height, pool.stride[0]), slice(x, x + width, pool.stride[1]))
                added[place] = True
                needed[place] |= ~skipped
        only: NDArray[np.bool_] = (added & ~needed)[..., top : top + inner[0], left : left + inner[1]]
        return only

    @property
    def _sizes(self) -> Int64:
        """[B] channels of each block."""
        channels = len(self.connection.codes)
        return np.minimum(BLOCK, channels - BLOCK * np.arange(blocks_of(channels), dtype=np.int64))

    @cached_property
    def _all(self) -> Connection:
        return self._synapses(np.ones_like(self.connection.codes))

    @cached_property
    def _nonzero(self) -> Connection:
        return self._synapses((self.connection.codes != 0).astype(np.int8))

    @cached_property
    def _dense(self) -> Int64:
        """[B, ...] synapses of a block at each position, without padding."""
        ones = np.ones((1, *self.connection.pooled_shape(self.shape)), np.int32)
        places: Int64 = connect(self._all, ones, _LARGEST)[0].astype(np.int64)
        return places

    def _synapses(self, there: NDArray[np.int8]) -> Connection:
        """A connection whose sums are numbers of synapses, one output for each block; inputs come pooled."""
        connection = self.connection
        filled = np.zeros((blocks_of(len(there)) * BLOCK, *there.shape[1:]), np.int8)
        filled[: len(there)] = there
        codes = filled.reshape(-1, BLOCK, *there.shape[1:]).sum(1, dtype=np.int8)
        return replace(connection, codes=codes, bits=8, pools=(), sum_pool=None)
