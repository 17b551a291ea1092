"""Axes: scales from numbers to pixels, round numbers along them, and the frame of a plot."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .svg import WIDTH, add

Form = Callable[[float], str]


@dataclass(frozen=True)
class Scale:
    """A straight or logarithmic line from the numbers ``low .. high`` to the pixels ``start .. end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False  # only whole numbers are marked

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round numbers between the ends."""
        found = log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high)
        return [value for value in found if not self.whole or value == round(value)]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``, at most ``most`` of them and two at least
    where there is room."""
    raw = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from ``low`` to ``high``; where they are few, with multiples; where those are few, as ``ticks``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) >= 3:
            break
    return found[:: -(-len(found) // 7)] if len(found) > 1 else ticks(low, high, 4)


def padded_ends(values: list[float], log: bool = False, share: float = 0.06) -> tuple[float, float]:
    """The ends of an axis that holds some numbers, with some room around them."""
    low, high = min(values), max(values)
    if log:
        room = max((high / low) ** share, 1.15)
        return low / room, high * room
    room = share * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def frame(svg: Element, x: Scale, y: Scale, x_name: str, y_name: str, x_form: Form, y_form: Form) -> None:
    """Grid lines, numbers and names of both axes; ``y`` grows upward, its ``start`` is the lower edge."""
    for value in y.ticks:
        add(svg, "line", kind="grid", x1=x.start, x2=x.end, y1=y(value), y2=y(value))
        add(svg, "text", y_form(value), kind="tick", x=x.start - 6, y=y(value) + 4, text_anchor="end")
    add(svg, "line", kind="axis", x1=x.start, x2=x.end, y1=y.start, y2=y.start)
    for value in x.ticks:
        add(svg, "line", kind="axis", x1=x(value), x2=x(value), y1=y.start, y2=y.start + 4)
        add(svg, "text", x_form(value), kind="tick", x=x(value), y=y.start + 17, text_anchor="middle")
    add(svg, "text", y_name, kind="name over", x=0, y=11)
    add(svg, "text", x_name, kind="name", x=min(x.end, WIDTH), y=y.start + 33, text_anchor="end")


def spread_labels(places: list[float], apart: float, low: float, high: float) -> list[float]:
    """Where to put labels whose marks are at ``places``, so that they are ``apart`` from each other and, if there is
    room, between ``low`` and ``high``; near their marks and in their order."""
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    # Labels that would touch are gathered into blocks, each around the mean of what its labels ask for.
    blocks: list[list[int]] = []
    starts: list[float] = []
    for i in order:
        blocks.append([i])
        starts.append(_start([places[i]], apart, low, high))
        while len(blocks) > 1 and starts[-2] + apart * len(blocks[-2]) > starts[-1]:
            last = blocks.pop()
            starts.pop()
            blocks[-1] += last
            starts[-1] = _start([places[j] for j in blocks[-1]], apart, low, high)
    found = [0.0] * len(places)
    for block, start in zip(blocks, starts, strict=True):
        for k, i in enumerate(block):
            found[i] = start + apart * k
    return found


def _start(places: list[float], apart: float, low: float, high: float) -> float:
    """Where the first label of a block goes."""
    middle = sum(place - apart * k for k, place in enumerate(places)) / len(places)
    return max(low, min(middle, high - apart * (len(places) - 1)))


def short_number(value: float) -> str:
    """A number to about three digits: 0.031, 6.29, 159, 1,240, 16.8 M."""
    size = abs(value)
    for least, scale, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= least:
            return f"{value / scale:.3g} {name}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share in percent: 0 %, 0.031 %, 2.5 %, 99.4 %."""
    value = 100 * share
    return f"{value:.2g} %" if abs(value) < 1 else f"{value:.1f}".removesuffix(".0") + " %"
