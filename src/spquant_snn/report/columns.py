"""Tables of a terminal, all of one look."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE
from rich.table import Column, Table
from rich.text import Text

from .text_table import TextTable


def columns(*left: str, right: Iterable[str] = ()) -> Table:
    """An empty table, narrow enough for 80 columns: words to the left, then numbers to the right."""
    words = (Column(title, overflow="fold") for title in left)  # two long names must not be cut to the same one
    table = Table(*words, box=SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    for title in right:
        table.add_column(title, justify="right")
    return table


def printed(grid: TextTable) -> Table:
    """A table for a terminal, without its caption; a bracket in a cell is a bracket, not rich's markup."""
    table = columns(*grid.words, right=grid.numbers)
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return table
