"""The sections of a page on one network: figures, charts and tables, each made from what was measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from ..data.scores import metric_named
from ..integer.grids import describe
from ..train.config import what_and_on
from .activity import Activity
from .counts import LayerCounts
from .curves import Epoch
from .draw.areas import area_chart
from .draw.axes import percent, short_number
from .draw.bars import histogram, nested_bars, stacked_bars
from .draw.lines import Series, line_chart
from .draw.ranges import range_chart
from .draw.svg import Chart
from .drift import Drift
from .ledger import Ledger
from .run_report import ReportInput, RunReport
from .text_table import TextTable


def _fixed(share: float) -> str:
    """A share in percent, for columns."""
    return f"{100 * share:.1f} %"


# The columns of the table of layers: a further one is an entry here.
_OF_LAYERS: tuple[tuple[str, Callable[[Activity, LayerCounts], str]], ...] = (
    ("neurons", lambda layer, counts: f"{counts.neurons:,}"),
    ("weights", lambda layer, counts: f"{counts.weights:,}"),
    ("firing rate", lambda layer, counts: _fixed(layer.rate)),
    ("saturated", lambda layer, counts: _fixed(layer.saturated)),
    ("silent", lambda layer, counts: _fixed(layer.silent)),
)
_MOVED = ("weights", "constants", "state", "activations")


@dataclass(frozen=True)
class Figure:
    """A headline figure: its name, its value and its meaning."""

    name: str
    value: str
    says: str

    @property
    def bound(self) -> str:
        """What it means, each number in one line with its unit."""
        return re.sub(r"(\d) (?=[kMG%])", "\\1\N{NO-BREAK SPACE}", self.says)


def headline(report: RunReport) -> Iterator[Figure]:
    """What a reader wants to know first."""
    ledger = report.ledger
    counts, sizes = ledger.counts, ledger.sizes
    if counts.accuracy is not None:
        share = counts.accuracy / 100
        error = 100 * sqrt(share * (1 - share) / counts.images)
        says = f"± {error:.2f} (standard error), on {counts.images:,} test images"
        recorded, config = report.subject.record.get("test_accuracy"), report.subject.config
        if isinstance(recorded, int | float) and config is not None and config.dataset == report.subject.dataset:
            says += f"; {recorded:.2f} % on all of them, as the run recorded"
        yield Figure("Accuracy", f"{counts.accuracy:.2f} %", says)
    elif report.scores is not None:
        scores, r2 = report.scores, report.scores.details.get("r2")
        says = f"on {counts.images:,} test images" + (f"; R2 {r2:.4f}" if isinstance(r2, float) else "")
        yield Figure(scores.metric.name, scores.metric.shown(scores.value), says)
    layers = counts.rows
    widths = sorted({layer.weight_bits for layer in layers}), sorted({x.state_bits for x in layers if x.neurons})
    bits = " / ".join(", ".join(f"{width:g}" for width in each) for each in widths)
    yield Figure("Bits", bits, f"of a weight / of a stored potential; T = {counts.steps} time steps")
    dense, done, effective = (sum(getattr(x, name) for x in layers) for name in ("dense", "done", "effective"))
    fewer = f"{dense / done:.1f} times fewer" if done else "all fewer"
    says = (
        f"synaptic operations an inference, of {short_number(dense)} dense: {fewer}; "
        f"{short_number(effective)} with weights not zero"
    )
    left = report.subject.epochs[-1].ops_share if report.subject.epochs else None
    if left is not None:
        says += (
            f". Of the operations with all channels, pruned ones leave {percent(left)}; these figures are of the rest"
        )
    yield Figure("Operations done", short_number(done), says)
    says = (
        f"weights {sizes.weights:,} bytes, state {sizes.state:,}, packed; "
        f"{sizes.smaller:.1f} times smaller than in fp32"
    )
    yield Figure("Memory", f"{short_number((sizes.weights + sizes.state) / 1e3)} kB", says)
    totals = [energy.total / 1e6 for energy in ledger.costs[0].energies]
    names = [scenario.name for scenario in ledger.scenarios]
    says = f"an inference, modelled: {names[totals.index(min(totals))]} to {names[totals.index(max(totals))]}"
    yield Figure("Energy", f"{short_number(min(totals))} to {short_number(max(totals))} µJ", says)
    low, high = ledger.savings
    says = "of the energy of the fp32 SNN of this shape, T and spikes, memory included; by where data lie"
    yield Figure("Energy saved", f"{100 * low:.1f} to {100 * high:.1f} %", says)


def facts(subject: ReportInput) -> Iterator[str]:
    """What the network is and how it came to be, in a line."""
    config = subject.config
    if config is None:
        yield subject.title
        return
    yield what_and_on(config)
    yield f"weights {describe(config.weight_bits)}, state {describe(config.state_bits)}"
    yield f"T = {config.timesteps}"
    if subject.epochs:
        yield f"{subject.epochs[-1].number} epochs, seed {config.seed}"
    if config.target_ops < 1:
        yield f"channels pruned to {percent(config.target_ops)} of the operations"
    if config.target_skip > 0:
        yield f"blocks with {percent(config.target_skip)} of the operations on spikes skipped"


def learning_charts(epochs: tuple[Epoch, ...], record: Mapping[str, Any]) -> Iterator[Chart]:
    """The curves of a training; ``record`` is what it wrote down of itself."""
    if not epochs:
        return
    xs = [float(epoch.number) for epoch in epochs]
    best = record.get("best")
    chosen = best.get("epoch") if isinstance(best, dict) else None
    noted = (float(chosen), "chosen") if isinstance(chosen, int) and min(xs) <= chosen <= max(xs) else None

    def chart(
        title: str, y_name: str, lines: list[Series], log: bool = False, shares: bool = True, floor: float | None = None
    ) -> Chart:
        form = percent if shares else short_number
        return line_chart(title, xs, lines, "epoch", y_name, form, log, noted, floor)

    loss = [[epoch.train_loss for epoch in epochs], [epoch.val_loss for epoch in epochs]]
    least, most = min(map(min, loss)), max(map(max, loss))
    pair = ("training", "validation")
    yield chart(
        "Loss",
        "mean cross-entropy" if epochs[0].metric == "accuracy" else "mean loss",
        [Series(name, values) for name, values in zip(pair, loss, strict=True)],
        log=least > 0 and most / least > 10,
        shares=False,
    )
    if epochs[0].metric == "accuracy":
        right = [[(epoch.train_accuracy or 0) / 100 for epoch in epochs], [epoch.val_score / 100 for epoch in epochs]]
        yield chart("Accuracy", "share of images", [Series(n, v) for n, v in zip(pair, right, strict=True)])
    else:
        name = metric_named(epochs[0].metric)
        yield chart(name, "on the validation set", [Series(name, [epoch.val_score for epoch in epochs])], shares=False)
    yield chart("Firing rate", "spikes per neuron and step", _by_layer(epochs, "rates"), floor=0)
    if any(any(epoch.saturated.values()) for epoch in epochs):
        yield chart("Saturation", "stored codes at an end of the grid", _by_layer(epochs, "saturated"), floor=0)
    if all(epoch.ops_share is not None for epoch in epochs):
        left = Series("operations", [epoch.ops_share or 0.0 for epoch in epochs])
        opened = [
            Series(name, [epoch.channels[name][0] / epoch.channels[name][1] for epoch in epochs])
            for name in epochs[0].channels
        ]
        yield chart("What pruned channels leave", "share of operations, of channels", [left, *opened], floor=0)


def _by_layer(epochs: tuple[Epoch, ...], what: str) -> list[Series]:
    return [Series(name, [getattr(epoch, what)[name] for epoch in epochs]) for name in epochs[0].rates]


def layer_table(report: RunReport) -> TextTable:
    """A table of the layers of neurons: shape and activity."""
    epochs, counted = report.subject.epochs, report.ledger.counts
    all_channels = {name: total for name, (_, total) in epochs[-1].channels.items()} if epochs else {}
    rows = tuple(
        (
            layer.name,
            f"{counts.channels} of {all_channels.get(layer.name, counts.channels)}",
            *(cell(layer, counts) for _, cell in _OF_LAYERS),
        )
        for layer, counts in zip(report.activity, counted.layers, strict=False)
    )
    return TextTable(
        f"layers of neurons on {counted.images:,} test images: channels kept, firing rate (spikes per neuron and "
        "step), codes stored at an end of the grid, neurons that never fired",
        ("layer",),
        ("channels kept", *(head for head, _ in _OF_LAYERS)),
        rows,
    )


def codes_chart(layer: Activity) -> Chart:
    """The histogram of a layer's stored codes."""
    numbers = range(layer.lowest, layer.lowest + len(layer.codes))
    title = f"Stored codes of {layer.name}"
    return histogram(title, list(numbers), layer.shares.tolist(), "code", "share of the codes stored")


def operations_chart(ledger: Ledger) -> Chart:
    """Operations of each layer."""
    rows = [(layer.name, (layer.dense, layer.done, layer.effective)) for layer in ledger.counts.rows]
    kinds = ("dense", "done", "with weights not zero")
    return nested_bars("Synaptic operations by layer", kinds, rows, "operations")


def traffic_chart(ledger: Ledger) -> Chart:
    """Bits moved by this network and by its baselines."""
    rows = [
        (cost.network.name, [sum(getattr(work.traffic, part) for work in cost.layers) for part in _MOVED])
        for cost in ledger.costs
    ]
    return stacked_bars("Bits read and written, sums left out", _MOVED, rows, "bits")


def energy_chart(ledger: Ledger) -> Chart:
    """Energy of this network and of its baselines, in every scenario."""
    rows = [(cost.network.name, [energy.total / 1e6 for energy in cost.energies]) for cost in ledger.costs]
    places = [scenario.name for scenario in ledger.scenarios]
    return range_chart("Energy of an inference by where data lie", places, rows, "µJ")


def drift_table(drift: Drift) -> TextTable:
    """How far each layer's rates lie apart."""
    rows = tuple(
        (
            layer.name,
            _fixed(float(layer.there.mean())),
            _fixed(float(layer.here.mean())),
            percent(layer.distance),
            percent(layer.distance / float(layer.there.mean())) if layer.there.any() else "-",
        )
        for layer in drift.layers
    )
    return TextTable(
        f"firing rates from {drift.there} to {drift.here}: the mean rates, the earth mover's distance between those of "
        "their neurons, and that as a share of the first mean",
        ("layer",),
        ("from", "to", "distance", "of the first"),
        rows,
    )


def drift_charts(drift: Drift) -> Iterator[Chart]:
    """For each layer the two distributions of rates and the area between them."""
    names = drift.here, drift.there
    for layer in drift.layers:
        title = f"{layer.name}: {percent(layer.distance)} apart"
        yield area_chart(title, layer.here.tolist(), layer.there.tolist(), names, "spikes per step of a neuron")


def with_micro(grid: TextTable) -> TextTable:
    """A table of energies, whose caption and heads are ours, with the sign that a terminal may lack."""
    heads = tuple(head.replace("uJ", "µJ") for head in grid.numbers)
    return replace(grid, caption=grid.caption.replace("uJ", "microjoules"), numbers=heads)
