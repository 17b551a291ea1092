"""Time training against SpikingJelly, snnTorch, torch.compile and the plain path."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from benchmarks.harness.command_line import call_with_arguments, print_report
from benchmarks.harness.training_speed import TrainingPlan, gpu_plan, measure_training_speed
from benchmarks.harness.training_tables import training_json, training_tables
from spquant_snn.cli.options import check_threads
from spquant_snn.io.output import say_progress
from spquant_snn.train.device import keep_freed_memory


def train(
    rounds: int = 7,
    threads: tuple[int, ...] = (1, 2),
    compiled: bool = True,
    device: Literal["cpu", "cuda"] = "cpu",
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Time training against SpikingJelly, snnTorch, torch.compile and the plain path.

    Args:
        rounds: of all candidates in turn; the medians count.
        threads: numbers of threads, one after another.
        compiled: whether torch.compile takes part, which takes minutes to start.
        device: cpu, or cuda, for larger batches on a GPU.
        as_json: print one JSON object.
    """
    for each in threads:
        check_threads(each)
    keep_freed_memory()
    plan = TrainingPlan(rounds=rounds, threads=threads, compiled=compiled)
    report = measure_training_speed(gpu_plan(rounds, compiled) if device == "cuda" else plan, say_progress)
    print_report(report, as_json, training_json, training_tables)
    return 0


def main() -> int:
    """The command line."""
    return call_with_arguments(train)
