"""What the reports on times share: the lines on the machine, and the table of ratios and goals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.harness.timed_comparison import TimeRatio
from spquant_snn.report.text_table import columns


def machine_lines(host: dict[str, Any], *more: str) -> Iterator[str]:
    """Processor, cores, load and compiler, with what is added to them; versions."""
    load = "" if host["load"] is None else f" (load {host['load']:.1f})"
    yield ", ".join((host["cpu"], f"{host['cores']} cores{load}", host["compiler"], *more))
    yield ", ".join(f"{name} {found}" for name, found in host["versions"].items() if found)


def ratio_table(title: str, rows: Iterable[TimeRatio], digits: int) -> Table:
    """Times in milliseconds and their ratios.

    Args:
        title: of the first column, which says whose times are on the left.
        digits: of the times.
    """
    table = columns(title, "against", right=("ours", "theirs", "ratio", "goal", "met"))
    for row in rows:
        cells = ["-", "-", "-"]
        if row.ours is not None and row.theirs is not None and row.ratio is not None:
            times = (f"{time / 1000:.{digits}f}" for time in (row.ours, row.theirs))
            cells = [*times, f"{row.ratio:.{max(digits, 2)}f}"]
        goal = ("", "") if row.target is None else (f"{row.target:.2f}", in_a_word(row.met))
        table.add_row(*map(Text, (row.workload, row.against, *cells, *goal)))
    return table


def ratio_json(row: TimeRatio) -> dict[str, Any]:
    """A ratio as plain data; times in microseconds."""
    return {**vars(row), "ratio": row.ratio, "met": row.met}


def not_measured(reasons: Iterable[str]) -> Iterator[str]:
    """Each reason once."""
    for reason in dict.fromkeys(filter(None, reasons)):
        yield f"not measured: {reason}"


def in_a_word(met: bool | None) -> str:
    """Whether a goal is met; None where nothing was measured."""
    return "-" if met is None else "yes" if met else "no"
