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
from . import maps, parts, sections
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


def run_page(story: RunReport) -> str:
    """The page of a report on one network."""
    subject, ledger = story.subject, story.ledger
    blocks = parts.blocks(ledger)
    return _render(
        "run.html",
        title=subject.name,
        facts=list(sections.facts(subject)),
        headline=list(sections.headline(story)),
        learning=list(sections.learning(subject)),
        layers=sections.layers(story),
        codes=[sections.codes(layer) for layer in story.activity],
        sheets=[maps.sheet(raster) for raster in story.rasters],
        charts=[sections.energies(ledger), sections.traffic(ledger), sections.operations(ledger)],
        tables=[
            parts.operations(ledger),
            *([blocks] if blocks else []),
            parts.traffic(ledger),
            sections.with_micro(parts.energies(ledger)),
            sections.with_micro(parts.spent(ledger)),
        ],
        said=[parts.sizes(ledger), parts.savings(ledger), parts.field_formula(ledger).replace("uJ", "µJ")],
        drifts=[(drift, sections.drift_table(drift)) for drift in story.drifts],
        unseen=subject.config is not None and subject.network is None,
        apart=list(sections.drift_charts(story.drifts[-1])) if story.twin else [],
        assumptions=parts.assumptions(ledger),
        backend=parts.BACKENDS[ledger.counts.backend],
        origin=_origin(subject.record),
        config={} if subject.config is None else vars(subject.config),
    )


def contest_page(contest: Comparison) -> str:
    """The page of several runs beside one another."""
    return _render("runs.html", title=contest.title, contest=contest, runs=sections.with_micro(contest.table))


def _origin(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run wrote down of where it came from, as words."""
    found = []
    for name in ("command", "started", "versions", "machine", "git_commit", "seed", "test_accuracy"):
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
    style, script = (_read(name) for name in ("style.css", "keys.js"))
    policy = f"default-src 'none'; img-src data:; style-src {csp_digest(style)}; script-src {csp_digest(script)}"
    return environment.get_template(template).render(style=style, script=script, policy=policy, **content)


def _read(name: str) -> str:
    return (files("spquant_snn.report") / "templates" / name).read_text(encoding="utf-8")
