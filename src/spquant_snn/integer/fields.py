"""Strict reading of a JSON header: every key is asked for by name, type and range, and nothing may be left over."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from ..errors import FileFormatError

Choice = TypeVar("Choice", str, float)

_LONGEST_NUMBER = 32


class Fields:
    """One object of the header.

    Args:
        value: what JSON holds there.
        where: its place, for messages: ``layers[0].neuron``; empty for the header itself.

    Raises:
        FileFormatError: by every method, where the value is not what is asked for.
    """

    def __init__(self, value: object, where: str = "") -> None:
        if not isinstance(value, dict):
            raise FileFormatError(f"{where or 'the header'} is {_short(value)}, not an object")
        self.where = where
        self._left = dict(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number, ``low .. high``."""
        return _integer(self._take(key), low, high, self.place(key))

    def integers(self, key: str, lengths: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
        """A row of whole numbers, of one of ``lengths``."""
        row = self.row(key, max(lengths))
        if len(row) not in lengths:
            raise FileFormatError(f"{self.place(key)} has {len(row)} elements, not {' or '.join(map(str, lengths))}")
        return tuple(_integer(x, low, high, f"{self.place(key)}[{i}]") for i, x in enumerate(row))

    def positive(self, key: str) -> float:
        """A finite number above zero."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise FileFormatError(f"{self.place(key)} is {_short(value)}, not a number above zero")
        return float(value)

    def choice(self, key: str, choices: Sequence[Choice]) -> Choice:
        """One of ``choices``, as it stands there."""
        value = self._take(key)
        for choice in choices:
            if not isinstance(value, bool) and value == choice:
                return choice
        raise FileFormatError(f"{self.place(key)} is {_short(value)}, not one of {', '.join(map(str, choices))}")

    def text(self, key: str, most: int) -> str:
        """One line of 1 .. ``most`` printable characters."""
        value = self._take(key)
        if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
            raise FileFormatError(
                f"{self.place(key)} is {_short(value)}, not a line of 1 to {most} printable characters"
            )
        return value

    def row(self, key: str, most: int) -> list[object]:
        """A list of up to ``most`` elements of any kind."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) > most:
            raise FileFormatError(f"{self.place(key)} is {_short(value)}, not a list of up to {most} elements")
        return value

    def inner(self, key: str) -> Fields:
        """An object."""
        return Fields(self._take(key), self.place(key))

    def inner_or_null(self, key: str) -> Fields | None:
        """An object, or null."""
        value = self._take(key)
        return None if value is None else Fields(value, self.place(key))

    def inner_row(self, key: str, most: int) -> list[Fields]:
        """A list of up to ``most`` objects."""
        return [Fields(value, f"{self.place(key)}[{i}]") for i, value in enumerate(self.row(key, most))]

    def close(self) -> None:
        """Refuse keys that nobody asked for."""
        if self._left:
            raise FileFormatError(f"{self.where or 'the header'} has an unknown key {_short(next(iter(self._left)))}")

    def place(self, key: str) -> str:
        """How messages name a key of this object."""
        return f"{self.where}.{key}" if self.where else key

    def _take(self, key: str) -> object:
        if key not in self._left:
            raise FileFormatError(f"{self.where or 'the header'} has no key {key!r}")
        return self._left.pop(key)


def parse(data: bytes) -> Fields:
    """The object that UTF-8 JSON holds.

    Raises:
        FileFormatError: it is not JSON, or holds a key twice, NaN, an endless number or too many levels.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"the header is not JSON ({error})") from error
    return Fields(value)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise FileFormatError(f"the header has the key {_short(key)} twice in one object")
    return found


def _no_constant(name: str) -> object:
    raise FileFormatError(f"the header holds {name}, which is not a number")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:  # longer ones take time that grows with the square of their length
        raise FileFormatError(f"the header holds a number of {len(digits)} digits")
    return int(digits)


def _integer(value: object, low: int, high: int, where: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise FileFormatError(f"{where} is {_short(value)}, not a whole number from {low} to {high}")
    return value


def _short(value: object) -> str:
    """A value in a message; of a list or an object only its kind, which may be long or deep."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
