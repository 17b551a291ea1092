"""The neurons of a layer as the C source takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..dtypes import Array, Int16, Int64, UInt32
from ..integer.graph import BlockGate, Connection
from ..integer.neuron import Current, Neuron, TableStore
from ..integer.silent_blocks import at_rest, silent_inputs
from .plan import LANES, BlocksPlan, NeuronPlan
from .row import RowLayer
from .slices import neuron_planes

_INT16 = (1 << 15) - 1
_INT32 = (1 << 31) - 1


def plan_neuron(layer: RowLayer, width: int, largest: int, lanes: bool, sliced: bool) -> NeuronPlan:
    """The constants of a layer, padded to ``width`` channels of which the added ones never fire.

    Args:
        largest: the largest value of an input.
        lanes: with constants for int16 lanes too, if these decide alike.
        sliced: with constants for bit slices too.
    """
    neuron, reach = layer.neuron, layer.reach(largest)
    plan = plan_wide(neuron, width)
    if lanes and isinstance(neuron.store, TableStore):
        plan = replace(plan, narrow=_narrow(neuron, neuron.store, reach, width))
    planes = neuron_planes(neuron, reach, _totals(layer.connection), _joined(layer)) if sliced else None
    if planes is None:
        return plan
    return replace(
        plan,
        planes=planes[0],
        plane_count=len(planes[0]),
        plane_rows=planes[0].shape[1],
        plane_decay=planes[1],
        plane_edge=planes[2],
    )


def plan_wide(neuron: Neuron, width: int) -> NeuronPlan:
    """The same for sums of 32 bits alone. A reset to nothing is one that subtracts nothing."""
    return NeuronPlan(
        fraction=neuron.fraction,
        subtract=int(neuron.reset != "zero"),
        fire=padded(neuron.fire, width, _INT32),
        drop=padded(neuron.drop, width, 0),
        **_codes(neuron, width),
    )


def plan_current(neuron: Neuron, width: int) -> NeuronPlan | None:
    """The constants of synaptic currents, as those of neurons that never fire; None where there are none."""
    if neuron.current is None:
        return None
    return NeuronPlan(
        fraction=neuron.fraction,
        subtract=1,
        fire=np.full(width, _INT32, np.int32),
        drop=np.zeros(width, np.int32),
        **_codes(neuron.current, width),
    )


def short_plan(plan: NeuronPlan, outputs: int) -> NeuronPlan | None:
    """The same with constants of 16 bits but for the thresholds, for source whose ``spq_constant`` has so many; None
    where they do not fit.

    Args:
        outputs: channels that are not added.
    """
    found: dict[str, Any] = {}
    for name, table in (("drop", plan.drop), ("decay", plan.decay), ("edges", plan.edges)):
        if table is not None:
            if (np.abs(table[..., :outputs].astype(np.int64)) > _INT16).any():
                return None
            found[name] = np.clip(table, -_INT16, _INT16).astype(np.int16)
    return replace(plan, **found)


def _codes(part: Neuron | Current, width: int) -> dict[str, Any]:
    """What is stored, and what is left of it."""
    store, levels = part.store, part.high - part.low + 1
    table, scaled = (store, None) if isinstance(store, TableStore) else (None, store)
    return {
        "bits": next(bits for bits in (2, 3, 4, 8) if levels <= 1 << bits),
        "low": part.low,
        "high": part.high,
        "levels": levels,
        "scaled": int(scaled is not None),
        "decay": padded(store.decay, width, 0),
        "edges": padded(table.edges, width, _INT32) if table else None,
        "gain": padded(scaled.gain, width, 0) if scaled else None,
        "offset": padded(scaled.offset, width, 0) if scaled else None,
        "decay_shift": scaled.decay_shift if scaled else 0,
        "shift": scaled.shift if scaled else 0,
        "narrow": None,
        "planes": None,
        "plane_count": 0,
        "plane_rows": 0,
        "plane_decay": 0,
        "plane_edge": 0,
    }


def _joined(layer: RowLayer) -> Int64 | None:
    """[C] what a spike adds to the sum of its channel, of an identity."""
    if layer.shortcut is None:
        return None
    codes: Int64 = layer.shortcut.connection.codes.ravel().astype(np.int64) << layer.shortcut.shift
    return codes


def plan_blocks(layer: RowLayer, largest: int) -> BlocksPlan | None:
    """What decides which blocks of a layer need their sums; None where all do.

    Args:
        largest: the largest value of an input.
    """
    gate, silent = layer.gate, None if layer.shortcut else silent_inputs(layer.connection, layer.neuron, largest)
    if gate is None and silent is None:
        return None
    return BlocksPlan(
        channels=len(layer.connection.codes),
        count=gate.count if gate else None,
        code=gate.code if gate else None,
        least=gate.least if gate else None,
        silent=silent,
        rest=None if silent is None else _rest(layer.neuron, len(silent)),
    )


def plan_gate(gate: BlockGate, channels: int) -> BlocksPlan:
    """What decides, by a gate alone, which blocks of a layer are computed."""
    return BlocksPlan(channels, gate.count, gate.code, gate.least, None, None)


def _rest(neuron: Neuron, tiles: int) -> UInt32:
    """[tiles, K, bits + 1] the bits of what each code becomes without input, counted from the lowest, and spikes."""
    spikes, codes = at_rest(neuron)
    bits = (neuron.high - neuron.low).bit_length()
    rows = np.stack([*((codes - neuron.low) >> b & 1 for b in range(bits)), spikes], 1).astype(np.uint8)
    lanes = padded(rows, tiles * LANES, 0).reshape(*rows.shape[:2], tiles, LANES)
    words = np.packbits(lanes, axis=-1, bitorder="little").view("<u4")[..., 0]
    return np.ascontiguousarray(words.transpose(2, 0, 1).astype(np.uint32))


def _totals(connection: Connection) -> Int64:
    """[C] sums of all codes, as often as a sum-pool behind them adds them."""
    sums: Int64 = connection.codes.reshape(len(connection.codes), -1).sum(1, dtype=np.int64)
    return sums * (connection.sum_pool.area if connection.sum_pool else 1)


def _narrow(neuron: Neuron, table: TableStore, reach: Int64, width: int) -> Int16 | None:
    """Constants with which int16 lanes decide as int32 ones do, or None where there are none.

    Lanes saturate: a sum beyond them stays beyond every edge if edges keep away from the ends of int16 by what a
    stored code and a drop can move it back.
    """
    decay, drop = table.decay.astype(np.int64), neuron.drop.astype(np.int64)
    moved = np.abs(decay).max(0) + np.abs(drop)
    most = (reach << neuron.fraction) + moved
    bounds = np.clip([neuron.fire, *table.edges], -most, most + 1)  # [1 + edges, C], beyond is all the same
    if (table.edges[1:] < table.edges[:-1]).any():
        return None  # they are searched by halves
    largest = (_INT16 >> neuron.fraction) << neuron.fraction
    exact, saturating = most < _INT16, np.abs(bounds).max(0) + moved < largest
    if not (exact | saturating).all():
        return None
    rows = np.concatenate([bounds[:1], drop[None], decay, bounds[1:]])
    fill = np.concatenate([[_INT16], [0], np.zeros(len(decay), int), np.full(len(bounds) - 1, _INT16)])
    out = np.tile(fill[:, None], (1, width)).astype(np.int16)
    out[:, : rows.shape[1]] = rows
    return out


def padded(array: Array, width: int, fill: int) -> Array:
    """The last axis filled up to ``width``."""
    padding = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.ascontiguousarray(np.pad(array, padding, constant_values=fill))
