"""A plain picture in pixels, by Pillow: the few elements that are drawn here, each with its looks in its attributes."""

from __future__ import annotations

import io
import math
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from ...errors import MissingDependencyError

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_FINER = 2  # times drawn as fine as it is shown, so that lines are smooth
_TOKEN = re.compile(r"([MLZ])|(-?[\d.]+),(-?[\d.]+)")

_ALIKE = str.maketrans({"×": "x", "…": "...", "µ": "u"})  # which Pillow's own font lacks

Point = tuple[float, float]


def as_png(svg: Element, scale: int = 2) -> bytes:
    """A PNG of so many pixels for each unit of the picture.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingDependencyError(
            "a PNG is drawn by Pillow, which is not installed: pip install 'spquant-snn[plot]', or save it as .svg"
        ) from error
    width, height = (math.ceil(float(svg.get(name, "0"))) for name in ("width", "height"))
    times = scale * _FINER
    image = Image.new("RGB", (width * times, height * times), "white")
    _draw(svg, ImageDraw.Draw(image), image, times, (0.0, 0.0))
    held = io.BytesIO()
    image.resize((width * scale, height * scale), Image.Resampling.LANCZOS).save(held, "PNG", optimize=True)
    return held.getvalue()


def _draw(element: Element, draw: ImageDraw, image: Any, times: int, corner: Point) -> None:
    for child in element:
        if child.tag == "svg":
            _draw(child, draw, image, times, (corner[0] + _of(child, "x"), corner[1] + _of(child, "y")))
        elif child.tag == "g":
            _draw(child, draw, image, times, corner)
        else:
            _shape(child, draw, image, times, corner)


def _shape(element: Element, draw: ImageDraw, image: Any, times: int, corner: Point) -> None:
    def at(x: float, y: float) -> Point:
        return (corner[0] + x) * times, (corner[1] + y) * times

    fill, stroke = (None if element.get(name, "none") == "none" else element.get(name) for name in ("fill", "stroke"))
    thick = max(1, round(_of(element, "stroke-width", 1) * times))
    if element.tag == "rect":
        (left, top), (right, bottom) = (
            at(_of(element, "x"), _of(element, "y")),
            at(_of(element, "x") + _of(element, "width"), _of(element, "y") + _of(element, "height")),
        )
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=fill, outline=stroke)
    elif element.tag == "circle":
        middle, radius = at(_of(element, "cx"), _of(element, "cy")), _of(element, "r") * times
        draw.circle(middle, radius, fill=fill, outline=stroke, width=thick)
    elif element.tag == "line":
        ends = at(_of(element, "x1"), _of(element, "y1")), at(_of(element, "x2"), _of(element, "y2"))
        _stroke(draw, ends, element, stroke, thick, times)
    elif element.tag == "path":
        for points in _parts(element.get("d", "")):
            placed = [at(*point) for point in points]
            if fill is not None:
                draw.polygon(placed, fill=fill)
            _stroke(draw, placed, element, stroke, thick, times)
    elif element.tag == "text":
        _write(draw, element, at(_of(element, "x"), _of(element, "y")), fill, times)
    elif element.tag == "image":
        _paste(image, element, at(_of(element, "x"), _of(element, "y")), times)


def _stroke(
    draw: ImageDraw, points: Sequence[Point], element: Element, colour: str | None, thick: int, times: int
) -> None:
    if colour is None:
        return
    dashes = [float(part) * times for part in element.get("stroke-dasharray", "").split()]
    for line in _dashed(points, dashes) if dashes else [points]:
        draw.line([*line], fill=colour, width=thick, joint="curve")


def _dashed(points: Sequence[Point], dashes: Sequence[float]) -> Iterator[list[Point]]:
    """The parts of a line that are seen."""
    place, left, line = 0, dashes[0], [points[0]]
    for start, end in pairwise(points):
        length, done = math.dist(start, end), 0.0
        while length - done > left:
            done += left
            point = tuple(a + (b - a) * done / length for a, b in zip(start, end, strict=True))
            if place % 2 == 0:
                yield [*line, (point[0], point[1])]
            line, place = [(point[0], point[1])], place + 1
            left = dashes[place % len(dashes)]
        left -= length - done
        line.append(end)
    if place % 2 == 0 and len(line) > 1:
        yield line


def _parts(d: str) -> Iterator[list[Point]]:
    """The lines of a path of M, L and Z."""
    points: list[Point] = []
    for letter, x, y in _TOKEN.findall(d):
        if letter == "M" and points:
            yield points
            points = []
        elif letter == "Z":
            points.append(points[0])
        elif not letter:
            points.append((float(x), float(y)))
    if points:
        yield points


def _write(draw: ImageDraw, element: Element, place: Point, colour: str | None, times: int) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(_of(element, "font-size", 12) * times)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[element.get("text-anchor", "start")]
    said = (element.text or "").translate(_ALIKE)
    halo = element.get("stroke", "none")
    if halo != "none":
        wide = _of(element, "stroke-width", 1) * times / 2
        draw.text(place, said, fill=halo, font=font, anchor=anchor, stroke_width=wide)
    bold = times / 4 if element.get("font-weight") == "700" else 0
    draw.text(place, said, fill=colour, font=font, anchor=anchor, stroke_width=bold)


def _paste(image: Any, element: Element, place: Point, times: int) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(b64decode(element.get("href", "").partition(",")[2]))) as held:
        wide, high = (round(_of(element, name) * times) for name in ("width", "height"))
        shown = held.convert("RGBA").convert("RGB").resize((wide, high), Image.Resampling.NEAREST)
        image.paste(shown, (round(place[0]), round(place[1])))


def _of(element: Element, name: str, otherwise: float = 0.0) -> float:
    return float(element.get(name, otherwise))
