"""The measurements as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from benchmarks.harness.ratio_tables import in_a_word, machine_lines, not_measured, ratio_json, ratio_table
from benchmarks.harness.runtime_speed import FOLDED, SPEEDUP, TIMESTEPS, RateTimes, RuntimeReport
from spquant_snn.report.text_table import columns


def runtime_tables(report: RuntimeReport) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    yield from machine_lines(report.host, report.host["body"])
    yield f"\nms per image, T = {TIMESTEPS}, batch 1, one thread"
    yield ratio_table("native", report.rows, digits=3)
    yield f"{FOLDED} its pools folded into kernels for it, which its own tools do not do"
    yield from not_measured(row.missing for row in report.rows)
    for found in report.density:
        line, nanoseconds = found.line, 1000 * found.line.slope
        yield f"\n{found.bits:g}-bit weights: {line.fixed:.0f} us + {nanoseconds:.2f} ns a spike, r2 = {line.r2:.4f}"
        yield _density(found)
    if report.threads is not None:
        t = report.threads
        yield (
            f"\n{t.workload}, wall time: 1 thread {t.one / 1000:.2f} ms, 2 threads {t.two / 1000:.2f} ms, "
            f"{t.speedup:.2f} times as fast (goal: at least {SPEEDUP}, {in_a_word(t.speedup >= SPEEDUP)})"
        )
    yield "\nspikes in each hidden layer, in percent"
    yield _spike_rates(report)


def runtime_json(report: RuntimeReport) -> dict[str, Any]:
    """The same and all times, as one JSON object; times in microseconds."""
    threads = report.threads
    return {
        "host": report.host,
        "rounds": report.rounds,
        "timesteps": TIMESTEPS,
        "rows": [ratio_json(row) for row in report.rows],
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
            for found in report.networks
        ],
        "times": [
            {**asdict(entry), "median_us": times.median, "least_us": times.least}
            for entry, times in report.times.items()
        ],
    }


def _density(found: RateTimes) -> Table:
    table = columns()
    for rate, _, _ in found.points:
        table.add_column(f"{rate:g} %", justify="right")
    table.add_row(*(f"{spikes:,.0f}" for _, spikes, _ in found.points), "spikes")
    table.add_row(*(f"{time:,.0f}" for _, _, time in found.points), "us")
    return table


def _spike_rates(report: RuntimeReport) -> Table:
    table = columns("network", "measured")
    for found in report.networks:
        table.add_row(found.name, " ".join(f"{100 * rate:.1f}" for rate in found.rates))
    return table
