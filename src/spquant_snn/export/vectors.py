"""Test vectors: what the reference says of a few images, in the bitmaps of the C source."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dtypes import UInt8
from ..integer.compare import reference_trace
from ..integer.graph import Graph
from ..runtime.plan import LANES, NetworkPlan, NeuronPlan


@dataclass(frozen=True, eq=False)
class Vector:
    """One image and what becomes of it.

    Args:
        pixels: uint8 [C * H * W].
        spikes: CRC-32 of each layer's spike bitmaps, all steps in a row.
        states: CRC-32 of each layer's stored codes after the last step.
        logits: int32 [classes].
    """

    pixels: UInt8
    spikes: tuple[int, ...]
    states: tuple[int, ...]
    logits: NDArray[np.int32]

    @property
    def runs(self) -> tuple[int, ...]:
        """The pixels in bytes: how many zeros follow, how many others, and those, and so on."""
        return tuple(_runs(self.pixels.tolist()))


def make_vectors(graph: Graph, plan: NetworkPlan, images: UInt8) -> tuple[Vector, ...]:
    """The vectors of images [N, C, H, W], by the reference."""
    trace = reference_trace(graph, images)
    neurons = [layer.neuron for layer in plan.layers if layer.neuron is not None]
    spikes = [_words(spikes) for _, spikes, _ in trace.layers]
    states = [_state(codes[-1], neuron) for (_, _, codes), neuron in zip(trace.layers, neurons, strict=True)]
    return tuple(
        Vector(
            images[n].ravel(),
            tuple(zlib.crc32(np.ascontiguousarray(words[:, n]).tobytes()) for words in spikes),
            tuple(zlib.crc32(np.ascontiguousarray(words[:, n]).tobytes()) for words in states),
            trace.logits[n].astype(np.int32),
        )
        for n in range(len(images))
    )


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
    return np.packbits(np.pad(last, padding).astype(np.uint8), axis=-1, bitorder="little").view("<u4")


def _state(codes: NDArray[np.generic], neuron: NeuronPlan) -> NDArray[np.generic]:
    """Codes [N, C, ...] as words [bits, N, ..., tiles], or where they take a byte each, as [1, N, ..., tiles * 32]."""
    last = np.moveaxis(codes.astype(np.int64) - neuron.low, 1, -1)
    if neuron.bits < 8:
        return np.stack([_packed(last >> b & 1) for b in range(neuron.bits)])
    padding = [(0, 0)] * (last.ndim - 1) + [(0, -last.shape[-1] % LANES)]
    return np.pad(last, padding, constant_values=-neuron.low).astype(np.uint8)[None]
