"""Weight codes and neurons in bit slices: what ``csrc/sliced.c`` and ``csrc/planes.c`` take."""

from __future__ import annotations

import numpy as np

from ..dtypes import Int32, Int64, UInt32
from ..integer.neuron import Neuron, TableStore
from .plan import LANES, MOST_PARTS, MOST_PLANES, WORDS, SlicesPlan

_END = 0xFFFF  # behind the last event
_GROWTH = 4  # of the columns of a kernel, at most, to as many as its slots have


def plan_slices(codes: Int32, height: int, pad: int, step: int, out_width: int) -> SlicesPlan | None:
    """The codes [O, I, kh, kw] of a connection in bit slices, or None where they have too many bits or inputs.

    Args:
        height: of the input.
        pad: rows of padding above it, and below.
        step: columns from one output to the next.
        out_width: outputs of a row.
    """
    outputs, inputs, tall, wide = codes.shape
    tiles = -(-outputs // LANES)
    stride = step if out_width > 1 else wide  # one output alone: all columns are of one slot
    slots = -(-wide // stride)
    raised = max(0, -int(codes.min()))
    bits = max(1, (max(0, int(codes.max())) + raised).bit_length())  # padding has codes of zero
    if slots * stride > _GROWTH * wide or slots > WORDS or (height + 2 * pad + tall) * stride * inputs >= _END:
        return None
    block, spread = _shape(tiles, slots, bits)
    most = tall * slots * stride * inputs  # events of an output
    for vectors in _vectors(-(-bits // spread), spread):
        planes = (most * sum(1 << v * spread for v in range(vectors))).bit_length()
        if planes <= MOST_PLANES:
            break
    else:
        return None
    passes = -(-bits // (spread * vectors))
    if passes * spread > MOST_PARTS:
        return None
    blocks = -(-tiles // block)
    totals = np.zeros(tiles * LANES, np.int32)
    totals[:outputs] = codes.sum((1, 2, 3))
    return SlicesPlan(
        slots=slots,
        spread=spread,
        vectors=vectors,
        passes=passes,
        block=block,
        blocks=blocks,
        stride=stride,
        lift=raised,
        largest=int(np.abs(codes).max()),
        planes=planes,
        rows=_rows(codes + raised, raised, (blocks, passes, stride, vectors), (slots, spread, block)),
        totals=totals,
    )


def _shape(tiles: int, slots: int, bits: int) -> tuple[int, int]:
    """Tiles at a time, and bits of a code side by side: as many as a register has room for."""
    if slots * tiles > WORDS:
        blocks = -(-tiles // (WORDS // slots))
        return -(-tiles // blocks), 1
    even = tiles & (tiles - 1) == 0
    fitting = (n for n, least in ((4, 3), (2, 2)) if even and bits >= least and slots * tiles * n <= WORDS)
    return tiles, next(fitting, 1)


def _vectors(count: int, spread: int) -> tuple[int, ...]:
    """How many registers of ``count`` to take at a time, the best first: as many as leave none of them empty that fewer
    would not; fewer need fewer planes."""
    if count == 1:
        return (1,)
    return (4, 2, 1) if spread < 4 and -(-count // 4) * 4 <= -(-count // 2) * 2 else (2, 1)


def _rows(raised: Int32, nothing: int, counts: tuple[int, int, int, int], shape: tuple[int, int, int]) -> UInt32:
    """[blocks, passes, kh * stride * I + 1, vectors, 16], the last row of each zeros."""
    (blocks, passes, stride, vectors), (slots, spread, block) = counts, shape
    outputs, inputs, tall, wide = raised.shape
    padding = ((0, blocks * block * LANES - outputs), (0, 0), (0, 0), (0, slots * stride - wide))
    padded = np.pad(raised, padding, constant_values=nothing)
    shape4 = (blocks, block, LANES, inputs, tall, slots, stride)
    codes = padded.reshape(shape4)[:, :, :, :, :, ::-1].astype(np.uint32)  # the first slot holds the oldest output
    weights = np.uint32(1) << np.arange(LANES, dtype=np.uint32)
    rows = np.zeros((blocks, passes, tall * stride * inputs + 1, vectors, WORDS), np.uint32)
    for p in range(passes * vectors * spread):
        bits = codes >> np.uint32(p) & np.uint32(1)
        words = np.einsum("btlcysf,l->byfcst", bits, weights)  # [blocks, kh, stride, I, slots, block]
        words = words.reshape(blocks, -1, slots, block)
        vector, part = divmod(p % (vectors * spread), spread)
        for slot in range(slots):
            start = (slot * spread + part) * block
            rows[:, p // (vectors * spread), :-1, vector, start : start + block] = words[:, :, slot]
    return rows


def neuron_planes(neuron: Neuron, reach: Int64, totals: Int64, joined: Int64 | None) -> tuple[UInt32, int, int] | None:
    """Constants as bit planes [planes, 9 or 10, tiles + 16], the largest decay and the largest edge; None for a neuron
    that is not computed in slices.

    Args:
        neuron: with four codes at most, and a reset to zero.
        reach: [C] the largest absolute value of a sum.
        totals: [C] sums of all codes.
        joined: [C] what a spike adds to the sum of its channel, of a shortcut that is an identity; None without.
    """
    store = neuron.store
    if not isinstance(store, TableStore) or len(store.decay) > 4 or neuron.reset != "zero":
        return None
    decay = np.zeros((4, len(reach)), np.int64)
    decay[: len(store.decay)] = store.decay
    most = (reach << neuron.fraction) + np.abs(decay).max(0)
    edges = np.ones((4, len(reach)), np.int64)
    edges[: len(store.decay)] = np.clip([neuron.fire, *store.edges], -most, most + 1)  # beyond is all the same
    largest = int(max(most.max() + 1, np.abs(edges).max()))
    planes, channels = largest.bit_length() + 1, -(-len(reach) // LANES) * LANES
    constants = np.zeros((9 if joined is None else 10, channels), np.int64)
    constants[:4, : len(reach)] = decay
    constants[4:8] = 1  # what is added never fires
    constants[4:8, : len(reach)] = edges
    constants[4:8] = ~constants[4:8]
    constants[8, : len(reach)] = totals << neuron.fraction
    added = 0
    if joined is not None:
        constants[9, : len(reach)] = joined << neuron.fraction
        added = int(np.abs(constants[9]).max())
    bits = (constants[None] >> np.arange(planes)[:, None, None] & 1).astype(np.uint32)
    words = bits.reshape(planes, len(constants), -1, LANES) @ (np.uint32(1) << np.arange(LANES, dtype=np.uint32))
    repeated = words[:, :, np.arange(channels // LANES + WORDS) % (channels // LANES)]
    return np.ascontiguousarray(repeated, np.uint32), int(np.abs(decay).max()) + added, int(np.abs(edges).max())
