"""The page: a report as one HTML file that needs nothing else, neither a network nor a script.

The look is in ``templates/``. Names of layers, runs and data sets are written as text wherever they stand; should one
ever slip through, the page's own policy lets no script and no style run but the two that are in it, and loads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..errors import ConfigError
from ..export.web import csp_digest
from ..io.output import in_file
from ..io.writing import refuse_other, replace_file
from . import maps, page_sections, wording
from .comparison import Comparison
from .run_report import RunReport

_MADE_HERE, _PAGE = b'<meta name="generator" content="spquant-snn">', "a page of spquant report"


def page_place(sources: Sequence[Path], out: Path | None) -> Path:
    """Where a page goes: where it is wanted, else into the folder of the run, beside the .spq file, or into the folder
    that holds all of several runs.

    Raises:
        ConfigError: several runs lie in different folders.
        RunError: something else is there.
    """
    place = _place(sources, out)
    refuse_other(place, _MADE_HERE, _PAGE)
    return place


def _place(sources: Sequence[Path], out: Path | None) -> Path:
    if out is not None:
        return out
    if len(sources) == 1:
        return sources[0] / "report.html" if os.path.isdir(sources[0]) else sources[0].with_suffix(".html")
    parents = {source.absolute().parent for source in sources}
    if len(parents) > 1:
        raise ConfigError("the runs lie in different folders: say with --out where the page goes")
    return next(iter(sources), Path()).parent / "report.html"


def write_page(html: str, path: Path) -> int:
    """Write a page, beside its place first; returns its size in bytes.

    Raises:
        RunError: it cannot be written, or something else is there.
    """
    refuse_other(path, _MADE_HERE, _PAGE)
    replace_file(path, html)
    return path.stat().st_size


def run_page(report: RunReport) -> str:
    """The page of a report on one network."""
    subject, ledger = report.subject, report.ledger
    blocks = wording.block_table(ledger)
    return _render(
        "run.html",
        title=subject.name,
        facts=list(page_sections.facts(subject)),
        headline=list(page_sections.headline(report)),
        learning=list(page_sections.learning_charts(subject.epochs, subject.record)),
        layers=page_sections.layer_table(report),
        codes=[page_sections.codes_chart(layer) for layer in report.activity],
        sheets=[maps.sheet(raster) for raster in report.rasters],
        charts=[
            page_sections.energy_chart(ledger),
            page_sections.traffic_chart(ledger),
            page_sections.operations_chart(ledger),
        ],
        tables=[
            *([] if report.scores is None else report.scores.tables()),
            wording.operations_table(ledger),
            *([blocks] if blocks else []),
            wording.traffic_table(ledger),
            page_sections.with_micro(wording.energy_table(ledger)),
            page_sections.with_micro(wording.spent_table(ledger)),
        ],
        said=[
            wording.sizes_text(ledger),
            wording.savings_text(ledger),
            wording.field_formula_text(ledger).replace("uJ", "µJ"),
        ],
        drifts=[(drift, page_sections.drift_table(drift)) for drift in report.drifts],
        unseen=subject.config is not None and subject.network is None,
        apart=list(page_sections.drift_charts(report.drifts[-1])) if report.has_baseline else [],
        assumptions=wording.assumptions(ledger),
        backend=wording.BACKENDS[ledger.counts.backend],
        origin=_origin(subject.record),
        config={} if subject.config is None else vars(subject.config),
    )


def comparison_page(comparison: Comparison) -> str:
    """The page of several runs beside one another."""
    return _render(
        "runs.html",
        title=comparison.title,
        comparison=comparison,
        runs=page_sections.with_micro(comparison.table),
    )


def _origin(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run wrote down of where it came from, as words."""
    found = []
    tested = [name for name, value in record.items() if name.startswith("test_") and isinstance(value, float)]
    for name in ("command", "started", "versions", "machine", "git_commit", "seed", *tested):
        value = record.get(name)
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each}" for key, each in value.items())
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = " ".join(map(str, value))
        if value is not None:
            found.append((name.replace("_", " "), str(value)))
    return found


def _render(template: str, **content: Any) -> str:
    """Fill a template in."""
    environment = Environment(
        loader=PackageLoader("spquant_snn.report"),
        autoescape=True,
        finalize=in_file,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_read(name) for name in ("report.css", "keys.js"))
    policy = f"default-src 'none'; img-src data:; style-src {csp_digest(style)}; script-src {csp_digest(script)}"
    return environment.get_template(template).render(style=style, script=script, policy=policy, **content)


def _read(name: str) -> str:
    return (files("spquant_snn.report") / "templates" / name).read_text(encoding="utf-8")
