"""The area between two cumulative distributions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..text_table import TextTable
from .axes import Scale, frame, percent, short_number
from .svg import CHARACTER, TOP, WIDTH, Chart, add, brief, canvas, mark, path, written

_LEFT, _HEIGHT, _BOTTOM = 50, 210, 40
_POINTS = 200  # of a curve, at most
_NAME = 22  # letters of a name, at most
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def area_chart(title: str, here: Sequence[float], there: Sequence[float], names: tuple[str, str], x_name: str) -> Chart:
    """Two rising sets of numbers, not below zero: for each number the share of the set that is at or below it, and the
    area between the two curves."""
    svg = canvas(title, _HEIGHT)
    most = max(here[-1], there[-1]) or 1.0
    x = Scale(0, most * 1.02, _LEFT, WIDTH - 12)
    y = Scale(0, 1, _HEIGHT - _BOTTOM, TOP + 4)
    frame(svg, x, y, x_name, "share of the neurons at or below", short_number, percent)
    curves = [[(x(a), y(b)) for a, b in _curve(values, x.high)] for values in (here, there)]
    add(svg, "path", kind="between", d=path([*curves[0], *reversed(curves[1])]) + "Z")
    labels = [brief(name, _NAME) for name in names]
    for i, curve in enumerate(curves):
        add(svg, "path", kind=f"line s{i}", d=path(curve))
        left, height = x.end - 24 - CHARACTER * max(map(len, labels)), y(0.2 - 0.11 * i)
        add(svg, "path", kind=f"line s{i}", d=path([(left - 6, height), (left + 18, height)]))
        add(svg, "text", labels[i], kind="label halo", x=left + 24, y=height + 4)
    rows = []
    for share in _SHARES:
        a, b = (quantile(values, share) for values in (here, there))
        rows.append((percent(share), short_number(a), short_number(b)))
        group = mark(
            svg,
            f"{percent(share)} of the neurons: at most {short_number(a)} ({names[0]}), {short_number(b)} ({names[1]})",
        )
        add(group, "rect", kind="hit", x=x.start, y=y(share) - 7, width=x.end - x.start, height=14)
        add(group, "line", kind="guide", x1=x.start, x2=x.end, y1=y(share), y2=y(share))
        for i, value in enumerate((a, b)):
            add(group, "circle", kind=f"dot s{i}", cx=x(value), cy=y(share), r=3.5)
    table = TextTable(f"{title}: {x_name} that a share of the neurons does not exceed", ("share",), names, tuple(rows))
    return Chart(title, written(svg), table)


def quantile(values: Sequence[float], share: float) -> float:
    """The least of rising numbers that at least this share of them does not exceed."""
    return values[max(0, int(np.ceil(share * len(values) - 1e-9)) - 1)]


def _curve(values: Sequence[float], end: float) -> list[tuple[float, float]]:
    """Corners of the stairs from (0, 0) to (end, 1); of many numbers, every so manieth."""
    found, last = [(0.0, 0.0)], 0.0
    every = -(-len(values) // _POINTS)
    for k in range(every, len(values) + every, every):
        value, share = values[min(k, len(values)) - 1], min(k, len(values)) / len(values)
        found += [(value, last), (value, share)]
        last = share
    return [*found, (end, 1.0)]
