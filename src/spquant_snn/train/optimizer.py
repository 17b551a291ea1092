"""What makes the step of a training: the optimizer, and the learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from ..quant.network import SpikingNetwork
from ..quant.weight import WeightQuantizer
from ..sparsity.block_skipping import skipping_stages
from ..sparsity.gates import channel_gates
from ..sparsity.skip_threshold import PREDICTOR_RATE
from ..sparsity.training import GATE_RATE
from .config import TrainConfig
from .functions import NO_FUNCTIONS, Functions


def make_optimizer(
    network: SpikingNetwork, config: TrainConfig, functions: Functions = NO_FUNCTIONS
) -> torch.optim.Optimizer:
    """AdamW, or the optimizer of a user, over what is trained; gates and predictors learn at rates of their own,
    without decay.

    Raises:
        ConfigError: the function of a user makes no optimizer.
    """
    # Tied layers share one parameter.
    gates = list(dict.fromkeys(gate.logits for gate in channel_gates(network) if gate.prunable))
    predictors = [skipping.weights for _, skipping in skipping_stages(network)]
    others = {id(p) for p in (*gates, *predictors)}
    steps = [p for module in network.modules() if isinstance(module, WeightQuantizer) for p in module.parameters()]
    others |= {id(p) for p in steps}
    weights = [p for p in network.parameters() if p.requires_grad and id(p) not in others]
    steps = [p for p in steps if p.requires_grad]
    if functions.optimizer is not None:
        optimizer = _own(functions.optimizer, [*weights, *steps])
    else:
        optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=config.weight_decay)
        if steps:  # a step that shrinks is no smaller weight, but another grid
            optimizer.add_param_group({"params": steps, "weight_decay": 0.0})
    for group, rate in ((gates, GATE_RATE), (predictors, PREDICTOR_RATE)):
        if group:
            optimizer.add_param_group({"params": group, "lr": rate, "weight_decay": 0.0, "scheduled": False})
    return optimizer


def _own(
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer], parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimizer that a user's function makes; each of its groups keeps its learning rate as the highest."""
    optimizer: Any = make(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(
            f"optimizer gives {type(optimizer).__name__}, not a torch.optim.Optimizer: return one over the parameters "
            "that it is given"
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ConfigError(
            "optimizer gives LBFGS, which computes the loss anew many times a step: use SGD, Adam or alike"
        )
    for group in optimizer.param_groups:
        group["highest"] = group["lr"]
    return optimizer


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainConfig, moment: float, functions: Functions = NO_FUNCTIONS
) -> None:
    """Set it, for a moment in epochs, for all but gates and predictors.

    Raises:
        ConfigError: the schedule of a user gives no number of at least zero.
    """
    if functions.schedule is None:
        rate = learning_rate(config, moment)
        factor = rate / config.learning_rate
    else:
        factor = _factor(functions.schedule, moment / (config.epochs + config.finetune_epochs))
        rate = config.learning_rate * factor
    for group in optimizer.param_groups:
        if group.get("scheduled", True):
            group["lr"] = group["highest"] * factor if "highest" in group else rate


def _factor(schedule: Callable[[float], float], done: float) -> float:
    factor = schedule(done)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor < math.inf:
        raise ConfigError(f"schedule gives {factor!r} at {done:.3f} of the training: return a number of at least 0")
    return float(factor)


def learning_rate(config: TrainConfig, epoch: float) -> float:
    """The learning rate at a moment, in epochs: a cosine up, a cosine down to a thousandth; fine-tuning starts at a
    hundredth."""
    if epoch >= config.epochs:
        return config.learning_rate * 0.01 * _fall((epoch - config.epochs) / max(1, config.finetune_epochs))
    rise = 0.2 if config.schedule == "onecycle" else 0.05
    done = epoch / config.epochs
    if done < rise:
        return config.learning_rate * (0.1 + 0.9 * (1 - math.cos(math.pi * done / rise)) / 2)
    return config.learning_rate * _fall((done - rise) / (1 - rise))


def _fall(share: float) -> float:
    return 0.001 + 0.999 * (1 + math.cos(math.pi * share)) / 2
