"""From the header of a .spq file to a graph, part by part.

Each function checks its part of the header and returns what builds it, so that the whole header, the extent of every
array and every checksum are checked before the first array is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast, get_args

from ..errors import FileFormatError
from ..io.fields import Fields
from .blobs import BlobReader
from .graph import BlockGate, Connection, Graph, Layer, Readout, Shortcut, blocks_of
from .grids import STATE_GRIDS, WEIGHT_GRIDS
from .neuron import Neuron, Reset, ScaledStore, TableStore
from .pool import Pool

_SIZE = (1 << 16) - 1
_AREA = 1 << 23  # times the largest pixel, below 2**31: the checks of the graph, in 64 bits, cannot overflow


def decode(header: Fields, blobs: BlobReader) -> Callable[[], Graph]:
    """What makes the graph of a header of a format whose arrays are ``blobs``; it may raise ModelError.

    Raises:
        FileFormatError: a field is missing, unknown, of another type or out of range, or does not agree with its array.
    """
    channels, height, width = header.integers("input_shape", (3,), 1, _SIZE)
    timesteps = header.integer("timesteps", 1, 1024)
    layers = [_layer(fields, blobs) for fields in header.inner_row("layers", 1024)]
    readout = _readout(header.inner("readout"), blobs)
    header.close()
    blobs.close()
    return lambda: Graph((channels, height, width), timesteps, tuple(layer() for layer in layers), readout())


def _layer(fields: Fields, blobs: BlobReader) -> Callable[[], Layer]:
    connection, channels = _connection(fields.inner("connection"), blobs)
    neuron = _neuron(fields.inner("neuron"), blobs, channels)
    found = fields.inner_or_null("gate")
    gate = None if found is None else _gate(found, blobs, blocks_of(channels))
    shortcut = _shortcut(fields.inner("shortcut"), blobs) if fields.has("shortcut") else None
    fields.close()
    return lambda: Layer(
        connection(), neuron(), None if gate is None else gate(), None if shortcut is None else shortcut()
    )


def _shortcut(fields: Fields, blobs: BlobReader) -> Callable[[], Shortcut]:
    source = fields.integer("source", 0, 1023)
    shift = fields.integer("shift", 0, 16)
    connection, _ = _connection(fields.inner("connection"), blobs)
    fields.close()
    return lambda: Shortcut(source, connection(), shift)


def _readout(fields: Fields, blobs: BlobReader) -> Callable[[], Readout]:
    connection, outputs = _connection(fields.inner("connection"), blobs)
    fraction = fields.integer("fraction", 0, 8)
    bias = blobs.claim(fields.inner("bias"), (outputs,))
    scale = fields.positive("scale")
    fields.close()
    return lambda: Readout(connection(), fraction, bias.int32(), scale)


def _connection(fields: Fields, blobs: BlobReader) -> tuple[Callable[[], Connection], int]:
    """A connection and the number of its outputs."""
    name = fields.text("name", 256)
    bits = fields.choice("bits", tuple(WEIGHT_GRIDS))
    down, right = fields.integers("stride", (2,), 1, _SIZE)
    top, left = fields.integers("padding", (2,), 0, _SIZE)
    groups = fields.integer("groups", 1, _SIZE)
    pools = tuple(_pool(pool) for pool in fields.inner_row("pools", 16))
    last = fields.inner_or_null("sum_pool")
    sum_pool = None if last is None else _pool(last)
    if math.prod(pool.area for pool in (*pools, *([sum_pool] if sum_pool else []))) > _AREA:
        raise FileFormatError(f"{fields.where} pools windows of more than {_AREA} values")
    codes = blobs.claim_codes(fields.inner("codes"), bits)
    fields.close()
    return lambda: Connection(
        name, codes.codes(), bits, (down, right), (top, left), groups, pools, sum_pool
    ), codes.shape[0]


def _pool(fields: Fields) -> Pool:
    pool = Pool(
        fields.choice("kind", ("sum", "max")), fields.integer("kernel", 1, _SIZE), fields.integer("stride", 1, _SIZE)
    )
    fields.close()
    return pool


def _neuron(fields: Fields, blobs: BlobReader, channels: int) -> Callable[[], Neuron]:
    bits = fields.choice("bits", tuple(STATE_GRIDS))
    fraction = fields.integer("fraction", 0, 6)
    reset = cast(Reset, fields.choice("reset", get_args(Reset)))
    fire = blobs.claim(fields.inner("fire"), (channels,))
    drop = blobs.claim(fields.inner("drop"), (channels,))
    store = _store(fields.inner("store"), blobs, STATE_GRIDS[bits].high - STATE_GRIDS[bits].low + 1, channels)
    fields.close()
    return lambda: Neuron(bits, fraction, reset, fire.int32(), drop.int32(), store())


def _gate(fields: Fields, blobs: BlobReader, blocks: int) -> Callable[[], BlockGate]:
    count, code, least = (blobs.claim(fields.inner(name), (blocks,)) for name in ("count", "code", "least"))
    fields.close()
    return lambda: BlockGate(count.int32(), code.int32(), least.int32())


def _store(fields: Fields, blobs: BlobReader, levels: int, channels: int) -> Callable[[], TableStore | ScaledStore]:
    if fields.choice("kind", ("table", "scaled")) == "table":
        table = blobs.claim(fields.inner("decay"), (levels, channels))
        edges = blobs.claim(fields.inner("edges"), (levels - 1, channels))
        fields.close()
        return lambda: TableStore(table.int32(), edges.int32())
    decay = blobs.claim(fields.inner("decay"), (channels,))
    decay_shift = fields.integer("decay_shift", 0, 16)
    gain = blobs.claim(fields.inner("gain"), (channels,))
    offset = blobs.claim(fields.inner("offset"), (channels,), widest="int64")
    shift = fields.integer("shift", 0, 40)
    fields.close()
    return lambda: ScaledStore(decay.int32(), decay_shift, gain.int32(), offset.int64(), shift)
