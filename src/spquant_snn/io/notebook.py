"""How far something is, in a notebook: one line with a bar and the time left, which goes when it is done.

A notebook is known by the kernel of IPython that runs this; nothing of IPython is imported where there is none.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any

from .html import text
from .output import lines

_OFTEN = 0.2  # seconds between two looks of a reader


def in_notebook() -> bool:
    """Whether this runs in a kernel of IPython, as of Jupyter; a shell of IPython on a terminal is none."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A line below the cell.

    Args:
        total: how many there are.
        what: is done, in words.
        moment: seconds after which it appears; what takes less shows nothing.
        in_bytes: what is counted are bytes.
    """

    def __init__(self, total: int, what: str, moment: float, in_bytes: bool = False) -> None:
        self._total, self._what, self._in_bytes = total, lines(what), in_bytes
        self._began = time.monotonic()
        self._next = self._began + moment
        self._handle: Any = None

    def report(self, done: int, note: str = "") -> None:
        """Show that so many are done in all, and a note."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _OFTEN
            self._show(_Line(done, self._total, self._said(done, now - self._began) + note))

    def close(self) -> None:
        """Take the line away."""
        if self._handle is not None:
            self._show(_Line(0, 0, ""))

    def _show(self, line: _Line) -> None:
        if self._handle is None:
            self._handle = import_module("IPython.display").display(line, display_id=True)
        else:
            self._handle.update(line)

    def _said(self, done: int, passed: float) -> str:
        unit, name = (1e6, " MB") if self._in_bytes else (1, "")
        form = ",.1f" if self._in_bytes else ",.0f"
        counted = f"{self._what}: {done / unit:{form}} of {self._total / unit:{form}}{name}"
        if not 0 < done < self._total:
            return counted
        minutes, seconds = divmod(round(passed / done * (self._total - done)), 60)
        return f"{counted}, {minutes}:{seconds:02d} left"


class _Line:
    """The line at one moment; of a total of 0 it is empty."""

    def __init__(self, done: int, total: int, said: str) -> None:
        self._done, self._total, self._said = done, total, said

    def __repr__(self) -> str:
        return self._said

    def _repr_html_(self) -> str:
        if not self._total:
            return ""
        bar = f'<progress value="{min(self._done, self._total)}" max="{self._total}" style="width:20em"></progress>'
        return bar + text(self._said, "span")
