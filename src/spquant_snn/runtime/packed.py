"""Codes in fields of words, and the constants of the neurons behind them: what ``csrc/packed.c`` takes."""

from __future__ import annotations

import numpy as np

from ..dtypes import Int32, Int64, UInt32
from ..integer.neuron import Neuron, TableStore
from .plan import UNIT, PackedPlan
from .row import RowLayer

_INT16 = (1 << 15) - 1
_UINT16 = (1 << 16) - 1
_AT_ONCE = 1 << 20  # codes, that wait in 64 bits for their fields


def plan_packed(
    codes: Int32, layer: RowLayer | None, reach: int, area: int, counts: bool, readout: bool = False
) -> PackedPlan | None:
    """The codes [O, I, kh, kw] of a connection in fields of words, or None where a sum could leave 16 bits.

    Args:
        layer: whose neurons decide on the lanes; None where sums are wanted.
        reach: the largest absolute value of a sum.
        area: kernels that an output adds up, of a pool that is not folded.
        counts: inputs are values, not spikes.
        readout: the sums are those of the readout, behind which nothing is looked at.
    """
    low, high = int(codes.min()), int(codes.max())
    lift = 0 if counts else max(0, -low)
    bits = 16 if counts else field_bits(codes)
    if reach > _INT16 or (bits == 16 and not counts):
        return None
    if bits < 8 and codes[0].size * area * (max(0, high) + lift) > _UINT16:
        bits = 8  # there lanes may carry into each other
    units = -(-len(codes) // UNIT)
    few = readout and bits == 2 and len(codes) <= UNIT - 4  # they leave a byte of each word, and more
    words = _words(codes + lift, lift, bits, units)
    lanes, constants = _constants(layer.neuron, reach, units) if layer else (0, None)
    largest = max(1, max(0, high) + lift)
    return PackedPlan(
        bits=bits,
        units=units,
        grain=1 if few else 4,
        lift=lift,
        few=15 // largest if bits == 2 else 1,
        many=min(255 // largest, 127 // max(1, -low, high)) if bits < 8 else 1,
        lanes=lanes,
        levels=layer.neuron.high - layer.neuron.low + 1 if layer and lanes else 3,
        fraction=layer.neuron.fraction if layer else 0,
        pitch=constants[0].size if constants is not None else 1,
        words=_cut(words, -(-len(codes) // 4)) if few else words,
        constants=constants,
    )


def plan_products(codes: Int32) -> PackedPlan:
    """Codes [O, I, kh, kw] at their bits, outputs in their order, for values by which each is multiplied when it is
    taken out of its word; codes of at most 8 bits."""
    lift, bits = max(0, -int(codes.min())), field_bits(codes)
    units = 2 * -(-len(codes) // (2 * UNIT))
    rows = (codes + lift).transpose(2, 3, 1, 0)
    each = 32 // bits
    padded = np.pad(rows, ((0, 0), (0, 0), (0, 0), (0, -len(codes) % each)), constant_values=lift)
    fields = padded.reshape(*rows.shape[:3], -1, each).astype(np.uint32)
    words = (fields << (np.arange(each, dtype=np.uint32) * np.uint32(bits))).sum(-1, dtype=np.uint32)
    return PackedPlan(
        bits=bits,
        units=units,
        grain=4,
        lift=lift,
        few=1,
        many=1,
        lanes=0,
        levels=3,
        fraction=0,
        pitch=1,
        words=np.ascontiguousarray(words),
        constants=None,
    )


def field_bits(codes: Int32) -> int:
    """Of the fields in which codes lie, raised so that none is below zero; 16 where 8 do not hold them."""
    most = max(0, int(codes.max())) + max(0, -int(codes.min()))
    return next((bits for bits in (2, 4, 8) if most < 1 << bits), 16)


def _channels(units: int) -> Int64:
    """[units, m, l] the output of lane l of part m: a unit that is alone counts through, two share a word."""
    unit, m, lane = np.ogrid[:units, :4, :4]
    alone = (unit == units - 1) & (units % 2 == 1)
    channels: Int64 = 32 * (unit // 2) + np.where(alone, 4 * lane + m, 8 * lane + 4 * (unit % 2) + m)
    return channels


def _words(raised: Int32, nothing: int, bits: int, units: int) -> UInt32:
    """[kh, kw, I, units * bits / 2] fields of a unit, in the order in which masks and shifts part them."""
    rows = raised.transpose(2, 3, 1, 0)
    flat, channels = rows.reshape(-1, len(raised)), _channels(units)
    outputs = int(channels.max()) + 1
    words = np.empty((len(flat), units * bits // 2), np.uint32)
    size = max(1, _AT_ONCE // outputs)
    for start in range(0, len(flat), size):
        part = flat[start : start + size]
        filled = np.pad(part, ((0, 0), (0, outputs - len(raised))), constant_values=nothing)
        words[start : start + size] = _fields(filled[:, channels].astype(np.int64), bits)
    return words.reshape(*rows.shape[:3], -1)


def _fields(fields: Int64, bits: int) -> UInt32:
    """[rows, units, m, l] codes -> [rows, words]."""
    if bits == 2:  # one word: field 4 l + m
        parts = (fields << (8 * np.arange(4) + 2 * np.arange(4)[:, None])).sum((-1, -2))[..., None]
    elif bits == 4:  # word m // 2: field 2 l + m % 2
        shifted = fields << (8 * np.arange(4) + 4 * (np.arange(4) % 2)[:, None])
        parts = shifted.sum(-1).reshape(*fields.shape[:-2], 2, 2).sum(-1)
    elif bits == 8:  # word m: field l
        parts = (fields << 8 * np.arange(4)).sum(-1)
    else:  # words 2 m and 2 m + 1: lanes 0 and 2, and 1 and 3; the upper borrows where the lower is below zero
        parts = (fields[..., :2] + (fields[..., 2:] << 16)).reshape(*fields.shape[:-2], 8)
    words: UInt32 = (parts.reshape(len(fields), -1) & 0xFFFFFFFF).astype(np.uint32)
    return words


def _cut(words: UInt32, size: int) -> UInt32:
    """The first bytes of every word one behind the other, and the rest of the two words in which the last one starts
    and the next would."""
    rows = words.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :size].ravel()
    end = 4 * ((len(rows) - size) // 4 + 2)
    return np.pad(rows, (0, end - len(rows))).view("<u4").astype(np.uint32)


def _constants(neuron: Neuron, reach: int, units: int) -> tuple[int, UInt32 | None]:
    """Bits of the lanes, and constants [units, 2 * levels - 1, lanes / 2]; (0, None) where no lanes decide alike."""
    store, zero = neuron.store, -neuron.low
    if not isinstance(store, TableStore) or len(store.decay) > 4 or neuron.reset != "zero" or store.decay[zero].any():
        return 0, None
    if (store.edges[1:] < store.edges[:-1]).any():
        return 0, None
    decay = np.delete(store.decay.astype(np.int64), zero, 0)
    moved, most = np.abs(decay).max(0), (reach << neuron.fraction) + int(np.abs(decay).max())
    bounds = np.clip([neuron.fire, *store.edges], -most, most + 1)  # beyond is all the same
    needed = int((np.abs(bounds).max(0) + moved).max())
    if neuron.fraction == 0 and needed < 127:
        lanes = 8
    elif reach << neuron.fraction <= _INT16 and (needed < _INT16 or most < _INT16):
        lanes = 16
    else:
        return 0, None
    return lanes, lane_constants(np.concatenate([decay, bounds]), lanes, units)


def lane_constants(rows: Int64, lanes: int, units: int) -> UInt32:
    """Constants of neurons, [2 * levels - 1, C] decays, thresholds and edges, as [units, 2 * levels - 1, lanes / 2]
    words; channels that are added never fire."""
    kinds = len(rows)
    fill = np.repeat([0, (1 << lanes - 1) - 1], [kinds // 2, kinds - kinds // 2])[:, None]
    channels = _channels(units)
    table = np.concatenate([rows, np.tile(fill, (1, int(channels.max()) + 1 - rows.shape[1]))], 1)[:, channels]
    unsigned = table.transpose(1, 0, 2, 3) & ((1 << lanes) - 1)  # [units, 2 * levels - 1, m, l]
    if lanes == 8:
        words = (unsigned << 8 * np.arange(4)).sum(-1)
    else:
        words = (unsigned[..., :2] | unsigned[..., 2:] << 16).reshape(*unsigned.shape[:2], 8)
    return np.ascontiguousarray(words).astype(np.uint32)
