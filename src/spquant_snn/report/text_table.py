"""A table as data, from which a terminal and a page take the same rows, and as a terminal prints it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.table import Column, Table
from rich.text import Text

from ..io import html


@dataclass(frozen=True)
class TextTable:
    """A table of cells that are written out already.

    Args:
        caption: what it shows, and in which units.
        words: heads of the columns of words, which stand first; the first of them names the rows.
        numbers: heads of the columns of numbers.
        rows: cells; a row may be shorter than the heads, the rest of it is empty.

    Raises:
        ValueError: a row is longer than the heads.
    """

    caption: str
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) > len(self.heads):
                raise ValueError(f"a row of {len(row)} cells does not fit {len(self.heads)} columns: {row}")

    @property
    def heads(self) -> tuple[str, ...]:
        """Of all columns."""
        return self.words + self.numbers

    def _repr_html_(self) -> str:
        return html.table(self.caption, self.words, self.numbers, self.filled)

    @property
    def markdown(self) -> str:
        """For a page of Markdown, below its caption."""
        edge = "|---" * len(self.words) + "|--:" * len(self.numbers) + "|"
        rows = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in self.filled]
        return "\n".join([self.caption, "", f"| {' | '.join(self.heads)} |", edge, *rows])

    @property
    def filled(self) -> tuple[tuple[str, ...], ...]:
        """The rows, all as long as the heads."""
        return tuple(row + ("",) * (len(self.heads) - len(row)) for row in self.rows)


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
