"""A row of layers planned for the compact form: its structs, tables and memory, to the byte."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dtypes import Array, Int32, Int64
from ...integer.connection import Connection, Shape, image
from ...integer.graph import PIXEL, Graph, Layer, Readout
from ...integer.neuron import Neuron, TableStore
from ...integer.pool import NO_SIDES, Pool, repeated_sums
from .code_rows import Load, code_rows, tap_lists
from .still_levels import still_levels

UNIT = 16  # channels
CHUNKS = (4, 5, 7)  # kernels on pixels whose sums are in registers at a time
_LANE = (1 << 15) - 1
_BYTE, _HALF = (1 << 8) - 1, (1 << 16) - 1
_STATE = 8  # bytes of a layer's counters
LOADS: tuple[Load, ...] = ("words", "bytes", "fives")


class Unsuited(Exception):
    """The compact form does not take a network; it says why, of which layer."""


@dataclass(frozen=True)
class CompactForm:
    """How a network is laid out.

    Args:
        folded: pools over sums lie in the kernels where fields of 4 bits, or as many as without, hold them.
        load: how the codes of the readout lie.
        specialised: a body for each layer instead of one for all.
        room: events that a list holds beyond those that it must.
        tight: to be compiled for few bytes.
    """

    folded: bool = True
    load: Load = "bytes"
    specialised: bool = True
    room: int = 32
    tight: bool = False


@dataclass(frozen=True, eq=False)
class PlannedRows:
    """One layer: a C struct, by its fields; and what its memory is.

    Args:
        kind: spq_pixels or spq_spiking.
        fields: of the struct; arrays are tables of their own.
        top, down: zeros above its image, rows from one of its windows to the next.
        window: rows that it looks at.
        came: rows that come in.
        ring: bytes of the rows that it keeps.
        kept: bytes of sums that outlive a row.
        scratch: bytes that it needs while it computes a row.
        said: what was chosen for it, in a few words.
    """

    name: str
    kind: str
    fields: dict[str, Any]
    top: int
    down: int
    window: int
    came: int
    ring: int
    kept: int
    scratch: int
    said: str

    @property
    def tables(self) -> dict[str, Array]:
        return {name: value for name, value in self.fields.items() if isinstance(value, np.ndarray)}


@dataclass(frozen=True, eq=False)
class CompactPlan:
    """A network in the compact form.

    Args:
        layers: the one on pixels, those on spikes, the readout.
        bias: [O] of the answers, of all steps.
        outputs: how many answers.
        list_size: events of a list.
    """

    form: CompactForm
    steps: int
    shape: tuple[int, int, int]
    layers: tuple[PlannedRows, ...]
    bias: Int32
    list_size: int

    @property
    def chunk(self) -> int:
        """Kernels on pixels whose sums are in registers at a time."""
        fields = self.layers[0].fields
        return int(fields["chunk"] // fields["pixel"])

    @property
    def lists(self) -> int:
        return self.steps + 1 if self.steps > 1 else 1

    @property
    def regions(self) -> list[tuple[str, int, int]]:
        """What lies where in the arena: a name, the first byte and the size. The rows of pixels lie last: images that
        lie in memory as wholes need none."""
        found, at = [("counters", 0, _STATE * len(self.layers))], _STATE * len(self.layers)
        parts = [(f"rows for {layer.name}", layer.ring) for layer in self.layers[1:]]
        parts += [(f"sums of {layer.name}", layer.kept) for layer in self.layers if layer.kept]
        parts += [("scratch", max(layer.scratch for layer in self.layers)), ("rows of pixels", self.layers[0].ring)]
        for name, size in parts:
            found.append((name, at, size))
            at += -(-size // 4) * 4
        return found

    def place(self, name: str) -> int:
        return next(at for found, at, _ in self.regions if found == name)

    @property
    def image_arena(self) -> int:
        """Bytes for images that lie in memory."""
        return self.place("rows of pixels")

    @property
    def rows_arena(self) -> int:
        """Bytes for images that come row by row."""
        _, at, size = self.regions[-1]
        return at + -(-size // 4) * 4

    @property
    def constants(self) -> int:
        """Bytes of all tables."""
        return self.bias.nbytes + sum(table.nbytes for layer in self.layers for table in layer.tables.values())


def plan_compact(graph: Graph, form: CompactForm) -> CompactPlan:
    """Lay out a graph.

    Raises:
        Unsuited: it is of another kind.
    """
    _check_row(graph)
    steps, shape = graph.timesteps, graph.inputs[0].shape
    found = [_pixels(graph.layers[0], graph.shapes[0], shape, steps, form)]
    sources = graph.shapes
    drafts = [
        _spiking(layer.name, layer.terms[0].connection, layer.neuron, source, steps, form)
        for layer, source in zip(graph.layers[1:], sources, strict=False)
    ]
    readout = graph.readout
    drafts.append(_spiking(readout.name, readout.terms[0].connection, None, sources[-1], steps, form))
    size = UNIT + max(UNIT, form.room)
    most = max((draft.most for draft in drafts if draft.fields["bits"] == 2), default=1)
    size = max(2 * UNIT, min(size, _BYTE // most))
    lists = steps + 1 if steps > 1 else 1
    found += [draft.made(lists, size) for draft in drafts]
    found[-1].fields["fraction"] = readout.fraction
    bias = readout.bias[: graph.classes].astype(np.int64) * steps
    return CompactPlan(form, steps, shape, tuple(found), bias.astype(np.int32), size)


def _check_row(graph: Graph) -> None:
    """Whether layers follow one another, each with one term, behind a still image of pixels."""
    if len(graph.inputs) > 1 or len(graph.readouts) > 1:
        raise Unsuited("it has several inputs or readouts")
    if graph.inputs[0].signed:
        raise Unsuited("its input has signs")
    if not graph.layers:
        raise Unsuited("it has no neurons")
    parts: list[Layer | Readout] = [*graph.layers, *graph.readouts]
    for i, part in enumerate(parts):
        if len(part.terms) > 1 or part.terms[0].source != i or not part.terms[0].plain:
            raise Unsuited(f"layer {part.name!r} takes more than the spikes of the layer before it")
        if isinstance(part, Layer) and (part.gate is not None or part.neuron.current is not None):
            raise Unsuited(f"layer {part.name!r} has a gate or a synaptic current")
    readout = graph.readout
    if not readout.sums_all or readout.terms[0].connection.convolves:
        raise Unsuited(f"the readout {readout.name!r} is not a linear one that is summed over time")


def _pixels(layer: Layer, out: Shape, shape: Shape, steps: int, form: CompactForm) -> PlannedRows:
    """The first layer, on pixels."""
    c, name = layer.terms[0].connection, layer.name
    if not c.convolves or c.groups > 1 or c.spread != (1, 1) or c.dilation != (1, 1):
        raise Unsuited(f"layer {name!r} on pixels is not a plain convolution")
    pool = c.sum_pool or Pool("sum", (1, 1), (1, 1))
    if c.pools or pool.kind != "sum" or pool.padding != NO_SIDES or pool.dilation != (1, 1):
        raise Unsuited(f"layer {name!r} on pixels has a pool that is not a plain sum behind it")
    if c.stride[0] != c.stride[1]:
        raise Unsuited(f"layer {name!r} has strides that differ")
    outputs, inputs, kh, kw = c.codes.shape
    channels, height, width = image(shape)
    _, rows, columns = image(out)
    stride, step = c.stride[1] * pool.stride[1], c.stride[0] * pool.stride[0]
    flat = c.codes.reshape(outputs, -1).astype(np.int64)
    high = np.where(flat > 0, flat, 0).sum(1) * pool.area * PIXEL
    low = np.where(flat < 0, flat, 0).sum(1) * pool.area * PIXEL
    levels = still_levels(layer.neuron, low, high, steps)
    lanes = 2 if int((high - low).max()) + 1 <= _LANE and columns > 1 else 1
    half = -(-columns // 2) if lanes == 2 else columns
    chunk = min(CHUNKS, key=lambda size: -(-half // size) * (5 + 2 * size))
    length = -(-half // chunk) * chunk + (kw - 1) // stride
    places = stride * length
    shift = lanes - 1 and half
    wide = max(length + shift, -(-(width + c.padding[2] + 1) // stride) + 1)
    nearest = -min(c.padding[2], (pool.kernel[1] - 1) * c.stride[1])
    start, turn = divmod(nearest + c.padding[2], stride)
    ky, ci, kx = (axis.ravel() for axis in np.meshgrid(range(kh), range(inputs), range(kw), indexing="ij"))
    place = (ky * inputs + ci) * places + kx % stride * length + kx // stride
    codes = c.codes.transpose(0, 2, 1, 3).reshape(outputs, -1).astype(np.int32)
    taps, planes = tap_lists(codes, place.astype(np.int32))
    starts = (1 << (15 if lanes == 2 else 31)) - levels.reached[:, :1]
    numbers = np.concatenate([starts, np.diff(levels.reached, axis=1)], 1)
    lane = np.uint16 if lanes == 2 else np.uint32
    units = -(-outputs // UNIT)
    window = (kh - 1) + (pool.kernel[0] - 1) * c.stride[0] + 1
    kept = min(window, height)
    fields: dict[str, Any] = {
        "taps": taps.astype(np.uint8 if int(taps.max(initial=0)) <= _BYTE else np.uint16),
        "levels": numbers.astype(lane),
        "toggles": np.array(levels.toggles, np.uint16),
        "channels": outputs,
        "count": len(levels.spikes),
        "planes": planes,
        "in_channels": channels,
        "in_width": width,
        "in_height": height,
        "out_width": columns,
        "out_height": rows,
        "rows": kh,
        "pool_height": pool.kernel[0],
        "pool_width": pool.kernel[1],
        "apart": c.stride[0],
        "stride": stride,
        "step": step,
        "left": c.padding[2],
        "top": c.padding[0],
        "half": half,
        "length": length,
        "places": places,
        "kernel": places * kh * inputs,
        "line": stride * wide,
        "phase": wide,
        "back": stride * wide - 1,
        "start": turn * wide + start,
        "turn": turn,
        "nearest": nearest,
        "pixel": units * steps,
        "chunk": chunk * units * steps,
        "further": half * units * steps,
        "out_row": columns * units * steps,
    }
    if steps > UNIT or max(taps.max(initial=0), places * kh * inputs) > _HALF:
        raise Unsuited(f"layer {name!r} has more than 16 steps or too large a kernel")
    said = f"sums of {lanes} places a word, lists of {taps.size:,} places"
    return PlannedRows(
        name, "spq_pixels", fields, c.padding[0], step, window, height, kept * channels * width, 0,
        4 * places * kh * inputs + 4 * -(-stride * wide // 2), said,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Draft:
    """A layer on spikes before it is known how long lists are."""

    name: str
    fields: dict[str, Any]
    most: int
    said: str

    def made(self, lists: int, size: int) -> PlannedRows:
        f = self.fields
        sums, listed = 4 * lists * f["pitch"], 2 * lists * size
        listed = -(-listed // 4) * 4
        return PlannedRows(
            self.name,
            "spq_spiking",
            f,
            f["top"],
            f["down"],
            f["rows"],
            f["in_height"],
            f["ring"],
            sums if f["linear"] else 0,
            listed if f["linear"] else listed + sums,
            self.said,
        )


def _spiking(name: str, c: Connection, neuron: Neuron | None, source: Shape, steps: int, form: CompactForm) -> _Draft:
    """A layer on the spikes of a source."""
    if c.groups > 1 or c.dilation != (1, 1) or c.spread != (1, 1) or c.pools:
        raise Unsuited(f"layer {name!r} has groups, a dilation, a transposed kernel or a pool before it")
    if int(c.reach(1).max()) > _LANE:
        raise Unsuited(f"sums of layer {name!r} leave 16 bits")
    channels, height, width = image(source)
    codes, pool, folded = _kernel(c, source, form)
    kernel = codes.shape[2:]
    load: Load = "words" if neuron is not None or len(codes) > UNIT else form.load
    if load != "words" and math.prod(source) * (1 << max(0, -int(codes.min()) - 1).bit_length()) > _LANE:
        load = "words"
    found = code_rows(codes, load) or code_rows(codes, "bytes" if load == "fives" else "words") or code_rows(codes)
    if found is None:
        raise Unsuited(f"codes of layer {name!r} do not fit 8 bits")
    step = found.rows.shape[-1]
    area = pool.kernel if pool else (1, 1)
    window = (kernel[0] + area[0] - 1, kernel[1] + area[1] - 1)
    units = -(-channels // UNIT)
    pixel = 2 * units * steps
    row = pixel * width
    linear = not c.convolves
    stride = c.stride if not c.sum_pool else tuple(a * b for a, b in zip(c.stride, c.sum_pool.stride, strict=True))
    rows, columns = image(c.output_shape(source))[1:]
    ring = row * (1 if linear else min(window[0], height))
    fields: dict[str, Any] = {
        "codes": found.rows if step % 4 else np.ascontiguousarray(found.rows).view("<u4"),
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
        "words": found.words,
        "pitch": found.words * UNIT // found.bits,
        "lanes": 2 * found.words * UNIT // found.bits,
        "bits": found.bits,
        "load": LOADS.index(found.load),
        "lift": found.lift,
        "few": 15 // found.most if found.bits == 2 else 1,
        "many": _BYTE // found.most if found.bits < 8 else 1,
        "linear": int(linear),
        "made": -(-len(codes) // UNIT) * steps,
    }
    if ring > _HALF or found.rows.nbytes > _HALF:
        raise Unsuited(f"layer {name!r} has more than 64 KB of codes or of spikes")
    if neuron is not None:
        fields |= _neuron(neuron, name, int(c.reach(1).max()))
    how = {"words": f"fields of {found.bits} bits", "bytes": "fields of 2 bits in bytes", "fives": "five codes a byte"}
    pooled = ", pool folded" if folded else ", pool listed" if pool else ""
    return _Draft(name, fields, found.most, how[found.load] + pooled)


def _kernel(c: Connection, source: Shape, form: CompactForm) -> tuple[Int32, Pool | None, bool]:
    """The kernel [O, I, kh, kw], the pool over sums that is left, and whether one has been folded."""
    if not c.convolves:
        channels, height, width = image(source)
        return c.codes.reshape(len(c.codes), channels, height, width).astype(np.int32), None, False
    codes, pool = c.codes.astype(np.int32), c.sum_pool
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
    if not isinstance(store, TableStore):
        raise Unsuited(f"layer {name!r} has a state of more than 4 bits")
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
        "neurons": np.ascontiguousarray(numbers.astype(np.int16 if np.abs(numbers).max() <= _LANE else np.int32)),
        "subtracts": int(neuron.reset == "subtract"),
        "resets": int(neuron.reset == "zero"),
        "fraction": neuron.fraction,
        "edges": len(store.edges),
        "zero": -neuron.low,
        "constants": numbers.shape[1],
    }
