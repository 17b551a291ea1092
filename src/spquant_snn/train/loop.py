"""The training loop, in one screen.

Each epoch draws its order and its augmentation from the seed and its own number, and the learning rate is a function of
the step: an epoch that is run again, after a stop, gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from ..quant.network import SpikingNetwork
from ..quant.weight import WeightQuantizer
from ..sparsity.block_skipping import skipping_stages
from ..sparsity.gates import channel_gates
from ..sparsity.skip_threshold import PREDICTOR_RATE
from ..sparsity.training import GATE_RATE, SparseTraining
from .augment import Augment
from .checkpoint import Progress
from .config import TrainConfig
from .console import Display
from .device import PeakMemory, per_image
from .distributed import ALONE, World
from .epoch_meter import EpochMeter, diverged
from .metrics import Metrics, measure
from .norm_statistics import measure_norm_statistics
from .step import Step
from .tensors import LabelledTensors, as_inputs

_SETTLED_ON = 512  # images or frames, at most, by which what is learned for sparsity is settled

Report = Callable[[Progress, float, float, Metrics], Progress]


def fit(
    network: SpikingNetwork,
    optimizer: torch.optim.Optimizer,
    train: LabelledTensors,
    validation: LabelledTensors,
    augmentation: Augment,
    config: TrainConfig,
    progress: Progress,
    display: Display,
    report: Report,
    teacher: nn.Module | None = None,
    sparse: SparseTraining | None = None,
    world: World = ALONE,
) -> Progress:
    """Train from ``progress`` to the last epoch.

    Args:
        report: called after each epoch that is looked at, with the progress before it, training loss, training
            accuracy and validation metrics; saves what is to be saved and returns the progress after it.
        teacher: its logits are imitated, if given.
        sparse: prunes channels and holds rates down, if given.
        world: the processes that train together, each its part of every batch.

    Raises:
        DivergedError: the loss is no longer a finite number.
    """
    device = next(network.parameters()).device
    train, validation = train.on(device), validation.on(device)
    steps = math.ceil(len(train) / config.batch_size)
    network.recompute = config.checkpoint_time
    settled_on = train.inputs(slice(_SETTLED_ON // (train.frames or 1) or 1)).to(device)
    memory: PeakMemory | None = PeakMemory(device)  # of the first epoch here
    peak: int | None = None
    compute = Step(network, config, teacher, sparse, whole=world.size == 1 and config.accumulate == 1)
    for epoch in range(progress.epochs, config.epochs + config.finetune_epochs):
        network.train()
        torch.manual_seed(config.seed + 7919 * (epoch + 1))  # dropout
        draw = torch.Generator().manual_seed(config.seed + 104729 * (epoch + 1))
        course = EpochMeter(epoch, progress.epochs, config, world, display)
        display.begin(epoch, steps)
        order = torch.randperm(len(train), generator=draw).to(train.images.device)
        for step, chosen in enumerate(torch.tensor_split(order, steps)):
            images, labels = augmentation(train.images[chosen], draw), train.labels[chosen]
            moment = epoch + step / steps
            rate = learning_rate(config, moment)
            for group in optimizer.param_groups:
                if group.get("scheduled", True):  # gates, if any, have a rate of their own
                    group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            statistics = torch.zeros(3, dtype=torch.float32, device=device)
            for part in world.parts(network, len(chosen), config.accumulate):
                x, y = as_inputs(images[part.rows]).to(device), labels[part.rows].to(device)
                statistics += compute(x, y, moment, part.weight)
            course.update(world.sum_gradients(network, statistics), len(chosen))
            _widen(network, course, compute, display)
            if config.clip_norm:
                nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            optimizer.step()
        course.end()
        _widen(network, course, compute, display)
        if memory is not None:
            peak, memory = memory.bytes(), None
        if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
            raise world.raised_by_all(diverged("a weight is no longer a finite number", epoch, progress.epochs, config))
        if not looked_at(epoch + 1, config):
            if sparse is not None:
                sparse.end_epoch(epoch + 1, settled_on)
            continue
        measure_norm_statistics(network, train, augmentation, config, draw, world)
        world.alike(network)  # processors of several kinds may have rounded an update differently
        if sparse is not None:
            sparse.end_epoch(epoch + 1, settled_on)
        metrics = measure(network, validation, world=world)
        before = replace(progress, epochs=epoch)
        progress = report(before, course.loss, course.accuracy, metrics)
        display.end(epoch, course.accuracy, metrics, progress.best != before.best)
        if peak is not None:
            display.say(per_image(peak, math.ceil(len(train) / steps / config.accumulate / world.size)))
            peak = None
        for line in [] if sparse is None else sparse.lines():
            display.say(line)
    return progress


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


def _widen(network: SpikingNetwork, course: EpochMeter, compute: Step, display: Display) -> None:
    """Take four bytes for the sums of layers where two were too few, if the last step that was read says so."""
    for name in network.widen(course.largest):
        display.say(f"sums of layer {name!r} pass what two bytes hold: from now on in four, slower")
        compute.forget()


def looked_at(epochs: int, config: TrainConfig) -> bool:
    """Whether so many epochs are followed by a look at the images held out, and kept."""
    return epochs % config.check_every == 0 or epochs in (config.epochs, config.epochs + config.finetune_epochs)


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
