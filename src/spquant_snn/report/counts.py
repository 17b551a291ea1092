"""Counts of operations and spikes of an integer graph on real images.

Every number is the mean over the images of what one inference does. A *synaptic operation* adds one weight to one sum:
an accumulation (AC) where the input is a spike, a multiplication and accumulation (MAC) where it is a pixel or the sum
of several spikes. There are three counts of them (NeuroBench, Yik et al. 2025, has the first and the last):

    dense      every input at every time step, border exact
    done       inputs that are not zero, with all outputs that they reach: what an event-driven machine does. Outputs
               of blocks that a gate skips are not reached
    effective  of those the ones whose weight is not zero either

All of it term by term: the first term of a layer stands for its neurons too, its other terms have rows of their own.
Dense operations on a still image are counted once, because its sums are computed once, not at each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Int64, UInt8
from ..errors import DataError, MissingDependencyError, ModelError
from ..integer.compare import Trace, Tracer, potentials, reference_trace
from ..integer.fanout import fanout
from ..integer.graph import PIXEL, Graph
from ..integer.grids import STATE_GRIDS
from ..integer.inputs import check_images, check_inputs, check_predicts
from ..integer.reference import pooled
from ..io.terminal import Report, unseen
from ..runtime.native import NativeProgram
from .block_counts import BlockCounter, Skipped
from .wiring import WiredTerm, Wiring, wiring_of

_TRACED = 1 << 24  # neurons times steps of a batch, at most
_BATCH = 250


@dataclass(frozen=True)
class LayerCounts:
    """The shape and the counted work of one term of a layer, for one inference; the first term of a layer includes its
    neurons.

    Args:
        name: of the layer; of a term behind the first, with what it takes.
        pixels: it takes what comes in, not spikes.
        largest: the largest absolute value of that; 1 of spikes.
        inputs: values that come in at a time, before pools.
        gathered: inputs that pools on the input add up in one value; above 1 the value is no longer a spike.
        fan_in: the most products that one sum holds.
        sums: that it adds to at a time; of a sum-pool behind a convolution, the pooled ones.
        weights, weight_bits: number of codes and their width.
        channels: of the output; each has constants of its own.
        neurons, state_bits: of the layer; 0 neurons in a readout and in a term behind the first.
        passes: how often its sums are computed; once on a still image.
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
        frames: its pixels are other ones at each step, as counts of events are.
        products: multiplications of whole sums, by a multiplier of the term or the leak of a readout.
        comparisons: that find the largest of sums.
        codes: that each neuron stores: of its potential, and of a synaptic current.
    """

    name: str
    pixels: bool
    largest: int
    inputs: int
    gathered: int
    fan_in: int
    sums: int
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
    products: int = 0
    comparisons: int = 0
    codes: int = 1

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
        """Spikes per neuron and step; 0 for a readout."""
        return self.spikes / self.updates if self.updates else 0.0


@dataclass(frozen=True)
class Counts:
    """What a network does in one inference, the mean over ``images`` images.

    Args:
        backend: that was watched, "native" or "reference"; both do the same. "torch" for floating point.
        accuracy: percent of the images whose class was right; None without labels.
        layers: the first term of each, the readouts last.
        others: the other terms of layers and readouts, as layers without neurons.
    """

    images: int
    steps: int
    backend: str
    accuracy: float | None
    layers: tuple[LayerCounts, ...]
    others: tuple[LayerCounts, ...] = ()

    @property
    def rows(self) -> tuple[LayerCounts, ...]:
        """All that has synapses."""
        return (*self.layers, *self.others)


Given = NDArray[Any]  # what comes in at an input, images [N, C, H, W] or sequences [T, N, C, H, W]


def count(
    graph: Graph,
    images: UInt8 | tuple[Given, ...],
    labels: NDArray[np.integer[Any]] | None = None,
    progress: Report = unseen,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Counts:
    """Run a network on images, natively where that can be, and count.

    Args:
        images: uint8 [N, C, H, W], or sequences [T, N, C, H, W]; a tuple of such for each input of the graph, int8
            where it is signed.
        labels: [N] the right classes.
        progress: called with the number of images done.
        watch: called with what each batch of them did.

    Raises:
        DataError: there are no images, or they are not what the network takes.
        ConfigError: there are labels, and the network says no classes.
    """
    if not isinstance(images, tuple):
        if images.shape[-4:-3] == (0,):
            raise DataError("there are no images to count on: give at least one")
        check_images(graph, images)
        images = (images,)
    steps = check_inputs(graph, images)
    if labels is not None:
        check_predicts(graph)
    return count_traces(wiring_of(graph), *tracer_of(graph), steps, images, labels, progress, watch)


def count_traces(
    wiring: Wiring,
    backend: str,
    tracer: Tracer,
    steps: int,
    given: tuple[Given, ...],
    labels: NDArray[np.integer[Any]] | None = None,
    progress: Report = unseen,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Counts:
    """Count what a backend does on what is given for each input in ``steps`` time steps; the rest is as ``count``
    says."""
    total = given[0].shape[-4]
    tallies = [_Tally(term.connection.pooled_shape(wiring.sources[term.source])) for term in wiring.terms]
    lives = [_Life() for _ in wiring.shapes]
    blocks = [_blocks(wiring, i) for i in range(len(wiring.layers))]
    neurons = sum(math.prod(shape) for shape in wiring.shapes)
    batch = max(1, min(_BATCH, _TRACED // max(1, neurons * steps)))
    right = 0
    for start in range(0, total, batch):
        part = tuple(x.take(range(start, min(start + batch, total)), x.ndim - 4) for x in given)
        trace = tracer(*part)
        sources = [*(x if x.ndim == 5 else x[None] for x in part), *(spikes for _, spikes, _ in trace.layers)]
        for tally, term in zip(tallies, wiring.terms, strict=True):
            tally.add(term, sources[term.source], wiring.sources[term.source], steps)
        for life, bits, (_, spikes, codes) in zip(lives, wiring.state_bits, trace.layers, strict=True):
            life.add(bits, spikes, potentials(spikes, codes))
        for counter, (_, spikes, codes) in zip(blocks, trace.layers, strict=False):
            if counter is not None:
                _add_blocks(counter, sources[counter.source], potentials(spikes, codes))
        watch(trace)
        if labels is not None:
            classes = trace.logits.reshape(len(trace.logits), -1).argmax(1)
            right += int((classes == labels[start : start + batch]).sum())
        progress(min(start + batch, total))
    still = tuple(x.ndim == 4 for x in given)
    found = [
        _layer(wiring, term, tally, lives, blocks, total, steps, still)
        for term, tally in zip(wiring.terms, tallies, strict=True)
    ]
    first = [term.first for term in wiring.terms]
    return Counts(
        total,
        steps,
        backend,
        None if labels is None else 100 * right / total,
        tuple(row for row, leads in zip(found, first, strict=True) if leads),
        tuple(row for row, leads in zip(found, first, strict=True) if not leads),
    )


class _Tally:
    """How often each input of a term, behind the pools, was not zero, over images and steps."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.active: Int64 = np.zeros(shape, np.int64)

    def add(self, term: WiredTerm, source: Given, shape: tuple[int, ...], steps: int) -> None:
        """Add a batch: ``source`` is [T, N, ...] of what has ``shape``, or [1, N, ...] if it is still."""
        often = 1
        if term.delay:
            often = steps - 1 if len(source) == 1 else 1  # what is still comes again at every step
            source = source[:-1] if len(source) > 1 else source
        if often == 0:
            return
        flat = source.reshape(len(source) * source.shape[1], *shape).astype(np.int32)
        self.active += often * np.count_nonzero(pooled(term.connection, flat), axis=0).reshape(self.active.shape)


class _Life:
    """Sums over images and steps: spikes of a layer, and stored codes at an end of their grid."""

    def __init__(self) -> None:
        self.spikes = 0
        self.ends = 0

    def add(self, bits: float, spikes: NDArray[Any], codes: NDArray[Any]) -> None:
        """Add a batch."""
        self.spikes += int(np.count_nonzero(spikes))
        if bits in STATE_GRIDS:
            grid = STATE_GRIDS[bits]
            self.ends += int(np.count_nonzero((codes <= grid.low) | (codes >= grid.high)))


def tracer_of(graph: Graph) -> tuple[str, Tracer]:
    """The backend that runs a network to be counted, and how: native where that can be."""
    try:
        return "native", NativeProgram(graph).trace
    except (MissingDependencyError, ModelError):  # no compiler, or too large for the runtime
        return "reference", partial(reference_trace, graph)


def _blocks(wiring: Wiring, index: int) -> BlockCounter | None:
    """What counts the blocks of a layer; None where none is skipped."""
    first = next(term for term in wiring.terms if term.target == index)
    if first.delay:
        return None
    unsigned = first.source >= len(wiring.inputs) or wiring.largest[first.source] == PIXEL
    pixels = first.source < len(wiring.inputs)
    return BlockCounter(wiring.layers[index], first.source, wiring.sources[first.source], pixels, unsigned)


def _add_blocks(counter: BlockCounter, source: Given, codes: NDArray[Any]) -> None:
    """Add a batch, step by step; a still image reaches its layer once."""
    for t, inputs in enumerate(source):
        counter.add(inputs, codes[t - 1] if t else np.zeros_like(codes[0]))


def _layer(
    wiring: Wiring,
    term: WiredTerm,
    tally: _Tally,
    lives: list[_Life],
    blocks: list[BlockCounter | None],
    images: int,
    steps: int,
    still: tuple[bool, ...],
) -> LayerCounts:
    """A row: of a layer's first term with its neurons and gate; another term adds what its spikes reach, blocks that a
    gate skips included. Adders are as wide as its own fan-in can make them."""
    connection, shape = term.connection, wiring.sources[term.source]
    pixels, layers = term.source < len(wiring.inputs), len(wiring.shapes)
    static_input = pixels and still[term.source] and not term.delay
    passes = 1 if static_input else steps
    hidden = term.first and term.target < layers
    counter = blocks[term.target] if hidden and blocks else None
    skipped = Skipped() if counter is None else counter.counted
    life = lives[term.target] if hidden else _Life()
    neurons = math.prod(wiring.shapes[term.target]) if hidden else 0
    reach, outputs = fanout(connection, shape), math.prod(connection.output_shape(shape))
    leaks = wiring.leaks[term.target - layers] if term.first and not hidden and wiring.leaks else 0
    pool = connection.sum_pool
    compared = pool.kernel[0] * pool.kernel[1] - 1 if pool is not None and pool.kind == "max" else 0

    def mean(synapses: Int64, less: int) -> float:
        return (int((tally.active * synapses).sum()) - less) / images

    return LayerCounts(
        name=term.name,
        pixels=pixels,
        largest=wiring.largest[term.source] if pixels else 1,
        inputs=math.prod(shape),
        gathered=connection.largest_input(1),
        fan_in=connection.codes[0].size * (pool.area if pool else 1),
        sums=connection.sums_of(shape) if compared else outputs,
        weights=connection.codes.size,
        weight_bits=connection.bits,
        channels=len(connection.codes),
        neurons=neurons,
        state_bits=wiring.state_bits[term.target] if hidden else 0,
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
        spikes=life.spikes / images,
        saturated=life.ends / (images * steps * neurons) if neurons else 0.0,
        frames=pixels and not static_input,
        products=(passes * outputs if term.multiplies else 0) + leaks * steps,
        comparisons=passes * outputs * compared,
        codes=wiring.codes[term.target] if hidden and wiring.codes else 1,
    )
