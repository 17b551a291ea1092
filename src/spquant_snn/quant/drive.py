"""Drives: the input currents of a layer of neurons, as a tree of torch modules over its weights.

    Weights         synapses over a signal
    Through         a signal itself
    GroupSums       means over groups of its elements
    NormalisedSums  batch normalisation of a drive
    PooledSums      an average or the largest of windows of a drive
    DroppedSums     dropout of a drive
    Summed          several drives, of one shape, added

In training a drive is computed as it is written. Folded, it is a list of terms, each of integer codes with one gain per
channel, and one offset per channel: current = sum of gain * (sums of codes) + offset.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..dtypes import Float64, Int8
from ..errors import ModelError
from ..integer.connection import Connection
from ..integer.grids import TERNARY
from ..integer.pool import NO_SIDES, Pool
from .described import Signal
from .sharded_batch import ShardedModule, dropout, magnitude
from .signals import SignalPart, Sources, divisor_of, parts_of, value_of
from .stage import Look, Norm
from .synapse import Synapse, apply_pool
from .weight import integer_codes


@dataclass(frozen=True, eq=False)
class FoldedTerm:
    """A term in integers, but for its gain.

    Args:
        source, delay: as those of a term.
        connection: its synapses.
        gain: [O] what a sum of one is worth, of either sign.
    """

    source: int
    delay: Literal[0, 1]
    connection: Connection
    gain: Float64


class Drive(ShardedModule, ABC):
    """A node of the tree; ``channels`` is the number of channels of its currents."""

    channels: int

    @abstractmethod
    def current(self, look: Look) -> Tensor:
        """Currents [N, O, ...]; ``look`` gives the spikes or inputs of each source."""

    @abstractmethod
    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        """The terms of the drive in integers, and its offset [O].

        Args:
            gain: [O] by what all of it is multiplied.
            pool: over all of its sums; not over its offset.
        """

    def leaves(self) -> Iterator[Weights | Through]:
        """The leaves of the tree, in order."""
        for inner in self.children():
            if isinstance(inner, Drive):
                yield from inner.leaves()

    def _drop(self, x: Tensor, p: float, channels: bool) -> Tensor:
        if not self.training or not channels:
            return dropout(x, p, self.training, self.shard)
        return x * dropout(x.new_ones(*x.shape[:2], *[1] * (x.dim() - 2)), p, True, self.shard)


class Weights(Drive):
    """Synapses over a signal.

    Args:
        name: path of their layer in the user's module.
        whole: whether the signal is looked at undivided, and the scale divided in its place.
    """

    def __init__(self, name: str, signal: Signal, synapse: Synapse, sources: Sources) -> None:
        super().__init__()
        self.name, self.signal, self.synapse, self.sources = name, signal, synapse, sources
        self.channels = len(synapse.weight)
        self.divisor = divisor_of(signal, sources)

    def leaves(self) -> Iterator[Weights | Through]:
        yield self

    def seen(self, look: Look) -> Tensor:
        """[N, ...] what the synapse looks at."""
        return value_of(self.signal, look, self.sources, self._drop, whole=self.divisor is not None)

    def current(self, look: Look) -> Tensor:
        synapse, x = self.synapse, self.seen(look)
        if x.dim() == 4 and not synapse.plain:
            x = x.contiguous(memory_format=torch.channels_last)
        y = synapse.sums(x, synapse.codes(), synapse.scale() / (self.divisor or 1)).float()
        return y if synapse.bias is None else y + synapse.bias.view(-1, *[1] * (y.dim() - 2))

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        synapse = self.synapse
        bits = synapse.bits
        if synapse.quantizer is None:  # in floating point its shape alone can be told
            codes, bits = np.ones(synapse.weight.shape, np.int8), 8
        else:
            codes = integer_codes(synapse.quantizer, synapse.weight).cpu().numpy()
        scale = np.broadcast_to(_exact(synapse.scale()), (self.channels,))
        both = [step for step in (synapse.pool, pool) if step is not None]
        if len(both) > 1:
            raise ModelError(f"layer {self.name!r}: two pools over its sums have no integer form; make them one")
        parts = parts_of(self.signal, self.sources)
        if synapse.groups > 1 and any(part.first or part.size < len(codes) for part in parts) and len(parts) > 1:
            codes, groups = _ungrouped(codes, synapse.groups), 1
        else:
            groups = synapse.groups
        whole = Connection(
            self.name,
            codes,
            bits,
            synapse.stride,
            synapse.padding,
            groups,
            synapse.dilation,
            synapse.spread,
            sum_pool=both[0] if both else None,
        )
        cuts: dict[tuple[int, int], Int8] = {}
        terms = [
            FoldedTerm(part.source, part.delay, _cut(whole, part, cuts), gain * scale / part.divisor) for part in parts
        ]
        bias = np.zeros(self.channels) if synapse.bias is None else _exact(synapse.bias)
        return terms, gain * bias


class Through(Drive):
    """A signal that is a current itself: channel c reaches channel c."""

    def __init__(self, name: str, signal: Signal, sources: Sources) -> None:
        super().__init__()
        self.name, self.signal, self.sources = name, signal, sources
        self.channels = signal.shape[0]

    def leaves(self) -> Iterator[Weights | Through]:
        yield self

    def current(self, look: Look) -> Tensor:
        return value_of(self.signal, look, self.sources, self._drop, whole=False)

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        terms = []
        for part in parts_of(self.signal, self.sources):
            connection = _passing(self.name, part, self.channels)
            if pool is not None:
                connection = replace(connection, pools=(*connection.pools, pool))
            terms.append(FoldedTerm(part.source, part.delay, connection, gain / part.divisor))
        return terms, np.zeros(self.channels)


class GroupSums(Drive):
    """Means over groups of ``size`` neighbouring elements of a signal: voting."""

    def __init__(self, inner: Through, size: int) -> None:
        super().__init__()
        self.inner, self.size, self.channels = inner, size, inner.channels // size

    def current(self, look: Look) -> Tensor:
        x = self.inner.current(look)
        return x.reshape(len(x), self.channels, self.size).mean(2)

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        votes = np.repeat(np.eye(self.channels, dtype=np.int8), self.size, 1)
        whole = Connection(self.inner.name, votes, TERNARY)
        parts = parts_of(self.inner.signal, self.inner.sources)
        cuts: dict[tuple[int, int], Int8] = {}
        terms = [
            FoldedTerm(part.source, part.delay, _cut(whole, part, cuts), gain / (part.divisor * self.size))
            for part in parts
        ]
        return terms, np.zeros(self.channels)


class NormalisedSums(Drive):
    """Batch normalisation of a drive.

    Attributes:
        sign: [O] of its weight, which is kept positive; -1 turns a channel round.
    """

    sign: Tensor

    def __init__(self, inner: Drive, norm: Norm, sign: Tensor) -> None:
        super().__init__()
        self.inner, self.norm, self.channels = inner, norm, inner.channels
        self.register_buffer("sign", sign.to(torch.float32))

    def current(self, look: Look) -> Tensor:
        x = self.inner.current(look)
        y: Tensor = self.norm(x)
        if bool((self.sign > 0).all()):
            return y
        sign, bias = self.sign.view(-1, *[1] * (x.dim() - 2)), self.norm.bias.view(-1, *[1] * (x.dim() - 2))
        return (y - bias) * sign + bias

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        norm = self.norm
        slope = gain * _exact(self.sign) * _exact(magnitude(norm.weight))
        slope = slope / np.sqrt(_exact(norm.running_var) + norm.eps)
        terms, offset = self.inner.fold(slope, pool)
        return terms, offset + gain * _exact(norm.bias) - slope * _exact(norm.running_mean)


class PooledSums(Drive):
    """The average or the largest of windows of a drive.

    Args:
        pool: "sum" for an average.
        divisor: of the sums.
    """

    def __init__(self, inner: Drive, pool: Pool, divisor: int) -> None:
        super().__init__()
        self.inner, self.pool, self.divisor, self.channels = inner, pool, divisor, inner.channels

    def current(self, look: Look) -> Tensor:
        return apply_pool(self.pool, self.inner.current(look)) / self.divisor

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        if pool is not None:
            name = next(self.leaves()).name
            raise ModelError(f"layer {name!r}: two pools over its sums have no integer form; make them one")
        terms, offset = self.inner.fold(gain / self.divisor, self.pool)
        # An offset is the same in each of the values that are averaged.
        return terms, offset * self.divisor


class DroppedSums(Drive):
    """Dropout of a drive."""

    def __init__(self, inner: Drive, p: float, whole_channels: bool) -> None:
        super().__init__()
        self.inner, self.p, self.channels, self.whole_channels = inner, p, inner.channels, whole_channels

    def current(self, look: Look) -> Tensor:
        return self._drop(self.inner.current(look), self.p, self.whole_channels)

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        return self.inner.fold(gain, pool)


class Summed(Drive):
    """Several drives of one shape, added."""

    def __init__(self, drives: list[Drive]) -> None:
        super().__init__()
        self.drives = nn.ModuleList(drives)
        self.channels = drives[0].channels

    def leaves(self) -> Iterator[Weights | Through]:
        for drive in self.drives:
            assert isinstance(drive, Drive)
            yield from drive.leaves()

    def current(self, look: Look) -> Tensor:
        total: Tensor | None = None
        for drive in self.drives:
            assert isinstance(drive, Drive)
            y = drive.current(look)
            total = y if total is None else total + y.reshape(total.shape)
        assert total is not None
        return total

    def fold(self, gain: Float64, pool: Pool | None = None) -> tuple[list[FoldedTerm], Float64]:
        terms: list[FoldedTerm] = []
        offset = np.zeros(self.channels)
        for drive in self.drives:
            assert isinstance(drive, Drive)
            found, more = drive.fold(gain, pool)
            terms, offset = terms + found, offset + more
        return terms, offset


def _cut(whole: Connection, part: SignalPart, cuts: dict[tuple[int, int], Int8]) -> Connection:
    """The synapses of a connection that look at a part of its signal; parts in the same place share their codes."""
    place = (part.first, part.size)
    if place not in cuts:
        covers = part.first == 0 and part.size == whole.codes.shape[1] * whole.groups
        cuts[place] = whole.codes if covers else np.ascontiguousarray(whole.codes[:, place[0] : sum(place)])
    return replace(whole, codes=cuts[place], pools=part.steps)


def _ungrouped(codes: Int8, groups: int) -> Int8:
    """[O, I/groups, kh, kw] -> [O, I, kh, kw] with zeros where no group is."""
    outputs, inputs = codes.shape[:2]
    dense = np.zeros((outputs, inputs * groups, *codes.shape[2:]), np.int8)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        dense[rows, group * inputs : (group + 1) * inputs] = codes[rows]
    return dense


def _passing(name: str, part: SignalPart, channels: int) -> Connection:
    """Synapses that pass each channel, or element, of a part to that of its number."""
    if not part.flat and part.size == channels:
        codes = np.ones((channels, 1, 1, 1), np.int8)
        return Connection(name, codes, TERNARY, groups=channels, pools=part.steps)
    one: Int8 = np.eye(channels, part.size, -part.first, np.int8)
    return Connection(name, one if part.flat else one[:, :, None, None], TERNARY, pools=part.steps)


def pads(pool: Pool) -> bool:
    """Whether some of its windows see padding, so that an offset is not the same in all of their values."""
    return pool.padding != NO_SIDES


def _exact(x: Tensor) -> Float64:
    found: Float64 = x.detach().cpu().double().numpy()
    return found
