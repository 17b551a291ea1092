"""Printing: all output of the package goes through here, or through ``terminal`` on top of it.

What cannot be encoded is replaced, and control characters of names and paths are shown, not sent: no console, no locale
and no name ends a command. ``say`` is for lines, ``say_json`` for data, ``say_error`` for standard error.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from ..errors import RunError

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_STYLE = re.compile("(\x1b\\[[0-9;]*m)")  # colours and the like, which move nothing
_ALIKE = str.maketrans("×→…µ±", "x>~u~")  # for consoles that lack them; each as wide as it was


def visible(text: str, keep: str = "") -> str:
    """Text with its control characters, reversals of direction and surrogates escaped, as ``\\x1b``.

    Args:
        keep: characters that stay, such as a line's end.
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def lines(text: str) -> str:
    """``visible`` text of several lines."""
    return visible(text, "\n")


def in_file(value: object) -> object:
    """What a template fills in: of plain text, ``visible`` lines; markup is left."""
    return visible(value, "\n\t") if type(value) is str else value


def styled(text: str) -> str:
    """``visible`` lines in which colours, bold and the like are left."""
    return "".join(part if i % 2 else lines(part) for i, part in enumerate(_STYLE.split(text)))


def encodable(text: str, encoding: str | None, errors: str = "backslashreplace") -> str:
    """Text in which what an encoding lacks is replaced, by its like where there is one."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return text.translate(_ALIKE).encode(encoding or "utf-8", errors).decode(encoding or "utf-8")
    return text


class Outlet:
    """A text stream that takes any text.

    Args:
        stream: where to; None, as Python has it for a stream that is closed, is nowhere.
        clean: what is done to each text first.
        lossy: whether what cannot be written is lost in silence, as on standard error, where nothing is left to say so.

    Raises:
        BrokenPipeError: by its methods: nobody reads any more.
        RunError: by its methods: the stream cannot be written, as on a full disk.
    """

    def __init__(self, stream: TextIO | None, clean: Callable[[str], str] = styled, lossy: bool = False) -> None:
        self._stream, self._clean, self._lossy = stream, clean, lossy
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write text, whatever it holds."""
        if self._stream is not None:
            encoded = encodable(self._clean(text), self.encoding)
            self._try(lambda stream: stream.write(encoded))
        return len(text)

    def flush(self) -> None:
        """Hand on all that was written."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Whether a person sees it."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The number of the file below.

        Raises:
            OSError: there is none.
        """
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    def _try(self, act: Callable[[TextIO], object]) -> None:
        if self._stream is None:
            return
        try:
            act(self._stream)
        except BrokenPipeError:
            if not self._lossy:
                raise
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            if not self._lossy:
                reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
                raise RunError(
                    f"standard output cannot be written ({reason}): make room, or send it elsewhere"
                ) from None


def say(text: str = "", flush: bool = False) -> None:
    """Print one line on standard output.

    Raises:
        BrokenPipeError, RunError: as ``Outlet`` does.
    """
    outlet = Outlet(sys.stdout, str)
    outlet.write(visible(text) + "\n")
    if flush:
        outlet.flush()


def say_json(value: object) -> None:
    """Print data as one line of JSON; numbers that JSON does not know are null."""
    say(json.dumps(_plain(value), allow_nan=False))


def say_error(text: str) -> None:
    """Print one line on standard error, if that can be written."""
    outlet = Outlet(sys.stderr, str, lossy=True)
    outlet.write(visible(text) + "\n")
    outlet.flush()


def error_is_seen() -> bool:
    """Whether a person sees standard error."""
    return sys.stderr is not None and sys.stderr.isatty()


def say_progress(doing: str) -> None:
    """Print what goes on as a line on standard error, if a person sees it; nothing moves beside what is timed."""
    if error_is_seen():
        say_error(doing)


def open_streams() -> None:
    """Open what of the standard streams was closed before Python started, to nowhere: a file that is opened later would
    take its number, and what libraries print would go into that file."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def finish() -> None:
    """Hand on all that was printed; what cannot be is dropped, so that Python does not try again when it ends.

    Raises:
        BrokenPipeError, RunError: as ``Outlet`` does, on standard output.
    """
    for stream in (sys.stderr, sys.stdout):
        try:
            Outlet(stream).flush()
        except (BrokenPipeError, RunError):
            _drop(stream)
            if stream is sys.stdout:
                raise


def _drop(stream: TextIO | None) -> None:
    """Let all that a stream still holds, and all that is written later, go nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
