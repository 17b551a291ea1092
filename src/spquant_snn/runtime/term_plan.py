"""The terms of a layer or a readout as the general form of the C source takes them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..integer.connection import Connection, Shape, image
from ..integer.graph import Graph, Layer, Readout, Term
from ..integer.pool import NO_SIDES, Pool, Upsample
from ..integer.reference import window_of_sums
from .connection_plan import LayerParts, Values, as_identity, between, plan_connection, too_large, words_of
from .neuron_plan import padded, plan_current, plan_gate, plan_wide
from .plan import (
    LANES,
    LARGEST,
    REPEAT,
    SUM,
    TERMS,
    UNIT,
    Body,
    ConnectionPlan,
    Region,
    TermPlan,
    TermsPlan,
    WindowPlan,
)

_INT32 = (1 << 31) - 1
_NOWHERE = Region(0, 0)


def plan_general(graph: Graph, part: Layer | Readout, shape: Shape, body: Body, small: bool = False) -> LayerParts:
    """A layer or a readout in the general form.

    Args:
        shape: of its sums.
        small: see ``plan_connection``.

    Raises:
        ModelError: positions in it leave 31 bits.
    """
    terms = tuple(_plan_term(graph, term, body, small) for term in part.terms)
    sums = _sums(shape, body)
    if math.prod((sums.out_height, sums.out_width, sums.units, UNIT)) * 4 > _INT32:
        raise too_large(part.name, "a position in its sums")
    if isinstance(part, Readout):
        return LayerParts(sums, None, None, terms=TermsPlan(len(terms), terms, _NOWHERE, None, None, _NOWHERE))
    neuron, width = part.neuron, sums.tiles * LANES
    current, plan = plan_current(neuron, width), plan_wide(neuron, width)
    if current is not None:
        plan = replace(plan, fraction=0)  # what currents leave is in units of potential
    window = None
    if part.gate is not None:
        first = part.terms[0]
        window = _gate_window(first.connection, graph.sources[first.source], sums)
    return LayerParts(
        sums,
        plan,
        None if part.gate is None else plan_gate(part.gate, part.channels),
        terms=TermsPlan(len(terms), terms, _NOWHERE, window, current, _NOWHERE),
    )


def _plan_term(graph: Graph, term: Term, body: Body, small: bool) -> TermPlan:
    connection, shape = term.connection, graph.sources[term.source]
    pools, sum_pool = _windows(connection.pools, shape), connection.sum_pool
    inner = connection.pooled_shape(shape)
    largest, signed = graph.largest(term.source)
    pixels = term.source < len(graph.inputs)
    counted = pixels or any(pool.kind == SUM for pool in pools)
    dilation = _between(connection.dilation, connection.codes.shape[2:] if connection.convolves else (1, 1))
    spread = _between(connection.spread, image(inner)[1:])
    apart = dilation != (1, 1) or spread != (1, 1)
    alone = sum_pool is not None and (apart or not sum_pool.plain or sum_pool.kind == "max")
    behind = replace(connection, pools=(), sum_pool=None if alone else sum_pool)
    values = Values(connection.largest_input(largest), signed, counted)
    top, bottom, left, right = connection.padding
    dense = pixels and not (pools or apart) and (top, left) == (bottom, right)
    plan = plan_connection(behind, inner, None, body, dense, small, beside=True, values=values).connection
    if connection.identity and not pixels:
        plan = as_identity(plan, padded(connection.codes.ravel().astype(np.int16), plan.tiles * LANES, 0))
    before = (behind.output_shape(inner)[0], plan.out_height, plan.out_width)
    return TermPlan(
        source=term.source,
        past=Region(0, int(term.delay)),  # its place is found later
        pool_count=len(pools),
        pools=pools,
        connection=plan,
        dilation_height=dilation[0],
        dilation_width=dilation[1],
        spread_height=spread[0],
        spread_width=spread[1],
        rows=plan.height if apart else plan.rows,
        sum_pool=_windows((sum_pool,), before)[0] if alone and sum_pool is not None else None,
        multiplier=None if term.multiplier is None else padded(term.multiplier, plan.units * UNIT, 0),
        shift=term.shift,
    )


def _sums(shape: Shape, body: Body) -> ConnectionPlan:
    """What the sums of a layer are; the rest of a connection is empty."""
    outputs, height, width = image(shape)
    tiles = words_of(outputs)
    names = (
        "source_height", "source_width", "channels", "height", "width", "kernel_height", "kernel_width",
        "step_height", "step_width", "window", "slide_height", "slide_width", "limit", "row", "wide",
    )  # fmt: skip
    return ConnectionPlan(
        **dict.fromkeys(names, 1),
        pool_count=0,
        pools=(),
        pad_height=0,
        pad_width=0,
        out_height=height,
        out_width=width,
        outputs=outputs,
        tiles=tiles,
        units=-(-outputs // UNIT) if body == Body.PORTABLE else 2 * tiles,
        form=TERMS,
        codes8=None,
        codes16=None,
        group_start=None,
        slices=None,
        quads=None,
        packed=None,
    )


def _windows(steps: tuple[Pool | Upsample, ...], shape: Shape) -> tuple[WindowPlan, ...]:
    _, height, width = image(shape)
    found = []
    for step in steps:
        height, width = step.size(height, width)
        if isinstance(step, Upsample):
            found.append(_window(REPEAT, step.factor, step.factor, (1, 1), (0, 0), (height, width)))
        else:
            kind, sides = LARGEST if step.kind == "max" else SUM, (step.padding[0], step.padding[2])
            found.append(_window(kind, step.kernel, step.stride, step.dilation, sides, (height, width)))
    return tuple(found)


def _between(distances: tuple[int, int], places: tuple[int, ...]) -> tuple[int, int]:
    return between(distances[0], places[0]), between(distances[1], places[1])


def _window(
    kind: int,
    kernel: tuple[int, int],
    step: tuple[int, int],
    dilation: tuple[int, int],
    sides: tuple[int, int],
    size: tuple[int, int],
) -> WindowPlan:
    return WindowPlan(kind, *kernel, *_between(step, size), *_between(dilation, kernel), *sides, *size)


def _gate_window(connection: Connection, shape: Shape, sums: ConnectionPlan) -> WindowPlan:
    """Where the inputs lie that a gate counts, one window for each place of the sums."""
    if connection.convolves:
        field, step, sides = window_of_sums(connection)
    else:
        _, *size = image(connection.pooled_shape(shape))
        field, step, sides = (size[0], size[1]), (1, 1), NO_SIDES
    return _window(SUM, field, step, (1, 1), (sides[0], sides[2]), (sums.out_height, sums.out_width))
