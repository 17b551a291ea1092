"""Fan-out: how many synapses each input of a connection has, exact at borders, strides, groups and pools."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..quant.fold import Int64
from ..quant.pool import Pool
from .graph import Connection, Shape


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
    whole = np.full_like(taps, outputs // connection.groups)
    plain = [_touches(connection, axis, inner[1 + axis], unpooled[1 + axis], None) for axis in (0, 1)]
    every = _reached(plain, whole)
    if connection.sum_pool is None:
        return Fanout(every, _reached(plain, taps), every)
    sizes = connection.output_shape(shape)
    folded = [_touches(connection, axis, inner[1 + axis], sizes[1 + axis], connection.sum_pool) for axis in (0, 1)]
    wide = np.full((inner[0], folded[0].shape[1], folded[1].shape[1]), outputs // connection.groups, np.int64)
    return Fanout(every, _reached(plain, taps), _reached(folded, wide))


def _touches(connection: Connection, axis: int, size: int, outputs: int, pool: Pool | None) -> Int64:
    """[size, offsets] 1 where an input position lies under an offset of the kernel at some output, along one axis."""
    kernel, stride, padding = connection.codes.shape[2 + axis], connection.stride[axis], connection.padding[axis]
    offsets, step = np.arange(kernel), stride
    if pool is not None:
        offsets = np.unique(offsets[:, None] + stride * np.arange(pool.kernel))
        step *= pool.stride
    start = np.arange(size)[:, None] + padding - offsets  # of the output's window, if this is a whole step
    found: NDArray[np.bool_] = (start % step == 0) & (start >= 0) & (start < step * outputs)
    return found.astype(np.int64)


def _reached(touches: list[Int64], taps: Int64) -> Int64:
    """[C, H, W]: for every input the sum of ``taps`` [C, offsets, offsets] that touch it."""
    reached: Int64 = touches[0] @ taps @ touches[1].T
    return reached
