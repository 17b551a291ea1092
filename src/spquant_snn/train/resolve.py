"""What a configuration leaves open, settled on a data set, a machine and the processes that train."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ..errors import ConfigError
from ..quant.network import SpikingNetwork
from .config import TrainConfig
from .device import multiplies_bf16
from .distributed import ALONE, World


def resolve(
    config: TrainConfig, count: int, network: SpikingNetwork, device: torch.device, world: World = ALONE
) -> TrainConfig:
    """The configuration with a batch size, a number of validation images and a precision.

    Args:
        count: training images, those held out included.

    Raises:
        ConfigError: a batch is left with too few images, or several processes cannot train what was asked for.
    """
    validation = config.validation or max(1, min(5000, count // 10))
    batch = config.batch_size or min(256, max(16, 1 << max(1, (count - validation) // 40).bit_length() - 1))
    fewest = (count - validation) // math.ceil((count - validation) / batch) if count > validation else 0
    if fewest and fewest < world.size * config.accumulate:
        raise ConfigError(
            f"batch_size {batch} leaves a batch of {fewest}, too few for {world.size} processes with accumulate "
            f"{config.accumulate}: choose a larger batch_size, or less of these"
        )
    if fewest // config.accumulate == 1 and any(stage.norm is not None for stage in network.hidden):
        what = (
            f"a part of one image by accumulate {config.accumulate}"
            if config.accumulate > 1
            else "a batch of one image"
        )
        raise ConfigError(
            f"batch_size {batch} leaves {what}, which cannot be normalised: "
            "choose a batch_size of 3 or more, or give more images"
        )
    if config.target_skip > 0 and world.size > 1:
        raise ConfigError(
            f"target_skip is not trained by several processes, and there are {world.size}: start one, or leave it out"
        )
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    return replace(config, validation=validation, batch_size=batch, precision=precision)
