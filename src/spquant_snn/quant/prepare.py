"""From a user's module to a network in stages, quantised: the module is read by tracing, and what cannot become
integers is refused here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from ..errors import ConfigError, ModelError
from ..integer.connection import Shape
from ..nn.imported import ImportedSNN
from .assemble import stages_of
from .described import NetworkDescription, Normalised, Weighed, parts_in
from .finite_check import check_finite, check_given
from .match import describe, read_shapes
from .network import SpikingNetwork
from .plain_parameters import MASK, shared_places, with_plain_parameters
from .quant_config import QuantConfig
from .stage import NeuronStage, Stage


def prepare(model: nn.Module, config: QuantConfig, input_shape: Shape | Sequence[Shape]) -> SpikingNetwork:
    """Make a quantised network of a model, to be trained with any loop and then frozen and lowered to integers.

    Args:
        model: any module whose ``forward`` computes one time step from convolutions, linear layers, batch
            normalisation, pools, sums, concatenations and ``LIF`` layers (docs/reference/layers.md lists all that is
            supported). It is not changed: its parameters are copied, as float32. Two cases give a warning: a weight
            that is computed from other parameters (a parametrisation, weight normalisation, a pruning mask) is taken
            as it is now, and training may change it freely; layers that share a parameter become separate layers. Lazy
            layers get their shapes from ``input_shape``.
        config: bits, time steps and input scale.
        input_shape: (C, H, W) of an image, (C, L) of a signal or (F,) of a vector; a list of these for several inputs.

    Returns:
        A ``SpikingNetwork`` in training form.

    Raises:
        ConfigError: ``config`` is no ``QuantConfig``, or names layers that the model does not have.
        ModelError: something in the model has no integer form; the message names its path, the reason and the nearest
            form that works.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), LIF(), torch.nn.Linear(32, 10))
        >>> network = prepare(model, QuantConfig(weight_bits=2, state_bits=4, timesteps=3), input_shape=(1, 8, 8))
        >>> network(torch.zeros(5, 1, 8, 8, dtype=torch.uint8)).shape
        torch.Size([3, 5, 10])
    """
    if not isinstance(model, nn.Module):
        raise ModelError(f"a torch.nn.Module is needed, not {model!r}: build_model makes one of the name of a model")
    if not isinstance(config, QuantConfig):
        raise ConfigError(f"a QuantConfig is needed, not {config!r}: give QuantConfig(weight_bits=..., state_bits=...)")
    taken, resolved, tied = with_plain_parameters(model)
    shapes = read_shapes(input_shape)
    described = describe(taken, shapes, config.input_format)
    for path, module in _modules_of(described):
        check_given(path, module)
        module.float()
    _check_names(described, config)
    stages = stages_of(described, config)
    for stage in stages:
        check_finite(stage.name, stage)
    layers = [layer.shape for layer in described.layers]
    network = SpikingNetwork(stages, config, shapes, layers, len(described.readouts))
    shared = shared_places([path for path, _ in _modules_of(described)], tied)
    for said in (*_said(resolved, shared, network), *_steps_said(model, config), *described.notes):
        warnings.warn(said, stacklevel=2)
    return network


def _check_names(described: NetworkDescription, config: QuantConfig) -> None:
    """Refuse widths of weights of layers that are not there."""
    if not isinstance(config.weight_bits, Mapping):
        return
    drives = [*(layer.drive for layer in described.layers), *(readout.drive for readout in described.readouts)]
    paths = [part.path for drive in drives for part in parts_in(drive) if isinstance(part, Weighed)]
    for name in config.weight_bits:
        if not any(fnmatchcase(path, name) for path in paths):
            raise ConfigError(
                f"weight_bits names {name!r}, which no layer is called: the layers are {', '.join(map(repr, paths))}"
            )


def _modules_of(described: NetworkDescription) -> Iterator[tuple[str, nn.Module]]:
    """The modules with parameters that a network calls, with their paths, once for each call."""
    drives = [(layer.drive, (layer.path, layer.neurons)) for layer in described.layers]
    for drive, neurons in [*drives, *((readout.drive, None) for readout in described.readouts)]:
        for inner in parts_in(drive):
            if isinstance(inner, Weighed | Normalised):
                yield inner.path, inner.module
        if neurons is not None:
            yield neurons


def _said(resolved: list[str], shared: list[str], network: SpikingNetwork) -> list[str]:
    """What a user should know of a network that differs from the model, or that does not train."""
    said = []
    if resolved:
        zeros = ", so that zeros of a mask may move" if any(MASK in kind for kind in resolved) else ""
        said.append(
            "layers whose weights are computed from others come in with the weights that they have now, and training "
            f"does not hold them to it{zeros}: {', '.join(resolved)}"
        )
    if shared:
        said.append(f"layers that share a parameter become layers of their own, trained apart: {'; '.join(shared)}")
    said += [
        f"layer {stage.name!r} takes spikes of the step before, and a still image is shown for one step alone, so that "
        "there are none: use timesteps=2 or more, or sequences of frames"
        for stage in (*network.hidden, *network.readouts)
        if network.config.timesteps == 1 and any(delay for _, delay in stage.sources)
    ]
    said += [
        f"layer {stage.name!r}: all weights of its batch normalisation are 0, and its neurons stay so far from their "
        "threshold that nothing trains it: begin with weights other than 0, or with another bias or surrogate"
        for stage in network.hidden
        if not _trains(stage, network.config.timesteps)
    ]
    return said


def _steps_said(model: nn.Module, config: QuantConfig) -> list[str]:
    """What a user should know of the time steps of a network that was trained elsewhere."""
    if not isinstance(model, ImportedSNN) or not model.static_input or model.timesteps in (None, config.timesteps):
        return []
    return [
        f"the network shows an image for {model.timesteps} time steps, and timesteps={config.timesteps} is asked for: "
        f"it computes what it was trained for with timesteps={model.timesteps}"
    ]


def _trains(stage: NeuronStage, timesteps: int) -> bool:
    """Whether the gradient of a layer's spikes reaches its parameters; not seldom it is 0 where the currents are."""
    norm, lif = stage.norm if isinstance(stage, Stage) else None, stage.lif
    if norm is None or lif is None or bool(norm.weight.any()):
        return True
    current = norm.bias.detach()[None].requires_grad_()  # what batch normalisation gives, whatever the sums
    with torch.enable_grad():
        spikes = lif.forward_static(current, timesteps)
    return bool(torch.autograd.grad(spikes.sum(), current)[0].any())
