"""Test vectors: what the reference says of a few images, in the bitmaps of the C source."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Array, Int32, UInt8
from ..integer.compare import Trace, potentials, reference_trace
from ..integer.graph import Graph
from ..integer.neuron import Current, TableStore
from ..runtime.plan import LANES, NetworkPlan, NeuronPlan


@dataclass(frozen=True, eq=False)
class Vector:
    """One image and what becomes of it.

    Args:
        pixels: uint8, the bytes of all inputs, one behind the other.
        spikes: CRC-32 of each layer's spike bitmaps, all steps in a row.
        states: CRC-32 of each layer's stored codes after the last step; those of currents follow on potentials.
        logits: int32, the answers of all readouts, one behind the other, each [H, W, O]; of those that answer at every
            step, the last.
    """

    pixels: UInt8
    spikes: tuple[int, ...]
    states: tuple[int, ...]
    logits: NDArray[np.int32]

    @property
    def runs(self) -> tuple[int, ...]:
        """The pixels in bytes: how many zeros follow, how many others, and those, and so on."""
        return tuple(_runs(self.pixels.tolist()))


def make_vectors(graph: Graph, plan: NetworkPlan, given: tuple[Array, ...]) -> tuple[Vector, ...]:
    """The vectors of images [N, C, H, W], for each input, by the reference."""
    trace = reference_trace(graph, *given)
    neurons = [layer.neuron for layer in plan.layers if layer.neuron is not None]
    spikes = [_words(spikes) for _, spikes, _ in trace.layers]
    states = []
    for (_, fired, stored), neuron, layer in zip(trace.layers, neurons, graph.layers, strict=True):
        states.append([_state(potentials(fired, stored)[-1], neuron)])
        if layer.neuron.current is not None:
            states[-1].append(_currents(stored[-1, :, 1], layer.neuron.current))
    answers = _answers(graph, trace)
    return tuple(
        Vector(
            np.concatenate([np.ascontiguousarray(x[n]).view(np.uint8).ravel() for x in given]),
            tuple(zlib.crc32(np.ascontiguousarray(words[:, n]).tobytes()) for words in spikes),
            tuple(zlib.crc32(b"".join(np.ascontiguousarray(part[:, n]).tobytes() for part in both)) for both in states),
            answers[n],
        )
        for n in range(len(given[0]))
    )


def _answers(graph: Graph, trace: Trace) -> Int32:
    """[N, answers] of all readouts, in the order of C."""
    pairs = zip(graph.readouts, trace.answers, strict=True)
    return in_row([answer[:, -1] if readout.over_time == "all" else answer for readout, answer in pairs])


def in_row(answers: Sequence[Array]) -> Int32:
    """[N, answers] of all readouts in the order of C, of [N, O, ...] each."""
    return np.concatenate([np.moveaxis(x, 1, -1).reshape(len(x), -1) for x in answers], 1).astype(np.int32)


def _runs(pixels: list[int]) -> Iterator[int]:
    """Fewer than three zeros between others count as such: a run takes two bytes."""
    start = 0
    while start < len(pixels):
        first = next((i for i in range(start, len(pixels)) if pixels[i]), len(pixels))
        first = min(first, start + 255)
        last = first
        while last < min(len(pixels), first + 255) and any(pixels[last : last + 3]):
            last += 1
        yield from (first - start, last - first, *pixels[first:last])
        start = last


def _words(bits: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """[T, N, C, H, W] or [T, N, O] -> words [T, N, H, W, tiles] or [T, N, tiles]."""
    return _packed(np.moveaxis(bits, 2, -1))


def _packed(last: NDArray[np.generic]) -> NDArray[np.uint32]:
    padding = [(0, 0)] * (last.ndim - 1) + [(0, -last.shape[-1] % LANES)]
    bits = np.packbits(np.pad(last, padding).astype(np.uint8), axis=-1, bitorder="little")
    return np.ascontiguousarray(bits).view("<u4")


def _state(codes: NDArray[np.generic], neuron: NeuronPlan) -> NDArray[np.generic]:
    """Codes [N, C, ...] as words [bits, N, ..., tiles], or where they take a byte each, as [1, N, ..., tiles * 32]."""
    if neuron.bits == 8:
        return _in_bytes(codes, neuron.low)
    last = np.moveaxis(codes.astype(np.int64) - neuron.low, 1, -1)
    return np.stack([_packed(last >> b & 1) for b in range(neuron.bits)])


def _currents(codes: NDArray[np.generic], current: Current) -> UInt8:
    """Codes [N, C, ...] in bytes; those that fill a tile up store the lowest, where codes are found by edges."""
    found, count = _in_bytes(codes, current.low), codes.shape[1]
    if isinstance(current.store, TableStore):
        found[..., count:] = 0
    return found


def _in_bytes(codes: NDArray[np.generic], low: int) -> UInt8:
    """Codes [N, C, ...], counted from the lowest, as [1, N, ..., tiles * 32]."""
    last = np.moveaxis(codes.astype(np.int64) - low, 1, -1)
    padding = [(0, 0)] * (last.ndim - 1) + [(0, -last.shape[-1] % LANES)]
    return np.pad(last, padding, constant_values=-low).astype(np.uint8)[None]
