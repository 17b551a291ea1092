"""The terms of a graph as ONNX nodes: pools, up-sampling, weights, sums, multipliers.

Values are [N, C, H, W], vectors as images of one pixel. What meets weights is uint8 or int8; ONNX's operators on
integers add in int32. Larger values, as behind pools that sum, are split into digits of 8 bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..integer.connection import INT32, Connection
from ..integer.graph import Term
from ..integer.pool import Pair, Pool, Sides, Upsample, places
from .onnx_writer import Writer

_LOWEST = int(np.iinfo(np.int32).min)  # below every value
_PAIR = (1 << 15) - 1  # what two products of a byte and a weight may add up to in some processors


@dataclass(frozen=True)
class OnnxValue:
    """A tensor of a model.

    Args:
        name: in the model.
        shape: (C, H, W), behind N.
        largest: its largest absolute value.
        signed: whether it may be negative.
        dtype: uint8, int8 or int32.
    """

    name: str
    shape: tuple[int, int, int]
    largest: int
    signed: bool
    dtype: Any

    @property
    def of_a_byte(self) -> bool:
        return bool(self.dtype != np.int32)


def write_term(writer: Writer, term: Term, x: OnnxValue) -> str:
    """What a term adds, int32 [N, O, H, W], of what comes in."""
    sums = _connected(writer, term.connection, x)
    most = int(term.connection.reach(x.largest, x.signed).max())
    if term.multiplier is not None:
        most *= int(np.abs(term.multiplier.astype(np.int64)).max())
    return writer.scaled(sums, term.multiplier, 0, term.shift, wide=most > INT32)


def write_pools(writer: Writer, connection: Connection, x: OnnxValue) -> OnnxValue:
    """What meets the weights."""
    for step in connection.pools:
        x = _upsampled(writer, step, x) if isinstance(step, Upsample) else pooled(writer, step, x)
    return x


def pooled(writer: Writer, pool: Pool, x: OnnxValue) -> OnnxValue:
    """The sum or the largest value of each window."""
    channels, height, width = x.shape
    shape = (channels, *pool.size(height, width))
    top, bottom, left, right = pool.padding
    if pool.kind == "max" and x.of_a_byte and max(top, bottom) < pool.kernel[0] and max(left, right) < pool.kernel[1]:
        name = writer.op(
            "MaxPool",
            x.name,
            kernel_shape=pool.kernel,
            strides=pool.stride,
            pads=(top, left, bottom, right),
            dilations=pool.dilation,
        )
        return replace(x, name=name, shape=shape)
    x = widened(writer, x)
    name, beside = x.name, 0 if pool.kind == "sum" else _LOWEST
    name = _padded(writer, name, pool.padding, beside)
    sizes = (height + top + bottom, width + left + right)
    for axis, size in enumerate(sizes):
        name = _along(
            writer, name, 2 + axis, size, pool.kind, pool.kernel[axis], pool.stride[axis], pool.dilation[axis]
        )
    return replace(x, name=name, shape=shape, largest=x.largest * pool.area)


def widened(writer: Writer, x: OnnxValue) -> OnnxValue:
    """The same as int32."""
    return replace(x, name=writer.cast(x.name, np.int32), dtype=np.int32) if x.of_a_byte else x


def _along(writer: Writer, x: str, axis: int, size: int, kind: str, kernel: int, stride: int, dilation: int) -> str:
    """The sums or the largest values of windows along one axis."""
    count = places(size, kernel, stride, 0, 0, dilation)
    if kernel == size and dilation == 1:
        if kernel == 1:
            return x
        axes = writer.constant([axis], np.int64)
        return writer.op("ReduceSum" if kind == "sum" else "ReduceMax", x, axes, keepdims=1)
    parts = [
        _sliced(writer, x, axis, j * dilation, j * dilation + (count - 1) * stride + 1, stride) for j in range(kernel)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = writer.op("Add" if kind == "sum" else "Max", total, part)
    return total


def _sliced(writer: Writer, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
    return writer.op("Slice", x, *(writer.constant([number], np.int64) for number in (start, end, axis, step)))


def _padded(writer: Writer, x: str, sides: Sides, beside: int) -> str:
    """int32 with something around it."""
    if not any(sides):
        return x
    top, bottom, left, right = sides
    pads = writer.constant([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return writer.op("Pad", x, pads, writer.constant(beside, np.int32))


def _upsampled(writer: Writer, step: Upsample, x: OnnxValue) -> OnnxValue:
    channels, height, width = x.shape
    down, right = step.factor
    apart = writer.reshape(x.name, channels, height, 1, width, 1)
    again = writer.op("Expand", apart, writer.constant([1, 1, 1, down, 1, right], np.int64))
    shape = (channels, height * down, width * right)
    return replace(x, name=writer.reshape(again, *shape), shape=shape)


def spread(writer: Writer, x: OnnxValue, apart: Pair) -> OnnxValue:
    """With zeros between its rows and columns."""
    if apart == (1, 1):
        return x
    channels, height, width = x.shape
    down, right = apart
    pads = writer.constant([0, 0, 0, 0, 0, 0, 0, 0, 0, down - 1, 0, right - 1], np.int64)
    name = writer.op("Pad", writer.reshape(x.name, channels, height, 1, width, 1), pads, writer.constant(0, x.dtype))
    name = writer.reshape(name, channels, height * down, width * right)
    shape = (channels, (height - 1) * down + 1, (width - 1) * right + 1)
    for axis in (1, 2):
        name = _sliced(writer, name, 1 + axis, 0, shape[axis])
    return replace(x, name=name, shape=shape)


def _connected(writer: Writer, connection: Connection, x: OnnxValue) -> str:
    """The sums of a connection, int32 [N, O, H, W]."""
    x = write_pools(writer, connection, x)
    outputs = len(connection.codes)
    if replace(connection, pools=(), sum_pool=None).identity:
        factor = connection.codes.reshape(-1).astype(np.int32)
        sums = writer.scaled(widened(writer, x).name, None if (factor == 1).all() else factor, 0, 0)
    elif connection.convolves:
        sums = _convolved(writer, connection, spread(writer, x, connection.spread))
    else:
        flat = replace(x, name=writer.reshape(x.name, math.prod(x.shape)))
        sums = writer.reshape(_weighted(writer, connection, flat, "MatMulInteger"), outputs, 1, 1)
    pool = connection.sum_pool
    if pool is None:
        return sums
    return pooled(writer, pool, OnnxValue(sums, (outputs, *connection.places(x.shape)), 0, True, np.int32)).name


def _convolved(writer: Writer, connection: Connection, x: OnnxValue) -> str:
    top, bottom, left, right = connection.padding
    return _weighted(
        writer,
        connection,
        x,
        "ConvInteger",
        kernel_shape=connection.codes.shape[2:],
        strides=connection.stride,
        pads=(top, left, bottom, right),
        dilations=connection.dilation,
        group=connection.groups,
    )


def _weighted(writer: Writer, connection: Connection, x: OnnxValue, kind: str, **attributes: Any) -> str:
    """The sums of weights by one of ONNX's operators on integers, digit by digit of what they meet."""
    digits = _digits(writer, x)
    weights = _weights(writer, connection, 255 if x.signed else min(x.largest, 255))
    sums = [writer.op(kind, digit, *weights, **attributes) for digit in digits]
    most = int(np.abs(connection.codes.reshape(len(connection.codes), -1).astype(np.int64)).sum(1).max())
    wide = len(sums) > 1 and most << 8 * len(sums) > INT32
    total = writer.cast(sums[0], np.int64) if wide else sums[0]
    for i, part in enumerate(sums[1:], 1):
        dtype = np.int64 if wide else np.int32
        higher = writer.cast(part, dtype) if wide else part
        total = writer.op("Add", total, writer.op("Mul", higher, writer.constant(1 << 8 * i, dtype)))
    return writer.cast(total, np.int32) if wide else total


def _digits(writer: Writer, x: OnnxValue) -> list[str]:
    """Values as sums of 256^i times bytes, the lowest first; the sign is in the highest."""
    if x.of_a_byte:
        return [x.name]
    found, rest, largest, base = [], x.name, x.largest, writer.constant(256, np.int32)
    while largest > (127 if x.signed else 255):
        low = writer.op("Mod", rest, base)
        found.append(writer.cast(low, np.uint8))
        rest = writer.op("Div", writer.op("Sub", rest, low), base)
        largest = -(-largest // 256) if x.signed else largest // 256
    return [*found, writer.cast(rest, np.int8 if x.signed else np.uint8)]


def _weights(writer: Writer, connection: Connection, largest: int) -> tuple[str, ...]:
    """What follows the input of an operator: the codes, and where they count from zero at 128 that zero.

    Some processors add two products of a byte and a signed weight in 16 bits, and cut what leaves them; of two unsigned
    bytes none does. So codes that could leave them are stored without a sign.
    """
    codes = connection.codes if connection.convolves else connection.codes.T
    if 2 * largest * int(np.abs(codes.astype(np.int64)).max()) > _PAIR:
        shifted = (codes.astype(np.int16) + 128).astype(np.uint8)
        return writer.constants.add(shifted, f"{connection.name}.codes"), "", writer.constant(128, np.uint8)
    return (writer.constants.add_codes(codes, connection.bits, f"{connection.name}.codes"),)
