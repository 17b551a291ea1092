"""``spquant train``: a network, from its options to the folder of its run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

import tyro

from ..errors import RunError
from ..io.output import say
from ..train.config import TrainOptions
from .options import DataDir, Device, OptionalFolder, Threads, use_threads


def command(
    config: tyro.conf.OmitArgPrefixes[TrainOptions],
    out: OptionalFolder = None,
    resume: OptionalFolder = None,
    data_dir: DataDir = None,
    device: Device = None,
    threads: Threads = 0,
) -> int:
    """Train a network into a folder of weights, integers and metrics.

    Args:
        config: of the training.
        out: folder of the run; runs/<model>-<dataset>-<bits>-<number> by default.
        resume: folder of a stopped run, to go on with; other options must be those it was started with.
    """
    if resume is not None and out is not None:
        raise RunError("give either --out, for a new run, or --resume, for one to go on with")
    use_threads(threads)
    from ..trainer import SpQuantTrainer

    if resume is not None:
        trainer = SpQuantTrainer.resume(resume, options=_typed(config, sys.argv), data_dir=data_dir, device=device)
    else:
        options = asdict(config)
        trainer = SpQuantTrainer(
            options.pop("model"), options.pop("dataset"), out=out, data_dir=data_dir, device=device, **options
        )
    trainer.train()
    found, metric = trainer.evaluate(), trainer.metric
    if trainer.world.first:
        say(f"Test {metric.name}: {metric.shown(found)}")
    return 0


def _typed(config: TrainOptions, arguments: Sequence[str]) -> dict[str, object]:
    """The options of the training that stand on the command line, at their default or not."""
    typed = {
        argument.split("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        for argument in arguments
        if argument.startswith("--")
    }
    return {name: value for name, value in asdict(config).items() if name in typed}
