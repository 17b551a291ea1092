"""From a graph to its plan: every part of the arena has its place."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..integer.graph import Graph, Readout
from .connection_plan import LayerParts, counts_of, plan_connection, too_large, words_of
from .neuron_plan import padded
from .plan import (
    ALIGNMENT,
    BEYOND,
    DENSE,
    GREATEST,
    IDENTITY,
    LANES,
    LAST,
    RUN_BYTES,
    SLICED,
    TOTAL,
    UNIT,
    WORDS,
    Body,
    ConnectionPlan,
    GeneralPlan,
    InputPlan,
    LayerPlan,
    NetworkPlan,
    PastPlan,
    ReadoutPlan,
    Region,
    ScratchPlan,
    SlicesPlan,
    TermPlan,
    TermsPlan,
)
from .row import row_layer, row_readout
from .term_plan import plan_general

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
    delayed = sorted({term.source for term in graph.terms if term.delay})
    steps = 1 if delayed else min(graph.timesteps, _STEPS)
    shared = steps == graph.timesteps and not streams
    arena = Arena(guard)
    hidden, last = parts[: len(graph.layers)], parts[len(graph.layers) :]
    states = _states(arena, hidden, shared)
    spikes = _spikes(arena, graph, hidden, steps)
    general = last[0].terms is not None
    answers = sum(math.prod(shape) for shape in graph.outputs)
    logits = arena.take(4 * answers if general else 4 * LANES * last[0].connection.tiles)
    pasts = tuple(PastPlan(source, arena.take(_source_bytes(graph, source))) for source in delayed)
    layers = [
        LayerPlan(part.connection, part.neuron, part.blocks, part.shortcut, _placed(arena, part, pasts, graph), *places)
        for part, *places in zip(hidden, states, spikes, strict=True)
    ]
    readouts: tuple[ReadoutPlan, ...] = ()
    if general:
        readouts = _readouts(arena, graph, last, pasts)
    else:
        layers.append(LayerPlan(last[0].connection, None, None, None, None, Region(0, 0), Region(0, 0)))
    scratch = _scratch(arena, parts, event)
    needed = general or pasts or len(graph.inputs) > 1 or any(part.terms for part in parts)
    plan = NetworkPlan(
        timesteps=graph.timesteps,
        steps=steps,
        shared=int(shared),
        layer_count=len(layers),
        layers=tuple(layers),
        fraction=0 if general else graph.readout.fraction,
        bias=None if general else padded(graph.readout.bias, last[0].connection.tiles * LANES, 0),
        logits=logits,
        scratch=scratch,
        general=_general(arena, graph, parts, pasts, readouts) if needed else None,
        arena_size=arena.size,
    )
    if arena.size > _INT32:
        raise too_large(layer_of_most(graph, parts), "what it needs of memory")
    return replace(plan, arena_size=arena.size)


def plan_connections(graph: Graph, body: Body, small: bool = False, general: bool = False) -> tuple[LayerParts, ...]:
    """The layers of a graph, then its readouts, without their places.

    Args:
        small: with packed codes as small as they can be, where larger ones would be added faster.
        general: in the general form, also where there is a faster one.
    """
    parts = []
    for i, layer in enumerate(graph.layers):
        row = row_layer(graph, i)
        if general or isinstance(row, str):
            parts.append(plan_general(graph, layer, graph.shapes[i], body, small))
            continue
        shape = graph.sources[layer.terms[0].source]
        source = graph.shapes[row.shortcut.source] if row.shortcut is not None else ()
        parts.append(plan_connection(row.connection, shape, row, body, i == 0, small, source))
    last = row_readout(graph)
    if not general and not isinstance(last, str):
        return (*parts, plan_connection(last, graph.shapes[-1], None, body, False, small))
    readouts = zip(graph.readouts, graph.outputs, strict=True)
    return (*parts, *(plan_general(graph, readout, shape, body, small) for readout, shape in readouts))


def layer_of_most(graph: Graph, parts: tuple[LayerParts, ...]) -> str:
    """The name of the layer that takes most of an arena."""

    def need(connection: ConnectionPlan) -> int:
        inputs = connection.source_height * connection.source_width * connection.channels
        return inputs + connection.events + connection.row_of_sums + 4 * connection.words

    names = [*(layer.name for layer in graph.layers), *(readout.name for readout in graph.readouts)]
    needs = [(max(map(need, part.connections)), name) for part, name in zip(parts, names, strict=True)]
    return max(needs)[1]


def _states(arena: Arena, parts: tuple[LayerParts, ...], shared: bool) -> list[Region]:
    sizes = [part.connection.words * 4 * part.neuron.bits for part in parts if part.neuron]
    if not shared:
        return [arena.take(size) for size in sizes]
    place = arena.take(max(sizes))
    return [Region(place.offset, size) for size in sizes]


def _spikes(arena: Arena, graph: Graph, parts: tuple[LayerParts, ...], steps: int) -> list[Region]:
    """Where the spikes of each layer lie: a place is taken again when no layer needs what is there; two are enough but
    where other terms take spikes later. What is taken in the next step, or by general readouts, stays."""
    inputs, end = len(graph.inputs), len(graph.layers)
    needed = [i + 1 for i in range(end)]  # the last layer that takes those of layer i
    takers = [(i, layer.terms) for i, layer in enumerate(graph.layers)]
    for i, terms in (*takers, *((end, readout.terms) for readout in graph.readouts)):
        for term in terms:
            if term.source >= inputs:
                needed[term.source - inputs] = max(needed[term.source - inputs], end if term.delay else i)
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


def _source_bytes(graph: Graph, source: int) -> int:
    """Of what an input gives, or a layer's spikes, in a step."""
    channels, height, width = (*graph.sources[source], 1, 1)[:3]
    return height * width * (channels if source < len(graph.inputs) else 4 * words_of(channels))


def _placed(arena: Arena, part: LayerParts, pasts: tuple[PastPlan, ...], graph: Graph) -> TermsPlan | None:
    """The terms of a layer with their places."""
    if part.terms is None:
        return None
    at = {past.source: past.region for past in pasts}
    terms = tuple(
        replace(term, past=at[term.source]) if term.past.size else replace(term, past=Region(0, 0))
        for term in part.terms.terms
    )
    still = any(term.source < len(graph.inputs) and not term.past.size for term in terms)
    return replace(
        part.terms,
        terms=terms,
        still=arena.take(_map_bytes(part.connection) if still else 0),
        current_state=arena.take(LANES * part.connection.words if part.terms.current is not None else 0),
    )


def _map_bytes(c: ConnectionPlan) -> int:
    """Of all sums of a layer, int32."""
    return 4 * c.out_height * c.out_width * c.units * UNIT


def _readouts(
    arena: Arena, graph: Graph, parts: tuple[LayerParts, ...], pasts: tuple[PastPlan, ...]
) -> tuple[ReadoutPlan, ...]:
    found, answer = [], 0
    for readout, part in zip(graph.readouts, parts, strict=True):
        terms, c = _placed(arena, part, pasts, graph), part.connection
        assert terms is not None
        width = c.units * UNIT
        plan = ReadoutPlan(
            terms=terms,
            connection=c,
            fraction=readout.fraction,
            bias=padded(readout.bias, width, 0),
            leak=None if readout.leak is None else padded(readout.leak, width, 0),
            leak_shift=readout.leak_shift,
            over_time=_over_time(readout),
            answer=answer,
            integrator=arena.take(4 * c.out_height * c.out_width * c.outputs),
        )
        found.append(plan)
        answer += plan.answers
    return tuple(found)


def _over_time(readout: Readout) -> int:
    return {"largest": GREATEST, "sum": TOTAL}.get(readout.over_time, LAST)


def _general(
    arena: Arena,
    graph: Graph,
    parts: tuple[LayerParts, ...],
    pasts: tuple[PastPlan, ...],
    readouts: tuple[ReadoutPlan, ...],
) -> GeneralPlan:
    """What the general form has, and its memory, which every layer uses in turn."""
    inputs, offset = [], 0
    for given in graph.inputs:
        inputs.append(InputPlan(offset, int(given.signed), *given.shape))
        offset += inputs[-1].size
    ours = [part for part in parts if part.terms is not None]
    terms = [term for part in ours if part.terms is not None for term in part.terms.terms]
    values = [0, 0]
    for term in terms:
        for i, size in enumerate(_values(term, graph)):
            values[i % 2] = max(values[i % 2], size)
    gates = [
        part.connection.out_height * part.connection.out_width + first.height * first.width
        for part in ours
        if part.terms is not None and part.terms.gate is not None
        for first in [part.terms.terms[0].connection]
    ]
    return GeneralPlan(
        input_count=len(inputs),
        inputs=tuple(inputs),
        past_count=len(pasts),
        pasts=pasts,
        readout_count=len(readouts),
        readouts=readouts,
        answers=sum(readout.answers for readout in readouts),
        each_step=int(any(readout.over_time == "all" for readout in graph.readouts)),
        map=arena.take(max((_map_bytes(part.connection) for part in ours), default=0)),
        part=arena.take(max((_map_bytes(term.connection) for term in terms if term.sum_pool is not None), default=0)),
        values=(arena.take(values[0]), arena.take(values[1])),
        active=arena.take(4 * max(gates, default=0)),
    )


def _values(term: TermPlan, graph: Graph) -> list[int]:
    """Bytes of what is behind each stage of a term's pools, numbers first where they are of pixels."""
    channels, height, width = (*graph.sources[term.source], 1, 1)[:3]
    pixels = term.source < len(graph.inputs)
    signed = pixels and graph.inputs[term.source].signed
    sizes = [4 * height * width * channels] if pixels and (signed or term.pools) else []
    return sizes + [4 * pool.height * pool.width * channels for pool in term.pools]


@dataclass(frozen=True)
class _Listed:
    """What the lists of a connection hold."""

    rows: int
    width: int
    channels: int
    marked: bool
    weighed: bool

    @property
    def events(self) -> int:
        return self.rows * self.width * self.channels


@dataclass(frozen=True)
class _Sliced:
    """What a connection in bit slices takes."""

    connection: ConnectionPlan
    slices: SlicesPlan
    gated: bool

    @property
    def groups(self) -> int:
        """Of columns."""
        return self.connection.out_width + self.slices.slots - 1

    @property
    def rows(self) -> int:
        """That are listed, with padding."""
        return self.connection.height + 2 * self.connection.pad_height

    @property
    def row(self) -> int:
        """Inputs of a group in a row."""
        return self.slices.stride * self.connection.channels

    @property
    def words(self) -> int:
        """Of the neurons that are computed together."""
        return self.connection.row_words * (self.connection.rows_at_once if self.gated else 1)


def _listed(parts: tuple[LayerParts, ...]) -> list[_Listed]:
    """Of the connections of layers, but shortcuts, and of terms."""
    found = []
    for part in parts:
        c = part.connection
        for term in part.terms.terms if part.terms is not None else ():
            inner = term.connection
            if inner.form not in (DENSE, IDENTITY):
                found.append(_Listed(term.rows, inner.width, inner.channels, False, inner.weighed))
        if part.terms is None and c.form not in (DENSE, SLICED):
            found.append(_Listed(c.rows, c.width, c.channels, part.blocks is not None, c.weighed))
    return found


def _beside(parts: tuple[LayerParts, ...]) -> list[ConnectionPlan]:
    """The connections of shortcuts that have sums of their own."""
    shortcuts = (part.shortcut for part in parts if part.shortcut is not None)
    return [shortcut.connection for shortcut in shortcuts if shortcut.connection.form != IDENTITY]


def _scratch(arena: Arena, parts: tuple[LayerParts, ...], event: int) -> ScratchPlan:
    everything, beside = [part.connection for part in parts if part.terms is None], _beside(parts)
    of_terms = [c for part in parts if part.terms is not None for c in part.connections if c.form != IDENTITY]
    looked = [c for c in (*everything, *of_terms, *beside) if c.form not in (DENSE, SLICED)]
    listed = _listed(parts)
    apart = (
        term.connection.kernel_height * term.connection.kernel_width
        for part in parts
        if part.terms is not None
        for term in part.terms.terms
    )
    runs = [*(c.window**2 * c.kernel_height for c in looked), *apart]
    of_sums = [part.connection for part in parts if part.terms is not None]
    sliced = [
        _Sliced(part.connection, part.connection.slices, part.blocks is not None)
        for part in parts
        if part.connection.slices
    ]
    pooled = max(
        (
            c.source_height * c.source_width * (c.channels if i == 0 or counts_of(c.pools) else words_of(c.channels))
            for i, c in enumerate(part.connection for part in parts)
            if c.pools
        ),
        default=0,
    )
    frames = (
        (c.height + 2 * c.pad_height) * (_even((c.width + 2 * c.pad_width) * c.channels) + 2)
        for c in (*everything, *of_terms)
        if c.form == DENSE
    )
    rows_of_sums = (c.row_of_sums for c in (*everything, *of_sums) if not c.decides)
    busy = [(c, c.quads) for c in everything if c.quads]
    bytes_of_frame = ((c.height + 2 * c.pad_height) * (c.width + 2 * c.pad_width) * c.channels for c, _ in busy)
    bytes_of_sums = ((4 if q.wide else 2) * UNIT * c.units * c.out_width * c.out_height for c, q in busy)
    planes = (s.slices.passes * max(6, _even(s.slices.planes)) * s.words * s.slices.spread + 64 for s in sliced)
    return ScratchPlan(
        pooled=(arena.take(4 * pooled), arena.take(4 * pooled)),
        starts=arena.take(4 * max(((of.rows + of.marked) * (of.width + 1) for of in listed), default=0)),
        events=arena.take(event * max((of.events for of in listed), default=0)),
        values=arena.take(4 * max((of.events for of in listed if of.weighed), default=0)),
        lines=arena.take(RUN_BYTES * max((c.window * c.kernel_height for c in looked), default=0)),
        runs=arena.take(RUN_BYTES * max(runs, default=0)),
        sums=arena.take(max((*rows_of_sums, *bytes_of_sums), default=0)),
        frame=arena.take(
            max((*(2 * frame for frame in frames), *(size + BEYOND for size in bytes_of_frame)), default=0)
        ),
        columns=arena.take(2 * max((s.groups * (s.rows * s.row + 64) for s in sliced), default=0)),
        heads=arena.take(4 * max((s.groups * (s.rows + 1) for s in sliced), default=0)),
        shifts=arena.take(4 * max((s.words + WORDS for s in sliced), default=0)),
        beside_starts=arena.take(4 * max((c.rows * (c.width + 1) for c in beside), default=0)),
        beside_events=arena.take(event * max((c.events for c in beside), default=0)),
        beside_values=arena.take(4 * max((c.events for c in beside if c.weighed), default=0)),
        beside_sums=arena.take(max((c.row_of_sums for c in beside), default=0)),
        marks=arena.take(max((part.connection.row_words for part in parts if part.blocks), default=0)),
        planes=arena.take(4 * max(planes, default=0)),
        open=arena.take(24 * max((part.words + WORDS for part in sliced if part.gated), default=0)),
    )


def _even(count: int) -> int:
    return count + count % 2
