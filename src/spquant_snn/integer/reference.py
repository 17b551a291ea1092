"""The reference: what an integer graph computes, written to be read. Every other backend must give the same integers.

Each function is one line of the definition: pool, sum, add the shortcut, gate, integrate, fire, store, read out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..dtypes import Bools, Int8, Int32, Int64, UInt8
from .graph import BLOCK, PIXEL, BlockGate, Connection, Graph, Readout, Shortcut, blocks_of
from .inputs import check_images
from .memory import refuse_beyond_reference
from .neuron import Neuron, TableStore
from .pool import Pool

Spikes = Bools
Probe = Callable[[str, Spikes, Int32], None]


def run(graph: Graph, images: UInt8, probe: Probe | None = None) -> Int32:
    """Logits of a batch.

    Args:
        images: uint8 [N, C, H, W], shown for ``graph.timesteps`` steps, or a sequence of frames [T, N, C, H, W].
        probe: called for each layer with its name, its spikes and its stored codes, both [T, N, ...].

    Returns:
        int32 [N, classes], summed over time; the prediction is the first of the largest.

    Raises:
        DataError: the images have another dtype or shape, or the logits of a sequence could leave 32 bits.
        ModelError: one image alone needs more memory than this machine has.
    """
    check_images(graph, images)
    static_input = images.ndim == 4
    steps = graph.timesteps if static_input else len(images)
    refuse_beyond_reference(graph, steps)
    x: Int32 = images.astype(np.int32)
    passed = {shortcut.source: x for shortcut in graph.shortcuts}  # spikes that are taken again
    for i, layer in enumerate(graph.layers):
        largest = layer.connection.largest_input(PIXEL if i == 0 else 1)
        if i == 0 and static_input:
            sums = [connect(layer.connection, x, largest)] * steps  # the same at every step
        else:
            sums = [connect(layer.connection, frame, largest) for frame in x]
        if layer.shortcut is not None:
            beside = passed[layer.shortcut.source]
            sums = [added(layer.shortcut, drive, frame) for drive, frame in zip(sums, beside, strict=True)]
        active = [active_inputs(layer.connection, frame) for frame in x] if layer.gate else None
        spikes, codes = integrate(layer.neuron, sums, layer.gate, active)
        if probe is not None:
            probe(layer.connection.name, spikes, codes)
        x = spikes.astype(np.int32)  # [T, N, ...]
        if i in passed:
            passed[i] = x
    return read_out(graph.readout, x)


def connect(connection: Connection, x: Int32, largest: int) -> Int32:
    """Sums [N, O, ...] of the weight codes weighted by the inputs [N, ...], pooled as the connection says."""
    x = pooled(connection, x)
    if not connection.convolves:
        return exact_product(x.reshape(len(x), -1), connection.codes.T, largest)
    sums = convolve(connection, x, largest)
    return pool_windows(sums, connection.sum_pool) if connection.sum_pool else sums


def added(shortcut: Shortcut, sums: Int32, spikes: Int32) -> Int32:
    """The sums [N, O, ...] with what a shortcut adds, of the spikes [N, ...] at its source."""
    return sums + (connect(shortcut.connection, spikes, 1) << shortcut.shift)


def pooled(connection: Connection, x: Int32) -> Int32:
    """What meets the weights, of inputs [N, ...]."""
    for pool in connection.pools:
        x = pool_windows(x, pool)
    return x


def convolve(connection: Connection, x: Int32, largest: int) -> Int32:
    """[N, I, H, W] -> [N, O, H', W']: every window is one row of a matrix product."""
    (dy, dx), (down, right), kernel = connection.stride, connection.padding, connection.codes.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (down, down), (right, right)))
    windows = sliding_window_view(padded, kernel, axis=(2, 3))[:, :, ::dy, ::dx]  # [N, I, H', W', kh, kw]
    windows = windows.transpose(0, 2, 3, 1, 4, 5)  # [N, H', W', I, kh, kw]
    parts = []
    for inputs, codes in zip(
        np.split(windows, connection.groups, axis=3), np.split(connection.codes, connection.groups), strict=True
    ):
        rows = inputs.reshape(*inputs.shape[:3], -1)
        parts.append(exact_product(rows, codes.reshape(len(codes), -1).T, largest))
    return np.ascontiguousarray(np.concatenate(parts, axis=3).transpose(0, 3, 1, 2))


def exact_product(x: Int32, codes: Int8, largest: int) -> Int32:
    """The integer product [..., K] @ [K, O] of inputs 0 .. ``largest``, by floating point: whole numbers that fit the
    significand add exactly."""
    reach = int(np.abs(codes.astype(np.int64)).sum(0).max()) * largest
    dtype = np.float32 if reach < 1 << 24 else np.float64
    product: Int32 = (x.astype(dtype) @ codes.astype(dtype)).astype(np.int32)
    return product


def pool_windows(x: Int32, pool: Pool) -> Int32:
    """[N, C, H, W] -> [N, C, H', W']: the sum or the maximum of each window."""
    windows = sliding_window_view(x, (pool.kernel, pool.kernel), axis=(2, 3))[:, :, :: pool.stride, :: pool.stride]
    pooled: Int32 = windows.max((4, 5)) if pool.kind == "max" else windows.sum((4, 5), dtype=np.int32)
    return pooled


def active_inputs(connection: Connection, x: Int32) -> Int32:
    """[N, 1, H', W'], or [N, 1] of a linear layer: how many inputs [N, ...] behind the pools are not zero among
    those that the sums of one place look at."""
    active: Int32 = (pooled(connection, x) != 0).astype(np.int32)
    if not connection.convolves:
        counted: Int32 = active.reshape(len(x), -1).sum(1, dtype=np.int32)[:, None]
        return counted
    (dy, dx), (down, right), pool = connection.stride, connection.padding, connection.sum_pool or Pool("sum", 1, 1)
    tall, wide = (
        (pool.kernel - 1) * stride + kernel
        for stride, kernel in zip(connection.stride, connection.codes.shape[2:], strict=True)
    )
    padded = np.pad(active.sum(1, dtype=np.int32), ((0, 0), (down, down), (right, right)))
    windows = sliding_window_view(padded, (tall, wide), axis=(1, 2))[:, :: dy * pool.stride, :: dx * pool.stride]
    counted = windows.sum((3, 4), dtype=np.int32)
    return counted[:, None]


def integrate(
    neuron: Neuron,
    sums: list[Int32],
    gate: BlockGate | None = None,
    active: list[Int32] | None = None,
    before: Int32 | None = None,
) -> tuple[Spikes, Int32]:
    """Spikes and stored codes [T, N, C, ...] of the sums [N, C, ...] of T steps.

    Args:
        active: of each step, where there is a gate; see ``active_inputs``.
        before: codes [N, C, ...] that were stored before the first step; None: zeros.
    """
    code = np.zeros_like(sums[0]) if before is None else before
    spikes = np.empty((len(sums), *code.shape), np.bool_)
    codes = np.empty((len(sums), *code.shape), np.int32)
    for t, drive in enumerate(sums):
        spikes[t], after = step(neuron, drive, code)
        if gate is not None and active is not None:
            computed = np.repeat(computed_blocks(gate, active[t], code), BLOCK, 1)[:, : code.shape[1]]
            spikes[t] &= computed
            after = np.where(computed, after, code)
        codes[t] = code = after
    return spikes, codes


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
    """One time step: leak, integrate, fire, reset, store. All [N, C, ...]."""
    shape = (-1, *[1] * (sums.ndim - 2))  # per channel
    potential = (sums << neuron.fraction) + remainder(neuron, code)
    spike = potential >= neuron.fire.reshape(shape)
    if neuron.reset == "zero":
        return spike, np.where(spike, np.int32(0), stored(neuron, potential))
    return spike, stored(neuron, np.where(spike, potential - neuron.drop.reshape(shape), potential))


def remainder(neuron: Neuron, code: Int32) -> Int32:
    """What the stored codes [N, C, ...] leave after the leak, in units of potential."""
    store, shape = neuron.store, (-1, *[1] * (code.ndim - 2))
    if isinstance(store, TableStore):
        channel = np.arange(store.decay.shape[1]).reshape(shape)
        return store.decay[code - neuron.low, channel]
    half = np.int32((1 << store.decay_shift) >> 1)
    return (code * store.decay.reshape(shape) + half) >> np.int32(store.decay_shift)


def stored(neuron: Neuron, potential: Int32) -> Int32:
    """The codes of potentials [N, C, ...]: the number of boundaries at or below each."""
    store, shape = neuron.store, (-1, *[1] * (potential.ndim - 2))
    if isinstance(store, TableStore):
        code = np.full_like(potential, neuron.low)
        for edge in store.edges:
            code += potential >= edge.reshape(shape)
        return code
    scaled: Int64 = (
        potential.astype(np.int64) * store.gain.reshape(shape) + store.offset.reshape(shape)
    ) >> store.shift
    return scaled.clip(neuron.low, neuron.high).astype(np.int32)


def read_out(readout: Readout, x: Int32) -> Int32:
    """Logits [N, classes] of the spikes [T, N, ...] of all steps."""
    logits = np.zeros((x.shape[1], len(readout.bias)), np.int32)
    for frame in x:
        logits += (
            connect(readout.connection, frame, readout.connection.largest_input(1)) << readout.fraction
        ) + readout.bias
    return logits
