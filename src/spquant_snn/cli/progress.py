"""Bars for what takes a while, on standard error, where a person sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..io.output import error_is_seen


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar of ``total`` images; gives a function to call with how many are done in all."""
    if not error_is_seen():
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ..io.terminal import to_stderr

    columns = (TextColumn(what), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=to_stderr(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
