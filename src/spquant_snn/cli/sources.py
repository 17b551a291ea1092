"""What a command works on: a run or an .spq file, its network, and the test images that go with it.

Each function that cannot give what it is asked for says in one sentence why, and what to do.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path

from ..data import Labelled, hold_out, load
from ..errors import ConfigError, ModelError, RunError
from ..integer.file import load_graph
from ..integer.graph import Graph
from ..quant.lower import lower
from ..quant.network import SpikingNetwork
from ..train.config import CUSTOM, TrainConfig, load_config
from ..train.loading import load_network
from ..train.run import RunFolder


def check_there(source: Path) -> None:
    """Raise RunError unless there is such a folder or file."""
    if not os.path.exists(source):
        raise RunError(f"there is no {source}: give the folder of a run, or an .spq file")


def config_of(source: Path) -> TrainConfig | None:
    """The configuration of a run; None for an .spq file."""
    return load_config(RunFolder(source).config) if os.path.isdir(source) else None


def integer_config_of(source: Path, verb: str) -> TrainConfig | None:
    """The same, of a source that must have integers; ``verb`` says what for."""
    check_there(source)
    config = config_of(source)
    if config is not None and not config.quant.integer:
        raise ModelError(f"{source} is a floating-point run, without integers: {verb} a run of 1.58 to 8 bits")
    return config


def graph_of(source: Path) -> Graph:
    """The integers of a run, or of an .spq file."""
    return load_graph(integers_of(source) if os.path.isdir(source) else source)


def integers_of(run: Path) -> Path:
    """The .spq file of a run."""
    path = RunFolder(run).integers
    if not os.path.exists(path):
        raise RunError(
            f"{run} is not finished: resume it, or write its integers with spquant export {run} --out {path}"
        )
    return path


def refuse_other_network(run: Path, graph: Graph, network: SpikingNetwork) -> None:
    """Refuse the .spq file of a run that holds another network than the run's.

    Raises:
        RunError: it does.
    """
    if _form(graph) != _form(lower(copy.deepcopy(network).eval().freeze())):
        raise RunError(f"{RunFolder(run).integers} holds another network than this run: export it again")


def _form(graph: Graph) -> tuple[object, ...]:
    """What two graphs of one network share."""
    connections = tuple((connection.name, connection.codes.shape) for connection in graph.connections)
    return graph.input_shape, graph.timesteps, connections


def finished_network(run: Path) -> SpikingNetwork:
    """The network of a floating-point run that came to its end."""
    if "best" not in RunFolder(run).read_record():
        raise RunError(f"{run} is not finished: resume it")
    return load_network(run).eval()


def data_of(source: Path, dataset: str | None, config: TrainConfig | None) -> str:
    """The data set that was asked for, or else that of the run."""
    name = (config.dataset if config else None) if dataset is None else dataset
    if name is None:
        raise ConfigError(f"{source} does not say what it was trained on: add --dataset")
    return name


def test_images(source: Path, name: str, images: int, data_dir: Path | None, timesteps: int) -> Labelled:
    """The first ``images`` test images of the data set ``name``, 0: all of them; recordings as so many frames."""
    if name == CUSTOM:
        raise RunError(
            f"the data set of {source} was given in Python: name another with --dataset, or use SpQuantTrainer there"
        )
    if images < 0:
        raise ConfigError(f"images must be at least 0, not {images}")
    test = load(name, data_dir, timesteps=timesteps).test
    return Labelled(test.images[:images], test.labels[:images]) if images else test


def held_out_images(source: Path, config: TrainConfig, data_dir: Path | None) -> Labelled:
    """The images of its training set that a run was not trained on, by which it chose its best epoch."""
    train = load(config.dataset, data_dir, timesteps=config.timesteps).train
    try:
        return hold_out(train, config.validation, config.seed)[1]
    except ConfigError as error:
        raise RunError(f"{source} was trained on other images than {config.dataset} has here ({error})") from None
