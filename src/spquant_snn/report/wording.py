"""The parts of a ledger, and early exits, as tables and sentences that a terminal and a page share.

A new column of the operations is one entry of ``_SUMMED`` (a field of ``LayerCounts`` that adds up over layers) or of
``_OF_NEURONS`` (anything that a layer of neurons can say).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from .counts import LayerCounts
from .ledger import Ledger
from .text_table import TextTable
from .work import Work

if TYPE_CHECKING:
    from .early_exit import AfterStep, AtMargin, EarlyExit, Measured

BACKENDS = {"native": "native runtime", "reference": "reference", "torch": "network in floating point"}
TRAFFIC = ("weights", "constants", "state", "activations", "sums")
SPENT = ("arithmetic", "weights", "state", "activations", "sums")

_SUMMED = ("dense", "done", "effective", "folded")
_OF_NEURONS: tuple[tuple[str, Callable[[LayerCounts], str]], ...] = (
    ("updates", lambda layer: f"{layer.updates:,}"),
    ("spike", lambda layer: f"{100 * layer.rate:.1f}"),
    ("at end", lambda layer: f"{100 * layer.saturated:.1f}"),
)

ASSUMPTIONS = (
    "Energies are those of the operations alone, at 45 nm and 0.9 V: no control, clock, leakage or wires.",
    "Adders cost in proportion to their width, multipliers to the product of theirs, through the published figures "
    "at 8 and 32 bits. Sums are as wide as the fan-in can make them; a neuron's potential has 32 bits.",
    "Each spike reads one weight for each output that it reaches, zero weights too. A dense layer, and the first layer "
    "of a still image, reads each weight once a pass, that layer once in all. Counts of events are read as spikes are.",
    "State is read and written once per neuron and step, spikes written and read once; words of 64 bits are full.",
    "Sums stay beside the adder, but for the last scenario, in which each operation reads one and writes it back: an "
    "fp32 one, or a partial sum of 8 bits or more, which is emptied into the whole one before it could overflow.",
    "Baselines have this shape and, if they spike, these spikes; none of them was trained for this table. The ANN of "
    "equal bit budget has weights of this width and activations of T bits.",
)


def operations_table(ledger: Ledger) -> TextTable:
    """What each layer does, and all of them."""
    layers = ledger.counts.rows
    unit, title = (1e6, "millions") if max(layer.dense for layer in layers) >= 1e8 else (1e3, "thousands")
    rows = [
        (
            layer.name,
            kind(layer),
            *_sums([layer], unit),
            *(cell(layer) for _, cell in _OF_NEURONS if layer.neurons),
        )
        for layer in layers
    ]
    rows += [("all", each, *_sums([layer for layer in layers if kind(layer) == each], unit)) for each in ("MAC", "AC")]
    return TextTable(
        f"synaptic operations per inference, {title}; updates of neurons; percent of them that spike, and that store a "
        "code at an end of its grid",
        ("layer", ""),
        (*_SUMMED, *(head for head, _ in _OF_NEURONS)),
        tuple(rows),
    )


def kind(layer: LayerCounts) -> str:
    """What its operations are."""
    return "MAC" if layer.multiplies else "AC"


def sparsity_text(ledger: Ledger) -> str | None:
    """How many accumulations a dense network does for each that is done; None where none is done."""
    adding = [layer for layer in ledger.counts.rows if not layer.multiplies]
    done = sum(layer.done for layer in adding)
    return f"dense / done accumulations: {sum(layer.dense for layer in adding) / done:.1f}" if done else None


def block_table(ledger: Ledger) -> TextTable | None:
    """What gates skip and a bound proves away; None where blocks are neither."""
    layers = [layer for layer in ledger.counts.layers if layer.decisions or layer.silent]
    if not layers:
        return None
    rows = [(layer.name, f"{layer.decisions:,.0f}", *_shares([layer])) for layer in layers]
    rows.append(("all layers", f"{sum(layer.decisions for layer in layers):,.0f}", *_shares(ledger.counts.rows)))
    return TextTable(
        "blocks of up to 32 channels at one place: decisions of trained gates, and percent of the dense operations in "
        "blocks that they skip, in blocks that meet so few inputs that they provably cannot matter, and in the others",
        ("layer",),
        ("decisions", "gates skip", "proven away", "left"),
        tuple(rows),
    )


def _shares(layers: Iterable[LayerCounts]) -> Iterator[str]:
    held = list(layers)
    skipped, silent, dense = (sum(getattr(layer, name) for layer in held) for name in ("skipped", "silent", "dense"))
    return (f"{100 * part / (dense or 1.0):.1f}" for part in (skipped, silent, dense - skipped - silent))


def traffic_table(ledger: Ledger) -> TextTable:
    """Bits that move."""
    ours, baseline = ledger.costs[0], ledger.float_baselines[0]
    rows = [(work.name, *_kilobits([work])) for work in ours.layers]
    rows += [(cost.network.name, *_kilobits(cost.layers)) for cost in (ours, baseline)]
    caption = "kilobits read and written per inference; sums only where they lie in a memory"
    return TextTable(caption, ("layer",), TRAFFIC, tuple(rows))


def sizes_text(ledger: Ledger) -> str:
    """Bytes that are kept."""
    found = ledger.sizes
    return (
        f"bytes: weights {found.weights:,}, state {found.state:,} (layer by layer {found.largest_state:,}); "
        f"of fp32 {found.float_weights:,} and {found.float_state:,}, {found.smaller:.1f} times as much; arena of the "
        f"portable runtime {_bytes(found.arena)}, for streams {_bytes(found.stream_arena)}"
    )


def energy_table(ledger: Ledger) -> TextTable:
    """Of every network, and what is saved."""
    rows = [(cost.network.name, *_microjoules(energy.total for energy in cost.energies)) for cost in ledger.costs]
    for baseline in ledger.float_baselines:
        saved = (f"{100 * part:.1f} %" for part in ledger.saved_against(baseline))
        rows.append((f"saved vs {baseline.network.name}", *saved))
    return TextTable("uJ per inference, by where data lie", ("network",), _places(ledger), tuple(rows))


def spent_table(ledger: Ledger) -> TextTable:
    """What the energy goes into."""
    ours = ledger.costs[0].energies
    rows = tuple((part, *_microjoules(getattr(energy, part) for energy in ours)) for part in SPENT)
    return TextTable("uJ of this network, by what it is spent on", ("",), _places(ledger), rows)


def savings_text(ledger: Ledger) -> str:
    """The least and the most that is saved."""
    low, high = ledger.savings
    return f"energy saved against the fp32 SNN, memory included: {100 * low:.1f} to {100 * high:.1f} %"


def field_formula_text(ledger: Ledger) -> str:
    """What the formula of the field says."""
    spiking, dense = ledger.field_formula
    return (
        "the field's formula (fp32: 4.6 pJ a MAC, 0.9 pJ an AC; no widths, no memory), for comparison only: SNN "
        f"{spiking / 1e6:.2f} uJ, ANN {dense / 1e6:.2f} uJ"
    )


def assumptions(ledger: Ledger) -> tuple[str, ...]:
    """What the energies stand on, the source last."""
    return (*ASSUMPTIONS, f"Source of the energies: {ledger.table.source}.")


def _sums(layers: list[LayerCounts], unit: float) -> Iterator[str]:
    return (f"{sum(getattr(layer, name) for layer in layers) / unit:,.1f}" for name in _SUMMED)


def _kilobits(works: Iterable[Work]) -> Iterator[str]:
    held = list(works)
    return (f"{sum(getattr(work.traffic, part) for work in held) / 1e3:,.1f}" for part in TRAFFIC)


def _microjoules(energies: Iterable[float]) -> Iterator[str]:
    return (f"{energy / 1e6:,.3f}" for energy in energies)


def _places(ledger: Ledger) -> tuple[str, ...]:
    return tuple(scenario.name for scenario in ledger.scenarios)


def _bytes(size: int | None) -> str:
    return "-" if size is None else f"{size:,}"


def early_exit_table(found: EarlyExit, recordings: bool) -> TextTable:
    """A row for each way to stop; its caption speaks of recordings or of images."""
    one = "recording" if recordings else "image"
    ways: list[tuple[str, AfterStep | AtMargin]] = [(f"all after {row.step}", row) for row in found.after]
    ways += [(f"margin {row.margin:,} ({row.given_up:g})", row) for row in found.at]
    rows = [(name, *_cells(row.validation), *_cells(row.test), f"{row.operations:,.0f}") for name, row in ways]
    return TextTable(
        "Mean time steps used, share of right answers in percent and synaptic operations, of the integer model, on "
        f"{found.validation:,} {one}s of the validation set and {found.test:,} test {one}s. With a margin, each {one} "
        f"stops where its best logit so far leads the second by so many units (one is {found.unit:.3g}). It is the "
        "lowest from which on accuracy on the validation set lies at most so many points, in brackets, below that of "
        "all steps.",
        ("stopped",),
        ("val steps", "right", "test steps", "right", "SynOps"),
        tuple(rows),
    )


def _cells(measured: Measured) -> tuple[str, str]:
    return f"{measured.steps:.2f}", f"{measured.accuracy:.2f}"
