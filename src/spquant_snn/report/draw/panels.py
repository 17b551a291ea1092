"""Panels over time: one below the other, over the same time steps; spikes, potentials and answers in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from .axes import Scale, padded_ends, short_number, spread_labels, ticks
from .svg import CHARACTER, add, brief, number, path

WIDE = 640  # of the picture
LEFT, RIGHT, _TOP = 132, 96, 60  # room for names, for what is counted, for the title
_GAP = 14  # between panels
_NAME, _NOTE = 18, 14  # letters, at most
_LOOKS = 5
_SPIKE = 24.0  # width of a spike, at most

Draw = Callable[[Element, Scale, float], None]
"""Draws into a panel: where, over which steps, and from which height on downwards."""


@dataclass(frozen=True)
class Panel:
    """A panel.

    Args:
        name: to its left, with what stands below that.
        notes: to its right, one below the other.
        height: of what is drawn.
        draw: it.
    """

    name: str
    below: tuple[str, ...]
    notes: tuple[str, ...]
    height: float
    draw: Draw


def panels(title: str, says: str, steps: int, rows: Sequence[Panel], address: str | None = None) -> Element:
    """A picture of panels over the steps 1 to ``steps``.

    Args:
        says: below the title.
        address: of a small picture beside the title, square, as a page can hold it.
    """
    aside = 0 if address is None else 64
    top: float = _TOP + max(0, aside - 48)
    height = top + sum(panel.height + _GAP for panel in rows) + 36
    svg = Element("svg", {"viewBox": f"0 0 {WIDE} {number(height)}", "aria-label": f"{title}; {says}"})
    if address is not None:
        shown = add(svg, "image", href=address, x=WIDE - RIGHT + 12, y=4, width=aside, height=aside)
        shown.attrib |= {"preserveAspectRatio": "none", "style": "image-rendering:pixelated"}
    add(svg, "text", brief(title, 56), kind="head", x=12, y=22)
    add(svg, "text", brief(says, 84), kind="name", x=12, y=40)
    x = Scale(0.5, steps + 0.5, LEFT, WIDE - RIGHT, whole=True)
    for panel in rows:
        add(svg, "text", brief(panel.name, _NAME), kind="strong", x=12, y=top + 14)
        for i, line in enumerate(panel.below):
            add(svg, "text", brief(line, _NAME), kind="tick", x=12, y=top + 29 + 14 * i)
        for i, line in enumerate(panel.notes):
            add(svg, "text", brief(line, _NOTE), kind="tick", x=WIDE - RIGHT + 12, y=top + 14 + 14 * i)
        panel.draw(svg, x, top)
        base = top + panel.height
        add(svg, "line", kind="axis", x1=x.start, x2=x.end, y1=base, y2=base)
        top = base + _GAP
    base = top - _GAP
    for value in [1.0] if steps == 1 else [value for value in ticks(1, steps, 10) if value == round(value)]:
        add(svg, "line", kind="axis", x1=x(value), x2=x(value), y1=base, y2=base + 4)
        add(svg, "text", short_number(value), kind="tick", x=x(value), y=base + 17, text_anchor="middle")
    add(svg, "text", "time step", kind="name", x=x.end, y=base + 32, text_anchor="end")
    return svg


def spike_rows(fired: NDArray[np.bool_], height: float) -> Draw:
    """A line for each spike of neurons [T, F], the first neuron in the highest row."""
    steps, neurons = fired.shape
    tall = height / neurons

    def draw(svg: Element, x: Scale, top: float) -> None:
        wide = min(_SPIKE, 0.7 * (x.end - x.start) / steps)
        at, which = np.nonzero(fired)
        lines = (
            f"M{number(x(t + 1))},{number(top + tall * i)}L{number(x(t + 1))},{number(top + tall * (i + 1))}"
            for t, i in zip(at.tolist(), which.tolist(), strict=True)
        )
        add(svg, "line", kind="grid", x1=x.start, x2=x.end, y1=top, y2=top)
        add(svg, "path", kind="spikes", d="".join(lines), stroke_width=wide)

    return draw


@dataclass(frozen=True)
class PotentialTrace:
    """A neuron: what it keeps before each step and behind the last, [T + 1]; its potential at each, and whether it
    fires, [T]. The threshold is in the same units."""

    kept: Sequence[float]
    potential: Sequence[float]
    fired: Sequence[bool]
    threshold: float


def potential_line(trace: PotentialTrace, height: float) -> Draw:
    """At each step from what was kept up to the potential, and down again, against the threshold."""
    values = [*trace.kept, *trace.potential, trace.threshold]

    def draw(svg: Element, x: Scale, top: float) -> None:
        y = Scale(*padded_ends([float(value) for value in values], share=0.1), top + height, top + 2)
        for value in ticks(y.low, y.high, 4):
            add(svg, "line", kind="grid", x1=x.start, x2=x.end, y1=y(value), y2=y(value))
            add(svg, "text", short_number(value), kind="tick", x=x.start - 6, y=y(value) + 4, text_anchor="end")
        add(svg, "line", kind="threshold", x1=x.start, x2=x.end, y1=y(trace.threshold), y2=y(trace.threshold))
        points = []
        for t, (kept, potential) in enumerate(zip(trace.kept[:-1], trace.potential, strict=True), 1):
            points += [(x(t - 0.5), y(kept)), (x(t), y(potential))]
        points.append((x.end, y(trace.kept[-1])))
        add(svg, "path", kind="thin s0", d=path(points))
        for t, (potential, fired) in enumerate(zip(trace.potential, trace.fired, strict=True), 1):
            if fired:
                add(svg, "circle", kind="fired", cx=x(t), cy=y(potential), r=3.2)

    return draw


def answer_lines(answers: NDArray[np.integer], names: Sequence[str], height: float) -> Draw:
    """How answers [T + 1, O] grow from zero before the first step; those that are highest in the end have the first
    ``names``, others are grey."""
    order = np.argsort(-answers[-1], kind="stable").tolist()

    def draw(svg: Element, x: Scale, top: float) -> None:
        y = Scale(*padded_ends(answers.reshape(-1).astype(float).tolist()), top + height, top + 2)
        for value in ticks(y.low, y.high, 4):
            add(svg, "line", kind="grid", x1=x.start, x2=x.end, y1=y(value), y2=y(value))
            add(svg, "text", short_number(value), kind="tick", x=x.start - 6, y=y(value) + 4, text_anchor="end")
        for place, which in reversed([*enumerate(order)]):
            kind = f"line s{place % _LOOKS}" if place < len(names) else "leader quiet"
            points = [(x(t + 0.5), y(float(value))) for t, value in enumerate(answers[:, which])]
            add(svg, "path", kind=kind, d=path(points))
        ends = [y(float(answers[-1, which])) for which in order[: len(names)]]
        for i, (end, place) in enumerate(zip(ends, spread_labels(ends, 14, top, top + height), strict=True)):
            add(svg, "path", kind=f"leader s{i % _LOOKS} solid", d=path([(x.end + 1, end), (x.end + 9, place)]))
            most = int((RIGHT - 14) / CHARACTER)
            add(svg, "text", brief(names[i], most), kind="label", x=x.end + 12, y=place + 4)

    return draw
