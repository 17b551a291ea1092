"""Neurons, gates and readouts of a graph as ONNX nodes, one time step of each. All values are [N, C, H, W]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..integer.connection import Connection
from ..integer.graph import BLOCK, BlockGate, Layer, Readout, blocks_of
from ..integer.neuron import Current, Neuron, TableStore
from ..integer.pool import Pool
from ..integer.reference import window_of_sums
from .onnx_terms import OnnxValue, pooled, spread, write_pools
from .onnx_writer import Writer


@dataclass(frozen=True)
class Stored:
    """Codes of a layer between two steps, int8 [N, C, H, W]: of potentials, and of synaptic currents where there are
    any."""

    potential: str
    current: str | None = None


def write_layer(writer: Writer, layer: Layer, sums: str, stored: Stored, counted: str | None) -> tuple[str, Stored]:
    """Spikes, uint8 of zeros and ones, and what is stored, behind a step with ``sums``, int32.

    Args:
        counted: of a layer with a gate, what it counts, see ``write_active``.
    """
    neuron = layer.neuron
    drive, code = writer.shifted_left(sums, neuron.fraction), writer.cast(stored.potential, np.int32)
    after_current = None
    if neuron.current is not None and stored.current is not None:
        left = _remainder(writer, neuron.current, writer.cast(stored.current, np.int32))
        drive = _added(writer, drive, left)
        after_current = writer.cast(_code_of(writer, neuron.current, drive), np.int8)
    potential = _added(writer, drive, _remainder(writer, neuron, code))
    spike = writer.op("GreaterOrEqual", potential, writer.per_channel(neuron.fire, f"{layer.name}.fire"))
    if neuron.reset == "subtract":
        lower = writer.op("Sub", potential, writer.per_channel(neuron.drop, f"{layer.name}.drop"))
        potential = writer.op("Where", spike, lower, potential)
    after = _code_of(writer, neuron, potential)
    if neuron.reset == "zero":
        after = writer.op("Where", spike, writer.constant(0, np.int32), after)
    if layer.gate is not None and counted is not None:
        computed = _computed(writer, layer.gate, layer.channels, counted, code)
        spike = writer.op("And", spike, computed)
        after = writer.op("Where", computed, after, code)
    return writer.cast(spike, np.uint8), Stored(writer.cast(after, np.int8), after_current)


def _added(writer: Writer, x: str, more: str | None) -> str:
    return x if more is None else writer.op("Add", x, more)


def _remainder(writer: Writer, part: Neuron | Current, code: str) -> str | None:
    """What stored codes leave after the leak, int32; None where that is nothing."""
    store = part.store
    if not store.decay.any():
        return None
    if not isinstance(store, TableStore):
        half = (1 << store.decay_shift) >> 1
        return writer.scaled(code, store.decay, half, store.decay_shift)  # 32 bits do, as the graph has proven
    levels, channels = store.decay.shape
    places = (np.arange(channels, dtype=np.int32) - part.low * channels).astype(np.int32)
    index = writer.op("Mul", code, writer.constant(channels, np.int32))
    index = writer.op("Add", index, writer.per_channel(places, "places"))
    return writer.op("Gather", writer.constants.add(store.decay.reshape(levels * channels), "decay"), index)


def _code_of(writer: Writer, part: Neuron | Current, potential: str) -> str:
    """The codes of potentials, or of currents, int32."""
    store = part.store
    if not isinstance(store, TableStore):
        return writer.scaled(potential, store.gain, store.offset, store.shift, True, (part.low, part.high))
    code = writer.constant(part.low, np.int32)
    for edge in store.edges:
        passed = writer.op("GreaterOrEqual", potential, writer.per_channel(edge, "edge"))
        code = writer.op("Add", writer.cast(passed, np.int32), code)
    return code


def write_active(writer: Writer, connection: Connection, x: OnnxValue) -> str:
    """int32 [N, 1, H', W']: how many inputs behind the pools are not zero among those that the sums of one place look
    at."""
    x = write_pools(writer, connection, x)
    active = writer.cast(writer.cast(x.name, np.bool_), np.int32)
    axes = [1] if connection.convolves else [1, 2, 3]
    counted = writer.op("ReduceSum", active, writer.constant(axes, np.int64), keepdims=1)
    if not connection.convolves:
        return counted
    found = spread(writer, OnnxValue(counted, (1, *x.shape[1:]), x.shape[0], False, np.int32), connection.spread)
    fields, strides, padding = window_of_sums(connection)
    return pooled(writer, Pool("sum", fields, strides, padding), found).name


def _computed(writer: Writer, gate: BlockGate, channels: int, counted: str, code: str) -> str:
    """Whether the block of each neuron is computed, bool [N, C, H, W], in a step before which it stores ``code``."""
    blocks = blocks_of(channels)
    more = blocks * BLOCK - channels
    if more:
        pads = writer.constant([0, 0, 0, 0, 0, more, 0, 0], np.int64)
        code = writer.op("Pad", code, pads, writer.constant(0, np.int32))
    rows = [_block_sums(writer, code, block) for block in range(blocks)]
    codes = rows[0] if blocks == 1 else writer.op("Concat", *rows, axis=1)
    left = writer.op("Mul", counted, writer.per_channel(gate.count, "count"))
    right = writer.op("Mul", codes, writer.per_channel(gate.code, "code"))
    least = writer.per_channel(gate.least, "least")
    computed = writer.op("GreaterOrEqual", writer.op("Add", left, right), least)  # [N, B, H, W]
    of_channel = writer.constant(np.arange(channels) // BLOCK, np.int64)
    return writer.op("Gather", computed, of_channel, axis=1)


def _block_sums(writer: Writer, code: str, block: int) -> str:
    start, end, axis = (writer.constant([x], np.int64) for x in (block * BLOCK, (block + 1) * BLOCK, 1))
    return writer.op("ReduceSum", writer.op("Slice", code, start, end, axis), axis, keepdims=1)


def write_readout(writer: Writer, readout: Readout, sums: str, before: str) -> str:
    """What a readout has integrated, int32, behind a step with ``sums``."""
    if readout.leak is not None:
        half = (1 << readout.leak_shift) >> 1
        before = writer.scaled(before, readout.leak, half, readout.leak_shift, wide=True)
    drive = writer.shifted_left(sums, readout.fraction)
    drive = _added(writer, drive, writer.per_channel(readout.bias, "bias") if readout.bias.any() else None)
    return writer.op("Add", before, drive)
