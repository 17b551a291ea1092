"""Trained gates against their controls: what ``python -m benchmarks sparsity`` measures.

Channels pruned at random, channels of the smallest magnitude pruned, and rates held down with all channels kept, each
at the budget of the trained gates; gates and rates together; and the network of which nothing was taken. Every arm is
one training of the same length from the same seed. Rates alone are regulated to the operations that the network of the
trained gates does on held-out images, rates beside gates to the wanted share of those that the dense one does; so those
arms come last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.sparsity_variants import (
    ARMS,
    BOTH,
    CONTROLS,
    DENSE,
    GATES,
    MAGNITUDE,
    OURS,
    RANDOM,
    RATES,
    REGULATED,
    Arm,
    Plan,
)
from benchmarks.harness.variant_comparison import Verdict, compare
from benchmarks.harness.variant_results import Outcome, counted, finished, outcome, synops
from spquant_snn.data import Splits, hold_out
from spquant_snn.train.config import TrainConfig, load_config

Train = Callable[[TrainConfig, Path], object]
Notify = Callable[[str], None]

_ORDER = (GATES, RANDOM, MAGNITUDE, DENSE, BOTH, RATES)  # a target that cannot be met shows at the first


@dataclass(frozen=True)
class Report:
    """Everything that was measured.

    Args:
        plan: of the trainings.
        outcomes: of each arm, by its name, one for each seed.
        budgets: of each arm with regulated rates, by its name, for each seed: operations on spikes that it was
            regulated to, and those that are done then; on held-out images.
    """

    plan: Plan
    outcomes: dict[str, tuple[Outcome, ...]]
    budgets: dict[str, tuple[tuple[int, int], ...]]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Trained gates, alone and beside regulated rates, against each control."""
        return tuple(
            compare(arm.title, self.outcomes[arm.name], control.title, self.outcomes[control.name])
            for arm in OURS
            for control in CONTROLS
        )


def measure(plan: Plan, data: Splits, train: Train, notify: Notify = lambda doing: None) -> Report:
    """Train what is not trained yet, and see what became of all arms.

    Args:
        data: that is trained and tested on.
        train: starts the run of a configuration in a folder, or goes on with it, to its end.
        notify: is told what goes on.

    Raises:
        ConfigError, RunError: a folder holds another run; nothing was trained then.
        ModelError: the target cannot be met without emptying a layer.
    """
    plan.check()
    for seed in plan.seeds:
        for arm in _ORDER:
            _run(plan, arm, seed, _allowed(plan, arm, seed, data), train, notify)
    budgets = {
        arm.name: tuple((_allowed(plan, arm, seed, data), _spiking(plan, arm, seed, data)) for seed in plan.seeds)
        for arm in REGULATED
    }
    outcomes = {arm.name: tuple(_met(plan, arm, seed, data, notify) for seed in plan.seeds) for arm in ARMS}
    return Report(plan, outcomes, budgets)


def _allowed(plan: Plan, arm: Arm, seed: int, data: Splits) -> int:
    """Operations on spikes that an arm's rates are regulated to; 0: they are not."""
    if arm is BOTH:
        return round(plan.config.target_ops * _spiking(plan, DENSE, seed, data))
    return _spiking(plan, GATES, seed, data) if arm is RATES else 0


def _run(plan: Plan, arm: Arm, seed: int, allowed: int, train: Train, notify: Notify) -> None:
    run, config = plan.folder(arm, seed), plan.training(arm, seed, allowed or None)
    if finished(run):
        notify(f"{arm.title}, seed {seed}: trained already, in {run.path}")
        return
    bound = f", to {config.target_synops:,.0f} operations" if allowed else ""
    notify(f"{arm.title}, seed {seed}{bound}")
    train(config, run.path)


def _spiking(plan: Plan, arm: Arm, seed: int, data: Splits) -> int:
    """Operations on spikes that an arm's network does on the images that were held out of its training."""
    run = plan.folder(arm, seed)
    config = load_config(run.config)
    return synops(run, hold_out(data.train, config.validation, config.seed)[1])


def _met(plan: Plan, arm: Arm, seed: int, data: Splits, notify: Notify) -> Outcome:
    run = plan.folder(arm, seed)
    if not counted(run):
        notify(f"{arm.title}, seed {seed}: counting on {len(data.test):,} test images")
    return outcome(arm.name, seed, run, data.test)
