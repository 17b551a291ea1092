"""The training loop, in one screen.

Each epoch draws its order and its augmentation from the seed and its own number, and the learning rate is a function of
the step: an epoch that is run again, after a stop, gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..quant.network import SpikingNetwork
from ..sparsity.training import SparseTraining
from .augment import Augment, Augmentation
from .batches import Batches, DataPass
from .checkpoint import Progress
from .config import TrainConfig
from .console import Display
from .device import PeakMemory, per_image
from .distributed import ALONE, World
from .epoch_meter import EpochMeter, diverged
from .functions import NO_FUNCTIONS, Functions
from .metrics import Metrics, measure
from .norm_statistics import measure_norm_statistics
from .objective import Objective
from .optimizer import set_learning_rate
from .random_numbers import seed_torch, torch_kept
from .step import Step

_LOOKED_AT = 512  # images or frames, at most, on which gates and predictors are frozen

# Called with the progress before an epoch, its training loss and accuracy, and validation metrics.
Keep = Callable[[Progress, float, float | None, Metrics], Progress]


@dataclass(frozen=True, eq=False)
class Training:
    """What is trained, and how.

    Args:
        network: in training form, or frozen for fine-tuning.
        optimizer: of the network, as ``make_optimizer`` gives it.
        config: resolved: with a batch size and a precision.
        augmentation: of training images.
        teacher: its logits are imitated, if given.
        sparse: prunes channels and holds rates down, if given.
        wanted: what is minimised, and what epochs are compared by; those of the network's task by default.
        functions: of a user, in place of what the configuration says.
        world: the processes that train together, each its part of every batch.
    """

    network: SpikingNetwork
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    augmentation: Augment = Augmentation()  # noqa: RUF009 which is frozen
    teacher: nn.Module | None = None
    sparse: SparseTraining | None = None
    wanted: Objective | None = None
    functions: Functions = NO_FUNCTIONS
    world: World = ALONE


@torch_kept()
@torch.inference_mode(False)  # whatever the rest of the program is in
@torch.enable_grad()
def fit(
    training: Training,
    train: Batches,
    validation: Batches,
    *,
    start: Progress,
    keep: Keep,
    display: Display,
) -> Progress:
    """Train from ``start`` to the last epoch.

    Args:
        train, validation: images that are learned from, and images by which epochs are compared.
        keep: called after each epoch that is validated; saves what is to be saved, and returns the progress after it.
        display: shows how it goes.

    Raises:
        DivergedError: the loss is no longer a finite number.
    """
    network, config, sparse, world = training.network, training.config, training.sparse, training.world
    device = next(network.parameters()).device
    train, validation = train.on(device), validation.on(device)
    steps = train.steps(config.batch_size)
    network.recompute = config.checkpoint_time
    few = None if sparse is None else train.first(_LOOKED_AT).to(device).inputs()
    whole, wanted = world.size == 1 and config.accumulate == 1, training.wanted
    compute = Step(network, config, training.teacher, sparse, whole, wanted)
    classifies = wanted is None or wanted.task.kind == "classification"
    progress, memory = start, PeakMemory(device)
    peak: int | None = None  # of the first epoch here
    largest = 0  # items of a batch
    clipped: list[float] = []  # of the first epoch here
    for epoch in range(start.epochs, config.epochs + config.finetune_epochs):
        network.train()
        seed_torch(config.seed + 7919 * (epoch + 1))  # dropout
        draw = torch.Generator().manual_seed(config.seed + 104729 * (epoch + 1))
        meter = EpochMeter(epoch, progress.epochs, config, world, display, classifies)
        display.begin(epoch, steps)
        drawn = train.drawn(draw, config.batch_size, DataPass(epoch, None, world, config.accumulate))
        for step, read in enumerate(world.in_step(drawn)):
            batch, largest = read.with_images(training.augmentation(read.images, draw)), max(largest, read.count)
            clipped += [read.clipped] if epoch == start.epochs else []
            moment = epoch + step / steps
            set_learning_rate(training.optimizer, config, moment, training.functions)
            training.optimizer.zero_grad(set_to_none=True)
            statistics = torch.zeros(3, dtype=torch.float32, device=device)
            for part in world.parts(network, batch.count, config.accumulate, batch.lengths):
                own = batch.of(part)
                x, y = own.inputs().to(device), own.labels.to(device)
                statistics += compute(x, y, moment, part.weight, own.lengths)
            meter.update(world.sum_gradients(network, statistics), batch.count)
            _widen(network, meter, compute, display)
            if config.clip_norm:
                nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            training.optimizer.step()
        meter.end()
        _widen(network, meter, compute, display)
        peak = memory.bytes() if epoch == start.epochs else peak
        if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
            raise world.raised_by_all(diverged("a weight is no longer a finite number", epoch, progress.epochs, config))
        validated = _validated(epoch + 1, config)
        if validated:
            measure_norm_statistics(network, train, training.augmentation, config, draw, world, epoch)
            world.alike(network)  # processors of several kinds may have rounded an update differently
        if sparse is not None and few is not None:
            sparse.end_epoch(epoch + 1, few)
        if not validated:
            continue
        metrics = measure(network, validation, world=world, wanted=wanted)
        if not math.isfinite(metrics.loss):
            raise diverged("the loss on the validation set is no finite number", epoch, progress.epochs, config)
        before = replace(progress, epochs=epoch)
        progress = keep(before, meter.loss, meter.accuracy, metrics)
        display.end(epoch, meter.accuracy, metrics, progress.best != before.best)
        if peak is not None:
            display.say(per_image(peak, math.ceil(largest / config.accumulate / world.size)))
            peak = None
        if any(clipped):
            display.say(
                f"{sum(clipped) / len(clipped):.2%} of the values of an epoch are clipped: input_range sets more"
            )
            clipped = []
        for line in [] if sparse is None else sparse.lines():
            display.say(line)
    return progress


def _widen(network: SpikingNetwork, meter: EpochMeter, compute: Step, display: Display) -> None:
    """Take four bytes for the sums of layers where two were too few, if the last step that was read says so."""
    for name in network.widen(meter.largest):
        display.say(f"sums of layer {name!r} pass what two bytes hold: from now on in four, slower")
        compute.forget()


def _validated(epochs: int, config: TrainConfig) -> bool:
    """Whether so many epochs are followed by a look at the validation images, and kept."""
    return epochs % config.check_every == 0 or epochs in (config.epochs, config.epochs + config.finetune_epochs)
