"""JSON and TOML from anywhere: bounded in depth, in the digits of numbers and in the parts of keys, so that neither
the time nor the stack of a parser depends on how a text was made.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .reading import Flaw, reason

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_DEEPEST = 32  # levels of lists and objects
_LONGEST_NUMBER = 32  # digits; time grows with the square of longer ones
_WIDEST = 64  # bits of a whole number in TOML, which may be written in hexadecimal
_LONGEST_NAME = 100  # letters of a name that others are compared with
_PARTS = 8  # of a dotted key, for each of which TOML's parser goes through all that stand before it

# Strings and comments; one that has no end goes to where it must end, so that each is gone through once.
_QUOTED = re.compile(
    r'"""(?:[^"\\]+|\\.|"{1,2}(?!"))*(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']+|'{1,2}(?!'))*(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]+|\\[^\n])*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*",
    re.DOTALL,
)
_KEY = re.compile(r"[\w-]+(?:[ \t]*\.[ \t]*[\w-]+)*")


def parse_json(data: bytes, whole: str = "it") -> object:
    """What UTF-8 JSON holds.

    Args:
        whole: what messages call it.

    Raises:
        Flaw: it is not JSON, or holds a key twice, a number that is not finite or endless, or too many levels.
    """

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise Flaw(f"{whole} has the key {short(key)} twice in one object")
        return found

    def constant(name: str) -> object:
        raise Flaw(f"{whole} holds {name}, which is not a number")

    def integer(digits: str) -> int:
        if len(digits) > _LONGEST_NUMBER:
            raise Flaw(f"{whole} holds a number of {len(digits)} digits")
        return int(digits)

    def real(digits: str) -> float:
        if len(digits) > _LONGEST_NUMBER:
            raise Flaw(f"{whole} holds a number of {len(digits)} digits")
        value = float(digits)
        if not math.isfinite(value):
            raise Flaw(f"{whole} holds the number {digits}, which is too large")
        return value

    try:
        value: object = json.loads(
            data.decode(), object_pairs_hook=unique, parse_constant=constant, parse_int=integer, parse_float=real
        )
    except Flaw:
        raise
    except (ValueError, RecursionError) as error:
        raise Flaw(f"{whole} is not JSON ({reason(error)})") from error
    for _, depth in _walk(value):
        if depth > _DEEPEST:
            raise Flaw(f"{whole} is nested more than {_DEEPEST} levels deep")
    return value


def parse_object(data: bytes) -> dict[str, Any]:
    """The same, of what must be an object."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise Flaw(f"it is {short(value)}, not a JSON object")
    return value


def parse_toml(data: bytes) -> dict[str, Any]:
    """What UTF-8 TOML holds.

    Raises:
        Flaw: it is not TOML, or holds a number of more than 64 bits, a key of too many parts or too many levels.
    """
    try:
        text = data.decode()
        _check_toml(text.replace("\r\n", "\n"))
        content = tomllib.loads(text)
    except Flaw:
        raise
    except (ValueError, RecursionError) as error:
        raise Flaw(reason(error)) from error
    for value, depth in _walk(content):
        if type(value) is int and value.bit_length() > _WIDEST:
            raise Flaw(f"it holds a number of {value.bit_length()} bits")
        if depth > _DEEPEST:  # as tables may be by their headers
            raise Flaw(f"it is nested more than {_DEEPEST} levels deep")
    return content


def _check_toml(text: str) -> None:
    """Refuse what would take the parser long, in a time that grows with the text alone."""
    bare = _QUOTED.sub(_blank, text)
    for key in _KEY.finditer(bare):
        if (parts := key[0].count(".") + 1) > _PARTS:
            raise Flaw(f"line {_line(bare, key.start())} has a key of {parts} parts, more than {_PARTS}")
    depth = 0
    for bracket in re.finditer(r"[][{}]", bare):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > _DEEPEST:
            raise Flaw(f"line {_line(bare, bracket.start())} is nested more than {_DEEPEST} levels deep")


def _blank(quoted: re.Match[str]) -> str:
    """Nothing for a comment, for a string a word with as many ends of lines."""
    return "" if quoted[0].startswith("#") else "s" + "\n" * quoted[0].count("\n")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _walk(value: object) -> Iterator[tuple[object, int]]:
    """Every value within a value, and how many lists and objects it lies in; by no recursion of its own."""
    left = [(value, 0)]
    while left:
        value, depth = left.pop()
        yield value, depth
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(each, depth + 1) for each in inner]


def short(value: object) -> str:
    """A value in a message; of anything but a text or a number only its kind, since it may be long or deep."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    if value is not None and not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > 200:  # Python does not write very long ones
        return f"a number of {value.bit_length()} bits"
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def counted(count: int, what: str) -> str:
    """How many there are of something, as "1 input" or "2 inputs"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def did_you_mean(name: str, names: Iterable[str], before: str = "; ") -> str:
    """The end of a message about a name that is none: the nearest of those that there are; nothing where none is near.

    Args:
        before: what parts it from the rest of the message.
    """
    from difflib import get_close_matches

    near = get_close_matches(name[:_LONGEST_NAME], list(names), n=1)
    return f"{before}did you mean {near[0]!r}?" if near else ""


def package_version() -> str:
    """Of this package, in words where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("spquant-snn")
    except PackageNotFoundError:  # run from its source
        return "of no version"
