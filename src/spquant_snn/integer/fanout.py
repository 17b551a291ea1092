"""Fan-out: how many synapses each input of a connection has, exact at borders, strides, groups and pools."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..dtypes import Int64
from .graph import Connection, Shape
from .pool import Pool, repeated_sums


@dataclass(frozen=True, eq=False)
class Fanout:
    """Synapses of each input behind the pools on the input, int64 [C, H, W] or [F].

    A convolution is counted at all positions of its output, before a sum-pool behind it, as it was trained and as the
    reference computes it. ``folded`` is what is left of it where a backend folds the sum-pool into the kernel.

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
    reached = taps
    for axis in (0, 1):
        reached = _reached(reached, 1 + axis, connection, axis, inner[1 + axis], unpooled[1 + axis])
    sizes = connection.output_shape(shape)
    return Fanout(_all(connection, inner, unpooled, None), reached, _all(connection, inner, sizes, connection.sum_pool))


def _all(connection: Connection, inner: Shape, outputs: Shape, pool: Pool | None) -> Int64:
    """[C, H, W] synapses, whatever their weight, of a kernel into which a pool is folded: the same in each channel."""
    rows, columns = (
        _reached(_offsets(connection, axis, pool), 0, connection, axis, inner[1 + axis], outputs[1 + axis], pool)
        for axis in (0, 1)
    )
    count = len(connection.codes) // connection.groups
    return np.broadcast_to(count * rows[:, None] * columns, inner)


def _offsets(connection: Connection, axis: int, pool: Pool | None) -> Int64:
    """[k] 1 where a kernel has weights along an axis, 0 between them."""
    weights = np.ones(connection.codes.shape[2 + axis], np.int64)
    if pool is None:
        return weights
    return (repeated_sums(weights, 0, pool.kernel, connection.stride[axis]) > 0).astype(np.int64)


def _reached(
    taps: Int64, at: int, connection: Connection, axis: int, size: int, outputs: int, pool: Pool | None = None
) -> Int64:
    """For each of ``size`` inputs along an axis, the sum of the taps, which lie along axis ``at``, that meet it at some
    output; padding meets the others."""
    step = connection.stride[axis] * (pool.stride if pool is not None else 1)
    padding, kernel = connection.padding[axis], taps.shape[at]
    first = min(outputs, max(0, -(-(padding - kernel + 1) // step)))  # the outputs before see padding alone
    count = max(0, min(outputs, (padding + size - 1) // step + 1) - first)  # as do those behind
    found = np.moveaxis(np.zeros_like(taps, shape=_replaced(taps.shape, at, size)), at, -1)
    if count:
        sums = np.moveaxis(repeated_sums(taps, at, count, step), at, -1)
        start = padding - first * step  # of the input, in what was summed
        low, high = max(0, -start), min(size, sums.shape[-1] - start)
        if low < high:
            found[..., low:high] = sums[..., low + start : high + start]
    return np.moveaxis(found, -1, at)


def _replaced(shape: Shape, at: int, size: int) -> Shape:
    return (*shape[:at], size, *shape[at + 1 :])
