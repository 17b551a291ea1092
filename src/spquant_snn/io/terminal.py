"""Consoles for tables and bars, safe as ``output`` is: on an ASCII console they are drawn in ASCII."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from .output import Outlet, encodable, error_is_seen, lines


class _SafeConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments whose text can be printed; cells of tables come through here before they are cut to their width."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else self._printable(text), style, control)

    def on_broken_pipe(self) -> None:
        """Leave it to the command how it ends."""
        raise BrokenPipeError

    def _printable(self, text: str) -> str:
        return encodable(lines(text), self.encoding, "replace")


def to_stdout(soft_wrap: bool = False) -> Console:
    """A console on standard output.

    Args:
        soft_wrap: leave it to the terminal to break long lines.
    """
    return _SafeConsole(file=cast(IO[str], Outlet(sys.stdout, str)), highlight=False, soft_wrap=soft_wrap)


def to_stderr() -> Console:
    """A console on standard error, which never fails."""
    outlet = Outlet(sys.stderr, str, lossy=True)
    return _SafeConsole(file=cast(IO[str], outlet), highlight=False, soft_wrap=True)


def print_tables(tables: Iterable[RenderableType]) -> None:
    """Print tables and texts on standard output, one below the other."""
    to_stdout().print(*tables, sep="\n")


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar of ``total`` images on standard error, where a person sees it; gives a function to call with how many are
    done in all."""
    if not error_is_seen():
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=to_stderr(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
