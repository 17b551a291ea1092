"""From a frozen torch network to an integer graph."""

from __future__ import annotations

from typing import cast

import torch

from ..errors import ModelError
from ..integer.graph import Connection, Graph, Layer, Readout, Shortcut
from ..integer.pool import Pool
from .freeze import fold_readout
from .network import SpikingNetwork
from .shortcut import TrainableShortcut as TrainedShortcut
from .stage import Stage
from .synapse import Synapse


def lower(network: SpikingNetwork) -> Graph:
    """The integer graph of a frozen network: the integer model, which ``save`` writes and ``verify`` compares.

    Raises:
        ModelError: the network is not frozen, or an integer would leave its width.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(weight_bits=2), input_shape=(1, 8, 8))
        >>> graph = lower(network.eval().freeze())
        >>> graph.shapes
        ((32, 4, 4), (64, 2, 2), (128,))
    """
    if not network.frozen:
        raise ModelError("the network is still in training form: call freeze() before lower()")
    layers = []
    for stage, folded in zip(network.hidden, network.fold(), strict=True):
        if folded.gate is not None and stage.gate is not None and not bool(stage.gate.opened().all()):
            raise ModelError(
                f"layer {stage.name!r} has pruned channels, and blocks that are skipped are made of kept ones: "
                "call compact() before lower()"
            )
        shortcut = None if folded.shortcut is None else _shortcut(stage, folded.shortcut)
        layers.append(Layer(_connection(network, stage, folded.codes), folded.neuron, folded.gate, shortcut))
    last = fold_readout(network.readout, network.config.timesteps, network.live_inputs()[-1])
    readout = Readout(_connection(network, network.readout, last.codes), last.fraction, last.bias, last.scale)
    return Graph(network.input_shape, network.config.timesteps, tuple(layers), readout)


def _connection(network: SpikingNetwork, stage: Stage, codes: torch.Tensor) -> Connection:
    bits = cast(float, network.config.weight_bits)
    return _synapses(stage.name, stage.synapse, codes, bits, stage.pools)


def _shortcut(stage: Stage, codes: torch.Tensor) -> Shortcut:
    trained = cast(TrainedShortcut, stage.shortcut)
    connection = _synapses(trained.name, trained.synapse, codes, cast(float, trained.bits), ())
    return Shortcut(trained.source, connection, trained.shift)


def _synapses(name: str, synapse: Synapse, codes: torch.Tensor, bits: float, pools: tuple[Pool, ...]) -> Connection:
    return Connection(
        name=name,
        codes=codes.cpu().numpy(),
        bits=bits,
        stride=synapse.stride,
        padding=synapse.padding,
        groups=synapse.groups,
        pools=pools,
        sum_pool=synapse.pool,
    )
