"""What training takes, as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from benchmarks.harness.ratio_tables import in_a_word, machine_lines, not_measured, ratio_json, ratio_table
from benchmarks.harness.training_speed import SLACK, TrainingReport
from benchmarks.harness.training_steps import OURS, SPIKINGJELLY
from spquant_snn.report.text_table import columns

PEAK = 0.5  # of SpikingJelly's bytes


def training_tables(report: TrainingReport) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    if report.on is not None:
        yield report.on
    yield from machine_lines(report.host)
    for threads, rows in report.rows.items():
        yield f"\nms, {_measured_in(threads)}"
        yield ratio_table("this package", rows, digits=1)
    reasons = [row.missing for rows in report.rows.values() for row in rows]
    yield from not_measured([*reasons, *(found.missing for found in report.saved)])
    yield "\nkept by neurons for the backward pass, in units of their input"
    yield _saved(report)
    yield "\nmost that a training step holds at once, beside weights"
    yield _peaks(report)


def training_json(report: TrainingReport) -> dict[str, Any]:
    """The same as one JSON object; times in microseconds."""
    return {
        "host": report.host,
        "gpu": report.on,
        "rounds": report.rounds,
        "rows": [{"threads": threads, **ratio_json(row)} for threads, rows in report.rows.items() for row in rows],
        "saved": [{**asdict(found), "met": _keeps_little(found.engine, found.units)} for found in report.saved],
        "peaks": [
            {**asdict(found), "ratio": ratio, "met": None if ratio is None else ratio <= PEAK}
            for found, ratio in zip(report.peaks, _shares(report), strict=True)
        ],
    }


def _measured_in(threads: int) -> str:
    if threads == 0:
        return "on the GPU, wall time"
    return "1 thread, processor time" if threads == 1 else f"{threads} threads, wall time"


def _saved(report: TrainingReport) -> Table:
    table = columns("neuron", right=("saved", "goal", "met"))
    for found in report.saved:
        kept = "-" if found.units is None else f"{found.units:.2f}"
        ours = found.engine.startswith(OURS)
        goal = (f"{1 + SLACK:.2f}", in_a_word(_keeps_little(found.engine, found.units))) if ours else ("", "")
        table.add_row(found.engine, kept, *goal)
    return table


def _peaks(report: TrainingReport) -> Table:
    table = columns("step", "by", right=("MiB", f"of {SPIKINGJELLY}", "goal", "met"))
    for found, ratio in zip(report.peaks, _shares(report), strict=True):
        size = "-" if found.bytes is None else f"{found.bytes / 2**20:.0f}"
        cells = ("-" if ratio is None else f"{ratio:.2f}",)
        goal = (
            (f"{PEAK:.2f}", in_a_word(None if ratio is None else ratio <= PEAK)) if found.engine == OURS else ("", "")
        )
        table.add_row(found.workload, found.engine, size, *cells, *goal)
    return table


def _shares(report: TrainingReport) -> list[float | None]:
    """Of SpikingJelly's bytes for the same workload."""
    theirs = {found.workload: found.bytes for found in report.peaks if found.engine == SPIKINGJELLY}
    shares: list[float | None] = []
    for found in report.peaks:
        other = theirs.get(found.workload)
        shares.append(None if found.bytes is None or not other else found.bytes / other)
    return shares


def _keeps_little(engine: str, units: float | None) -> bool | None:
    return units <= 1 + SLACK if units is not None and engine.startswith(OURS) else None
