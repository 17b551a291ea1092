"""Strict reading of what a text holds: every key is asked for by name, type and range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from .reading import Flaw
from .texts import short

Choice = TypeVar("Choice", str, float)
_FINITE = 1.7e308  # below which whole numbers are floating-point ones too


class Fields:
    """One object.

    Args:
        value: what JSON or TOML holds there.
        where: its place, for messages: ``layers[0].neuron``; empty for the whole.
        whole: what messages call the whole.

    Raises:
        Flaw: by every method, where the value is not what is asked for.
    """

    def __init__(self, value: object, where: str = "", whole: str = "it") -> None:
        self.where, self._whole = where, whole
        if not isinstance(value, dict):
            raise Flaw(f"{where or whole} is {short(value)}, not an object")
        self._left = dict(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number, ``low .. high``."""
        return _integer(self._take(key), low, high, self.place(key))

    def integers(self, key: str, lengths: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
        """A row of whole numbers, of one of ``lengths``."""
        row = self.row(key, max(lengths))
        if len(row) not in lengths:
            raise Flaw(f"{self.place(key)} has {len(row)} elements, not {' or '.join(map(str, lengths))}")
        return tuple(_integer(x, low, high, f"{self.place(key)}[{i}]") for i, x in enumerate(row))

    def whole_numbers(self, key: str, most: int, low: int, high: int) -> list[int]:
        """A list of up to ``most`` whole numbers."""
        return [_integer(x, low, high, f"{self.place(key)}[{i}]") for i, x in enumerate(self.row(key, most))]

    def positive(self, key: str) -> float:
        """A finite number above zero."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise Flaw(f"{self.place(key)} is {short(value)}, not a number above zero")
        return float(value)

    def number(self, key: str, low: float, high: float) -> float:
        """A number, ``low .. high``."""
        value = self._take(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise Flaw(f"{self.place(key)} is {short(value)}, not a number from {low:g} to {high:g}")

    def numbers(self, key: str, most: int) -> list[float]:
        """A list of up to ``most`` finite numbers."""
        found = []
        for i, value in enumerate(self.row(key, most)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FINITE:
                raise Flaw(f"{self.place(key)}[{i}] is {short(value)}, not a finite number")
            found.append(float(value))
        return found

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise Flaw(f"{self.place(key)} is {short(value)}, not true or false")
        return value

    def choice(self, key: str, choices: Sequence[Choice]) -> Choice:
        """One of ``choices``, as it stands there."""
        value = self._take(key)
        for choice in choices:
            if not isinstance(value, bool) and value == choice:
                return choice
        raise Flaw(f"{self.place(key)} is {short(value)}, not one of {', '.join(map(str, choices))}")

    def text(self, key: str, most: int, least: int = 1) -> str:
        """One line of ``least`` .. ``most`` printable characters."""
        return _text(self._take(key), most, self.place(key), least)

    def texts(self, key: str, count: int, most: int) -> list[str]:
        """A list of up to ``count`` such lines."""
        return [_text(x, most, f"{self.place(key)}[{i}]") for i, x in enumerate(self.row(key, count))]

    def row(self, key: str, most: int) -> list[object]:
        """A list of up to ``most`` elements of any kind."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) > most:
            raise Flaw(f"{self.place(key)} is {short(value)}, not a list of up to {most} elements")
        return value

    def value(self, key: str) -> object:
        """Whatever stands there."""
        return self._take(key)

    def inner(self, key: str) -> Fields:
        """An object."""
        return Fields(self._take(key), self.place(key), self._whole)

    def inner_or_null(self, key: str) -> Fields | None:
        """An object, or null."""
        value = self._take(key)
        return None if value is None else Fields(value, self.place(key), self._whole)

    def inner_row(self, key: str, most: int) -> list[Fields]:
        """A list of up to ``most`` objects."""
        return [Fields(value, f"{self.place(key)}[{i}]", self._whole) for i, value in enumerate(self.row(key, most))]

    def close(self) -> None:
        """Refuse keys that nobody asked for."""
        if self._left:
            raise Flaw(f"{self.where or self._whole} has an unknown key {short(next(iter(self._left)))}")

    def has(self, key: str) -> bool:
        """Whether there is such a key, with another value than null."""
        return self._left.get(key) is not None

    def names(self) -> list[str]:
        """The keys that nobody has asked for yet."""
        return list(self._left)

    def place(self, key: str) -> str:
        """How messages name a key of this object."""
        shown = key if key.isprintable() and len(key) <= 60 else short(key)
        return f"{self.where}.{shown}" if self.where else shown

    def _take(self, key: str) -> object:
        if key not in self._left:
            raise Flaw(f"{self.where or self._whole} has no key {key!r}")
        return self._left.pop(key)


def _integer(value: object, low: int, high: int, where: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Flaw(f"{where} is {short(value)}, not a whole number from {low} to {high}")
    return value


def _text(value: object, most: int, where: str, least: int = 1) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most or not value.isprintable():
        raise Flaw(f"{where} is {short(value)}, not a line of {least} to {most} printable characters")
    return value
