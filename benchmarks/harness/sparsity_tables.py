"""Trained gates and their controls as tables for a terminal of 80 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from statistics import fmean
from textwrap import fill
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.harness.sparsity_experiment import SparsityReport
from benchmarks.harness.sparsity_variants import BOTH, DENSE, RATES, VARIANTS
from benchmarks.harness.variant_comparison import spread
from benchmarks.harness.variant_results import VariantResult
from spquant_snn.integer.grids import describe
from spquant_snn.report.text_table import columns

_WIDTH = 79


def sparsity_tables(report: SparsityReport) -> Iterator[RenderableType]:
    """Everything that a reader wants to see, part by part."""
    plan, dense = report.plan, report.results[DENSE.name]
    config, seeds = plan.config, ", ".join(map(str, plan.seeds))
    bits = f"weights {describe(config.weight_bits)}, state {describe(config.state_bits)}, T = {config.timesteps}"
    plural = "seeds" if len(plan.seeds) > 1 else "seed"
    yield _said(
        f"{config.model} on {config.dataset}: {bits}; {config.epochs} epochs, target_ops {config.target_ops:g}, "
        f"{plural} {seeds}; runs in {plan.out}"
    )
    yield _said(
        "accuracy in percent, validation in the best epoch and test of the integer model; points lost against "
        "dense; channels kept; share of the operations left by the count of the budget, in percent"
    )
    yield _accuracies(report, dense)
    yield _said(
        f"synaptic operations for an image, thousands, mean over {dense[0].images:,} test images: dense for the "
        "channels left, done for what spiked; how many times fewer than the dense variant's; in all, its dense ones "
        "over those done; those done with pools folded, as the budget counts; spikes per neuron and step, in percent"
    )
    yield _operations(report, dense)
    for variant, whose in (
        (RATES, "that the trained gates do"),
        (BOTH, f"that are {config.target_ops:g} of the dense variant's"),
    ):
        asked, found = (fmean(pair[i] for pair in report.budgets[variant.name]) for i in (0, 1))
        yield _said(
            f"{variant.title}: asked for the {asked:,.0f} operations on spikes {whose} on the validation set, pools "
            f"folded, came to {found:,.0f}"
        )
    yield ""
    for comparison in report.comparisons:
        yield Text(fill(str(comparison), _WIDTH))
    if len(plan.seeds) == 1:
        yield Text("one seed: how far trainings differ by chance is not known, see --more-seeds")


def sparsity_json(report: SparsityReport) -> dict[str, Any]:
    """The same and each layer of each run, as one JSON object."""
    plan, dense = report.plan, report.results[DENSE.name]
    return {
        "config": asdict(plan.config),
        "seeds": list(plan.seeds),
        "out": str(plan.out),
        "spiking_operations": {
            name: [{"asked": asked, "found": found} for asked, found in pairs] for name, pairs in report.budgets.items()
        },
        "variants": [
            {
                "variant": variant.name,
                "title": variant.title,
                "runs": [
                    {**asdict(run), "channels": run.channels, "dense": run.dense, "done": run.done}
                    | {"folded": run.folded, "rate": run.rate}
                    for run in report.results[variant.name]
                ],
            }
            | {
                name: {"mean": fmean(values), "spread": spread(values)}
                for name, values in _figures(report.results[variant.name], dense).items()
            }
            for variant in VARIANTS
        ],
        "comparisons": [
            {**asdict(comparison), "beats": comparison.beats, "words": str(comparison)}
            for comparison in report.comparisons
        ],
    }


def _figures(runs: Sequence[VariantResult], dense: Sequence[VariantResult]) -> dict[str, list[float]]:
    """Of each seed of a variant, beside the dense variant of that seed."""
    pairs = list(zip(runs, dense, strict=True))
    found: dict[str, Callable[[VariantResult, VariantResult], float]] = {
        "validation": lambda run, whole: run.validation,
        "test": lambda run, whole: run.test,
        "points_lost": lambda run, whole: whole.test - run.test,
        "channels_kept": lambda run, whole: run.channels,
        "ops_share": lambda run, whole: run.share,
        "dense": lambda run, whole: run.dense,
        "fewer_dense": lambda run, whole: whole.dense / run.dense,
        "done": lambda run, whole: run.done,
        "folded": lambda run, whole: run.folded,
        "fewer_done": lambda run, whole: whole.done / run.done,
        "dense_over_done": lambda run, whole: whole.dense / run.done,
        "rate": lambda run, whole: run.rate,
    }
    return {name: [figure(*pair) for pair in pairs] for name, figure in found.items()}


def _accuracies(report: SparsityReport, dense: Sequence[VariantResult]) -> Table:
    table = columns("variant", right=("validation", "test", "lost", "kept", "budget"))
    for variant in VARIANTS:
        found = _figures(report.results[variant.name], dense)
        table.add_row(
            variant.title,
            _cell(found["validation"], "{:.2f}"),
            _cell(found["test"], "{:.2f}"),
            "" if variant is DENSE else _cell(found["points_lost"], "{:.2f}"),
            f"{fmean(found['channels_kept']):.4g}/{dense[0].channels}",
            f"{100 * fmean(found['ops_share']):.1f}",
        )
    return table


def _operations(report: SparsityReport, dense: Sequence[VariantResult]) -> Table:
    table = columns("variant", right=("dense", "fewer", "done", "fewer", "in all", "folded", "spikes"))
    for variant in VARIANTS:
        found = _figures(report.results[variant.name], dense)
        table.add_row(
            variant.title,
            _cell([fmean(found["dense"]) / 1000], _form(found["dense"])),
            f"{fmean(found['fewer_dense']):.1f}x",
            _cell([done / 1000 for done in found["done"]], _form(found["done"])),
            f"{fmean(found['fewer_done']):.1f}x",
            f"{fmean(found['dense_over_done']):.1f}x",
            _cell([fmean(found["folded"]) / 1000], _form(found["folded"])),
            f"{100 * fmean(found['rate']):.1f}",
        )
    return table


def _form(operations: Sequence[float]) -> str:
    """Of thousands, a decimal as long as it says something."""
    return "{:,.1f}" if max(operations) < 1e7 else "{:,.0f}"


def _cell(values: Sequence[float], form: str) -> str:
    """The mean and, of several seeds, the standard deviation."""
    deviation = spread(values)
    mean = form.format(fmean(values))
    return mean if deviation is None else f"{mean} ± {form.format(deviation)}"


def _said(sentence: str) -> Text:
    return Text("\n" + fill(sentence, _WIDTH))
