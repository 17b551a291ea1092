"""What ``spquant eval --early-exit`` does, as a function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..train.early_exit import EarlyExit, measure_early_exit
from ..train.loading import load_network
from ..train.tensors import as_tensors
from .sources import data_of, held_out_images, integer_config_of, test_images


def evaluate_early_exit(
    source: Path, backend: str, dataset: str | None, images: int, data_dir: Path | None
) -> tuple[dict[str, Any], EarlyExit]:
    """What ``evaluate_source`` gives, by torch, and the accuracy against time steps that goes with it."""
    config = integer_config_of(source, "use --early-exit on")
    if config is None:
        raise ConfigError(f"{source} is no run folder, and --early-exit needs one, for images held out of its training")
    if backend != "torch":
        raise ConfigError(
            f"--early-exit is measured by torch, whose integers are those of {backend}: leave out --backend"
        )
    name = data_of(source, dataset, config)
    if name != config.dataset:
        raise ConfigError(
            f"--early-exit chooses its margins on what the run was trained on, {config.dataset}, not on {name}: "
            "leave out --dataset, or use SpQuantTrainer.early_exit"
        )
    test = test_images(source, name, images, data_dir, config.timesteps)
    held_out = as_tensors(held_out_images(source, config, data_dir))
    found = measure_early_exit(load_network(source).eval().freeze(), held_out, as_tensors(test))
    said = {"accuracy": found.after[-1].test.accuracy, "backend": backend, "dataset": name, "images": len(test)}
    return {**said, "source": str(source)}, found
