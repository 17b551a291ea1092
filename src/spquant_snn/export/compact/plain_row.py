"""A network as the compact form takes it: the same sums by fewer kinds of layers.

    dilated kernels               larger ones, with zeros between their codes
    a sum-pool before a kernel    a larger kernel of the same codes, each as often as the pool has places
    a linear layer on pixels      a convolution whose kernel is the image
    a readout that convolves      a linear one, also with pools of sums before or behind it

A sum of pixels or spikes stays the same integer, so that nothing else of the graph changes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ...dtypes import Array, Int32
from ...integer import reference
from ...integer.connection import Connection, Shape, image
from ...integer.graph import PIXEL, Graph, Layer, Readout
from ...integer.grids import WEIGHT_GRIDS
from ...integer.pool import NO_SIDES, Pool, repeated_sums
from ...integer.term import Term
from .planned_rows import HALF, Unsuited

_LARGEST = 1 << 20  # codes of a layer that is written out


def plain_row(graph: Graph) -> Graph:
    """The same network, of layers that follow one another, behind a still image.

    Raises:
        Unsuited: it is of another kind.
    """
    _check_row(graph)
    sources = (graph.input_shape, *graph.shapes)
    layers = tuple(
        replace(layer, terms=_with(layer, _plain(layer.terms[0].connection, source, i == 0)))
        for i, (layer, source) in enumerate(zip(graph.layers, sources, strict=False))
    )
    readout = graph.readout
    last = readout.terms[0].connection
    if last.convolves or any(_sums(pool) for pool in last.pools):
        last = _written_out(last, sources[-1])
    readout = replace(readout, terms=_with(readout, last))
    return replace(graph, layers=layers, readouts=(readout,))


def _check_row(graph: Graph) -> None:
    """Whether layers follow one another, each with one term."""
    if len(graph.inputs) > 1 or len(graph.readouts) > 1:
        raise Unsuited("it has several inputs or readouts: join them to one")
    if not graph.layers:
        raise Unsuited("it has no neurons: give it a layer of them")
    parts: list[Layer | Readout] = [*graph.layers, *graph.readouts]
    for i, part in enumerate(parts):
        if len(part.terms) > 1 or part.terms[0].source != i or not part.terms[0].plain:
            raise Unsuited(
                f"layer {part.name!r} takes more than the spikes of the layer before it: leave shortcuts, recurrence "
                "and concatenation out"
            )
        if isinstance(part, Layer) and part.gate is not None:
            raise Unsuited(f"layer {part.name!r} has a gate: train it without target_skip")
        if isinstance(part, Layer) and part.neuron.current is not None:
            raise Unsuited(f"layer {part.name!r} has a synaptic current: train it without synaptic_leak")
    if math.prod(graph.outputs[0][1:]) > 1:
        raise Unsuited(f"the readout {graph.readout.name!r} answers with a map: end with a pool of all its places")


def _with(part: Layer | Readout, connection: Connection) -> tuple[Term, ...]:
    return (replace(part.terms[0], connection=connection),)


def _plain(c: Connection, source: Shape, on_pixels: bool) -> Connection:
    """A connection of a layer with neurons."""
    if c.spread != (1, 1):
        raise Unsuited(f"layer {c.name!r} is a transposed convolution: up-sample by Upsample, or leave it out")
    if not c.convolves:
        if any(map(_sums, c.pools)):
            c = _written_out(c, source)
        return replace(c, codes=c.codes.reshape(-1, *image(source))) if on_pixels and not c.pools else c
    c = _undilated(c)
    while c.pools and _sums(c.pools[-1]):
        c = _with_pool_before(c, source)
    pool = c.sum_pool
    if on_pixels and pool is not None and _sums(pool) and pool.padding == NO_SIDES:
        apart = pool.dilation != (1, 1) or (min(pool.kernel) > 1 and c.stride[0] != c.stride[1])
        if apart or pool.area * PIXEL > HALF:
            c = _with_pool_behind(c, pool)
    return c


def _sums(pool: object) -> bool:
    return isinstance(pool, Pool) and pool.kind == "sum"


def _written_out(c: Connection, source: Shape) -> Connection:
    """A linear connection, behind the max-pools that come first, of what one does in a few steps."""
    first = next((i for i, pool in enumerate(c.pools) if _sums(pool)), len(c.pools))
    before, rest = replace(c, pools=c.pools[:first]), replace(c, pools=c.pools[first:])
    seen = image(before.pooled_shape(source))
    outputs = math.prod(rest.output_shape(seen))
    if math.prod(seen) * outputs > _LARGEST or (rest.sum_pool is not None and rest.sum_pool.kind == "max"):
        raise Unsuited(f"layer {c.name!r} is not linear, and too large to be written as such: end with a linear one")
    each = np.eye(math.prod(seen), dtype=np.int32).reshape(-1, *seen)
    codes = reference.connect(rest, each, 1).reshape(len(each), -1).T
    return _of_codes(Connection(c.name, np.zeros((1, 1), np.int8), 8, pools=before.pools), codes)


def _undilated(c: Connection) -> Connection:
    if c.dilation == (1, 1):
        return c
    outputs, inputs, *kernel = c.codes.shape
    down, right = c.dilation
    codes = np.zeros((outputs, inputs, (kernel[0] - 1) * down + 1, (kernel[1] - 1) * right + 1), np.int8)
    codes[:, :, ::down, ::right] = c.codes
    return replace(c, codes=codes, dilation=(1, 1))


def _with_pool_before(c: Connection, source: Shape) -> Connection:
    """The last of the pools before a convolution, which sums, as part of its kernel."""
    *before, pool = c.pools
    assert isinstance(pool, Pool)
    inner = image(replace(c, pools=tuple(before)).pooled_shape(source))
    seen = image(c.pooled_shape(source))
    sides = tuple(side * apart for side, apart in zip(c.padding, np.repeat(pool.stride, 2).tolist(), strict=True))
    exact = pool.padding == NO_SIDES and pool.dilation == (1, 1)
    for axis in (0, 1):  # zeros around the pooled image are zeros around this one where windows fill it
        bare = c.padding[2 * axis : 2 * axis + 2] == (0, 0)
        exact &= bare or pool.kernel[axis] == pool.stride[axis] == inner[1 + axis] / seen[1 + axis]
    if not exact:
        raise Unsuited(
            f"the average pool before layer {c.name!r} overlaps, has a padding or leaves pixels over: give it windows "
            "that fill the image"
        )
    wide = _spread(c.codes.astype(np.int32), pool.stride)
    wide = repeated_sums(repeated_sums(wide, 2, pool.kernel[0], 1), 3, pool.kernel[1], 1)
    stride = c.stride[0] * pool.stride[0], c.stride[1] * pool.stride[1]
    return _of_codes(replace(c, stride=stride, padding=sides, pools=tuple(before)), wide)


def _with_pool_behind(c: Connection, pool: Pool) -> Connection:
    """The pool over the sums of a convolution as part of its kernel."""
    wide, apart = c.codes.astype(np.int32), [a * b for a, b in zip(pool.dilation, c.stride, strict=True)]
    wide = repeated_sums(repeated_sums(wide, 2, pool.kernel[0], apart[0]), 3, pool.kernel[1], apart[1])
    stride = c.stride[0] * pool.stride[0], c.stride[1] * pool.stride[1]
    return _of_codes(replace(c, stride=stride, sum_pool=None), wide)


def _spread(codes: Int32, apart: tuple[int, int]) -> Int32:
    """Codes with zeros between them."""
    height, width = ((size - 1) * step + 1 for size, step in zip(codes.shape[2:], apart, strict=True))
    found = np.zeros((*codes.shape[:2], height, width), np.int32)
    found[:, :, :: apart[0], :: apart[1]] = codes
    return found


def _of_codes(c: Connection, codes: Array) -> Connection:
    """The same with other codes, at the fewest bits that hold them."""
    low, high = int(codes.min()), int(codes.max())
    bits = next((bits for bits, grid in WEIGHT_GRIDS.items() if grid.low <= low and high <= grid.high), None)
    if bits is None:
        raise Unsuited(f"codes of layer {c.name!r} with its pools, {low} to {high}, do not fit 8 bits: pool less there")
    return replace(c, codes=np.ascontiguousarray(codes.astype(np.int8)), bits=bits)
