"""SVG as a tree of elements; any text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from ..text_table import TextTable

WIDTH = 400  # of every chart, in units that are pixels on a telephone's screen
TOP = 24  # a line above the plot: the name of its axis, or what the mark that is looked at says
_APART = 24  # charts that stand side by side
CHARACTER = 6.8  # width of a letter of 12 pixels, about

_CROSS = (-1.1, -0.4), (-0.4, -0.4), (-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4)
_FORMS: Sequence[Sequence[tuple[float, float]]] = (
    (),  # a disc
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.15), (1.15, 0.9), (-1.15, 0.9)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    (*_CROSS, *((-x, -y) for x, y in _CROSS)),
)


@dataclass(frozen=True)
class Chart:
    """A picture of numbers, and the numbers.

    Args:
        title: what is drawn.
        svg: the picture.
        table: the same numbers; its caption says what they are.
    """

    title: str
    svg: str
    table: TextTable


def canvas(title: str, height: float) -> Element:
    """An empty chart of a height."""
    return Element("svg", {"viewBox": f"0 0 {WIDTH} {number(height)}", "role": "group", "aria-label": title})


def add(parent: Element, tag: str, text: str | None = None, **attributes: str | float) -> Element:
    """A new element at the end of another; an underscore in the name of an attribute stands for a hyphen, ``kind`` for
    its class."""
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    if "kind" in named:
        named["class"] = named.pop("kind")
    written = {name: value if isinstance(value, str) else number(value) for name, value in named.items()}
    child = SubElement(parent, tag, written)
    child.text = text
    return child


def mark(parent: Element, says: str) -> Element:
    """A group of shapes that can be pointed at or focused; its text then appears above the plot."""
    group = add(parent, "g", kind="mark", tabindex="0", role="img", aria_label=says)
    tip = add(group, "text", kind="tip halo", x=0, y=11, aria_hidden="true")
    for line, part in enumerate(wrap(says, int(WIDTH / CHARACTER))):
        add(tip, "tspan", part, x=0, dy=12 if line else 0)
    return group


def path(points: Iterable[tuple[float, float]]) -> str:
    """The ``d`` of a line through points."""
    return "M" + "L".join(f"{number(x)},{number(y)}" for x, y in points)


def shape(parent: Element, which: int, x: float, y: float, kind: str, size: float = 4.5) -> None:
    """One of five forms around a point, told apart without colour: disc, square, triangle, diamond, cross."""
    form = _FORMS[which % len(_FORMS)]
    if form:
        add(parent, "path", d=path((x + size * dx, y + size * dy) for dx, dy in form) + "Z", kind=kind)
    else:
        add(parent, "circle", cx=x, cy=y, r=size, kind=kind)


def number(value: float) -> str:
    """A coordinate, to a hundredth of a pixel."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def side_by_side(title: str, charts: Sequence[Chart], across: int = 2) -> Element:
    """Several charts as one picture, each below its title."""
    drawn = [fromstring(chart.svg) for chart in charts]
    heights = [float(svg.get("viewBox", "0 0 0 0").split()[3]) for svg in drawn]
    across = min(across, len(charts))
    wide = _APART + across * (WIDTH + _APART)
    root = Element("svg", {"aria-label": title})
    add(root, "text", brief(title, wide // 9), kind="head", x=_APART, y=26)
    top = 60.0
    for begin in range(0, len(charts), across):
        for place, (chart, svg) in enumerate(zip(charts[begin : begin + across], drawn[begin:], strict=False)):
            left = _APART + place * (WIDTH + _APART)
            add(root, "text", chart.title, kind="strong", x=left, y=top)
            box = {"x": left, "y": top + 10, "width": WIDTH, "height": heights[begin + place]}
            svg.attrib |= {name: number(value) for name, value in box.items()}
            root.append(svg)
        top += max(heights[begin : begin + across]) + 44
    root.set("viewBox", f"0 0 {wide} {number(top - 30)}")
    return root


def written(svg: Element) -> str:
    """The markup of a chart."""
    return tostring(svg, encoding="unicode")


def brief(name: str, most: int) -> str:
    """A name shortened to ``letters``, with its middle left out if need be."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[len(name) - (most - most // 2) :]}"
