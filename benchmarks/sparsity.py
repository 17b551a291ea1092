"""Compare trained gates with random masks, magnitude pruning and rate regulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.harness.command_line import call_with_arguments, print_report
from benchmarks.harness.sparsity_experiment import SparsityReport, run_sparsity_experiment
from benchmarks.harness.sparsity_tables import sparsity_json, sparsity_tables
from benchmarks.harness.sparsity_variants import SparsityPlan
from spquant_snn import SpQuantTrainer
from spquant_snn.cli.options import OptionalFolder, OptionalName, use_threads
from spquant_snn.data import load
from spquant_snn.io.output import say, say_progress
from spquant_snn.train.config import TrainConfig, TrainOptions
from spquant_snn.train.run import RunFolder

PRUNED = TrainOptions(target_ops=0.2)


def sparsity(
    config: tyro.conf.OmitArgPrefixes[TrainOptions] = PRUNED,
    more_seeds: tuple[int, ...] = (),
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/sparsity"),
    data_dir: OptionalFolder = None,
    device: OptionalName = None,
    threads: int = 0,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Compare trained gates with random masks, magnitude pruning and rate regulation.

    Args:
        config: of the training with gates; the other variants differ from it in what is done for sparsity.
        more_seeds: to repeat everything with.
        out: folder of the runs, one for each variant; those that are finished are not trained again.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        device: cpu, cuda ...; a GPU where there is one by default.
        threads: of the processor; all by default.
        as_json: print one JSON object, and nothing of the trainings.
    """
    use_threads(threads)
    report = measure_sparsity(config, more_seeds, out, data_dir, device, quiet=as_json)
    print_report(report, as_json, sparsity_json, sparsity_tables)
    return 0


def measure_sparsity(
    options: TrainOptions,
    more_seeds: Sequence[int],
    out: Path,
    data_dir: Path | None,
    device: str | None,
    quiet: bool = False,
) -> SparsityReport:
    """Train the variants that are not trained yet, and compare them."""
    plan = SparsityPlan(TrainConfig(**asdict(options)), tuple(more_seeds), out)
    data = load(options.dataset, data_dir, timesteps=options.timesteps, progress=not quiet)

    def train(config: TrainConfig, folder: Path) -> None:
        given = asdict(config)
        places: dict[str, Any] = {"data_dir": data_dir, "device": device, "quiet": quiet}
        if RunFolder(folder).config.exists():
            trainer = SpQuantTrainer.resume(folder, **places)
        else:
            trainer = SpQuantTrainer(given.pop("model"), given.pop("dataset"), out=folder, **given, **places)
        trainer.train()

    return run_sparsity_experiment(plan, data, train, say_progress if quiet else say)


def main() -> int:
    """The command line."""
    return call_with_arguments(sparsity)
