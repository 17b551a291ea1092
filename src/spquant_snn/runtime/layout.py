"""From a graph to its plan.

Weights are laid out so that one event adds one run of output channels; a sum-pool behind a convolution is folded into
its kernel; the widths in which sums are added follow from bounds; and every part of the arena has its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..integer.graph import PIXEL, Connection, Graph, Layer, Shape
from ..quant.fold import Neuron, Scaled, Table
from ..quant.pool import Pool
from .arena import Arena, Region
from .plan import (
    ADD8,
    ADD16,
    GROUPED,
    LANES,
    LAYOUT,
    MULTIPLY,
    ConnectionPlan,
    LayerPlan,
    NetworkPlan,
    NeuronPlan,
    PoolPlan,
    ScratchPlan,
)

_INT32 = (1 << 31) - 1
_FEWEST = 8  # events that int8 lanes must hold to be worth emptying
_GROWTH = 4  # of the codes, at most, for a folded pool
_RUN_BYTES = 12  # of a spq_run, and of a spq_line


def plan_network(graph: Graph, guard: int = 0) -> NetworkPlan:
    """The plan of a graph.

    Args:
        guard: bytes left unused behind every part of the arena; tests watch them.

    Raises:
        ModelError: the network is so large that positions in it leave 31 bits.
    """
    sources: list[Shape] = [graph.input_shape, *graph.shapes]
    connections = [
        plan_connection(connection, shape, first=i == 0)
        for i, (connection, shape) in enumerate(zip(graph.connections, sources, strict=True))
    ]
    neurons = [plan_neuron(layer, c.tiles * LANES) for layer, c in zip(graph.layers, connections, strict=False)]
    arena = Arena(guard)
    states = [arena.take(c.words * 4 * n.bits) for c, n in zip(connections, neurons, strict=False)]
    first = arena.take(4 * connections[0].words * graph.timesteps)
    between = [arena.take(4 * max([c.words for c in connections[1 + k : -1 : 2]], default=0)) for k in range(2)]
    layers = [
        LayerPlan(c, n, state, first if i == 0 else between[(i - 1) % 2])
        for i, (c, n, state) in enumerate(zip(connections, neurons, states, strict=False))
    ]
    readout = LayerPlan(connections[-1], None, Region(0, 0), Region(0, 0))
    logits = arena.take(4 * LANES * readout.connection.tiles)
    scratch = _scratch(arena, connections)
    if arena.size > _INT32:
        raise _too_large("network", "the memory it needs")
    return NetworkPlan(
        layout=LAYOUT,
        timesteps=graph.timesteps,
        layer_count=len(layers) + 1,
        layers=(*layers, readout),
        fraction=graph.readout.fraction,
        bias=_padded(graph.readout.bias, readout.connection.tiles * LANES, 0),
        logits=logits,
        scratch=scratch,
        arena_size=arena.size,
    )


def _scratch(arena: Arena, connections: list[ConnectionPlan]) -> ScratchPlan:
    pooled = max(
        (
            c.source_height * c.source_width * (c.channels if i == 0 or _counts(c.pools) else _words(c.channels))
            for i, c in enumerate(connections)
            if c.pools
        ),
        default=0,
    )
    return ScratchPlan(
        pooled=(arena.take(4 * pooled), arena.take(4 * pooled)),
        starts=arena.take(4 * max(c.rows * (c.width + 1) for c in connections)),
        events=arena.take(4 * max(c.events for c in connections)),
        values=arena.take(4 * max((c.events for c in connections if c.form in (MULTIPLY, GROUPED)), default=0)),
        lines=arena.take(_RUN_BYTES * max(c.window * c.kernel_height for c in connections)),
        runs=arena.take(_RUN_BYTES * max(c.window**2 * c.kernel_height for c in connections)),
        sums=arena.take(4 * LANES * max(c.tiles for c in connections)),
    )


def plan_connection(connection: Connection, shape: Shape, first: bool) -> ConnectionPlan:
    """The synapses of a layer for an input of ``shape``; ``first``: the input is pixels, not spikes."""
    channels, height, width = (*shape, 1, 1)[:3]
    pools = _plan_pools(connection, height, width)
    inner = (pools[-1].height, pools[-1].width) if pools else (height, width)
    codes = connection.codes.astype(np.int32)
    codes = codes if connection.convolves else codes.reshape(len(codes), channels, *inner)
    slide, sum_pool = connection.stride, connection.sum_pool or Pool("sum", 1, 1)
    step, window = (slide[0] * sum_pool.stride, slide[1] * sum_pool.stride), sum_pool.kernel
    if window > 1 and (folded := _fold_pool(codes, window, slide)) is not None:
        codes, window = folded, 1
    outputs = len(codes)
    out_height, out_width = (*connection.output_shape(shape)[1:], 1, 1)[:2]
    tiles, groups = _words(outputs), connection.groups
    counts = first or _counts(pools)
    most, largest = max(1, int(np.abs(codes).max())), PIXEL if first else 1
    form = GROUPED if groups > 1 else MULTIPLY if counts else ADD16
    if form == ADD16 and 127 // most >= _FEWEST and int(connection.reach(largest).max()) < 1 << 15:
        form = ADD8
    row = outputs // groups if form == GROUPED else tiles * LANES
    sizes = (codes[0, 0].size * channels * row, inner[1] * channels * row, channels * height * width)
    if max(sizes) > _INT32:
        raise _too_large(connection.name, "a position in its weights or its input")
    rows = _by_event(codes, groups, row)
    starts = np.arange(channels) // codes.shape[1] * row
    return ConnectionPlan(
        source_height=height,
        source_width=width,
        channels=channels,
        pool_count=len(pools),
        pools=pools,
        height=inner[0],
        width=inner[1],
        kernel_height=codes.shape[2],
        kernel_width=codes.shape[3],
        pad_height=connection.padding[0],
        pad_width=connection.padding[1],
        step_height=step[0],
        step_width=step[1],
        window=window,
        slide_height=slide[0],
        slide_width=slide[1],
        out_height=out_height,
        out_width=out_width,
        outputs=outputs,
        tiles=tiles,
        form=form,
        limit=127 // most if form == ADD8 else 32767 // most,
        row=row,
        codes8=rows.astype(np.int8) if form == ADD8 else None,
        codes16=None if form == ADD8 else rows.astype(np.int16),
        group_start=starts.astype(np.uint32) if form == GROUPED else None,
    )


def _plan_pools(connection: Connection, height: int, width: int) -> tuple[PoolPlan, ...]:
    pools = []
    for pool in connection.pools:
        height, width = pool.size(height, width)
        pools.append(PoolPlan(int(pool.kind == "max"), pool.kernel, pool.stride, height, width))
    return tuple(pools)


def _fold_pool(codes: NDArray[np.int32], window: int, slide: tuple[int, int]) -> NDArray[np.int32] | None:
    """The kernel [O, I, kh', kw'] that gives pooled sums at once, or None where that costs more than it saves."""
    height, width = codes.shape[2:]
    tall, wide = (window - 1) * slide[0] + height, (window - 1) * slide[1] + width
    if tall * wide > min(window**2, _GROWTH) * height * width:
        return None
    folded = np.zeros((*codes.shape[:2], tall, wide), np.int32)
    for i in range(0, window * slide[0], slide[0]):
        for j in range(0, window * slide[1], slide[1]):
            folded[:, :, i : i + height, j : j + width] += codes
    return folded if np.abs(folded).max() < 1 << 15 else None


def _by_event(codes: NDArray[np.int32], groups: int, row: int) -> NDArray[np.int32]:
    """[O, I/groups, kh, kw] -> [kh, kw, I, row]: what an input adds lies together."""
    outputs, inputs, height, width = codes.shape
    split = codes.reshape(groups, outputs // groups, inputs, height, width)
    rows = split.transpose(3, 4, 0, 2, 1).reshape(height, width, groups * inputs, outputs // groups)
    return np.ascontiguousarray(_padded(rows, row, 0))


def plan_neuron(layer: Layer, width: int) -> NeuronPlan:
    """The constants of a layer, padded to ``width`` channels of which the added ones never fire."""
    neuron: Neuron = layer.neuron
    store, levels = neuron.store, neuron.high - neuron.low + 1
    table, scaled = (store, None) if isinstance(store, Table) else (None, store)
    assert table is not None or isinstance(scaled, Scaled)
    return NeuronPlan(
        bits=next(bits for bits in (2, 3, 4, 8) if levels <= 1 << bits),
        low=neuron.low,
        high=neuron.high,
        levels=levels,
        fraction=neuron.fraction,
        subtract=int(neuron.reset == "subtract"),
        scaled=int(scaled is not None),
        fire=_padded(neuron.fire, width, _INT32),
        drop=_padded(neuron.drop, width, 0),
        decay=_padded(store.decay, width, 0),
        edges=_padded(table.edges, width, _INT32) if table else None,
        gain=_padded(scaled.gain, width, 0) if scaled else None,
        offset=_padded(scaled.offset, width, 0) if scaled else None,
        decay_shift=scaled.decay_shift if scaled else 0,
        shift=scaled.shift if scaled else 0,
    )


def _padded(array: NDArray[Any], width: int, fill: int) -> NDArray[Any]:
    """The last axis filled up to ``width``."""
    padding = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.ascontiguousarray(np.pad(array, padding, constant_values=fill))


def _words(channels: int) -> int:
    return -(-channels // LANES)


def _counts(pools: tuple[PoolPlan, ...]) -> bool:
    return any(not pool.largest for pool in pools)


def _too_large(name: str, what: str) -> ModelError:
    return ModelError(f"layer {name!r}: {what} leaves 31 bits, the native runtime cannot run it: use the reference")
