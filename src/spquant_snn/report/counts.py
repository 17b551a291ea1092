"""Counts: what a network does on real images, counted on its integer graph.

Every number is the mean over the images of what one inference does. A *synaptic operation* adds one weight to one sum:
an accumulation (AC) where the input is a spike, a multiplication and accumulation (MAC) where it is a pixel or the sum
of several spikes. There are three counts of them (NeuroBench, Yik et al. 2025, has the first and the last):

    dense      every input at every time step, border exact
    done       inputs that are not zero, with all outputs that they reach: what an event-driven machine does. Outputs
               of blocks that a gate skips are not reached
    effective  of those the ones whose weight is not zero either

Dense operations of a still image's first layer are counted once, because its sums are computed once, not at each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Int64, UInt8
from ..errors import DataError, MissingDependencyError, ModelError
from ..integer.compare import Trace, Tracer, reference_trace
from ..integer.fanout import fanout
from ..integer.graph import Graph
from ..integer.grids import STATE_GRIDS
from ..integer.inputs import check_images
from ..integer.reference import pooled
from ..runtime.native import NativeProgram
from .block_counts import BlockCounter, Skipped
from .wiring import Beside, Wiring, wiring_of

_TRACED = 1 << 24  # neurons times steps of a batch, at most
_BATCH = 250


@dataclass(frozen=True)
class LayerCounts:
    """What a layer is, and what it does in one inference.

    Args:
        name: of the layer.
        pixels: its input is the image, not spikes.
        inputs: values that come in at a time, before pools.
        gathered: inputs that pools on the input add up in one value; above 1 the value is no longer a spike.
        terms: the most products that one sum holds.
        weights, weight_bits: number of codes and their width.
        channels: of the output; each has constants of its own.
        neurons, state_bits: of the layer; 0 neurons in the readout.
        passes: how often its sums are computed; once for the first layer of a still image.
        steps: time steps.
        active: inputs, behind the pools, that are not zero, over all passes.
        dense, done, effective: synaptic operations, as the module says.
        folded: ``done``, if a sum-pool behind the convolution is folded into its kernel.
        reached: what would be done if a gate skipped no block.
        skipped: dense operations that a gate leaves out.
        silent: dense operations of blocks that meet so few inputs that they cannot matter (``silent_blocks``).
        decisions: of the gate.
        held: neuron updates that the gate leaves out.
        spikes: that its neurons send.
        saturated: share of stored codes at the lowest or highest of their grid.
        frames: its pixels are counts of events, other ones at each step.
    """

    name: str
    pixels: bool
    inputs: int
    gathered: int
    terms: int
    weights: int
    weight_bits: float
    channels: int
    neurons: int
    state_bits: float
    passes: int
    steps: int
    active: float
    dense: float
    done: float
    effective: float
    folded: float
    reached: float
    skipped: float
    silent: float
    decisions: float
    held: float
    spikes: float
    saturated: float
    frames: bool = False

    @property
    def static_input(self) -> bool:
        """It takes a still image, all pixels of it."""
        return self.pixels and not self.frames

    @property
    def multiplies(self) -> bool:
        """Its operations are MACs, not ACs."""
        return self.pixels or self.gathered > 1

    @property
    def updates(self) -> int:
        """Neuron updates, those that a gate leaves out too: every neuron at every step."""
        return self.neurons * self.steps

    @property
    def rate(self) -> float:
        """Spikes per neuron and step; 0 for the readout."""
        return self.spikes / self.updates if self.updates else 0.0


@dataclass(frozen=True)
class Counts:
    """What a network does in one inference, the mean over ``images`` images.

    Args:
        backend: that was watched, "native" or "reference"; both do the same. "torch" for floating point.
        accuracy: percent of the images whose class was right; None without labels.
        layers: the readout last.
        shortcuts: what they add to the sums of layers, as layers without neurons.
    """

    images: int
    steps: int
    backend: str
    accuracy: float | None
    layers: tuple[LayerCounts, ...]
    shortcuts: tuple[LayerCounts, ...] = ()

    @property
    def rows(self) -> tuple[LayerCounts, ...]:
        """All that has synapses."""
        return (*self.layers, *self.shortcuts)


def count(
    graph: Graph,
    images: UInt8,
    labels: NDArray[np.integer[Any]] | None = None,
    progress: Callable[[int], None] = lambda done: None,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Counts:
    """Run a network on images, natively where that can be, and count.

    Args:
        images: uint8 [N, C, H, W], or sequences [T, N, C, H, W].
        labels: [N] the right classes.
        progress: called with the number of images done.
        watch: called with what each batch of them did.

    Raises:
        DataError: there are no images, or they are not what the network takes.
    """
    if images.shape[-4:-3] == (0,):
        raise DataError("there are no images to count on: give at least one")
    check_images(graph, images)
    steps = graph.timesteps if images.ndim == 4 else len(images)
    return count_traces(wiring_of(graph), *_tracer(graph), steps, images, labels, progress, watch)


def count_traces(
    wiring: Wiring,
    backend: str,
    tracer: Tracer,
    steps: int,
    images: UInt8,
    labels: NDArray[np.integer[Any]] | None = None,
    progress: Callable[[int], None] = lambda done: None,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Counts:
    """Count what a backend does on images in ``steps`` time steps; the rest is as ``count`` says."""
    total, axis = images.shape[-4], images.ndim - 4
    tallies = [
        _Tally(connection.pooled_shape(shape))
        for connection, shape in zip(wiring.connections, wiring.inputs, strict=True)
    ]
    beside = [_Tally(wiring.inputs[shortcut.source + 1]) for shortcut in wiring.shortcuts]
    blocks = [BlockCounter(layer, wiring.inputs[i], i == 0) for i, layer in enumerate(wiring.layers)]
    neurons = sum(math.prod(shape) for shape in wiring.inputs[1:])
    batch = max(1, min(_BATCH, _TRACED // (neurons * steps)))
    right = 0
    for start in range(0, total, batch):
        part = images.take(range(start, min(start + batch, total)), axis)
        trace = tracer(part)
        _add(tallies, wiring, part, trace)
        _add_beside(beside, wiring, trace)
        _add_blocks(blocks, part, trace)
        watch(trace)
        if labels is not None:
            right += int((trace.logits.argmax(1) == labels[start : start + batch]).sum())
        progress(min(start + batch, total))
    skipped = [*(counter.counted for counter in blocks), *[Skipped()] * (len(tallies) - len(blocks))]
    layers = tuple(
        _layer(wiring, i, tally, skipped[i], total, steps, i == 0 and axis == 0) for i, tally in enumerate(tallies)
    )
    shortcuts = tuple(
        _shortcut(wiring, shortcut, tally, layers[shortcut.layer], total)
        for shortcut, tally in zip(wiring.shortcuts, beside, strict=True)
    )
    return Counts(total, steps, backend, None if labels is None else 100 * right / total, layers, shortcuts)


class _Tally:
    """Sums over images and steps: how often each input behind the pools was not zero, spikes, codes at an end."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.active: Int64 = np.zeros(shape, np.int64)
        self.spikes = 0
        self.ends = 0


def _tracer(graph: Graph) -> tuple[str, Tracer]:
    try:
        return "native", NativeProgram(graph).trace
    except (MissingDependencyError, ModelError):  # no compiler, or too large for the runtime
        return "reference", lambda images: reference_trace(graph, images)


def _add(tallies: list[_Tally], wiring: Wiring, images: UInt8, trace: Trace) -> None:
    """Add a batch."""
    sources = [images, *(spikes for _, spikes, _ in trace.layers)]
    for tally, connection, shape, source in zip(tallies, wiring.connections, wiring.inputs, sources, strict=True):
        tally.active += np.count_nonzero(pooled(connection, source.reshape(-1, *shape).astype(np.int32)), axis=0)
    for tally, bits, (_, spikes, codes) in zip(tallies, wiring.state_bits, trace.layers, strict=False):
        tally.spikes += int(np.count_nonzero(spikes))
        if bits in STATE_GRIDS:
            grid = STATE_GRIDS[bits]
            tally.ends += int(np.count_nonzero((codes <= grid.low) | (codes >= grid.high)))


def _add_beside(tallies: list[_Tally], wiring: Wiring, trace: Trace) -> None:
    """Add a batch to what reaches shortcuts."""
    for tally, shortcut in zip(tallies, wiring.shortcuts, strict=True):
        tally.active += np.count_nonzero(trace.layers[shortcut.source][1], axis=(0, 1))


def _add_blocks(blocks: list[BlockCounter], images: UInt8, trace: Trace) -> None:
    """Add a batch, step by step; a still image reaches the first layer once."""
    sources = [images if images.ndim == 5 else images[None], *(spikes for _, spikes, _ in trace.layers)]
    for counter, source, (_, _, codes) in zip(blocks, sources, trace.layers, strict=False):
        for t, inputs in enumerate(source):
            counter.add(inputs, codes[t - 1] if t else np.zeros_like(codes[0]))


def _layer(
    wiring: Wiring, index: int, tally: _Tally, skipped: Skipped, images: int, steps: int, static_input: bool
) -> LayerCounts:
    connection, shape, passes = wiring.connections[index], wiring.inputs[index], 1 if static_input else steps
    reach = fanout(connection, shape)
    hidden = index < len(wiring.state_bits)
    neurons = math.prod(wiring.inputs[index + 1]) if hidden else 0

    def mean(synapses: Int64, less: int) -> float:
        return (int((tally.active * synapses).sum()) - less) / images

    return LayerCounts(
        name=connection.name,
        pixels=index == 0,
        inputs=math.prod(shape),
        gathered=connection.largest_input(1),
        terms=connection.codes[0].size * (connection.sum_pool.area if connection.sum_pool else 1),
        weights=connection.codes.size,
        weight_bits=connection.bits,
        channels=len(connection.codes),
        neurons=neurons,
        state_bits=wiring.state_bits[index] if hidden else 0,
        passes=passes,
        steps=steps,
        active=int(tally.active.sum()) / images,
        dense=float(passes * int(reach.all.sum())),
        done=mean(reach.all, skipped.done),
        effective=mean(reach.nonzero, skipped.effective),
        folded=mean(reach.folded, skipped.folded),
        reached=mean(reach.all, 0),
        skipped=skipped.dense / images,
        silent=skipped.silent / images,
        decisions=skipped.decisions / images,
        held=skipped.updates / images,
        spikes=tally.spikes / images,
        saturated=tally.ends / (images * steps * neurons) if neurons else 0.0,
        frames=index == 0 and not static_input,
    )


def _shortcut(wiring: Wiring, shortcut: Beside, tally: _Tally, main: LayerCounts, images: int) -> LayerCounts:
    """What a shortcut adds to the sums of a layer: all that its spikes reach, blocks that a gate skips included. Adders
    are as wide as its own fan-in can make them."""
    connection, shape = shortcut.connection, wiring.inputs[shortcut.source + 1]
    reach = fanout(connection, shape)
    done, effective = (int((tally.active * synapses).sum()) / images for synapses in (reach.all, reach.nonzero))
    return LayerCounts(
        name=connection.name,
        pixels=False,
        inputs=math.prod(shape),
        gathered=1,
        terms=connection.codes[0].size,
        weights=connection.codes.size,
        weight_bits=connection.bits,
        channels=len(connection.codes),
        neurons=0,
        state_bits=0,
        passes=main.steps,
        steps=main.steps,
        active=int(tally.active.sum()) / images,
        dense=float(main.steps * int(reach.all.sum())),
        done=done,
        effective=effective,
        folded=done,
        reached=done,
        skipped=0.0,
        silent=0.0,
        decisions=0.0,
        held=0.0,
        spikes=0.0,
        saturated=0.0,
    )
