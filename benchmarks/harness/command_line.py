"""A function as a benchmark's command line, with options and errors as those of ``spquant``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import RenderableType

from spquant_snn.cli.parse import parse
from spquant_snn.io.output import say_json
from spquant_snn.io.terminal import print_tables


def call_with_arguments(command: Callable[..., int]) -> int:
    """Call a function with what the command line says; its exit code, or that of a command line that it cannot take.

    Raises:
        SpQuantError: as the function does; or an argument is empty.
    """
    return parse(command, sys.argv[1:], sys.argv[0])()


def print_report(
    report: Any, as_json: bool, plain: Callable[[Any], Any], tables: Callable[[Any], Iterable[RenderableType]]
) -> None:
    """A report on standard output: one JSON object, or tables."""
    if as_json:
        say_json(plain(report))
    else:
        print_tables(tables(report))
