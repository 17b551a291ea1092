"""A report as its reader wants it: as tables of a terminal, as plain data, or as a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from .comparison import Comparison
from .ledger_tables import ledger_json, ledger_tables, with_caption
from .page import comparison_page, run_page
from .page_sections import drift_table
from .run_report import RunReport

Report = RunReport | Comparison


def as_tables(report: Report) -> Iterator[RenderableType]:
    """For a terminal of 80 columns. Drift is shown from a baseline, not from the training form."""
    if isinstance(report, Comparison):
        yield from with_caption(report.table)
        if report.saved is not None:
            yield from with_caption(report.saved)
        return
    yield from ledger_tables(report.ledger)
    scores = report.scores
    for table in () if scores is None or scores.task.kind == "classification" else scores.tables():
        yield from with_caption(table)
    if report.has_baseline:
        yield from with_caption(drift_table(report.drifts[-1]))


def as_plain(report: Report) -> dict[str, Any]:
    """For a program: one JSON object."""
    if isinstance(report, Comparison):
        runs = [
            asdict(run) | {"metric": run.metric.key, run.metric.key: run.value, "error": run.error}
            for run in report.runs
        ]
        return {"dataset": report.dataset, "images": report.images, "runs": runs, "fronts": report.fronts}
    activity = [
        {
            "name": layer.name,
            "state_bits": layer.bits,
            "lowest_code": layer.lowest,
            "codes": layer.codes.tolist(),
            "rate": layer.rate,
            "saturated": layer.saturated,
            "silent": layer.silent,
        }
        for layer in report.activity
    ]
    drifts = [
        {"from": drift.there, "to": drift.here, "layers": {layer.name: layer.distance for layer in drift.layers}}
        for drift in report.drifts
    ]
    return ledger_json(report.ledger) | {"activity": activity, "drift": drifts} | _scores(report)


def _scores(report: RunReport) -> dict[str, Any]:
    """How right the answers are, and of a few classes the confusion matrix."""
    if (scores := report.scores) is None:
        return {}
    found: dict[str, Any] = {"metric": scores.metric.key, scores.metric.key: scores.value} | scores.details
    if (cells := scores.counts.get("confusion")) is not None:
        found["confusion"] = cells.astype(int).tolist()
    return {"answers": found}


def as_page(report: Report) -> str:
    """For a browser: one HTML file."""
    return comparison_page(report) if isinstance(report, Comparison) else run_page(report)
