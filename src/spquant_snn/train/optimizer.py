"""What makes the step of a training: the optimizer, and the learning rate over time."""

from __future__ import annotations

import math

import torch

from ..quant.network import SpikingNetwork
from ..quant.weight import WeightQuantizer
from ..sparsity.block_skipping import skipping_stages
from ..sparsity.gates import channel_gates
from ..sparsity.skip_threshold import PREDICTOR_RATE
from ..sparsity.training import GATE_RATE
from .config import TrainConfig


def make_optimizer(network: SpikingNetwork, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over what is trained; gates and predictors learn at rates of their own, without decay."""
    # Tied layers share one parameter.
    gates = list(dict.fromkeys(gate.logits for gate in channel_gates(network) if gate.prunable))
    predictors = [skipping.weights for _, skipping in skipping_stages(network)]
    others = {id(p) for p in (*gates, *predictors)}
    steps = [p for module in network.modules() if isinstance(module, WeightQuantizer) for p in module.parameters()]
    others |= {id(p) for p in steps}
    weights = [p for p in network.parameters() if p.requires_grad and id(p) not in others]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=config.weight_decay)
    if steps := [p for p in steps if p.requires_grad]:  # a step that shrinks is no smaller weight, but another grid
        optimizer.add_param_group({"params": steps, "weight_decay": 0.0})
    for group, rate in ((gates, GATE_RATE), (predictors, PREDICTOR_RATE)):
        if group:
            optimizer.add_param_group({"params": group, "lr": rate, "weight_decay": 0.0, "scheduled": False})
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set it for all but gates and predictors."""
    for group in optimizer.param_groups:
        if group.get("scheduled", True):
            group["lr"] = rate


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
