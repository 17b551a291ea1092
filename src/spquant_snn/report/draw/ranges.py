"""Ranges: for each row several values on one logarithmic line, each case with a form of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..text_table import TextTable
from .axes import Form, Scale, padded_ends, short_number
from .svg import CHARACTER, WIDTH, Chart, add, canvas, mark, shape, written

_ROW, _KEY = 38, 20
_NEAR, _APART = 7, 4  # forms that are nearer than this part by this much


def range_chart(
    title: str, cases: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], unit: str, form: Form = short_number
) -> Chart:
    """For each row a line from its least to its greatest value, with a form at each; values are above zero. The first
    row stands out."""
    lines = _key_lines(cases)
    begin = _KEY * len(lines) + 8
    height = begin + _ROW * len(rows) + 24
    svg = canvas(title, height)
    x = Scale(
        *padded_ends([value for _, values in rows for value in values], log=True, share=0.03), 6, WIDTH - 6, log=True
    )
    for value in x.ticks:
        add(svg, "line", kind="grid", x1=x(value), x2=x(value), y1=begin, y2=height - 20)
        add(svg, "text", form(value), kind="tick", x=x(value), y=height - 6, text_anchor="middle")
    add(svg, "text", unit, kind="name", x=WIDTH, y=height - 6, text_anchor="end")
    key = add(svg, "g", kind="over")  # a mark that is looked at speaks in its place
    for line, held in enumerate(lines):
        for which, left in held:
            y = line * _KEY + 9
            shape(key, which, left + 6, y, f"form s{which}")
            add(key, "text", cases[which], kind="label", x=left + 16, y=y + 4)
    for place, (name, values) in enumerate(rows):
        y = begin + place * _ROW + 26
        add(svg, "text", name, kind="label strong" if place == 0 else "label", x=0, y=y - 12)
        said = f"{form(min(values))} to {form(max(values))}"
        add(svg, "text", said, kind="value", x=WIDTH, y=y - 12, text_anchor="end")
        add(svg, "line", kind="span", x1=x(min(values)), x2=x(max(values)), y1=y, y2=y)
        for which, (value, shift) in enumerate(zip(values, _shifts([x(value) for value in values]), strict=True)):
            group = mark(svg, f"{name}, {cases[which]}: {form(value)} {unit}")
            add(group, "circle", kind="hit", cx=x(value), cy=y + shift, r=10)
            shape(group, which, x(value), y + shift, f"form s{which}")
    table = TextTable(
        f"{title}, {unit}", ("",), tuple(cases), tuple((name, *map(form, values)) for name, values in rows)
    )
    return Chart(title, written(svg), table)


def _shifts(places: Sequence[float]) -> list[float]:
    """How far up or down each form goes, so that none hides another: those that would touch part by turns."""
    shifts = [0.0] * len(places)
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    for before, i in pairwise(order):
        if places[i] - places[before] < _NEAR:
            shifts[before], shifts[i] = (shifts[before] or -_APART), -(shifts[before] or -_APART)
    return shifts


def _key_lines(cases: Sequence[str]) -> list[list[tuple[int, float]]]:
    """Which cases stand in each line of the key, and where."""
    lines: list[list[tuple[int, float]]] = [[]]
    left = 0.0
    for which, case in enumerate(cases):
        width = 16 + len(case) * CHARACTER + 14
        if lines[-1] and left + width > WIDTH:
            lines.append([])
            left = 0.0
        lines[-1].append((which, left))
        left += width
    return lines
