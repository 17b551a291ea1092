"""Trained gates against their controls: what ``python -m benchmarks sparsity`` measures.

Channels pruned at random, channels of the smallest magnitude pruned, and rates held down with all channels kept, each
at the budget of the trained gates; gates and rates together; and the network of which nothing was taken. Every variant
is one training of the same length from the same seed. Rates alone are regulated to the operations that the network of
the trained gates does on the validation set, rates beside gates to the wanted share of those that the dense one does;
so those variants come last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.sparsity_variants import (
    BOTH,
    CONTROLS,
    DENSE,
    GATES,
    MAGNITUDE,
    OURS,
    RANDOM,
    RATES,
    REGULATED,
    VARIANTS,
    SparsityPlan,
    Variant,
)
from benchmarks.harness.variant_comparison import VariantComparison, compare_variants
from benchmarks.harness.variant_results import VariantResult, counted, finished, synops, variant_result
from spquant_snn.data import Splits, hold_out
from spquant_snn.train.config import TrainConfig, load_config

Train = Callable[[TrainConfig, Path], object]
Notify = Callable[[str], None]

_ORDER = (GATES, RANDOM, MAGNITUDE, DENSE, BOTH, RATES)  # a target that cannot be met shows at the first


@dataclass(frozen=True)
class SparsityReport:
    """Everything that was measured.

    Args:
        plan: of the trainings.
        results: of each variant, by its name, one for each seed.
        budgets: of each variant with regulated rates, by its name, for each seed: operations on spikes that it was
            regulated to, and those that are done then; on the validation set.
    """

    plan: SparsityPlan
    results: dict[str, tuple[VariantResult, ...]]
    budgets: dict[str, tuple[tuple[int, int], ...]]

    @property
    def comparisons(self) -> tuple[VariantComparison, ...]:
        """Trained gates, alone and beside regulated rates, against each control."""
        return tuple(
            compare_variants(variant.title, self.results[variant.name], control.title, self.results[control.name])
            for variant in OURS
            for control in CONTROLS
        )


def run_sparsity_experiment(
    plan: SparsityPlan, data: Splits, train: Train, notify: Notify = lambda doing: None
) -> SparsityReport:
    """Train what is not trained yet, and give the results of all variants.

    Args:
        data: that is trained and tested on.
        train: starts the run of a configuration in a folder, or goes on with it, to its end.
        notify: called with what goes on.

    Raises:
        ConfigError, RunError: a folder holds another run; nothing was trained then.
        ModelError: the target cannot be met without emptying a layer.
    """
    plan.check()
    for seed in plan.seeds:
        for variant in _ORDER:
            _run(plan, variant, seed, _allowed(plan, variant, seed, data), train, notify)
    budgets = {
        variant.name: tuple(
            (_allowed(plan, variant, seed, data), _spiking(plan, variant, seed, data)) for seed in plan.seeds
        )
        for variant in REGULATED
    }
    results = {
        variant.name: tuple(_result(plan, variant, seed, data, notify) for seed in plan.seeds) for variant in VARIANTS
    }
    return SparsityReport(plan, results, budgets)


def _allowed(plan: SparsityPlan, variant: Variant, seed: int, data: Splits) -> int:
    """Operations on spikes that a variant's rates are regulated to; 0: they are not."""
    if variant is BOTH:
        return round(plan.config.target_ops * _spiking(plan, DENSE, seed, data))
    return _spiking(plan, GATES, seed, data) if variant is RATES else 0


def _run(plan: SparsityPlan, variant: Variant, seed: int, allowed: int, train: Train, notify: Notify) -> None:
    run, config = plan.folder(variant, seed), plan.training(variant, seed, allowed or None)
    if finished(run):
        notify(f"{variant.title}, seed {seed}: trained already, in {run.path}")
        return
    bound = f", to {config.target_synops:,.0f} operations" if allowed else ""
    notify(f"{variant.title}, seed {seed}{bound}")
    train(config, run.path)


def _spiking(plan: SparsityPlan, variant: Variant, seed: int, data: Splits) -> int:
    """Operations on spikes that a variant's network does on the validation set of its training."""
    run = plan.folder(variant, seed)
    config = load_config(run.config)
    return synops(run, hold_out(data.train, config.validation, config.seed)[1])


def _result(plan: SparsityPlan, variant: Variant, seed: int, data: Splits, notify: Notify) -> VariantResult:
    run = plan.folder(variant, seed)
    if not counted(run):
        notify(f"{variant.title}, seed {seed}: counting on {len(data.test):,} test images")
    return variant_result(variant.name, seed, run, data.test)
