"""A table as data: what a terminal prints and what a page shows come from the same rows."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def filled(self) -> tuple[tuple[str, ...], ...]:
        """The rows, all as long as the heads."""
        return tuple(row + ("",) * (len(self.heads) - len(row)) for row in self.rows)
