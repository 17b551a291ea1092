"""What the classes of drawn elements look like where no stylesheet is: in a file of its own, in a notebook, in pixels.

A picture that stands in somebody else's page carries no style of its own, which would be the page's too: every element
gets its colours as attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .svg import number


@dataclass(frozen=True)
class Ink:
    """What stands on which ground: colours, and the opacity of some of them.

    Args:
        ground: behind everything; None: what is there.
        ink, soft, rule: of text, of what is beside it, and of thin lines.
    """

    ground: str | None
    ink: tuple[str, float]
    soft: tuple[str, float]
    rule: tuple[str, float]


PAPER = Ink("#ffffff", ("#191c20", 1), ("#59616c", 1), ("#dcdfe3", 1))
# The colour of text around it, so that it is seen on a white and on a black ground.
AROUND = Ink(None, ("currentColor", 1), ("currentColor", 0.72), ("currentColor", 0.2))

# Each has a contrast of three to white and to black; neighbours are told apart by those who do not see red or green.
_COLOURS = ("#2f7ad6", "#d9480f", "#0d946a", "#a24fa6", "#76808c")
_DASHES = (None, "7 3", "2 3", "10 3 2 3", "14 4")
_UNSEEN = {"tip", "hit", "guide", "dot"}  # what a page shows of a mark that is looked at

# In the order in which they win over one another.
_LOOKS: Mapping[str, Mapping[str, str]] = {
    **{kind: {"fill": "soft", "font-size": "11"} for kind in ("tick", "name", "note")},
    "value": {"fill": "soft"},
    "strong": {"font-weight": "700"},
    "head": {"font-size": "15", "font-weight": "700"},
    "grid": {"stroke": "rule", "stroke-width": "1"},
    "axis": {"stroke": "soft", "stroke-width": "1"},
    "noted": {"stroke": "soft", "stroke-width": "1", "stroke-dasharray": "2 3"},
    "line": {"fill": "none", "stroke-width": "2.2", "stroke-linejoin": "round"},
    "thin": {"fill": "none", "stroke-width": "1.4", "stroke-linejoin": "round"},
    "leader": {"fill": "none", "stroke-width": "1"},
    **{
        f"s{i}": {"stroke": colour} | ({"stroke-dasharray": dash} if dash else {})
        for i, (colour, dash) in enumerate(zip(_COLOURS, _DASHES, strict=True))
    },
    "quiet": {"stroke": "soft", "stroke-width": "1"},
    "threshold": {"stroke": "soft", "stroke-width": "1.2", "stroke-dasharray": "5 3"},
    "halo": {"stroke": "ground", "stroke-width": "4", "stroke-linejoin": "round", "paint-order": "stroke"},
    "solid": {"stroke-dasharray": "none"},
    "spikes": {"fill": "none", "stroke": "#d9480f"},
    "fired": {"fill": "#d9480f"},
    "bar": {"fill": _COLOURS[0]},
}
_PAINTS = ("fill", "stroke")


def plain(svg: Element, ink: Ink) -> Element:
    """A picture whose every element says what it looks like, without what only a page shows."""
    root = deepcopy(svg)
    _prune(root)
    _dress(root, ink)
    _, _, width, height = root.get("viewBox", "0 0 0 0").split()
    root.attrib.pop("role", None)
    root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "width": width, "height": height, "role": "img"}
    root.set("font-family", "system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif")
    if ink.ground is not None:
        root.insert(0, Element("rect", {"width": width, "height": height, "fill": ink.ground}))
    return root


def _prune(element: Element) -> None:
    for child in list(element):
        if _UNSEEN & set(child.get("class", "").split()):
            element.remove(child)
        else:
            _prune(child)
            for name in ("tabindex", "role", "aria-label"):
                child.attrib.pop(name, None)


def _dress(element: Element, ink: Ink) -> None:
    for child in element.iter():
        kinds = set(child.attrib.pop("class", "").split())
        looks = {"fill": "ink", "font-size": "12"} if child.tag == "text" else {}
        for kind, look in _LOOKS.items():
            if kind in kinds:
                looks |= look
        if looks.get("stroke-dasharray") == "none":
            del looks["stroke-dasharray"]
        for name, value in looks.items():
            child.attrib |= dict(_attributes(name, value, ink))


def _attributes(name: str, value: str, ink: Ink) -> Iterator[tuple[str, str]]:
    if name not in _PAINTS or not hasattr(ink, value):
        yield name, value
        return
    colour, opacity = (ink.ground or "none", 1) if value == "ground" else getattr(ink, value)
    yield name, colour
    if opacity < 1:
        yield f"{name}-opacity", number(opacity)
