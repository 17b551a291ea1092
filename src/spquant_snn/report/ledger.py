"""The ledger: operations, memory and energy of one inference, beside those of other networks of the same shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..integer.compare import Trace
from ..integer.graph import Graph, as_graph
from ..integer.inputs import as_batch, as_inputs
from ..integer.program import Program
from ..io.terminal import Report, progress_shown
from .counts import Counts, LayerCounts, count
from .energy import HOROWITZ, Energy, EnergyTable, Scenario, energy, scenarios
from .network_info import NetworkInfo, compared_networks
from .sizes import Sizes, sizes
from .work import Work, work

FIELD_MAC, FIELD_AC = 4.6, 0.9  # pJ of fp32, the formula of the field: neither widths nor memory


@dataclass(frozen=True)
class Cost:
    """The cost of a network of this shape: the work of each layer, and its energy in each scenario."""

    network: NetworkInfo
    layers: tuple[Work, ...]
    energies: tuple[Energy, ...]


@dataclass(frozen=True)
class Ledger:
    """Operations, sizes and energies of one inference; ``make_ledger`` makes one.

    Args:
        title: what was measured on what.
        counts, sizes: measured on the integer graph.
        table: of energies.
        scenarios: where data may lie.
        costs: of this network, the fp32 SNN that it is compared with, and the other baselines.

    Example:
        >>> ledger = make_ledger(load("model.spq"), numpy.zeros((5, 1, 8, 8), numpy.uint8))
        >>> low, high = ledger.savings
        >>> low <= high
        True
    """

    title: str
    counts: Counts
    sizes: Sizes
    table: EnergyTable
    scenarios: tuple[Scenario, ...]
    costs: tuple[Cost, ...]

    @property
    def float_baselines(self) -> tuple[Cost, ...]:
        """The fp32 SNN of the same shape, steps and spikes: first driven by events, then dense."""
        return tuple(cost for cost in self.costs if cost.network.floating)

    def saved_against(self, baseline: Cost) -> tuple[float, ...]:
        """1 - E(this network) / E(baseline), memory included, for each scenario."""
        return tuple(1 - a.total / b.total for a, b in zip(self.costs[0].energies, baseline.energies, strict=True))

    @property
    def savings(self) -> tuple[float, float]:
        """The smallest and the largest saving over all scenarios, 0 to 1, against the event-driven fp32 SNN."""
        saved = self.saved_against(self.float_baselines[0])
        return min(saved), max(saved)

    @property
    def field_formula(self) -> tuple[float, float]:
        """Energies in pJ of an SNN and of an ANN of this shape by the formula of the field: 4.6 pJ for each MAC, 0.9 pJ
        for each AC. It knows no bit widths, so this network and its fp32 baseline get the same; for comparison only."""
        layers = self.counts.rows
        spiking = sum(
            FIELD_MAC * (layer.dense if layer.static_input else layer.done)
            if layer.multiplies
            else FIELD_AC * layer.done
            for layer in layers
        )
        return spiking, sum(FIELD_MAC * layer.dense / layer.passes for layer in layers)

    def _repr_html_(self) -> str:
        """Its tables, as a notebook shows it."""
        from .ledger_tables import ledger_html

        return ledger_html(self)


def make_ledger(
    program: Program | Graph,
    images: Any,
    labels: NDArray[np.integer[Any]] | None = None,
    title: str = "",
    table: EnergyTable = HOROWITZ,
    progress: Report | None = None,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Ledger:
    """Count the operations, the memory and the energy that an inference of a network takes, on images.

    Args:
        program: the network.
        images: as ``Program.predict`` takes them; with several inputs, a list of what ``Program.answers`` takes.
        labels: [N] the right classes.
        title: of the page and the tables, such as the network and the data set.
        table: energies of operations and of memory accesses.
        progress: called with the number of images done; a bar by default, on a terminal, where it takes long.
        watch: called with the trace of each batch.

    Raises:
        ModelError: ``program`` is neither a program nor a graph.
        DataError: there are no images, or they are not what the network takes.

    Example:
        >>> ledger = make_ledger(load("model.spq"), numpy.zeros((5, 1, 8, 8), numpy.uint8))
        >>> ledger.counts.images, ledger.sizes.weights > 0
        (5, True)
    """
    graph = as_graph(program)
    given = as_inputs(graph, tuple(images)) if len(graph.inputs) > 1 else as_batch(graph, images)
    with progress_shown(progress, (given[0] if isinstance(given, tuple) else given).shape[-4], "counting") as report:
        counts = count(graph, given, labels, report, watch)
    places = scenarios(table)
    costs = tuple(cost(network, counts.rows, places, table) for network in compared_networks(counts.steps))
    return Ledger(title, counts, sizes(graph), table, places, costs)


def cost(
    network: NetworkInfo, layers: tuple[LayerCounts, ...], places: tuple[Scenario, ...], table: EnergyTable
) -> Cost:
    """What a network of the shape that was counted costs."""
    works = tuple(work(layer, network) for layer in layers)
    return Cost(network, works, tuple(energy(works, place, table) for place in places))
