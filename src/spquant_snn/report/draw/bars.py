"""Bar charts: histograms, nested bars and stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from ..text_table import TextTable
from .axes import Form, Scale, percent, short_number, ticks
from .svg import CHARACTER, TOP, WIDTH, Chart, add, brief, canvas, mark, written

_LEFT, _HEIGHT, _BOTTOM = 44, 180, 38
_NAMED = 8  # bars of a histogram that bear their value, at most
_TICKS = 9  # bars whose numbers are written, about
_KEY, _ROW, _BAR = 28, 40, 14
_NAME = 26  # letters of a name, at most


def histogram(title: str, codes: Sequence[int], shares: Sequence[float], x_name: str, y_name: str) -> Chart:
    """A bar for each code, as high as its share; shares are shown in percent."""
    svg = canvas(title, _HEIGHT)
    top = max(shares)
    y = Scale(0, top * (1.12 if len(codes) <= _NAMED else 1.03), _HEIGHT - _BOTTOM, TOP)
    width = (WIDTH - _LEFT) / len(codes)
    for value in ticks(0, y.high, 4):
        add(svg, "line", kind="grid", x1=_LEFT, x2=WIDTH, y1=y(value), y2=y(value))
        add(svg, "text", percent(value), kind="tick", x=_LEFT - 6, y=y(value) + 4, text_anchor="end")
    every = 1 << max(0, (len(codes) - 1) // _TICKS).bit_length()
    for i, (code, share) in enumerate(zip(codes, shares, strict=True)):
        x = _LEFT + i * width
        group = mark(svg, f"{x_name} {code}: {percent(share)}")
        add(group, "rect", kind="hit", x=x, y=TOP, width=width, height=y.start - TOP)
        inset = min(6.0, width * 0.12)
        add(group, "rect", kind="bar", x=x + inset, y=y(share), width=width - 2 * inset, height=y.start - y(share))
        if len(codes) <= _NAMED:
            add(group, "text", percent(share), kind="value", x=x + width / 2, y=y(share) - 4, text_anchor="middle")
        if code % every == 0:
            add(svg, "text", str(code), kind="tick", x=x + width / 2, y=y.start + 15, text_anchor="middle")
    add(svg, "line", kind="axis", x1=_LEFT, x2=WIDTH, y1=y.start, y2=y.start)
    add(svg, "text", y_name, kind="name over", x=0, y=11)
    add(svg, "text", x_name, kind="name", x=WIDTH, y=y.start + 31, text_anchor="end")
    rows = tuple((str(code), percent(share)) for code, share in zip(codes, shares, strict=True))
    return Chart(title, written(svg), TextTable(f"{title}: {y_name}", (x_name,), ("share",), rows))


def nested_bars(
    title: str, parts: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], unit: str, form: Form = short_number
) -> Chart:
    """A row of nested bars for each of ``rows``: all start at zero, each part is drawn inside the one before it."""
    svg = canvas(title, _KEY + _ROW * len(rows))
    _key(svg, parts, "in")
    x = Scale(0, max(max(values) for _, values in rows) or 1, 0, WIDTH)
    for place, (name, values) in enumerate(rows):
        y = _KEY + place * _ROW
        said = ", ".join(f"{form(value)} {part}" for part, value in zip(parts, values, strict=True))
        group = _labelled(svg, y, name, f"{said} {unit}", " / ".join(map(form, values)))
        for depth, value in enumerate(values):
            add(group, "rect", kind=f"in{depth}", x=0, y=y + 17 + 2 * depth, width=x(value), height=_BAR - 4 * depth)
    return Chart(title, written(svg), _table(title, parts, rows, unit, form))


def stacked_bars(
    title: str, parts: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], unit: str, form: Form = short_number
) -> Chart:
    """A row of bars for each of ``rows``, its parts end to end."""
    svg = canvas(title, _KEY + _ROW * len(rows))
    _key(svg, parts, "part")
    x = Scale(0, max(sum(values) for _, values in rows) or 1, 0, WIDTH)
    for place, (name, values) in enumerate(rows):
        y = _KEY + place * _ROW
        said = ", ".join(f"{part} {form(value)}" for part, value in zip(parts, values, strict=True))
        group = _labelled(svg, y, name, f"{said} {unit}", f"{form(sum(values))} {unit}")
        begin = 0.0
        for which, value in enumerate(values):
            add(group, "rect", kind=f"part{which}", x=x(begin), y=y + 17, width=x(value), height=_BAR)
            begin += value
    return Chart(title, written(svg), _table(title, parts, rows, unit, form))


def _labelled(svg: Element, y: float, name: str, said: str, value: str) -> Element:
    """A row at height ``y``: its name to the left, its value to the right, and room for its bars below them."""
    group = mark(svg, f"{name}: {said}")
    add(group, "rect", kind="hit", x=-4, y=y, width=WIDTH + 8, height=_ROW)
    add(group, "text", brief(name, _NAME), kind="label", x=0, y=y + 12)
    add(group, "text", value, kind="value", x=WIDTH, y=y + 12, text_anchor="end")
    return group


def _key(svg: Element, parts: Sequence[str], kind: str) -> None:
    """The legend; the text of a mark that is pointed at takes its place."""
    key, x = add(svg, "g", kind="over"), 0.0
    for which, part in enumerate(parts):
        add(key, "rect", kind=f"{kind}{which}", x=x, y=4, width=11, height=11)
        add(key, "text", part, kind="label", x=x + 16, y=14)
        x += 16 + len(part) * CHARACTER + 16


def _table(
    title: str, parts: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], unit: str, form: Form
) -> TextTable:
    return TextTable(
        f"{title}, {unit}", ("",), tuple(parts), tuple((name, *map(form, values)) for name, values in rows)
    )
