"""Going on with a run that was stopped: asked to, or where torchrun starts the same command again."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from ..errors import ConfigError, RunError
from .config import TrainConfig, departures, differences, load_config
from .run import RunFolder, config_print

_UNNAMED = "none"  # torchrun's own word where no --rdzv-id was given


def launch() -> str | None:
    """The name of the job that this process is of, the same after a restart: that of --rdzv-id, or else torchrun's
    process; None without torchrun. Recorded by the folder of a run."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{platform.node()}:{os.getppid()}" if name == _UNNAMED else name


def begun_before(out: Path | None, config: TrainConfig) -> RunFolder | None:
    """The run in the folder ``out`` that this job began before it was started again; None if there is none.

    Raises:
        ConfigError: torchrun may start the training again, which then would not know its folder.
        RunError: the run is of another configuration.
    """
    job = launch()
    if job is None:
        return None
    if out is None:
        if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")):
            raise ConfigError("torchrun may restart this training, which then must find its folder: name it with --out")
        return None
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if not again and os.environ["TORCHELASTIC_RUN_ID"] == _UNNAMED:  # numbers of processes come again
        return None
    run = RunFolder(out)
    if not run.record.exists() or run.read_record().get("launch") != job:
        return None
    changed = differences(load_config(run.config), config)
    if changed:
        raise RunError(f"{out} was started with {'; '.join(changed)}: choose another folder")
    return run


def resumable(run: RunFolder, options: dict[str, Any]) -> TrainConfig:
    """The configuration of a run that can go on and was started with these options.

    Raises:
        RunError: it was not, or cannot.
        FileFormatError: the configuration is damaged.
    """
    config = load_config(run.config)
    run.hold_to({"config": config_print(config)})
    if run.weights.exists() and not run.checkpoint.exists():
        raise RunError(f"{run.path} holds no {run.checkpoint.name}, so its training cannot go on: start a new one")
    changed = departures(config, options)
    if changed:
        raise RunError(f"{run.path} was started with {'; '.join(changed)}: resume it without these options")
    return config
