"""Consoles for tables and bars, safe as ``output`` is: on an ASCII console they are drawn in ASCII."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, Timer
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from .notebook import NotebookBar, in_notebook
from .output import Outlet, encodable, error_is_seen, lines

Report = Callable[[int], object]
"""Called with how many are done in all."""

_MOMENT = 1.0  # seconds after which a bar appears
_LOOK = 0.25  # seconds between two looks at a file


class _SafeConsole(Console):
    def __init__(self, outlet: Outlet, soft_wrap: bool) -> None:
        seen = False if in_notebook() else None  # there lines are text, whatever the kernel's environment says
        file = cast(IO[str], outlet)
        super().__init__(file=file, highlight=False, soft_wrap=soft_wrap, force_terminal=seen, force_jupyter=False)

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
    return _SafeConsole(Outlet(sys.stdout, str), soft_wrap)


def to_stderr() -> Console:
    """A console on standard error, which never fails."""
    return _SafeConsole(Outlet(sys.stderr, str, lossy=True), soft_wrap=True)


def print_tables(tables: Iterable[RenderableType]) -> None:
    """Print tables and texts on standard output, one below the other."""
    to_stdout().print(*tables, sep="\n")


def unseen(done: int) -> None:
    """What is called with how many are done where nothing is shown of it."""


@contextmanager
def progress(total: int, what: str, *, quiet: bool = False, in_bytes: bool = False) -> Iterator[Report]:
    """A bar with the time left of what takes longer than a moment, on standard error, where a person sees it, or below
    the cell of a notebook; gives a function to call with how many are done in all.

    Args:
        total: how many there are.
        what: is done, in words.
        quiet: show nothing.
        in_bytes: what is counted are bytes.
    """
    if quiet or total < 1 or not (error_is_seen() or in_notebook()):
        yield unseen
        return
    if not error_is_seen():
        shown = NotebookBar(total, what, _MOMENT, in_bytes)
        try:
            yield shown.report
        finally:
            shown.close()
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    name = TextColumn("{task.description}", markup=False)
    counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (name, BarColumn(None), counted, TimeRemainingColumn(compact=True))
    bar = Progress(*columns, console=to_stderr(), transient=True)
    task = bar.add_task(encodable(lines(what), sys.stderr.encoding, "replace"), total=total)
    start = Timer(_MOMENT, bar.start)
    start.daemon = True
    start.start()
    try:
        yield lambda done: bar.update(task, completed=done)
    finally:
        start.cancel()
        start.join()
        if bar.live.is_started:
            bar.stop()


@contextmanager
def progress_shown(report: Report | None, total: int, what: str) -> Iterator[Report]:
    """The function that a caller gave to be told how many are done; where there is none, a ``progress``."""
    if report is not None:
        yield report
        return
    with progress(total, what) as own:
        yield own


@contextmanager
def progress_of_file(path: Path, each: int, total: int, what: str) -> Iterator[None]:
    """A ``progress`` of what somebody else writes into a file, so many bytes for each of ``total``."""
    ended = Event()

    def watch(report: Report) -> None:
        while not ended.wait(_LOOK):
            with suppress(OSError):
                report(path.stat().st_size // each)

    with progress(total, what) as report:
        watcher = Thread(target=watch, args=(report,), daemon=True)
        if report is not unseen:
            watcher.start()
        try:
            yield
        finally:
            ended.set()
            if report is not unseen:
                watcher.join()
