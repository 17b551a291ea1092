"""What training takes, as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.harness.runtime_tables import met
from benchmarks.harness.timed_comparison import Row
from benchmarks.harness.training_speed import SLACK, Report
from benchmarks.harness.training_steps import OURS, SPIKINGJELLY
from spquant_snn.report.text_table import columns

PEAK = 0.5  # of SpikingJelly's bytes


def tables(report: Report) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    facts = report.host
    load = "" if facts["load"] is None else f" (load {facts['load']:.1f})"
    if report.on is not None:
        yield report.on
    yield f"{facts['cpu']}, {facts['cores']} cores{load}, {facts['compiler']}"
    yield ", ".join(f"{name} {found}" for name, found in facts["versions"].items() if found)
    for threads, rows in report.rows.items():
        yield f"\nms, {_measured_in(threads)}"
        yield _ratios(rows)
    reasons = [row.missing for rows in report.rows.values() for row in rows]
    for reason in dict.fromkeys(filter(None, (*reasons, *(found.missing for found in report.kept)))):
        yield f"not measured: {reason}"
    yield "\nkept by neurons for the backward pass, in units of their input"
    yield _kept(report)
    yield "\nmost that a training step holds at once, beside weights"
    yield _peaks(report)


def as_json(report: Report) -> dict[str, Any]:
    """The same as one JSON object; times in microseconds."""
    return {
        "host": report.host,
        "gpu": report.on,
        "rounds": report.rounds,
        "rows": [
            {"threads": threads, **asdict(row), "ratio": row.ratio, "met": row.met}
            for threads, rows in report.rows.items()
            for row in rows
        ],
        "kept": [{**asdict(found), "met": _keeps_little(found.engine, found.units)} for found in report.kept],
        "peaks": [
            {**asdict(found), "ratio": ratio, "met": None if ratio is None else ratio <= PEAK}
            for found, ratio in zip(report.peaks, _shares(report), strict=True)
        ],
    }


def _measured_in(threads: int) -> str:
    if threads == 0:
        return "on the GPU, wall time"
    return "1 thread, processor time" if threads == 1 else f"{threads} threads, wall time"


def _ratios(rows: list[Row]) -> Table:
    table = columns("this package", "against", right=("ours", "theirs", "ratio", "goal", "met"))
    for row in rows:
        cells = ["-", "-", "-"]
        if row.ours is not None and row.theirs is not None and row.ratio is not None:
            cells = [f"{row.ours / 1000:.1f}", f"{row.theirs / 1000:.1f}", f"{row.ratio:.2f}"]
        goal = ("", "") if row.target is None else (f"{row.target:.2f}", met(row.met))
        table.add_row(*map(Text, (row.work, row.against, *cells, *goal)))
    return table


def _kept(report: Report) -> Table:
    table = columns("neuron", right=("kept", "goal", "met"))
    for found in report.kept:
        kept = "-" if found.units is None else f"{found.units:.2f}"
        ours = found.engine.startswith(OURS)
        goal = (f"{1 + SLACK:.2f}", met(_keeps_little(found.engine, found.units))) if ours else ("", "")
        table.add_row(found.engine, kept, *goal)
    return table


def _peaks(report: Report) -> Table:
    table = columns("step", "by", right=("MiB", f"of {SPIKINGJELLY}", "goal", "met"))
    for found, ratio in zip(report.peaks, _shares(report), strict=True):
        size = "-" if found.bytes is None else f"{found.bytes / 2**20:.0f}"
        cells = ("-" if ratio is None else f"{ratio:.2f}",)
        goal = (f"{PEAK:.2f}", met(None if ratio is None else ratio <= PEAK)) if found.engine == OURS else ("", "")
        table.add_row(found.work, found.engine, size, *cells, *goal)
    return table


def _shares(report: Report) -> list[float | None]:
    """Of SpikingJelly's bytes for the same work."""
    theirs = {found.work: found.bytes for found in report.peaks if found.engine == SPIKINGJELLY}
    shares: list[float | None] = []
    for found in report.peaks:
        other = theirs.get(found.work)
        shares.append(None if found.bytes is None or not other else found.bytes / other)
    return shares


def _keeps_little(engine: str, units: float | None) -> bool | None:
    return units <= 1 + SLACK if units is not None and engine.startswith(OURS) else None
