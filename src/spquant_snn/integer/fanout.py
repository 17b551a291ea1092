"""Fan-out: how many synapses each input of a connection has, exact at borders, strides, groups and pools."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..dtypes import Int64
from .connection import Connection, Shape, image
from .pool import Pool, repeated_sums


@dataclass(frozen=True, eq=False)
class Fanout:
    """Number of synapses of each input after the pools, int64 [C, H, W] or [F].

    A convolution is counted at all positions of its output, before a pool behind it, as it was trained and as the
    reference computes it. ``folded`` is what is left of it where a backend folds a sum-pool into the kernel.

    Args:
        all: synapses, whatever their weight.
        nonzero: those whose weight code is not zero.
        folded: synapses of the folded kernel, whatever their weight; as ``all`` where there is nothing to fold.
    """

    all: Int64
    nonzero: Int64
    folded: Int64


def fanout(connection: Connection, shape: Shape) -> Fanout:
    """The fan-out of a connection whose input, before its pools, has ``shape``.

    Raises:
        ModelError: the input does not fit.
    """
    inner = connection.pooled_shape(shape)
    unpooled = replace(connection, sum_pool=None).output_shape(shape)
    outputs = len(connection.codes)
    nonzero: Int64 = (connection.codes != 0).astype(np.int64)
    if not connection.convolves:
        every = np.full(inner, outputs, np.int64)
        return Fanout(every, nonzero.sum(0).reshape(inner), every)
    # [groups, O/groups, I/groups, kh, kw] -> [C, kh, kw]: outputs behind each tap
    kernel = connection.codes.shape[2:]
    taps = nonzero.reshape(connection.groups, -1, *connection.codes.shape[1:]).sum(1).reshape(-1, *kernel)
    for axis in (0, 1):
        taps = np.moveaxis(taps, 1 + axis, -1)
        reached = _reached(connection, _apart(taps, connection.dilation[axis]), inner, unpooled, axis)
        taps = np.moveaxis(reached, -1, 1 + axis)
    every, pool = _all(connection, inner, unpooled, None), connection.sum_pool
    if pool is None or not _folds(pool):
        return Fanout(every, taps.reshape(inner), every)
    return Fanout(every, taps.reshape(inner), _all(connection, inner, connection.output_shape(shape), pool))


def _folds(pool: Pool) -> bool:
    """Whether a pool over sums can become part of a kernel."""
    return pool.kind == "sum" and pool.padding == (0, 0, 0, 0) and pool.dilation == (1, 1)


def _all(connection: Connection, inner: Shape, outputs: Shape, pool: Pool | None) -> Int64:
    """[C, H, W] synapses, whatever their weight, of a kernel into which a pool is folded: the same in each channel."""
    rows, columns = (
        _reached(connection, _offsets(connection, axis, pool), inner, outputs, axis, pool) for axis in (0, 1)
    )
    count = len(connection.codes) // connection.groups
    return np.broadcast_to(count * rows[:, None] * columns, image(inner)).reshape(inner)


def _offsets(connection: Connection, axis: int, pool: Pool | None) -> Int64:
    """[k] 1 where a kernel has weights along an axis, 0 between them."""
    weights = _apart(np.ones(connection.codes.shape[2 + axis], np.int64), connection.dilation[axis])
    if pool is None:
        return weights
    return (repeated_sums(weights, 0, pool.kernel[axis], connection.stride[axis]) > 0).astype(np.int64)


def _apart(taps: Int64, dilation: int) -> Int64:
    """[..., k] taps with zeros between them."""
    wide = np.zeros((*taps.shape[:-1], (taps.shape[-1] - 1) * dilation + 1), np.int64)
    wide[..., ::dilation] = taps
    return wide


def _reached(
    connection: Connection, taps: Int64, inner: Shape, shape: Shape, axis: int, pool: Pool | None = None
) -> Int64:
    """[..., k] taps along an axis -> [..., n]: for each input the sum of the taps that meet it at some output; padding
    meets the others."""
    step = connection.stride[axis] * (pool.stride[axis] if pool is not None else 1)
    spread, padding, kernel = connection.spread[axis], connection.padding[2 * axis], taps.shape[-1]
    size, outputs = (image(inner)[1 + axis] - 1) * spread + 1, shape[1 + axis]
    first = min(outputs, max(0, -(-(padding - kernel + 1) // step)))  # the outputs before see padding alone
    count = max(0, min(outputs, (padding + size - 1) // step + 1) - first)  # as do those behind
    found = np.zeros((*taps.shape[:-1], size), np.int64)
    if count:
        sums = repeated_sums(taps, -1, count, step)
        start = padding - first * step  # of the input, in what was summed
        low, high = max(0, -start), min(size, sums.shape[-1] - start)
        if low < high:
            found[..., low:high] = sums[..., low + start : high + start]
    return found[..., ::spread]
