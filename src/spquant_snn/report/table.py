"""A ledger as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from textwrap import fill
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from .columns import columns
from .counts import LayerCounts
from .ledger import Cost, Ledger
from .work import Work

_WIDTH = 79
_RUNS = {"native": "native runtime", "reference": "reference"}
_COUNTS = ("dense", "done", "effective", "folded")
_TRAFFIC = ("weights", "constants", "state", "activations", "sums")

ASSUMPTIONS = (
    "Energies are those of the operations alone, at 45 nm and 0.9 V: no control, clock, leakage or wires.",
    "Adders cost in proportion to their width, multipliers to the product of theirs, through the published figures "
    "at 8 and 32 bits. Sums are as wide as the fan-in can make them; a neuron's potential has 32 bits.",
    "Each spike reads one weight for each output that it reaches, zero weights too. A dense layer, and the first layer "
    "of every network, reads each weight once a pass. A still image's first layer is computed once.",
    "State is read and written once per neuron and step, spikes written and read once; words of 64 bits are full.",
    "Sums stay beside the adder, but for the last scenario, in which each operation reads one and writes it back.",
    "Twins have this shape and, if they spike, these spikes; none of them was trained for this table. The ANN of equal "
    "bit budget has weights of this width and activations of T bits.",
)


def tables(ledger: Ledger) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    counts, sizes = ledger.counts, ledger.sizes
    right = "" if counts.accuracy is None else f", {counts.accuracy:.2f} % of them right"
    headline = (
        f"{ledger.title}: T = {counts.steps}, {counts.images:,} images{right}, counted on the {_RUNS[counts.backend]}"
    )
    yield Text(fill(headline, _WIDTH))
    yield from _operations(ledger)
    yield from _traffic(ledger)
    yield _said(
        f"bytes: weights {sizes.weights:,}, state {sizes.state:,} (layer by layer {sizes.largest_state:,}); "
        f"of fp32 {sizes.float_weights:,} and {sizes.float_state:,}, {sizes.smaller:.1f} times as much; arena of the "
        f"portable runtime {_bytes(sizes.arena)}, for streams {_bytes(sizes.stream_arena)}",
    )
    yield from _energies(ledger)
    low, high = ledger.savings
    yield _said(f"energy saved against the fp32 SNN, memory included: {100 * low:.1f} to {100 * high:.1f} %")
    spiking, dense = ledger.field_formula
    yield _said(
        "the field's formula (fp32: 4.6 pJ a MAC, 0.9 pJ an AC; no widths, no memory), for comparison only: SNN "
        f"{spiking / 1e6:.2f} uJ, ANN {dense / 1e6:.2f} uJ"
    )
    yield "\nassumed:"
    for line in (*ASSUMPTIONS, f"Source of the energies: {ledger.table.source}."):
        yield Text(fill(line, _WIDTH, initial_indent="- ", subsequent_indent="  "))


def _said(words: str) -> Text:
    """A paragraph."""
    return Text("\n" + fill(words, _WIDTH))


def as_json(ledger: Ledger) -> dict[str, Any]:
    """The same and all parts, as one JSON object; energies in pJ, traffic in bits, sizes in bytes."""
    counts = asdict(ledger.counts)
    for plain, layer in zip(counts["layers"], ledger.counts.layers, strict=True):
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
        "assumptions": ASSUMPTIONS,
    }


def _plain(cost: Cost, names: list[str]) -> dict[str, Any]:
    energies = {
        name: {**asdict(energy), "total": energy.total} for name, energy in zip(names, cost.energies, strict=True)
    }
    return {**asdict(cost.network), "layers": [asdict(layer) for layer in cost.layers], "energy": energies}


def _operations(ledger: Ledger) -> Iterator[RenderableType]:
    layers = ledger.counts.layers
    unit, title = (1e6, "millions") if max(layer.dense for layer in layers) >= 1e8 else (1e3, "thousands")
    yield _said(
        f"synaptic operations per inference, {title}; updates of neurons; percent of them that spike, and that store a "
        "code at an end of its grid"
    )
    table = columns("layer", "", right=(*_COUNTS, "updates", "spike", "at end"))
    for layer in layers:
        hidden = (f"{layer.updates:,}", f"{100 * layer.rate:.1f}", f"{100 * layer.saturated:.1f}")
        table.add_row(layer.name, _kind(layer), *_cells([layer], unit), *(hidden if layer.neurons else ()))
    for kind in ("MAC", "AC"):
        table.add_row("all", kind, *_cells([layer for layer in layers if _kind(layer) == kind], unit))
    yield table
    done = sum(layer.done for layer in layers if not layer.multiplies)
    if done:
        dense = sum(layer.dense for layer in layers if not layer.multiplies)
        yield f"dense / done accumulations: {dense / done:.1f}"


def _kind(layer: LayerCounts) -> str:
    return "MAC" if layer.multiplies else "AC"


def _cells(layers: list[LayerCounts], unit: float) -> Iterator[str]:
    return (f"{sum(getattr(layer, name) for layer in layers) / unit:,.1f}" for name in _COUNTS)


def _traffic(ledger: Ledger) -> Iterator[RenderableType]:
    yield "\nkilobits read and written per inference; sums only where they lie in a memory"
    table = columns("layer", right=_TRAFFIC)
    ours, baseline = ledger.costs[0], ledger.float_twins[0]
    for work in ours.layers:
        table.add_row(work.name, *_kilobits([work]))
    for cost in (ours, baseline):
        table.add_row(cost.network.name, *_kilobits(cost.layers))
    yield table


def _kilobits(works: Iterable[Work]) -> Iterator[str]:
    held = list(works)
    return (f"{sum(getattr(work.traffic, part) for work in held) / 1e3:,.1f}" for part in _TRAFFIC)


def _energies(ledger: Ledger) -> Iterator[RenderableType]:
    names = [scenario.name for scenario in ledger.scenarios]
    yield "\nuJ per inference, by where data lie"
    table = columns("network", right=names)
    for cost in ledger.costs:
        table.add_row(cost.network.name, *(f"{energy.total / 1e6:,.3f}" for energy in cost.energies))
    for twin in ledger.float_twins:
        saved = (f"{100 * part:.1f} %" for part in ledger.saved_against(twin))
        table.add_row(f"saved vs {twin.network.name}", *saved)
    yield table
    yield "\nuJ of this network, by what it is spent on"
    table = columns("", right=names)
    for part in ("arithmetic", "weights", "state", "activations", "sums"):
        table.add_row(part, *(f"{getattr(energy, part) / 1e6:,.3f}" for energy in ledger.costs[0].energies))
    yield table


def _bytes(size: int | None) -> str:
    return "-" if size is None else f"{size:,}"
