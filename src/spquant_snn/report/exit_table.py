"""Accuracy against time steps, as a table."""

from __future__ import annotations

from ..train.early_exit import EarlyExit, Measured
from .text_table import TextTable


def early_exit_grid(found: EarlyExit, recordings: bool) -> TextTable:
    """A row for each way to stop; its caption speaks of recordings or of images."""
    one = "recording" if recordings else "image"
    rows = [(f"all after {row.step}", *_cells(row.held_out), *_cells(row.test)) for row in found.after]
    rows += [
        (f"margin {row.margin:,}, {row.given_up:g} points", *_cells(row.held_out), *_cells(row.test))
        for row in found.at
    ]
    return TextTable(
        f"Mean time steps used and share of right answers in percent, of the integers, on {found.held_out:,} {one}s "
        f"held out of training and {found.test:,} test {one}s. With a margin, each {one} stops where its best summed "
        f"logit leads the second by so many units (one is {found.unit:.3g}). It is the lowest from which on accuracy "
        f"on the {one}s held out lies at most so many points below that of all steps.",
        ("stopped",),
        ("held out: steps", "right", "test: steps", "right"),
        tuple(rows),
    )


def _cells(measured: Measured) -> tuple[str, str]:
    return f"{measured.steps:.2f}", f"{measured.accuracy:.2f}"
