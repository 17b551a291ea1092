"""The measurements as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from benchmarks.harness.runtime_speed import FOLDED, SPEEDUP, TIMESTEPS, Density, Report
from spquant_snn.report.text_table import columns


def tables(report: Report) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    facts = report.host
    load = "" if facts["load"] is None else f" (load {facts['load']:.1f})"
    yield f"{facts['cpu']}, {facts['cores']} cores{load}, {facts['compiler']}, {facts['body']}"
    yield ", ".join(f"{name} {found}" for name, found in facts["versions"].items() if found)
    yield f"\nms per image, T = {TIMESTEPS}, batch 1, one thread"
    yield _ratios(report)
    yield f"{FOLDED} its pools folded into kernels for it, which its own tools do not do"
    for reason in dict.fromkeys(row.missing for row in report.rows if row.missing):
        yield f"not measured: {reason}"
    for found in report.density:
        line, nanoseconds = found.line, 1000 * found.line.slope
        yield f"\n{found.bits:g}-bit weights: {line.fixed:.0f} us + {nanoseconds:.2f} ns a spike, r2 = {line.r2:.4f}"
        yield _density(found)
    if report.threads is not None:
        t = report.threads
        yield (
            f"\n{t.work}, wall time: 1 thread {t.one / 1000:.2f} ms, 2 threads {t.two / 1000:.2f} ms, "
            f"{t.speedup:.2f} times as fast (goal: at least {SPEEDUP}, {met(t.speedup >= SPEEDUP)})"
        )
    yield "\nspikes in each hidden layer, in percent"
    yield _subjects(report)


def as_json(report: Report) -> dict[str, Any]:
    """The same and all times, as one JSON object; times in microseconds."""
    threads = report.threads
    return {
        "host": report.host,
        "rounds": report.rounds,
        "timesteps": TIMESTEPS,
        "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in report.rows],
        "density": [
            {
                "bits": found.bits,
                "points": [dict(zip(("percent", "spikes", "us"), point, strict=True)) for point in found.points],
                "fixed_us": found.line.fixed,
                "us_per_spike": found.line.slope,
                "r2": found.line.r2,
            }
            for found in report.density
        ],
        "threads": threads
        and {**asdict(threads), "speedup": threads.speedup, "target": SPEEDUP, "met": threads.speedup >= SPEEDUP},
        "networks": [
            {
                "name": found.name,
                "images": len(found.images),
                "rates": found.rates,
                "spikes": found.spikes,
                "arena_bytes": found.native.plan.arena_size,
            }
            for found in report.subjects
        ],
        "times": [
            {**asdict(entry), "median_us": times.median, "least_us": times.least}
            for entry, times in report.times.items()
        ],
    }


def _ratios(report: Report) -> Table:
    table = columns("native", "against")
    for title in ("ours", "theirs", "ratio", "goal", "met"):
        table.add_column(title, justify="right")
    for row in report.rows:
        if row.ours is None or row.theirs is None or row.ratio is None:
            cells = ["-", "-", "-"]
        else:
            cells = [f"{row.ours / 1000:.3f}", f"{row.theirs / 1000:.3f}", f"{row.ratio:.3f}"]
        target = "" if row.target is None else f"{row.target:.2f}"
        table.add_row(row.work, row.against, *cells, target, "" if row.target is None else met(row.met))
    return table


def _density(found: Density) -> Table:
    table = columns()
    for rate, _, _ in found.points:
        table.add_column(f"{rate:g} %", justify="right")
    table.add_row(*(f"{spikes:,.0f}" for _, spikes, _ in found.points), "spikes")
    table.add_row(*(f"{time:,.0f}" for _, _, time in found.points), "us")
    return table


def _subjects(report: Report) -> Table:
    table = columns("network", "measured")
    for found in report.subjects:
        table.add_row(found.name, " ".join(f"{100 * rate:.1f}" for rate in found.rates))
    return table


def met(reached: bool | None) -> str:
    """A goal, in a word."""
    return "-" if reached is None else "yes" if reached else "no"
