"""A ledger as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from textwrap import fill
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ..io import html
from . import wording
from .ledger import Cost, Ledger
from .text_table import TextTable, printed

_WIDTH = 79


def ledger_tables(ledger: Ledger) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    counts = ledger.counts
    right = "" if counts.accuracy is None else f", {counts.accuracy:.2f} % of them right"
    backend = wording.BACKENDS[counts.backend]
    headline = f"{ledger.title}: T = {counts.steps}, {counts.images:,} images{right}, counted on the {backend}"
    yield Text(fill(headline, _WIDTH))
    yield from with_caption(wording.operations_table(ledger))
    factor = wording.sparsity_text(ledger)
    if factor is not None:
        yield factor
    blocks = wording.block_table(ledger)
    if blocks is not None:
        yield from with_caption(blocks)
    yield from with_caption(wording.traffic_table(ledger))
    yield said(wording.sizes_text(ledger))
    yield from with_caption(wording.energy_table(ledger))
    yield from with_caption(wording.spent_table(ledger))
    yield said(wording.savings_text(ledger))
    yield said(wording.field_formula_text(ledger))
    yield "\nassumed:"
    for line in wording.assumptions(ledger):
        yield Text(fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  "))


def ledger_html(ledger: Ledger) -> str:
    """The same for a notebook, the larger parts folded."""
    counts = ledger.counts
    right = "" if counts.accuracy is None else f", {counts.accuracy:.2f} % of them right"
    title = f"{ledger.title}: " if ledger.title else ""
    head = f"{title}T = {counts.steps}, {counts.images:,} images{right}"
    blocks = wording.block_table(ledger)
    said = [wording.sizes_text(ledger), wording.savings_text(ledger), wording.field_formula_text(ledger)]
    tables = [wording.operations_table(ledger), *([blocks] if blocks else []), wording.energy_table(ledger)]
    more = [wording.traffic_table(ledger), wording.spent_table(ledger)]
    assumed = "".join(html.text(line) for line in wording.assumptions(ledger))
    return (
        html.text(head, "strong")
        + "".join(each._repr_html_() for each in tables)
        + "".join(html.text(line) for line in said)
        + html.folded("bits moved, and energies by part", "".join(each._repr_html_() for each in more))
        + html.folded("what is assumed", assumed)
    )


def ledger_markdown(ledger: Ledger) -> str:
    """The ledger for a model card: operations, energies, sizes, and the source of the energies."""
    counts, assumed = ledger.counts, list(wording.assumptions(ledger))
    parts = [
        f"Counted on {counts.images:,} inputs, T = {counts.steps}.",
        wording.operations_table(ledger).markdown,
        wording.energy_table(ledger).markdown,
        f"{wording.savings_text(ledger)}; {wording.sizes_text(ledger)}.",
        f"{assumed[0]} {assumed[-1]}",
    ]
    return "\n\n".join(parts)


def with_caption(grid: TextTable) -> Iterator[RenderableType]:
    """A table below its caption."""
    yield said(grid.caption)
    yield printed(grid)


def said(words: str) -> Text:
    """A paragraph."""
    return Text("\n" + fill(words, _WIDTH))


def ledger_json(ledger: Ledger) -> dict[str, Any]:
    """The same and all parts, as one JSON object; energies in pJ, traffic in bits, sizes in bytes."""
    counts = asdict(ledger.counts)
    for plain, layer in zip((*counts["layers"], *counts["others"]), ledger.counts.rows, strict=True):
        plain |= {"multiplies": layer.multiplies, "updates": layer.updates, "rate": layer.rate}
    spiking, dense = ledger.field_formula
    names = [scenario.name for scenario in ledger.scenarios]
    return {
        "title": ledger.title,
        "counts": counts,
        "sizes": {**asdict(ledger.sizes), "smaller": ledger.sizes.smaller},
        "energy_table": asdict(ledger.table),
        "scenarios": [asdict(scenario) for scenario in ledger.scenarios],
        "networks": [_plain(cost, names) for cost in ledger.costs],
        "savings": {
            "against": ledger.float_baselines[0].network.name,
            "range": ledger.savings,
            "by_scenario": {
                cost.network.name: dict(zip(names, ledger.saved_against(cost), strict=True))
                for cost in ledger.float_baselines
            },
        },
        "field_formula": {"snn": spiking, "ann": dense},
        "assumptions": wording.ASSUMPTIONS,
    }


def _plain(cost: Cost, names: list[str]) -> dict[str, Any]:
    energies = {
        name: {**asdict(energy), "total": energy.total} for name, energy in zip(names, cost.energies, strict=True)
    }
    return {**asdict(cost.network), "layers": [asdict(layer) for layer in cost.layers], "energy": energies}
