"""A table as data, and on a terminal."""

import pytest
from rich.console import Console

from spquant_snn.report.text_table import TextTable, printed


def test_short_rows_are_filled():
    grid = TextTable("what", ("layer",), ("a", "b"), (("x", "1"), ("y", "1", "2")))
    assert grid.heads == ("layer", "a", "b")
    assert grid.filled == (("x", "1", ""), ("y", "1", "2"))


def test_a_row_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="3 cells does not fit 2 columns"):
        TextTable("what", ("layer",), ("a",), (("x", "1", "2"),))


def test_brackets_are_printed_as_they_are():
    console = Console(width=80)
    with console.capture() as capture:
        console.print(printed(TextTable("what", ("layer",), ("a",), (("[bold]x[/bold]", "10"), ("y", "9")))))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert "[bold]x[/bold]  10" in lines
    assert "y                9" in lines
