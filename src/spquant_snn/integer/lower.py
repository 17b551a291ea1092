"""From a frozen torch network to an integer graph: the only place of this folder that knows torch."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ModelError
from ..quant.freeze import fold_readout
from ..quant.network import SpikingNetwork
from ..quant.pool import Pool
from ..quant.shortcut import Shortcut as TrainedShortcut
from ..quant.stage import Stage
from ..quant.synapse import Synapse
from .graph import Connection, Graph, Layer, Readout, Shortcut
from .verify import Trace


def lower(network: SpikingNetwork) -> Graph:
    """The integers of a frozen network.

    Raises:
        ModelError: the network is not frozen, or an integer would leave its width.
    """
    if not network.frozen:
        raise ModelError("the network is still in training form: call freeze() before lower()")
    layers = []
    for stage, folded in zip(network.hidden, network.fold(), strict=True):
        if folded.gate is not None and stage.gate is not None and not bool(stage.gate.opened().all()):
            raise ModelError(
                f"layer {stage.name!r} has closed channels, and blocks that are skipped are made of open ones: "
                "call compact() before lower()"
            )
        shortcut = None if folded.shortcut is None else _shortcut(stage, folded.shortcut)
        layers.append(Layer(_connection(network, stage, folded.codes), folded.neuron, folded.gate, shortcut))
    last = fold_readout(network.readout, network.config.timesteps, network.live_inputs()[-1])
    readout = Readout(_connection(network, network.readout, last.codes), last.fraction, last.bias, last.scale)
    return Graph(network.input_shape, network.config.timesteps, tuple(layers), readout)


def frozen_trace(network: SpikingNetwork, images: NDArray[np.uint8]) -> Trace:
    """What a frozen torch network computes on uint8 images [N, C, H, W] or [T, N, C, H, W]: the same record as
    ``reference_trace``.

    Raises:
        ModelError: the network is not frozen.
    """
    if not network.frozen:
        raise ModelError("the network is still in training form: call freeze() before frozen_trace()")
    device = next(network.parameters()).device
    trace = Trace()
    logits = network.integer_logits(
        torch.from_numpy(images).to(device),
        lambda name, spikes, codes: trace.add(name, spikes.cpu().numpy(), codes.cpu().numpy()),
    )
    trace.logits = logits.cpu().numpy()
    return trace


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
