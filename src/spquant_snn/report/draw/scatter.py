"""A scatter plot whose points are named, with the front of those that no other beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ..text_table import TextTable
from .axes import Form, Scale, frame, padded_ends, short_number
from .svg import CHARACTER, TOP, WIDTH, Chart, add, brief, canvas, mark, path, written

_LEFT, _HEIGHT, _BOTTOM = 58, 320, 40
_NAME = 22  # letters of a name, at most
_FAR = 3  # times as much
_LINE = 13  # height of a label
_RADII = (8, 16, 26, 38, 52, 68)
_ANGLES = (0, 180, -90, 90, -30, 30, -150, 150, -60, 60, -120, 120)  # degrees, clockwise from the right

Box = tuple[float, float, float, float]
"""Left, upper, right, lower."""


@dataclass(frozen=True)
class Spot:
    """A point, and how far up and down its value is uncertain; None where that is not known."""

    name: str
    x: float
    y: float
    error: float | None


def scatter_chart(
    title: str,
    spots: Sequence[Spot],
    front: Sequence[int],
    x_name: str,
    y_name: str,
    x_form: Form = short_number,
    y_form: Form = short_number,
    more: bool = True,
) -> Chart:
    """Points, less being better along ``x``; where they lie far apart the axis of ``x`` is logarithmic.

    Args:
        front: places of the points that no other beats, in order of ``x``.
        more: whether more is better along ``y``, or less.
    """
    svg = canvas(title, _HEIGHT)
    costs = [spot.x for spot in spots]
    log = min(costs) > 0 and max(costs) / min(costs) > _FAR
    x = Scale(*padded_ends(costs, log, share=0.12), _LEFT, WIDTH - 6, log)
    ends = [spot.y + sign * (spot.error or 0) for spot in spots for sign in (-1, 1)]
    y = Scale(*padded_ends(ends), _HEIGHT - _BOTTOM, TOP + 4)
    frame(svg, x, y, x_name, y_name, x_form, y_form)
    places = [(x(spot.x), y(spot.y)) for spot in spots]
    add(svg, "path", kind="front", d=path(_stairs([places[i] for i in front], x.end, y.start if more else y.end)))
    boxes = place_labels(places, [brief(spot.name, _NAME) for spot in spots], (x.start, y.end, x.end, y.start))
    for spot, (left, _) in zip(spots, places, strict=True):
        if spot.error is not None:
            add(svg, "line", kind="whisker", x1=left, x2=left, y1=y(spot.y - spot.error), y2=y(spot.y + spot.error))
    for i, (spot, place, box) in enumerate(zip(spots, places, boxes, strict=True)):
        _name(svg, brief(spot.name, _NAME) if box else str(i + 1), place, box, i in front)
    for i, (spot, (left, top)) in enumerate(zip(spots, places, strict=True)):
        ending = "; not beaten in both" if i in front else ""
        about = "" if spot.error is None else f" ± {spot.error:.2f}"
        says = f"{y_name} {y_form(spot.y)}{about}, {x_form(spot.x)} {x_name}{ending}"
        group = mark(svg, f"{spot.name}: {says}")
        add(group, "circle", kind="hit", cx=left, cy=top, r=12)
        add(group, "circle", kind="spot best" if i in front else "spot", cx=left, cy=top, r=5)
    known = all(spot.error is not None for spot in spots)
    rows = tuple(
        (
            *(spot.name, x_form(spot.x), y_form(spot.y)),
            *((f"{spot.error:.2f}",) if known else ()),
            "yes" if i in front else "",
        )
        for i, spot in enumerate(spots)
    )
    heads = (x_name, y_name, *(("standard error",) if known else ()), "on the front")
    return Chart(title, written(svg), TextTable(title, ("",), heads, rows))


def _name(svg: Element, name: str, place: tuple[float, float], box: Box | None, best: bool) -> None:
    """The name of a point in its box, with a line to the point where it is not beside it."""
    left, top = place
    if box is None:
        box = left + 7, top - _LINE / 2, left + 7, top + _LINE / 2
    near = min(max(left, box[0]), box[2]), min(max(top, box[1]), box[3])
    if math.dist(near, place) > _RADII[0] + 4:
        add(svg, "path", kind="leader quiet", d=path([place, near]))
    add(svg, "text", name, kind="label halo strong" if best else "label halo", x=box[0], y=box[3] - 3)


def place_labels(places: Sequence[tuple[float, float]], names: Sequence[str], within: Box) -> list[Box | None]:
    """A box for each label, near its point, within bounds, clear of all points and of the other boxes; None where
    there is no room."""
    taken: list[Box] = [(left - 6, top - 6, left + 6, top + 6) for left, top in places]
    found: list[Box | None] = []
    for i, ((left, top), name) in enumerate(zip(places, names, strict=True)):
        others = [box for j, box in enumerate(taken) if j != i]
        boxes = (_box(left, top, len(name) * CHARACTER, angle, radius) for radius in _RADII for angle in _ANGLES)
        box = next((box for box in boxes if _inside(box, within) and not any(_meet(box, b) for b in others)), None)
        found.append(box)
        if box is not None:
            taken.append(box)
    return found


def _box(left: float, top: float, width: float, angle: float, radius: float) -> Box:
    """A label's box whose nearest edge lies in a direction from a point."""
    dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    middle = left + radius * dx + dx * width / 2, top + radius * dy + dy * _LINE / 2
    return middle[0] - width / 2, middle[1] - _LINE / 2, middle[0] + width / 2, middle[1] + _LINE / 2


def _inside(box: Box, within: Box) -> bool:
    return within[0] <= box[0] and within[1] <= box[1] and box[2] <= within[2] and box[3] <= within[3]


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _stairs(places: Sequence[tuple[float, float]], right: float, worst: float) -> list[tuple[float, float]]:
    """What the points of a front reach, from the worst on: to the height of each of them, then on to the next."""
    corners = [(places[0][0], worst)]
    for left, top in places:
        corners += [(left, corners[-1][1]), (left, top)]
    return [*corners, (right, corners[-1][1])]
