"""The network of a run: built from its configuration, and read from its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..data.input_format import PIXELS, InputFormat
from ..errors import FileFormatError, RunError
from ..integer.connection import Shape
from ..io.fields import Fields
from ..io.reading import guarded
from ..nn.lif import LIF
from ..nn.models import build_model
from ..quant.network import SpikingNetwork
from ..quant.prepare import prepare
from ..quant.quant_config import QuantConfig
from ..sparsity.block_skipping import insert_skipping
from ..sparsity.compact import compact
from ..sparsity.gates import insert_gates
from .checkpoint import load_weights, weights_size
from .config import CUSTOM, TrainConfig, load_config
from .fingerprint import model_print
from .random_numbers import seed_torch, torch_kept
from .run import RunFolder, config_print

_LARGEST = 1 << 20


def build_network(
    config: TrainConfig, shape: tuple[int, int, int], classes: int, input_format: InputFormat = PIXELS
) -> SpikingNetwork:
    """The untrained network of a configuration whose model has a name; with gates, if channels are to be pruned."""
    quant = replace(config.quant, input_format=input_format)
    return network_of(lambda: named_model(config, shape, classes), config, quant, shape)


def network_of(
    model: Callable[[], nn.Module], config: TrainConfig, quant: QuantConfig, shape: Shape | Sequence[Shape]
) -> SpikingNetwork:
    """The untrained network of a model, with the gates and predictors that its training needs; all that is drawn for it
    follows from the seed of the configuration."""
    with torch_kept():
        seed_torch(config.seed)
        return add_sparsity(prepare(model(), quant, shape), config)


def named_model(config: TrainConfig, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The untrained model of a configuration that names one; its weights are drawn from torch's random numbers."""

    def neuron() -> LIF:
        return LIF(
            leak=config.leak, reset=config.reset, surrogate=config.surrogate, learn_threshold=config.learn_threshold
        )

    return build_model(config.model, shape, classes, neuron)


def add_sparsity(network: SpikingNetwork, config: TrainConfig) -> SpikingNetwork:
    """Put into a network the gates and predictors that its training needs; returns the network itself.

    Raises:
        ModelError: no layer can have them.
    """
    if config.target_ops < 1:
        insert_gates(network)
    if config.target_skip > 0:
        insert_skipping(network)
    return network


def load_network(folder: Path) -> SpikingNetwork:
    """The network of a run at its best epoch, in training form, without the channels that were pruned.

    Raises:
        RunError, FileFormatError: the folder is not a run's, or damaged, or its model was given in Python.
    """
    run = RunFolder(folder)
    config = load_config(run.config)
    if config.model == CUSTOM:
        remedy = (
            f"take its {run.integers.name}, or use SpQuantTrainer" if config.quant.integer else "use SpQuantTrainer"
        )
        raise RunError(f"the model of {folder} was given in Python, not by name: {remedy} there")
    run.hold_to({"config": config_print(config)})
    record = run.read_record()
    with guarded(run.record, "copy it again, or train again"):
        fields = Fields(record)
        channels, height, width = fields.integers("input_shape", (3,), 1, _LARGEST)
        classes = fields.integer("classes", 1, _LARGEST)
        given = fields.inner("input_format")
        input_format = InputFormat(given.flag("signed"), given.number("scale", 1e-30, 1e30))
    with torch.device("meta"):  # counted before anything is allocated, which waits until the file is known to be there
        model = build_model(config.model, (channels, height, width), classes)
        size = 4 * sum(parameter.numel() for parameter in model.parameters())
    if size > weights_size(run.weights):
        raise FileFormatError(
            f"{run.record} or {run.weights.name} is damaged, they are of networks of different sizes: copy both again"
        )
    network = build_network(config, (channels, height, width), classes, input_format)
    network.output_format = run.read_format()
    run.hold_to({"model": model_print(network)})
    load_weights(run.weights, network)
    return compact(network) if config.target_ops < 1 else network
