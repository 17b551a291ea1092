"""From a graph to its plan: every part of the arena has its place."""

from __future__ import annotations

from ..integer.graph import Graph, Shape
from .connection_plan import LayerParts, counts_of, plan_connection, too_large, words_of
from .neuron_plan import padded
from .plan import (
    ALIGNMENT,
    DENSE,
    IDENTITY,
    LANES,
    RUN_BYTES,
    SLICED,
    WORDS,
    Body,
    ConnectionPlan,
    LayerPlan,
    NetworkPlan,
    Region,
    ScratchPlan,
)
from .row import row_of

_INT32 = (1 << 31) - 1
_STEPS = 8  # that a layer takes at a time, at most: its spikes of so many steps are kept


class Arena:
    """Places regions one behind the other.

    Args:
        guard: bytes at least that stay unused behind each.
    """

    def __init__(self, guard: int = 0) -> None:
        self.guard = guard
        self.size = 0

    def take(self, size: int) -> Region:
        region = Region(self.size, size)
        if size:
            self.size += -(-(size + self.guard) // ALIGNMENT) * ALIGNMENT
        return region


def plan_network(
    graph: Graph,
    guard: int = 0,
    body: Body = Body.PORTABLE,
    parts: tuple[LayerParts, ...] | None = None,
    streams: bool = False,
    event: int = 4,
) -> NetworkPlan:
    """The plan of a graph.

    Args:
        guard: bytes left unused behind every part of the arena; tests watch them.
        body: of the runtime that will run it.
        parts: the layers of another plan of the same graph and body, to be used again.
        streams: for frames that come one by one: each layer's state has a place of its own. Otherwise a network of
            few steps computes all steps of a layer before the next one, and one place holds the state of each in turn.
        event: bytes of a listed event, spq_event.

    Raises:
        ModelError: the network is so large that positions in it leave 31 bits.
    """
    parts = parts or plan_connections(graph, body)
    steps = min(graph.timesteps, _STEPS)
    shared = steps == graph.timesteps and not streams
    arena = Arena(guard)
    states = _states(arena, parts[:-1], shared)
    spikes = _spikes(arena, parts[:-1], steps)
    layers = [
        LayerPlan(part.connection, part.neuron, part.blocks, part.shortcut, state, place)
        for part, state, place in zip(parts, states, spikes, strict=False)
    ]
    readout = LayerPlan(parts[-1].connection, None, None, None, Region(0, 0), Region(0, 0))
    logits = arena.take(4 * LANES * readout.connection.tiles)
    scratch = _scratch(arena, parts, event)
    if arena.size > _INT32:
        raise too_large(layer_of_most(graph, parts), "what it needs of memory")
    return NetworkPlan(
        timesteps=graph.timesteps,
        steps=steps,
        shared=int(shared),
        layer_count=len(parts),
        layers=(*layers, readout),
        fraction=graph.readout.fraction,
        bias=padded(graph.readout.bias, readout.connection.tiles * LANES, 0),
        logits=logits,
        scratch=scratch,
        arena_size=arena.size,
    )


def plan_connections(graph: Graph, body: Body, small: bool = False) -> tuple[LayerParts, ...]:
    """The layers of a graph, without their places.

    Args:
        small: with packed codes as small as they can be, where larger ones would be added faster.
    """
    shapes: list[Shape] = [graph.input_shape, *graph.shapes]
    row = row_of(graph)
    parts = []
    for i, (connection, shape, layer) in enumerate(zip(row.connections, shapes, (*row.layers, None), strict=True)):
        source = shapes[layer.shortcut.source + 1] if layer is not None and layer.shortcut is not None else ()
        parts.append(plan_connection(connection, shape, layer, body, i == 0, small, source))
    return tuple(parts)


def layer_of_most(graph: Graph, parts: tuple[LayerParts, ...]) -> str:
    """The name of the layer that takes most of an arena."""

    def need(connection: ConnectionPlan) -> int:
        inputs = connection.source_height * connection.source_width * connection.channels
        return inputs + connection.events + connection.row_of_sums + 4 * connection.words

    needs = [
        (max(map(need, part.connections)), c.name) for part, c in zip(parts, row_of(graph).connections, strict=True)
    ]
    return max(needs)[1]


def _states(arena: Arena, parts: tuple[LayerParts, ...], shared: bool) -> list[Region]:
    sizes = [part.connection.words * 4 * part.neuron.bits for part in parts if part.neuron]
    if not shared:
        return [arena.take(size) for size in sizes]
    place = arena.take(max(sizes))
    return [Region(place.offset, size) for size in sizes]


def _spikes(arena: Arena, parts: tuple[LayerParts, ...], steps: int) -> list[Region]:
    """Where the spikes of each layer lie: a place is taken again when no layer needs what is there; two are enough but
    where shortcuts take spikes later."""
    needed = [i + 1 for i in range(len(parts))]  # the last layer that takes those of layer i
    for i, part in enumerate(parts):
        if part.shortcut is not None:
            needed[part.shortcut.source] = max(needed[part.shortcut.source], i)
    held: list[int] = []  # the layer whose spikes were put last into each place
    chosen, sizes = [], []
    for i, part in enumerate(parts):
        place = next((k for k, owner in enumerate(held) if needed[owner] < i), len(held))
        if place == len(held):
            held.append(i)
            sizes.append(0)
        held[place] = i
        chosen.append(place)
        sizes[place] = max(sizes[place], 4 * steps * part.connection.words)
    places = [arena.take(size) for size in sizes]
    return [places[place] for place in chosen]


def _beside(parts: tuple[LayerParts, ...]) -> list[ConnectionPlan]:
    """The connections of shortcuts that have sums of their own."""
    shortcuts = (part.shortcut for part in parts if part.shortcut is not None)
    return [shortcut.connection for shortcut in shortcuts if shortcut.connection.form != IDENTITY]


def _scratch(arena: Arena, parts: tuple[LayerParts, ...], event: int) -> ScratchPlan:
    everything, beside = [part.connection for part in parts], _beside(parts)
    listed = [c for c in everything if c.form not in (DENSE, SLICED)]
    starts = (
        (c.rows + int(part.blocks is not None)) * (c.width + 1)
        for part, c in zip(parts, everything, strict=True)
        if c.form not in (DENSE, SLICED)
    )
    sliced = [
        (c, c.slices, c.out_width + c.slices.slots - 1, c.height + 2 * c.pad_height) for c in everything if c.slices
    ]
    pooled = max(
        (
            c.source_height * c.source_width * (c.channels if i == 0 or counts_of(c.pools) else words_of(c.channels))
            for i, c in enumerate(everything)
            if c.pools
        ),
        default=0,
    )
    frames = (
        (c.height + 2 * c.pad_height) * (_even((c.width + 2 * c.pad_width) * c.channels) + 2)
        for c in everything
        if c.form == DENSE
    )
    planes = (s.passes * max(6, _even(s.planes)) * c.row_words * s.spread + 64 for c, s, _, _ in sliced)
    return ScratchPlan(
        pooled=(arena.take(4 * pooled), arena.take(4 * pooled)),
        starts=arena.take(4 * max(starts, default=0)),
        events=arena.take(event * max((c.events for c in listed), default=0)),
        values=arena.take(4 * max((c.events for c in listed if c.weighed), default=0)),
        lines=arena.take(RUN_BYTES * max((c.window * c.kernel_height for c in (*listed, *beside)), default=0)),
        runs=arena.take(RUN_BYTES * max((c.window**2 * c.kernel_height for c in (*listed, *beside)), default=0)),
        sums=arena.take(max(c.row_of_sums for c in everything if not c.decides)),
        frame=arena.take(2 * max(frames, default=0)),
        columns=arena.take(2 * max((g * (rows * s.stride * c.channels + 64) for c, s, g, rows in sliced), default=0)),
        heads=arena.take(4 * max((g * (rows + 1) for _, _, g, rows in sliced), default=0)),
        shifts=arena.take(4 * max((c.row_words + WORDS for c, _, _, _ in sliced), default=0)),
        beside_starts=arena.take(4 * max((c.rows * (c.width + 1) for c in beside), default=0)),
        beside_events=arena.take(event * max((c.events for c in beside), default=0)),
        beside_values=arena.take(4 * max((c.events for c in beside if c.weighed), default=0)),
        beside_sums=arena.take(max((c.row_of_sums for c in beside), default=0)),
        marks=arena.take(max((part.connection.row_words for part in parts if part.blocks), default=0)),
        planes=arena.take(4 * max(planes, default=0)),
    )


def _even(count: int) -> int:
    return count + count % 2
