"""What a training works with, resolved from what a user names: device, data and untrained network, and the parts of its
configuration that were left open.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import Splits, Task, as_splits
from ..data.task import standardised
from ..errors import ConfigError, ModelError
from ..quant.network import SpikingNetwork
from .config import TrainConfig, anchored, with_options
from .device import multiplies_bf16, usable_device
from .distributed import ALONE, World
from .first_layer import kind_taken_by, shape_taken_by, steps_taken_by
from .functions import Functions
from .loading import build_network, network_of
from .objective import Objective, criterion_of, read_class_weights
from .start import answer_shape
from .streams import Sampled, Streams, sampled


@dataclass(frozen=True, eq=False)
class Setup:
    """What a trainer has before it trains; ``network`` is the same in all processes. Of a data set that is not read
    whole, ``data`` are a sample, and ``streams`` all."""

    config: TrainConfig
    device: torch.device
    data: Splits
    network: SpikingNetwork
    streams: Streams | None = None


def set_up(
    world: World,
    model: str | nn.Module,
    dataset: object,
    options: dict[str, Any],
    *,
    device: str | torch.device | None,
    data_dir: Path | None,
    quiet: bool,
    task: Task | None = None,
) -> Setup:
    """Check the options, find the device, read the data set and build the network, in all processes.

    Args:
        world: the processes that train together; the first of each machine reads the data set first.
        options: fields of ``TrainConfig``.
        quiet: show no progress of a download.
        task: what is learned, with its names and unit, in place of what ``options`` or the labels say.

    Raises:
        ConfigError, DataError, ModelError: an argument is not possible; the message says which.
    """
    own = {} if isinstance(model, str) else steps_taken_by(model)
    config = world.together(lambda: with_options(anchored(own | options)))
    place = world.together(lambda: usable_device(device, world))
    kind, decide = None if config.task == "auto" else config.task, kind_taken_by(model)
    shown = not quiet and world.first
    some = world.together(lambda: sampled(dataset, config, task, decide, shown))
    data = (
        some.data
        if some is not None
        else world.in_turn(
            lambda: as_splits(
                dataset,
                data_dir,
                task=task or kind,
                input_kind=None if config.input_kind == "auto" else config.input_kind,
                input_range=config.input_range,
                decide=decide,
                timesteps=config.timesteps,
                progress=shown,
            )
        )
    )
    world.together(lambda: check_suits(config, data.task))
    network, data = world.together(lambda: _build(config, model, data, some))
    network = network.to(place)
    world.alike(network)
    if some is None:
        return Setup(config, place, data, network)
    streams = world.together(lambda: some.streams(config, data.task, world))
    if data.task.kind == "regression":  # of which a sample says too little
        labels = world.from_first(lambda: streams.labels_for("mean and deviation"))
        network.output_format = standardised(data.task, labels)
    return Setup(config, place, data, network, streams)


def _build(
    config: TrainConfig, model: str | nn.Module, data: Splits, some: Sampled | None
) -> tuple[SpikingNetwork, Splits]:
    """The untrained network, checked against the data set, of which it may say how many classes there are."""
    most, open_ended = data.frames, some is not None  # a sample may not hold the longest
    if most is not None and (most > config.timesteps or (most < config.timesteps and not open_ended)):
        raise ConfigError(
            f"the sequences of the data set have {data.frames} frames, timesteps is {config.timesteps}: "
            f"set timesteps to {data.frames}"
        )
    if isinstance(model, str):
        if some is not None and some.open:
            raise ConfigError(
                "how many classes there are is not known before all items are read: give the Dataset a list of their "
                'names as classes, or say it, as task=Task("classification", 10)'
            )
        network = build_network(config, data.shape, data.classes, data.input_format)
    else:
        _check_takes_one(model)
        quant = replace(config.quant, input_format=data.input_format)
        network = network_of(lambda: model, config, quant, shape_taken_by(model, data.shape))
    said, task = answer_shape(network), data.task
    maps_of_more = task.kind == "segmentation" and not task.names  # of classes that do not occur
    if said[0] > task.outputs and (maps_of_more or (some is not None and some.open)):
        data = replace(data, task=replace(task, outputs=said[0], names=()))
    check_says(said, data)
    network.output_format = standardised(data.task, data.train.labels)
    return network, data


def _check_takes_one(model: nn.Module) -> None:
    """Refuse a module whose forward method must be given more than one input.

    Raises:
        ModelError: it must.
    """
    try:
        taken = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):  # of what is no Python
        return
    needed = [x.name for x in taken if x.default is x.empty and x.kind in (x.POSITIONAL_ONLY, x.POSITIONAL_OR_KEYWORD)]
    if len(needed) > 1:
        raise ModelError(
            f"SpQuantTrainer trains networks of one input, and the forward method of {type(model).__name__} takes "
            f"{len(needed)} ({', '.join(needed)}): give what is no input a default value, or train what prepare(model, "
            "config, input_shape=[...]) gives in a loop of your own"
        )


def objective_for(setup: Setup, config: TrainConfig, functions: Functions, world: World) -> Objective:
    """What is minimised, and what epochs are compared by.

    Raises:
        ConfigError: class weights, a criterion or a function do not fit the task.
        DataError: labels that class weights need cannot be read.
    """
    labels, streams = setup.data.train.labels, setup.streams
    if config.class_weights == "balanced" and streams is not None and setup.data.task.kind != "regression":
        labels = world.from_first(lambda: streams.labels_for("class weights"))
    weights = read_class_weights(config.class_weights, setup.data.task, labels)
    said = setup.network.output_format
    assert said is not None  # as ``set_up`` leaves it
    own = (functions.loss, functions.metric, functions.metric_mode)
    return Objective(said, config.criterion, weights, *own, setup.device)


def check_says(said: tuple[int, ...], data: Splits) -> None:
    """Refuse a network whose answer to an image, of shape ``said``, is not what the task of a data set asks for.

    Raises:
        ModelError: it is not.
    """
    task, maps, found = data.task, data.train.labels.shape[2:], "x".join(map(str, said))
    if task.kind == "segmentation":
        maps = data.train.labels.shape[1:]
    spread = said[1:] if len(said) != 2 else (1, *said[1:])  # of a signal, one row
    if tuple(spread if maps else filter(lambda size: size > 1, spread)) != tuple(maps):
        wanted = "x".join(map(str, maps)) if maps else "one number for each output"
        remedy = "or bring the labels to the size of its maps" if maps else "as a Linear does, or give labels of maps"
        raise ModelError(
            f"the model says {found} numbers of an image, and the labels are for {task.kind}, of {wanted}: let it "
            f"answer so, {remedy}"
        )
    most = said[0]
    if most < task.outputs:
        what = "classes" if task.kind in ("classification", "segmentation") else "outputs"
        raise ModelError(f"the model has {most} outputs, the data set {task.outputs} {what}: widen its last layer")
    if most > task.outputs and task.kind != "classification":
        what = "task {} classes" if task.kind == "segmentation" else "labels {} columns"
        raise ModelError(
            f"the model has {most} outputs, the {what.format(task.outputs)}: give its last layer {task.outputs}"
        )


def check_suits(config: TrainConfig, task: Task) -> None:
    """Refuse options that make no sense for a task.

    Raises:
        ConfigError: an option is of classes, and the task of something else.
    """
    criterion_of(task, config.criterion)
    if task.kind == "classification":
        return
    if config.label_smoothing and task.kind != "segmentation":
        raise ConfigError(f"label_smoothing is of classes, and the task is {task.kind}: leave it out")


def resolve(
    config: TrainConfig,
    count: int,
    network: SpikingNetwork,
    device: torch.device,
    world: World = ALONE,
    apart: bool = True,
    lengths: bool = False,
) -> TrainConfig:
    """The configuration with a batch size, a number of validation images and a precision.

    Args:
        count: training images, those for validation included.
        apart: whether those are set apart.
        lengths: whether there are sequences of several.

    Raises:
        ConfigError: a batch is left with too few images, or several processes cannot train what was asked for.
    """
    validation = config.validation or max(1, min(5000, count // 10)) if apart else 0
    batch = config.batch_size or min(256, max(16, 1 << max(1, (count - validation) // 40).bit_length() - 1))
    fewest = (count - validation) // math.ceil((count - validation) / batch) if count > validation else 0
    if fewest and fewest < world.size * config.accumulate:
        raise ConfigError(
            f"batch_size {batch} leaves a batch of {fewest}, too few for {world.size} processes with accumulate "
            f"{config.accumulate}: choose a larger batch_size, or less of these"
        )
    if fewest // config.accumulate == 1 and any(stage.normalises for stage in network.hidden):
        what = (
            f"a part of one image by accumulate {config.accumulate}"
            if config.accumulate > 1
            else "a batch of one image"
        )
        raise ConfigError(
            f"batch_size {batch} leaves {what}, which cannot be normalised: "
            "choose a batch_size of 3 or more, or give more images"
        )
    if lengths and world.size > 1 and network.loops:
        raise ConfigError(
            f"layers that look at their past are not trained on sequences of several lengths by {world.size} "
            "processes: start one, or bring the sequences to one length"
        )
    if config.target_skip > 0 and world.size > 1:
        raise ConfigError(
            f"target_skip is not trained by several processes, and there are {world.size}: start one, or leave it out"
        )
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(device) else "fp32"
    return replace(config, validation=validation, batch_size=batch, precision=precision)
