"""The first layer of the compact form, on pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import Int64
from ...integer.connection import Shape, image
from ...integer.graph import Input, Layer
from ...integer.pool import NO_SIDES, Pool
from .code_rows import tap_lists
from .planned_rows import BYTE, HALF, LANE, UNIT, PlannedRows, Unsuited
from .still_levels import still_levels

_CHUNKS = (1, 4, 5, 7)  # kernels whose sums are in registers at a time


def pixel_rows(layer: Layer, out: Shape, given: Input, steps: int) -> PlannedRows:
    """The first layer, on pixels."""
    c, name = layer.terms[0].connection, layer.name
    if c.pools:
        raise Unsuited(f"pixels are pooled by their largest before layer {name!r}: take an average, or leave it out")
    pool = c.sum_pool or Pool("sum", (1, 1), (1, 1))
    if pool.kind != "sum" or pool.padding != NO_SIDES:
        raise Unsuited(f"sums of layer {name!r} are pooled by their largest, or with a padding: pool its spikes")
    if steps > UNIT:
        raise Unsuited(f"{steps} time steps are more than 16: train it with fewer")
    codes = c.whole_codes.astype(np.int32)
    outputs, inputs, kh, kw = codes.shape
    channels, height, width = image(given.shape)
    apart = c.stride[0] if pool.kernel[1] == 1 else c.stride[1]
    _, rows, columns = image(out)
    stride, step = c.stride[1] * pool.stride[1], c.stride[0] * pool.stride[0]
    flat = codes.reshape(outputs, -1).astype(np.int64)
    low, high = (side * pool.area for side in sums_between(given, flat))
    levels = still_levels(layer.neuron, low, high, steps)
    lanes = 2 if int((high - low).max()) + 1 <= LANE and columns > 1 else 1
    half = -(-columns // 2) if lanes == 2 else columns
    chunk = min(_CHUNKS, key=lambda size: -(-half // size) * (5 + 2 * size))
    length = -(-half // chunk) * chunk + (kw - 1) // stride
    places = stride * length
    shift = lanes - 1 and half
    wide = max(length + shift, -(-(width + c.padding[2] + 1) // stride) + 1)
    nearest = -min(c.padding[2], (pool.kernel[1] - 1) * c.stride[1])
    start, turn = divmod(nearest + c.padding[2], stride)
    ky, ci, kx = (axis.ravel() for axis in np.meshgrid(range(kh), range(inputs), range(kw), indexing="ij"))
    place = (ky * inputs + ci) * places + kx % stride * length + kx // stride
    taps, planes = tap_lists(codes.transpose(0, 2, 1, 3).reshape(outputs, -1), place.astype(np.int32))
    starts = (1 << (15 if lanes == 2 else 31)) - levels.reached[:, :1]
    numbers = np.concatenate([starts, np.diff(levels.reached, axis=1)], 1)
    lane = np.uint16 if lanes == 2 else np.uint32
    units = -(-outputs // UNIT)
    window = (kh - 1) + (pool.kernel[0] - 1) * c.stride[0] + 1
    kept = min(window, height)
    ring = kept * channels * width if kept > 1 else 0  # one row is read where it lies
    fields: dict[str, Any] = {
        "taps": taps.astype(np.uint8 if int(taps.max(initial=0)) <= BYTE else np.uint16),
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
        "apart": apart,
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
    if max(taps.max(initial=0), places * kh * inputs) > HALF:
        raise Unsuited(f"the kernel of layer {name!r} is too large: give it fewer inputs")
    said = f"sums of {lanes} places a word, lists of {taps.size:,} places"
    return PlannedRows(
        name, "spq_pixels", fields, c.padding[0], step, window, height, ring, 0,
        4 * places * kh * inputs + 4 * -(-stride * wide // 2), said,
    )  # fmt: skip


def sums_between(given: Input, codes: Int64) -> tuple[Int64, Int64]:
    """The least and the largest sum of each of rows of codes [O, inputs]."""
    below, above = (np.where(side, codes, 0).sum(1) for side in (codes < 0, codes > 0))
    least = -given.largest if given.signed else 0
    return below * given.largest + above * least, above * given.largest + below * least
