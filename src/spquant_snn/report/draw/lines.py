"""Line charts: some series over a common axis, each named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..text_table import TextTable
from .axes import Form, Scale, frame, padded_ends, short_number, spread_labels
from .svg import CHARACTER, TOP, WIDTH, Chart, add, brief, canvas, mark, path, written

_LEFT, _HEIGHT, _BOTTOM = 50, 230, 40
_NAME = 18  # letters of a name, at most
_LOOKS = 5  # lines that differ by colour and dashes


@dataclass(frozen=True)
class Series:
    """A line; one that is ``quiet`` is drawn thin and grey, without a name."""

    name: str
    values: Sequence[float]
    quiet: bool = False


def line_chart(
    title: str,
    xs: Sequence[float],
    series: Sequence[Series],
    x_name: str,
    y_name: str,
    form: Form = short_number,
    log: bool = False,
    noted: tuple[float, str] | None = None,
    floor: float | None = None,
) -> Chart:
    """Lines over ``xs``.

    Args:
        form: writes values.
        log: whether the axis of values is logarithmic; they are above zero then.
        noted: a place on the axis of ``xs``, and what is there.
        floor: the lower end of the axis of values, where it must be shown.
    """
    svg = canvas(title, _HEIGHT)
    named = [line for line in series if not line.quiet]
    labels = [brief(line.name, _NAME) for line in named]
    right = max(map(len, labels), default=0) * CHARACTER + 12
    ends = (min(xs), max(xs)) if len(set(xs)) > 1 else padded_ends(list(xs))
    x = Scale(*ends, _LEFT, WIDTH - right, whole=all(place == round(place) for place in xs))
    values = [value for line in series for value in line.values]
    low, high = padded_ends(values, log)
    y = Scale(low if floor is None or min(values) < floor else floor, high, _HEIGHT - _BOTTOM, TOP + 4, log)
    frame(svg, x, y, x_name, y_name, short_number, form)
    if noted is not None:
        add(svg, "line", kind="noted", x1=x(noted[0]), x2=x(noted[0]), y1=y.start, y2=y.end)
    for line in series:
        kind = "line quiet" if line.quiet else f"line s{named.index(line) % _LOOKS}"
        points = [(x(a), y(b)) for a, b in zip(xs, line.values, strict=True)]
        if len(points) == 1:  # a dash, which is seen
            points = [(points[0][0] - 5, points[0][1]), (points[0][0] + 5, points[0][1])]
        add(svg, "path", kind=kind, d=path(points))
    if noted is not None:  # above the curves
        anchor = "end" if x(noted[0]) > (x.start + x.end) / 2 else "start"
        shift = -5 if anchor == "end" else 5
        add(svg, "text", noted[1], kind="note halo", x=x(noted[0]) + shift, y=y.end + 8, text_anchor=anchor)
    places = spread_labels([y(line.values[-1]) for line in named], 14, y.end, y.start)
    for i, (line, label, place) in enumerate(zip(named, labels, places, strict=True)):
        add(svg, "path", kind=f"leader s{i % _LOOKS}", d=path([(x.end + 1, y(line.values[-1])), (x.end + 8, place)]))
        add(svg, "text", label, kind="label", x=x.end + 11, y=place + 4)
    reach = (x.end - x.start) / max(1, len(xs) - 1) / 2
    for k, a in enumerate(xs):
        said = ", ".join(f"{line.name} {form(line.values[k])}" for line in named)
        group = mark(svg, f"{x_name} {short_number(a)}: {said}")
        add(group, "rect", kind="hit", x=x(a) - reach, y=y.end, width=2 * reach, height=y.start - y.end)
        add(group, "line", kind="guide", x1=x(a), x2=x(a), y1=y.start, y2=y.end)
        for i, line in enumerate(named):
            add(group, "circle", kind=f"dot s{i % _LOOKS}", cx=x(a), cy=y(line.values[k]), r=3.5)
    rows = tuple((short_number(a), *(form(line.values[k]) for line in series)) for k, a in enumerate(xs))
    return Chart(
        title, written(svg), TextTable(f"{title}: {y_name}", (x_name,), tuple(line.name for line in series), rows)
    )
