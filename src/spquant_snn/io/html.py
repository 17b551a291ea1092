"""HTML for notebooks: tables and captions in the colours of the text around them; whatever stands in them is text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .output import lines

_LEFT, _RIGHT = "text-align:left", "text-align:right;font-variant-numeric:tabular-nums"
_CELL = "padding:0.2em 0.8em 0.2em 0;border:0;border-bottom:1px solid rgba(128,128,128,0.35);background:none"


def text(said: str, tag: str = "p") -> str:
    """A paragraph, or another element, of plain text."""
    return f'<{tag} style="margin:0.5em 0;max-width:46em">{_escaped(said)}</{tag}>'


def table(caption: str, words: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are written out.

    Args:
        caption: above it; empty: none.
        words, numbers: heads of the columns of words, which stand first, and of numbers.
        rows: cells, as many as there are heads.
    """
    sides = [_LEFT] * len(words) + [_RIGHT] * len(numbers)
    head = "".join(_cell("th", name, side) for name, side in zip((*words, *numbers), sides, strict=True))
    body = "".join(
        "<tr>" + "".join(_cell("td", cell, side) for cell, side in zip(row, sides, strict=True)) + "</tr>"
        for row in rows
    )
    above = f'<caption style="text-align:left;padding:0.4em 0;color:inherit">{_escaped(caption)}</caption>'
    return (
        '<table style="border-collapse:collapse;margin:0.6em 0">'
        f"{above if caption else ''}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def folded(summary: str, content: str) -> str:
    """Markup that is shown when it is asked for."""
    return f"<details><summary>{_escaped(summary)}</summary>{content}</details>"


def _cell(tag: str, said: str, side: str) -> str:
    return f'<{tag} style="{_CELL};{side}">{_escaped(said)}</{tag}>'


def _escaped(said: str) -> str:
    return escape(lines(said))
