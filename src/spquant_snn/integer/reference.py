"""The reference: what an integer graph computes, written to be read. Every other backend must give the same integers.

Step by step, layer by layer, term by term: pool, sum, weigh, add, gate, integrate, fire, store, read out.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..dtypes import Array, Bools, Int8, Int32, Int64
from .connection import image
from .graph import BLOCK, BlockGate, Connection, Graph, Layer, Readout, Term, blocks_of
from .inputs import check_images, check_inputs
from .memory import refuse_beyond_reference
from .neuron import Current, Neuron, TableStore
from .pool import Pool, Upsample

Spikes = Bools
Probe = Callable[[str, Spikes, Int32], None]
Watch = Callable[[int, Int32, Int32], object]
Given = Array  # uint8, or int8 of a signed input

_NOTHING = int(np.iinfo(np.int32).min)  # below every value


def run(graph: Graph, images: Given, probe: Probe | None = None) -> Int32:
    """The answers of the first readout of a network of one input to a batch.

    Args:
        images: uint8, or int8 of a signed input, [N, C, H, W], shown for ``graph.timesteps`` steps, or a sequence of
            frames [T, N, C, H, W].
        probe: called for each layer with its name, its spikes and its stored codes, both [T, N, ...].

    Returns:
        int32 [N, ...], or [T, N, ...] of all steps; the prediction is the first of the largest.

    Raises:
        DataError: the images have another dtype or shape, or the answers of a sequence could leave 32 bits.
        ModelError: one image alone needs more memory than this machine has.
    """
    check_images(graph, images)
    return answers(graph, images, probe=probe)[0]


def answers(graph: Graph, *given: Given, probe: Probe | None = None) -> list[Int32]:
    """The answers of each readout to a batch; the rest is as for ``run``.

    Args:
        given: for each input of the graph images, or a sequence of frames; sequences are of one length.
    """
    steps = check_inputs(graph, given)
    refuse_beyond_reference(graph, steps)
    count = given[0].shape[-4]
    state = State(graph, count)
    static = {i for i, x in enumerate(given) if x.ndim == 4}
    history: list[tuple[list[Spikes], list[Int32]]] = []
    kept: list[list[Int32]] = [[] for _ in graph.readouts]
    for t in range(steps):
        spikes, said = state.step([x if x.ndim == 4 else x[t] for x in given], static if t else set())
        for steps_said, answer in zip(kept, said, strict=True):
            steps_said.append(answer)
        if probe is not None:
            history.append(([fired != 0 for fired in spikes], list(state.codes)))
    if probe is not None:
        for i, layer in enumerate(graph.layers):
            probe(
                layer.name,
                np.stack([spikes[i] for spikes, _ in history]),
                np.stack([codes[i] for _, codes in history]),
            )
    return [over_time(readout, said) for readout, said in zip(graph.readouts, kept, strict=True)]


class State:
    """A network between two steps, for ``count`` images at once.

    Attributes:
        codes: [N, ...] int32, what the neurons of each layer store; see ``step``.
        steps: taken so far.
    """

    def __init__(self, graph: Graph, count: int) -> None:
        self.graph = graph
        self.steps = 0
        self.codes = [
            np.zeros((count, *layer.neuron.stored_shape(shape)), np.int32)
            for layer, shape in zip(graph.layers, graph.shapes, strict=True)
        ]
        self._now = [np.zeros((count, *shape), np.int32) for shape in graph.sources]
        self._integrators = [np.zeros((count, *shape), np.int32) for shape in graph.outputs]
        self._still: dict[Term, Int32] = {}

    def __copy__(self) -> State:
        """The same network at the same step; the two go on each by itself."""
        other = State.__new__(State)
        other.__dict__.update({name: copy(value) for name, value in self.__dict__.items()})
        other.graph = self.graph
        return other

    def step(self, frames: list[Given], still: set[int], watch: Watch | None = None) -> tuple[list[Int32], list[Int32]]:
        """One time step: the spikes [N, ...] of each layer, and what each readout has integrated, [N, ...].

        Args:
            frames: [N, C, H, W] of each input.
            still: inputs that are what they were in the step before, whose sums need not be computed again.
            watch: called for each layer with its place, its sums, and what it stores before the step.
        """
        graph, first = self.graph, len(self.graph.inputs)
        before, self._now = self._now, [frame.astype(np.int32) for frame in frames]
        self._still = {term: sums for term, sums in self._still.items() if term.source in still}
        for i, layer in enumerate(graph.layers):
            sums = self._summed(layer.terms, before)
            if watch is not None:
                watch(i, sums, self.codes[i])
            first_term = layer.terms[0]
            active = None if layer.gate is None else active_inputs(first_term.connection, self._now[first_term.source])
            spikes, self.codes[i] = gated_step(layer, sums, self.codes[i], active)
            self._now.append(spikes.reshape(len(spikes), *graph.sources[first + i]).astype(np.int32))
        for i, readout in enumerate(graph.readouts):
            self._integrators[i] = integrate(readout, self._summed(readout.terms, before), self._integrators[i])
        self.steps += 1
        return self._now[first:], self._integrators

    def _summed(self, terms: tuple[Term, ...], before: list[Int32]) -> Int32:
        """The sums [N, ...] of terms, in the shape of the first."""
        total = self._weighed(terms[0], before)
        for term in terms[1:]:
            total = total + self._weighed(term, before).reshape(total.shape)
        return total

    def _weighed(self, term: Term, before: list[Int32]) -> Int32:
        if term in self._still:
            return self._still[term]
        x = (before if term.delay else self._now)[term.source]
        sums = weighed(term, x, *self.graph.largest(term.source))
        if term.source < len(self.graph.inputs) and not term.delay:
            self._still[term] = sums
        return sums


def weighed(term: Term, x: Int32, largest: int, signed: bool = False) -> Int32:
    """What a term adds, [N, O, ...], of inputs [N, ...] up to ``largest``."""
    sums = connect(term.connection, x, largest, signed)
    if term.multiplier is None and not term.shift:
        return sums
    wide = sums.astype(np.int64)
    if term.multiplier is not None:
        wide = wide * per_channel(term.multiplier, sums)
    return (wide >> term.shift).astype(np.int32)


def connect(connection: Connection, x: Int32, largest: int, signed: bool = False) -> Int32:
    """Sums [N, O, ...] of the weight codes weighted by the inputs [N, ...], pooled as the connection says."""
    x, largest = pooled(connection, x), connection.largest_input(largest)
    reach = int(connection.reach(1, signed).max()) * largest
    if not connection.convolves:
        return exact_product(x.reshape(len(x), -1), connection.codes.T, reach)
    sums = convolve(connection, x, reach)
    return resampled(connection.sum_pool, sums) if connection.sum_pool else sums


def pooled(connection: Connection, x: Int32) -> Int32:
    """What meets the weights, of inputs [N, ...]."""
    for step in connection.pools:
        x = resampled(step, x)
    return x


def convolve(connection: Connection, x: Int32, reach: int) -> Int32:
    """[N, I, H, W] -> [N, O, H', W']: every window is one row of a matrix product."""
    x = spread(as_images(x), connection.spread)
    windows = windows_of(x, connection.codes.shape[2:], connection.stride, connection.padding, connection.dilation, 0)
    windows = windows.transpose(0, 2, 3, 1, 4, 5)  # [N, H', W', I, kh, kw]
    parts = []
    for inputs, codes in zip(
        np.split(windows, connection.groups, axis=3), np.split(connection.codes, connection.groups), strict=True
    ):
        rows = inputs.reshape(*inputs.shape[:3], -1)
        parts.append(exact_product(rows, codes.reshape(len(codes), -1).T, reach))
    return np.ascontiguousarray(np.concatenate(parts, axis=3).transpose(0, 3, 1, 2))


def exact_product(x: Int32, codes: Int8, reach: int) -> Int32:
    """The integer product [..., K] @ [K, O], of no sum beyond ``reach``, by floating point: whole numbers that fit the
    significand add exactly."""
    dtype = np.float32 if reach < 1 << 24 else np.float64
    with np.errstate(invalid="ignore"):  # some kernels of OpenBLAS read beyond their rows, and say so of what is there
        product: Int32 = (x.astype(dtype) @ codes.astype(dtype)).astype(np.int32)
    return product


def resampled(step: Pool | Upsample, x: Int32) -> Int32:
    """[N, C, H, W] -> [N, C, H', W']: the sum or the largest of each window, or every value again."""
    x = as_images(x)
    if isinstance(step, Upsample):
        again: Int32 = x.repeat(step.factor[0], 2).repeat(step.factor[1], 3)
        return again
    largest = step.kind == "max"
    windows = windows_of(x, step.kernel, step.stride, step.padding, step.dilation, _NOTHING if largest else 0)
    found: Int32 = windows.max((4, 5)) if largest else windows.sum((4, 5), dtype=np.int32)
    return found


def windows_of(
    x: Int32,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    beside: int,
) -> Int32:
    """[N, C, H', W', kh, kw]: what each output looks at; ``beside`` stands where the padding is."""
    top, bottom, left, right = padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=beside)
    field = [(k - 1) * apart + 1 for k, apart in zip(kernel, dilation, strict=True)]
    windows = sliding_window_view(padded, field, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def spread(x: Int32, apart: tuple[int, int]) -> Int32:
    """[N, C, H, W] with its rows and columns that far from one another, zeros between them."""
    if apart == (1, 1):
        return x
    height, width = ((size - 1) * step + 1 for size, step in zip(x.shape[2:], apart, strict=True))
    wide = np.zeros((*x.shape[:2], height, width), np.int32)
    wide[:, :, :: apart[0], :: apart[1]] = x
    return wide


def as_images(x: Int32) -> Int32:
    """[N, F] as [N, F, 1, 1]; images as they are."""
    return x.reshape(len(x), *image(x.shape[1:]))


def active_inputs(connection: Connection, x: Int32) -> Int32:
    """[N, 1, H', W'], or [N, 1] of a linear layer: the number of non-zero inputs, after the pools, among those that the
    sums of one place look at."""
    active: Int32 = (pooled(connection, x) != 0).astype(np.int32)
    if not connection.convolves:
        counted: Int32 = active.reshape(len(x), -1).sum(1, dtype=np.int32)[:, None]
        return counted
    found = spread(as_images(active).sum(1, keepdims=True, dtype=np.int32), connection.spread)
    fields, strides, padding = window_of_sums(connection)
    met: Int32 = windows_of(found, fields, strides, padding, (1, 1), 0).sum((4, 5), dtype=np.int32)
    return met


def window_of_sums(connection: Connection) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Height and width of the part of a convolution's input that a pooled sum looks at, the steps from one to the next,
    and the padding."""
    pool = connection.sum_pool or Pool("sum", (1, 1), (1, 1))
    reach = [(k - 1) * apart for k, apart in zip(connection.codes.shape[2:], connection.dilation, strict=True)]
    (tall, wide), (dy, dx) = pool.field, connection.stride
    top, bottom, left, right = connection.padding
    above, below, before, behind = pool.padding
    return (
        ((tall - 1) * dy + reach[0] + 1, (wide - 1) * dx + reach[1] + 1),
        (dy * pool.stride[0], dx * pool.stride[1]),
        (top + above * dy, bottom + below * dy, left + before * dx, right + behind * dx),
    )


def gated_step(layer: Layer, sums: Int32, code: Int32, active: Int32 | None) -> tuple[Spikes, Int32]:
    """One time step of a layer's neurons, all [N, C, ...]; ``active`` is what a gate counts, see ``active_inputs``."""
    spikes, after = step(layer.neuron, sums, code)
    if layer.gate is None or active is None:
        return spikes, after
    computed = np.repeat(computed_blocks(layer.gate, active, code), BLOCK, 1)[:, : code.shape[1]]
    return spikes & computed, np.where(computed, after, code)


def computed_blocks(gate: BlockGate, active: Int32, code: Int32) -> Bools:
    """[N, B, ...] whether each block is computed in a step before which it stores the codes [N, C, ...]."""
    shape, blocks = (-1, *[1] * (code.ndim - 2)), blocks_of(code.shape[1])
    filled = np.zeros((len(code), blocks * BLOCK, *code.shape[2:]), np.int32)
    filled[:, : code.shape[1]] = code
    stored_codes = filled.reshape(len(code), blocks, BLOCK, *code.shape[2:]).sum(2, dtype=np.int32)
    count, weight, least = (x.reshape(shape) for x in (gate.count, gate.code, gate.least))
    computed: Bools = count * active + weight * stored_codes >= least
    return computed


def step(neuron: Neuron, sums: Int32, code: Int32) -> tuple[Spikes, Int32]:
    """One time step: leak, integrate, fire, reset, store. All [N, C, ...]; codes [N, 2, C, ...], of potentials and of
    currents, where the neuron has a synaptic current."""
    drive = sums << neuron.fraction
    if neuron.current is None:
        return membrane_step(neuron, drive, code)
    drive = drive + remainder(neuron.current, code[:, 1])
    spikes, after = membrane_step(neuron, drive, code[:, 0])
    return spikes, np.stack([after, stored(neuron.current, drive)], 1)


def membrane_step(neuron: Neuron, drive: Int32, code: Int32) -> tuple[Spikes, Int32]:
    """Spikes and next codes of potentials that a ``drive``, in their units, is added to. All [N, C, ...]."""
    potential = drive + remainder(neuron, code)
    spike = potential >= per_channel(neuron.fire, potential)
    if neuron.reset == "zero":
        return spike, np.where(spike, np.int32(0), stored(neuron, potential))
    return spike, stored(neuron, np.where(spike, potential - per_channel(neuron.drop, potential), potential))


def potential(neuron: Neuron, sums: Int32, code: Int32) -> Int32:
    """The potentials [N, C, ...] of a time step, before it is decided which of them fire; as ``step`` has them."""
    drive = sums << neuron.fraction
    if neuron.current is None:
        return drive + remainder(neuron, code)
    return drive + remainder(neuron.current, code[:, 1]) + remainder(neuron, code[:, 0])


def remainder(part: Neuron | Current, code: Int32) -> Int32:
    """What the stored codes [N, C, ...] leave after the leak, in units of potential."""
    store = part.store
    if isinstance(store, TableStore):
        channel = np.arange(store.decay.shape[1]).reshape(-1, *[1] * (code.ndim - 2))
        return store.decay[code - part.low, channel]
    half = np.int32((1 << store.decay_shift) >> 1)
    return (code * per_channel(store.decay, code) + half) >> np.int32(store.decay_shift)


def stored(part: Neuron | Current, potential: Int32) -> Int32:
    """The codes of potentials, or of currents in their units, [N, C, ...]: the number of boundaries at or below
    each."""
    store = part.store
    if isinstance(store, TableStore):
        code = np.full_like(potential, part.low)
        for edge in store.edges:
            code += potential >= per_channel(edge, potential)
        return code
    shape = (-1, *[1] * (potential.ndim - 2))
    scaled: Int64 = (
        potential.astype(np.int64) * store.gain.reshape(shape) + store.offset.reshape(shape)
    ) >> store.shift
    return scaled.clip(part.low, part.high).astype(np.int32)


def integrate(readout: Readout, sums: Int32, before: Int32) -> Int32:
    """The integrated value of a readout, [N, O, ...], after a step with these sums."""
    if readout.leak is not None:
        half = (1 << readout.leak_shift) >> 1
        wide = before.astype(np.int64) * per_channel(readout.leak, before) + half
        before = (wide >> readout.leak_shift).astype(np.int32)
    return before + (sums.reshape(before.shape) << readout.fraction) + per_channel(readout.bias, before)


def over_time(readout: Readout, said: list[Int32]) -> Int32:
    """The answer [N, O, ...], or [T, N, O, ...] of all steps, of what was integrated at each step."""
    if readout.over_time == "all":
        return np.stack(said)
    answer = said[0]
    for t, integrated in enumerate(said):
        answer = so_far(readout, answer, integrated, t + 1)
    return answer


def answers_by_step(graph: Graph, images: Array) -> list[Int32]:
    """What each readout of a graph of one input says behind each step, [T, N, O, ...], of images [N, C, H, W] or
    sequences [T, N, C, H, W]: what was integrated, summed or largest so far."""
    steps = graph.timesteps if images.ndim == 4 else len(images)
    state, rows = State(graph, images.shape[-4]), list[list[Int32]]()
    for t in range(steps):
        still = {0} if images.ndim == 4 and t else set[int]()
        _, integrated = state.step([images if images.ndim == 4 else images[t]], still)
        before = rows[-1] if rows else integrated
        rows.append([so_far(*each, t + 1) for each in zip(graph.readouts, before, integrated, strict=True)])
    return [np.stack(row) for row in zip(*rows, strict=True)]


def so_far(readout: Readout, answer: Int32, integrated: Int32, steps: int) -> Int32:
    """The answer behind ``steps`` steps, of the one before the last of them, and of what was integrated in it. A
    readout of all steps answers with the last."""
    if steps == 1 or readout.over_time in ("last", "all"):
        return integrated
    return np.maximum(answer, integrated) if readout.over_time == "largest" else answer + integrated


def per_channel(constants: Int32, x: Int32) -> Int32:
    """Constants [C] that lie beside values [N, C, ...]."""
    return constants.reshape(-1, *[1] * (x.ndim - 2))
