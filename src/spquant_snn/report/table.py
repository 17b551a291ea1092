"""A ledger as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from textwrap import fill
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from . import parts
from .ledger import Cost, Ledger
from .text_table import TextTable, printed

_WIDTH = 79


def tables(ledger: Ledger) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    counts = ledger.counts
    right = "" if counts.accuracy is None else f", {counts.accuracy:.2f} % of them right"
    backend = parts.BACKENDS[counts.backend]
    headline = f"{ledger.title}: T = {counts.steps}, {counts.images:,} images{right}, counted on the {backend}"
    yield Text(fill(headline, _WIDTH))
    yield from with_caption(parts.operations(ledger))
    factor = parts.sparsity(ledger)
    if factor is not None:
        yield factor
    blocks = parts.blocks(ledger)
    if blocks is not None:
        yield from with_caption(blocks)
    yield from with_caption(parts.traffic(ledger))
    yield said(parts.sizes(ledger))
    yield from with_caption(parts.energies(ledger))
    yield from with_caption(parts.spent(ledger))
    yield said(parts.savings(ledger))
    yield said(parts.field_formula(ledger))
    yield "\nassumed:"
    for line in parts.assumptions(ledger):
        yield Text(fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  "))


def with_caption(grid: TextTable) -> Iterator[RenderableType]:
    """A table below its caption."""
    yield said(grid.caption)
    yield printed(grid)


def said(words: str) -> Text:
    """A paragraph."""
    return Text("\n" + fill(words, _WIDTH))


def as_json(ledger: Ledger) -> dict[str, Any]:
    """The same and all parts, as one JSON object; energies in pJ, traffic in bits, sizes in bytes."""
    counts = asdict(ledger.counts)
    for plain, layer in zip((*counts["layers"], *counts["shortcuts"]), ledger.counts.rows, strict=True):
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
            "against": ledger.float_twins[0].network.name,
            "range": ledger.savings,
            "by_scenario": {
                cost.network.name: dict(zip(names, ledger.saved_against(cost), strict=True))
                for cost in ledger.float_twins
            },
        },
        "field_formula": {"snn": spiking, "ann": dense},
        "assumptions": parts.ASSUMPTIONS,
    }


def _plain(cost: Cost, names: list[str]) -> dict[str, Any]:
    energies = {
        name: {**asdict(energy), "total": energy.total} for name, energy in zip(names, cost.energies, strict=True)
    }
    return {**asdict(cost.network), "layers": [asdict(layer) for layer in cost.layers], "energy": energies}
