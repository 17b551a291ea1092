"""Terms of an integer graph in torch: the exact integer sums of the frozen form, on any device."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from ..integer.connection import Connection, image
from ..integer.graph import Readout, Term
from ..integer.pool import NO_SIDES
from ..nn.geometry import Geometry
from ..nn.layers import pool_into_kernel
from ..nn.sums import convolutions_in, products
from .synapse import apply_pool, spread_out


def weighed(term: Term, x: Tensor, largest: int, signed: bool = False) -> Tensor:
    """What a term adds, int32 [N, O, ...], of whole numbers [N, ...] up to ``largest``, as floats."""
    sums = connect(term.connection, x, largest, signed)
    if term.multiplier is None and not term.shift:
        return sums
    wide = sums.long()
    if term.multiplier is not None:
        factor = torch.from_numpy(term.multiplier.astype(np.int64)).to(wide.device)
        wide = wide * factor.view(-1, *[1] * (wide.dim() - 2))
    return (wide >> term.shift).to(torch.int32)


def connect(connection: Connection, x: Tensor, largest: int, signed: bool = False) -> Tensor:
    """Sums of integer codes over whole-number inputs, exact and pooled, as int32.

    Floating point adds whole numbers exactly while they fit its significand: float32 where the largest sum does,
    float64 above. Products are rounded to whole numbers once more, since some convolutions of GPUs add fractions.
    """
    reach = int(connection.reach(largest, signed).max())
    dtype = torch.float32 if reach < (1 << 20 if x.is_cuda else 1 << 24) else torch.float64
    codes = torch.from_numpy(connection.codes).to(x.device, dtype)
    exact = convolutions_in("ieee") if x.is_cuda else nullcontext()
    with torch.autocast(x.device.type, enabled=False), exact:
        x = x.to(dtype)
        for step in connection.pools:
            x = apply_pool(step, x)
        if not connection.convolves:
            return products(x.flatten(1), codes, Geometry()).round_().to(torch.int32)
        x = spread_out(x.reshape(len(x), *image(tuple(x.shape[1:]))), connection.spread)
        return _convolved(connection, x, codes).round_().to(torch.int32)


def _convolved(connection: Connection, x: Tensor, codes: Tensor) -> Tensor:
    top, bottom, left, right = connection.padding
    padding = (top, left)
    if top != bottom or left != right:
        x, padding = torch.nn.functional.pad(x, (left, right, top, bottom)), (0, 0)
    pool, stride = connection.sum_pool, connection.stride
    if pool is not None and folds(connection):
        codes, stride, pool = pool_into_kernel(codes, pool.kernel[0]), pool.kernel, None
    sums = products(x, codes, Geometry(stride, padding, connection.groups, connection.dilation))
    return sums if pool is None else apply_pool(pool, sums)


def folds(connection: Connection) -> bool:
    """Whether fewer operations give the sums if the pool behind them is part of the kernel."""
    pool = connection.sum_pool
    if pool is None or pool.kind != "sum" or not pool.plain or pool.kernel != pool.stride or pool.padding != NO_SIDES:
        return False
    height, width = connection.codes.shape[2:]
    size = pool.kernel[0]
    small = (height + size - 1) * (width + size - 1) < height * width * size**2
    return connection.stride == connection.dilation == (1, 1) and small


def integrated(readout: Readout, z: Tensor) -> Tensor:
    """The integrated value of a readout after each step, int64 [T, N, O, ...], from its sums at each step."""
    assert readout.leak is not None
    leak = torch.from_numpy(readout.leak.astype(np.int64)).to(z.device).view(-1, *[1] * (z.dim() - 3))
    half = (1 << readout.leak_shift) >> 1
    kept, found = torch.zeros_like(z[0]), []
    for step in z:
        kept = ((kept * leak + half) >> readout.leak_shift) + step
        found.append(kept)
    return torch.stack(found)


def over_time(readout: Readout, said: Tensor) -> Tensor:
    """The answer of a readout, int64 [N, O, ...], or [T, N, O, ...] of all steps; of what it integrated at each step,
    or, where it sums all steps, of what each of them adds."""
    found = so_far(readout, said)
    return found if readout.over_time == "all" else found[-1]


def so_far(readout: Readout, said: Tensor) -> Tensor:
    """The same behind each step, as if it were the last, [T, N, O, ...]."""
    if readout.leak is None:
        said = said.cumsum(0)
    if readout.over_time == "largest":
        return said.cummax(0).values
    return said.cumsum(0) if readout.over_time == "sum" else said
