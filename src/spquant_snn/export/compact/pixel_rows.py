"""The first layer of the compact form, on pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...integer.connection import Shape, image
from ...integer.graph import PIXEL, Layer
from ...integer.pool import NO_SIDES, Pool
from .code_rows import tap_lists
from .planned_rows import BYTE, HALF, LANE, UNIT, PlannedRows, Unsuited
from .still_levels import still_levels

_CHUNKS = (4, 5, 7)  # kernels whose sums are in registers at a time


def pixel_rows(layer: Layer, out: Shape, shape: Shape, steps: int) -> PlannedRows:
    """The first layer, on pixels."""
    c, name = layer.terms[0].connection, layer.name
    if not c.convolves or c.spread != (1, 1) or c.dilation != (1, 1):
        raise Unsuited(f"layer {name!r} on pixels is not a plain convolution")
    pool = c.sum_pool or Pool("sum", (1, 1), (1, 1))
    if c.pools or pool.kind != "sum" or pool.padding != NO_SIDES or pool.dilation != (1, 1):
        raise Unsuited(f"layer {name!r} on pixels has a pool that is not a plain sum behind it")
    if c.stride[0] != c.stride[1]:
        raise Unsuited(f"layer {name!r} has strides that differ")
    codes = c.whole_codes.astype(np.int32)
    outputs, inputs, kh, kw = codes.shape
    channels, height, width = image(shape)
    _, rows, columns = image(out)
    stride, step = c.stride[1] * pool.stride[1], c.stride[0] * pool.stride[0]
    flat = codes.reshape(outputs, -1).astype(np.int64)
    high = np.where(flat > 0, flat, 0).sum(1) * pool.area * PIXEL
    low = np.where(flat < 0, flat, 0).sum(1) * pool.area * PIXEL
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
    if steps > UNIT or max(taps.max(initial=0), places * kh * inputs) > HALF:
        raise Unsuited(f"layer {name!r} has more than 16 steps or too large a kernel")
    said = f"sums of {lanes} places a word, lists of {taps.size:,} places"
    return PlannedRows(
        name, "spq_pixels", fields, c.padding[0], step, window, height, kept * channels * width, 0,
        4 * places * kh * inputs + 4 * -(-stride * wide // 2), said,
    )  # fmt: skip
