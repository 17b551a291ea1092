"""What a training takes from other runs and from integer models: its first weights, where they are not random, and a
teacher."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelError, RunError
from ..integer.file import load_graph
from ..integer.inputs import task_of
from ..integer.program import Program
from ..quant.drive import Weights
from ..quant.lift import lift
from ..quant.network import SpikingNetwork
from ..quant.quant_config import QuantConfig
from ..quant.shortcut import TrainableShortcut
from ..quant.stage import NeuronStage, Stage
from ..quant.synapse import Synapse
from ..quant.weight import weight_quantizer
from ..runtime.native import load
from .checkpoint import read_weights
from .config import load_config
from .loading import load_network
from .objective import Objective
from .run import RunFolder

_OF_SPARSITY = ("gate", "skipping")  # parts of a stage that a run without sparsity has not
_QUANTIZER = "quantizer"  # the part of a synapse that depends on its width of bits
_OF_A_PATH = (Stage, TrainableShortcut, Weights)  # that hold a synapse, whose name is its layer's in the user's module


def start_from(path: Path, network: SpikingNetwork, images: Tensor | None = None) -> None:
    """Take over the best weights of a run, with their normalisation, or the integers of an ``.spq`` file, see
    ``quant.lift``. Where the widths of bits or the quantisers differ, the codes are those nearest to what the run or
    the file computes with. Gates and predictors keep their own first values.

    Args:
        path: of the folder or the file.
        images: some that will be trained on, as the network takes them; needed to train on from a file.

    Raises:
        RunError: the folder is not a run's, or has no weights yet.
        FileFormatError: it is damaged.
        ConfigError: its network has other layers or pruned channels.
    """
    if os.path.isfile(path):
        try:
            lift(load_graph(path), network, images)
        except ModelError as error:
            raise ConfigError(f"init {path} cannot be taken up, {error}: start from the folder of its run") from error
        return
    folder = path
    _check_there(folder, "init")
    run = RunFolder(folder)
    config = load_config(run.config)
    if config.target_ops < 1 or config.target_skip > 0:
        raise ConfigError(f"init {folder} was trained with target_ops or target_skip: start from a run without them")
    found, own = read_weights(run.weights), network.state_dict()
    differing = _first_difference(_of_layers(found), network)
    if differing:
        raise ConfigError(f"init {folder} is of another network, {differing}: give a run of the same model")
    network.load_state_dict(own | _of_layers(found))
    paths = {id(part.synapse): part.name for part in network.modules() if isinstance(part, _OF_A_PATH)}
    shortcuts = [stage.shortcut for stage in network.hidden if isinstance(stage, Stage) and stage.shortcut]
    identities = {id(shortcut.synapse) for shortcut in shortcuts if shortcut.identity}
    of_readouts = {id(module) for stage in network.readouts for module in stage.modules()}
    for name, module in network.named_modules():
        if (
            isinstance(module, Synapse) and id(module) not in identities
        ):  # whose weights are worth the same at any width
            state = _below(found, f"{name}.{_QUANTIZER}.")
            there, here = (given.at(paths[id(module)]) for given in (config.quant, network.config))
            same = (there.weight_bits, there.weight_quantizer) == (here.weight_bits, here.weight_quantizer)
            if module.quantizer is not None and same:
                module.quantizer.load_state_dict(state)
            else:
                _refit(module, state, there, per_tensor=id(module) in of_readouts)


def _refit(synapse: Synapse, state: dict[str, Tensor], config: QuantConfig, per_tensor: bool) -> None:
    """Let a synapse that holds the latent weights of a run begin at what that run computes with.

    Args:
        state: of the run's quantiser of these weights; empty where they are in floating point.
        config: of the run, for these weights.
        per_tensor: whether all outputs share a scale.
    """
    with torch.no_grad():
        if state:
            bits = cast(float, config.weight_bits)
            there = weight_quantizer(config.weight_quantizer, synapse.weight, bits, True, per_tensor)
            there.load_state_dict(state)
            scale = there.positive_scale().view(-1, *[1] * (synapse.weight.dim() - 1))
            synapse.weight.copy_(scale * there.codes(synapse.weight))
        if synapse.quantizer is not None:
            synapse.quantizer.fit(synapse.weight)


def load_teacher(path: Path, network: SpikingNetwork) -> nn.Module:
    """The network of a run, or of an ``.spq`` file, to be imitated by another: in evaluation, on its device, without
    gradients.

    Raises:
        RunError, FileFormatError: as ``load_network`` and ``load``.
        ConfigError: it is of other images or classes.
    """
    if os.path.isfile(path):
        integers = load(path)
        takes = [(given.shape, given.format) for given in integers.graph.inputs]
        alike = takes == [(given.shape, given.format) for given in network.inputs]
        alike = (
            alike and integers.graph.outputs[0] == answer_shape(network) and integers.graph.readout.over_time != "all"
        )
        alike = alike and _kind(network) in ("", task_of(integers.graph).kind)
        teacher: nn.Module = IntegerTeacher(integers)
    else:
        _check_there(path, "teacher")
        device = next(network.parameters()).device
        trained = load_network(path).eval().requires_grad_(False).to(device)
        alike = _alike(trained, network)
        teacher = NetworkTeacher(trained)
    if not alike:
        raise ConfigError(
            f"the teacher {path} was trained on other images or classes, or for another task: choose one of the same "
            "data set"
        )
    return teacher


class NetworkTeacher(nn.Module):
    """A network as a teacher: inputs as it takes them to its answer over time, in the units of labels, [1, N, ...]."""

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self.network = network
        said = network.output_format
        self._units = None if said is None else Objective(said, device=next(network.parameters()).device)

    def forward(self, x: Tensor) -> Tensor:
        answer = self.network.answer(self.network(x).float())
        return (answer if self._units is None else self._units.in_units(answer))[None]


class IntegerTeacher(nn.Module):
    """An integer model as a teacher: inputs as a network takes them to its answer, [1, N, ...]."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def forward(self, x: Tensor) -> Tensor:
        values = self.program.values(x.cpu().numpy(), threads=torch.get_num_threads())
        return torch.from_numpy(values).to(x.device, torch.float32)[None]


def _check_there(folder: Path, what: str) -> None:
    """Refuse a run that was moved or never there; ``what`` is the option that names it."""
    if not os.path.isdir(folder):
        raise RunError(
            f"the {what} {folder} is not there: name the folder of a run, or an .spq file, as {what} or, where a run "
            "goes on, in its config.toml"
        )


class Answers(nn.Module):
    """A teacher that knows no time, [N, ...], as one that answers in a single step, [1, N, ...]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.module(x))[None]


def as_teacher(module: nn.Module, network: SpikingNetwork, images: Tensor) -> nn.Module:
    """Any module that answers inputs, as the network takes them, with logits [N, classes], or what the task asks for in
    the units of the labels, as a teacher: in evaluation, on the network's device, without gradients. The module itself
    is changed in that.

    Args:
        images: some, to try it on.

    Raises:
        ConfigError: it does not take them, or has another number of classes.
    """
    device = next(network.parameters()).device
    module.eval().requires_grad_(False).to(device)
    if isinstance(module, SpikingNetwork):
        if not _alike(module, network):
            raise ConfigError("the teacher is a network of other images or classes: give one of the same data set")
        return NetworkTeacher(module)
    wanted = answer_shape(network)
    try:
        with torch.no_grad():
            found = module(images.to(device))
    except Exception as error:  # whatever the module of a user raises
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"the teacher {type(module).__name__} does not take uint8 images {list(images.shape)} ({said}): "
            "let its forward method scale them"
        ) from error
    count = images.shape[-4]
    if not isinstance(found, Tensor) or tuple(found.shape) != (count, *wanted):
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(
            f"the teacher {type(module).__name__} gives {shape} for {count} images: "
            f"[N, {', '.join(map(str, wanted))}] is wanted"
        )
    return Answers(module)


@torch.no_grad()
def answer_shape(network: SpikingNetwork) -> tuple[int, ...]:
    """Shape of what the first readout says of one image at one step."""
    training, device = network.training, next(network.parameters()).device
    kinds = [torch.int8 if given.signed else torch.uint8 for given in network.inputs]
    shapes = zip(network.input_shapes, kinds, strict=True)
    said = network.eval()([torch.zeros(1, 1, *shape, dtype=kind, device=device) for shape, kind in shapes])
    network.train(training)
    return tuple(said.shape[2:])


def _alike(teacher: SpikingNetwork, network: SpikingNetwork) -> bool:
    """Whether a network takes and says what another does."""
    same = teacher.inputs == network.inputs and answer_shape(teacher) == answer_shape(network)
    kinds = {_kind(teacher), _kind(network)} - {""}
    return same and len(kinds) < 2


def _kind(network: SpikingNetwork) -> str:
    """The task of a network; empty where it knows none."""
    return "" if network.output_format is None else network.output_format.task.kind


def _of_layers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What two networks of the same layers have in common, whatever their bits and sparsity."""
    return {name: tensor for name, tensor in state.items() if not set(name.split(".")) & {*_OF_SPARSITY, _QUANTIZER}}


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _first_difference(found: dict[str, Tensor], network: SpikingNetwork) -> str:
    """Where the weights of another network differ from this one's, in the layers' own names; empty: nowhere."""
    own = _of_layers(network.state_dict())
    there, here = (len({name.split(".")[1] for name in names if name.startswith("stages.")}) for names in (found, own))
    if there != here:
        return f"it has {there} layers, this one {here}"
    for name in (*own, *(name for name in found if name not in own)):
        layer, what = _layer_of(name, network), name.rpartition(".")[2]
        if name not in found or name not in own:
            return f"layer {layer!r} has a {what} only {'here' if name in own else 'there'}"
        if found[name].shape != own[name].shape:
            shapes = (" x ".join(map(str, tensors[name].shape)) for tensors in (found, own))
            return "layer {!r} has a {} of {} there and of {} here".format(layer, what, *shapes)
    return ""


def _layer_of(name: str, network: SpikingNetwork) -> str:
    """What a user calls the layer that a tensor of the network belongs to."""
    named = {path: part.name for path, part in network.named_modules() if isinstance(part, (*_OF_A_PATH, NeuronStage))}
    return next((named[path] for path in _above(name) if path in named), name)


def _above(name: str) -> Iterator[str]:
    """The paths of the modules that hold a tensor, the innermost first."""
    while name:
        name = name.rpartition(".")[0]
        yield name
