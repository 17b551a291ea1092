"""Layers of the compact form on spikes, and how their codes, sums and neurons lie."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...dtypes import Int32, Int64
from ...integer.connection import INT32, Connection, Shape, image
from ...integer.neuron import Neuron, ScaledStore
from ...integer.pool import NO_SIDES, Pool, repeated_sums
from .bit_planes import groups, neuron_planes, plane_codes, quiet_spikes
from .code_rows import Load, code_rows
from .planned_rows import BYTE, HALF, LANE, UNIT, CompactForm, PlannedRows, Unsuited

_LOADS: tuple[Load, ...] = ("words", "bytes", "fives")
_WORD = 30  # bits of a number on planes
_FILLING = 3  # events that fill a list up


@dataclass(frozen=True, eq=False)
class SpikingDraft:
    """A layer on spikes before it is known how long lists are.

    Args:
        most: the largest field.
        least: events that a list must hold.
        unpooled: bytes of a row of spikes before they are pooled for it; 0 where they are not.
    """

    name: str
    fields: dict[str, Any]
    most: int
    least: int
    said: str
    unpooled: int = 0

    def sums(self, lists: int) -> int:
        """Bytes."""
        return 4 * lists * int(self.fields["pitch"]) * int(self.fields.get("live", 1))

    def scratch(self, lists: int, size: int) -> int:
        """Bytes."""
        return -(-2 * lists * size // 4) * 4 + (0 if self.fields["linear"] else self.sums(lists))

    def made(self, lists: int, size: int) -> PlannedRows:
        f = self.fields
        if f.get("planes"):
            f["window"] = lists * f["pitch"]
        return PlannedRows(
            self.name,
            "spq_spiking",
            f,
            f["top"],
            f["down"],
            f["rows"],
            f["in_height"],
            f["ring"],
            self.sums(lists) if f["linear"] else 0,
            self.scratch(lists, size),
            self.said,
            self.unpooled,
        )


def draft_spiking(
    name: str, c: Connection, neuron: Neuron | None, source: Shape, steps: int, form: CompactForm
) -> SpikingDraft:
    """A layer on the spikes of a source."""
    pool = _max_pool(name, c, source)
    found = _draft(name, c, neuron, c.pooled_shape(source), steps, form)
    if pool is None:
        return found
    _, height, width = image(source)
    fields = found.fields | {"max_rows": pool.kernel[0], "max_columns": pool.kernel[1]}
    fields |= {"max_down": pool.stride[0], "max_right": pool.stride[1], "max_height": height, "max_width": width}
    fields |= {"max_top": pool.padding[0], "max_left": pool.padding[2]}
    at_work = -(-pool.kernel[0] // pool.stride[0])  # rows of pools that a row of spikes goes into, at most
    kept = 1 if fields["linear"] else fields["rows"]
    fields["ring"] = _ring(name, fields["row"], min(kept - 1 + at_work, fields["in_height"]))
    return replace(found, fields=fields, unpooled=fields["pixel"] * width, said=f"{found.said}, behind a max-pool")


def _max_pool(name: str, c: Connection, source: Shape) -> Pool | None:
    """The pool over spikes before a layer: the largest of bits is what any of them is."""
    if not c.pools:
        return None
    pool = c.pools[0]
    if len(c.pools) > 1 or not isinstance(pool, Pool) or pool.kind != "max" or len(source) < 3:
        raise Unsuited(f"layer {name!r} has something else before it than one max-pool")
    if pool.dilation != (1, 1):
        raise Unsuited(f"the max-pool before layer {name!r} has a dilation: give it one of 1")
    return pool


def _draft(
    name: str, c: Connection, neuron: Neuron | None, source: Shape, steps: int, form: CompactForm
) -> SpikingDraft:
    """The same of spikes that have been pooled."""
    if c.dilation != (1, 1) or c.spread != (1, 1):
        raise Unsuited(f"layer {name!r} has a dilation or a transposed kernel")
    if int(c.reach(1).max()) > LANE:
        raise Unsuited(f"sums of layer {name!r} leave 16 bits")
    codes, pool, folded = _kernel(c, source, form)
    on_planes = form.planes and form.bodies != "one" and len(codes) > UNIT  # of fewer channels, fields are faster
    if neuron is not None and on_planes and not folded:
        counted = _counted(name, c, codes, pool, neuron, source, steps)
        if counted is not None:
            return counted
    load: Load = "words" if neuron is not None or len(codes) > UNIT else form.load
    if load != "words" and math.prod(source) * (1 << max(0, -int(codes.min()) - 1).bit_length()) > LANE:
        load = "words"
    found = code_rows(codes, load) or code_rows(codes, "bytes" if load == "fives" else "words") or code_rows(codes)
    if found is None:
        raise Unsuited(f"codes of layer {name!r} do not fit 8 bits")
    step = found.rows.shape[-1]
    fields = _windows(name, c, codes, pool, source, steps, step) | {
        "codes": found.rows if step % 4 else np.ascontiguousarray(found.rows).view("<u4"),
        "words": found.words,
        "pitch": found.words * UNIT // found.bits,
        "lanes": 2 * found.words * UNIT // found.bits,
        "bits": found.bits,
        "load": _LOADS.index(found.load),
        "lift": found.lift,
        "few": 15 // found.most if found.bits == 2 else 1,
        "many": BYTE // found.most if found.bits < 8 else 1,
    }
    if found.rows.nbytes > HALF:
        raise Unsuited(f"layer {name!r} has more than 64 KB of codes")
    if neuron is not None:
        fields |= _neuron(neuron, name, int(c.reach(1).max()))
    how = {"words": f"fields of {found.bits} bits", "bytes": "fields of 2 bits in bytes", "fives": "five codes a byte"}
    pooled = ", pool folded" if folded else ", pool listed" if pool else ""
    return SpikingDraft(name, fields, found.most, 2 * UNIT, how[found.load] + pooled)


def _counted(
    name: str, c: Connection, codes: Int32, pool: Pool | None, neuron: Neuron, source: Shape, steps: int
) -> SpikingDraft | None:
    """A layer whose sums are counted in planes; None where its codes or its neurons are of another kind."""
    rows = plane_codes(codes)
    events = math.prod(codes.shape[1:]) * (pool.area if pool else 1)
    found = neuron_planes(neuron, int(c.reach(1).max()), events, steps)
    if rows is None or found is None or rows.nbytes > HALF or found.planes > _WORD:
        return None
    full, half = groups(len(codes))
    fields = _windows(name, c, codes, pool, source, steps, rows.shape[-1])
    live = min((fields["columns"] - 1) // fields["right"] + 1, fields["out_width"])
    fields |= {
        "codes": rows.view("<u4"),
        "column_step": rows[0].nbytes,
        "row_step": rows.shape[-1] * codes.shape[1],
        "across": rows[0].nbytes * fields["right"],
        "blank": rows[0].nbytes - rows.shape[-1],
        "thresholds": found.thresholds,
        "quiet": quiet_spikes(neuron, steps),
        "bits": 0,
        "load": 0,
        "pitch": 1 + (full + half) * found.planes,
        "planes": found.planes,
        "full": full,
        "half": half,
        "live": 1 if fields["linear"] else live,
        "bias": found.bias,
        "edges": found.edges,
        "zero": -neuron.low,
        "fraction": neuron.fraction,
        "subtracts": int(neuron.reset == "subtract"),
        "resets": int(neuron.reset == "zero"),
        "table": found.thresholds.shape[1],
        "left_of": found.left_of,
        "last_of": found.last_of,
    }
    least = _FILLING + max(2 * UNIT, UNIT * fields["pool_rows"])
    return SpikingDraft(name, fields, 0, least, "planes of bits" + (", pool listed" if pool else ""))


def _windows(
    name: str, c: Connection, codes: Int32, pool: Pool | None, source: Shape, steps: int, step: int
) -> dict[str, Any]:
    """Fields of what the windows of a layer are.

    Args:
        codes: [O, I, kh, kw].
        pool: that its sums are listed for.
        step: bytes of a row of codes.
    """
    channels, height, width = image(source)
    kernel, area = codes.shape[2:], pool.kernel if pool else (1, 1)
    window = (kernel[0] + area[0] - 1, kernel[1] + area[1] - 1)
    units = -(-channels // UNIT)
    pixel = 2 * units * steps
    row = pixel * width
    linear = not c.convolves
    stride = c.stride if not c.sum_pool else tuple(a * b for a, b in zip(c.stride, c.sum_pool.stride, strict=True))
    rows, columns = image(replace(c, pools=()).output_shape(source))[1:]
    made = -(-len(codes) // UNIT) * steps
    if max(made, units * steps) > BYTE:
        raise Unsuited(f"layer {name!r} has too many channels in {steps} time steps: give it fewer of both")
    ring = _ring(name, row, 1 if linear else min(window[0], height))
    return {
        "in_width": width,
        "in_height": height,
        "out_width": columns,
        "out_height": rows,
        "rows": 1 if linear else window[0],
        "columns": window[1],
        "kernel_rows": kernel[0],
        "kernel_columns": kernel[1],
        "down": 1 if linear else stride[0],
        "right": stride[1],
        "top": c.padding[0],
        "left": c.padding[2],
        "max_rows": 0,
        "max_columns": 0,
        "max_down": 0,
        "max_right": 0,
        "max_top": 0,
        "max_left": 0,
        "max_height": 0,
        "max_width": 0,
        "pool_rows": area[0],
        "pool_columns": area[1],
        "units": units,
        "channels": len(codes),
        "pixel": pixel,
        "row": row,
        "ring": ring,
        "step": step,
        "column_step": step * channels,
        "row_step": step * channels * kernel[1],
        "linear": int(linear),
        "made": made,
    }


def _ring(name: str, row: int, rows: int) -> int:
    """Bytes of rows that are kept."""
    if row * rows > HALF:
        raise Unsuited(f"layer {name!r} takes rows of more than 64 KB of spikes: give it fewer channels or time steps")
    return row * rows


def _kernel(c: Connection, source: Shape, form: CompactForm) -> tuple[Int32, Pool | None, bool]:
    """The kernel [O, I, kh, kw], the pool over sums that is left, and whether one has been folded."""
    if not c.convolves:
        channels, height, width = image(source)
        return c.codes.reshape(len(c.codes), channels, height, width).astype(np.int32), None, False
    codes, pool = c.whole_codes.astype(np.int32), c.sum_pool
    if pool is None:
        return codes, None, False
    if pool.kind != "sum" or pool.padding != NO_SIDES or pool.dilation != (1, 1):
        raise Unsuited(f"layer {c.name!r} has a pool that is not a plain sum")
    wide = codes
    for axis, count, apart in zip((2, 3), pool.kernel, c.stride, strict=True):
        wide = repeated_sums(wide, axis, count, apart)
    plain, both = code_rows(codes), code_rows(wide)
    listed = c.stride == (1, 1) and plain is not None
    fits = both is not None and (both.bits <= 4 or plain is None or both.bits <= plain.bits)
    if (form.folded and fits) or not listed:
        if both is None:
            raise Unsuited(f"codes of layer {c.name!r} with its pool do not fit 8 bits")
        return wide, None, True
    return codes, pool, False


def _neuron(neuron: Neuron, name: str, reach: int) -> dict[str, Any]:
    """Constants of neurons: what a spike takes is left out where it takes nothing."""
    store = neuron.store
    if isinstance(store, ScaledStore):
        return _scaled(neuron, store, name, reach)
    decay = store.decay.astype(np.int64)
    most = (reach << neuron.fraction) + int(np.abs(decay).max()) + 1
    drop = neuron.drop.astype(np.int64)
    lowest = -most - int(drop.max(initial=0))
    parts: list[Int64] = [np.clip(neuron.fire.astype(np.int64), -most, most)[None]]
    if neuron.reset == "subtract":
        parts.append(drop[None])
    parts += [np.clip(store.edges.astype(np.int64), lowest, most), decay]
    numbers = np.concatenate(parts).T
    return {
        "neurons": np.ascontiguousarray(numbers.astype(np.int16 if np.abs(numbers).max() <= LANE else np.int32)),
        "subtracts": int(neuron.reset == "subtract"),
        "resets": int(neuron.reset == "zero"),
        "fraction": neuron.fraction,
        "edges": len(store.edges),
        "zero": -neuron.low,
        "constants": numbers.shape[1],
    }


def _scaled(neuron: Neuron, store: ScaledStore, name: str, reach: int) -> dict[str, Any]:
    """The same of neurons that store more than 4 bits: a gain, an offset and what a code of one leaves, see
    scaled_code."""
    decay, gain = store.decay.astype(np.int64), store.gain.astype(np.int64)
    most = (reach << neuron.fraction) + (int(np.abs(decay).max()) * -neuron.low >> store.decay_shift) + 1
    drop = neuron.drop.astype(np.int64)
    lowest = most + int(np.abs(drop).max(initial=0))
    if int(gain.min()) < 0 or lowest * int(gain.max()) + int(np.abs(store.offset).max()) >> store.shift > INT32:
        raise Unsuited(f"codes that layer {name!r} stores leave 32 bits: give it a state of up to 4 bits")
    parts = [np.clip(neuron.fire.astype(np.int64), -most, most)]
    if neuron.reset == "subtract":
        parts.append(drop)
    parts += [gain, store.offset << 32 >> 32, store.offset >> 32, decay, np.zeros_like(gain)]
    return {
        "neurons": np.ascontiguousarray(np.stack(parts, 1).astype(np.int32)),
        "subtracts": int(neuron.reset == "subtract"),
        "resets": int(neuron.reset == "zero"),
        "fraction": neuron.fraction,
        "edges": 0,
        "zero": 4,  # what a code of zero leaves
        "constants": len(parts),
        "scaled": -neuron.low,
        "shift": store.shift,
        "left_shift": store.decay_shift,
    }
