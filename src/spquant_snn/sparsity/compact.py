"""The smaller network: pruned channels removed, and with them the inputs of the next layer that they fed.

What is kept computes the same integers. The weights that remain keep their codes: a compacted synapse holds them as
multiples of a learned step, whatever quantiser they came from, so that no statistic over removed weights is missed. In
the frozen form a pruned channel is silent and no constant of a kept one depends on it (``quant.fold.fold_stage``);
so every spike and stored code of the kept channels and every logit stay as they were.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..quant.finite_check import check_finite
from ..quant.network import SpikingNetwork
from ..quant.stage import Stage
from ..quant.synapse import Synapse
from ..quant.weight import integer_codes, weight_quantizer
from .block_skipping import BlockSkipping


def compact(network: SpikingNetwork) -> SpikingNetwork:
    """A copy of a network without its pruned channels and without gates; frozen if the network is.

    Its integers are those of the network, less those of pruned channels. With 32-bit weights it computes the same but
    for the order of sums. A network without gates comes back as a copy.

    Raises:
        ModelError: a number is not finite.
    """
    if all(stage.gate is None for stage in network.hidden):
        return copy.deepcopy(network)
    live = network.live_inputs()
    stages = []
    for stage, inputs in zip(network.in_a_row("removing channels"), live, strict=True):
        stages.append(_prune(stage, inputs, network.live_sources(stage)))
    config = replace(network.config, weight_quantizer="learned")
    smaller = SpikingNetwork(stages, config, network.input_shapes)
    smaller.frozen, smaller.output_format = network.frozen, network.output_format
    return smaller.train(network.training)


def kept_channels(network: SpikingNetwork) -> list[Tensor]:
    """[C] bool for each layer of neurons: the channels that ``compact`` keeps."""
    return [
        torch.ones(stage.channels, dtype=torch.bool) if stage.gate is None else stage.gate.opened().cpu()
        for stage in network.hidden
    ]


def _prune(stage: Stage, inputs: Tensor | None, sources: Tensor | None) -> Stage:
    """A copy of a stage with its kept channels and the given inputs [I], its shortcut with the given ones, only."""
    check_finite(stage.name, stage)
    stage = copy.deepcopy(stage)
    synapse, norm = stage.synapse, stage.norm
    outputs = torch.ones(len(synapse.weight), dtype=torch.bool, device=synapse.weight.device)
    if stage.gate is not None:
        outputs, stage.gate = stage.gate.opened(), None
    if isinstance(stage.skipping, BlockSkipping):
        stage.skipping.keep(int(outputs.sum()))

    def kept(parameter: Tensor) -> nn.Parameter:
        return nn.Parameter(parameter.detach()[outputs], requires_grad=parameter.requires_grad)

    _prune_synapse(synapse, outputs, inputs)
    if stage.shortcut is not None:
        if stage.shortcut.identity:  # tied layers keep the same channels
            beside = stage.shortcut.synapse
            beside.weight = nn.Parameter(beside.weight.detach()[outputs])
            beside.groups = len(beside.weight)
            if beside.quantizer is not None:
                beside.quantizer.keep(outputs)
        else:
            _prune_synapse(stage.shortcut.synapse, outputs, sources)
    if synapse.bias is not None:
        synapse.bias = kept(synapse.bias)
    if norm is not None:
        norm.weight, norm.bias = kept(norm.weight), kept(norm.bias)
        norm.running_mean, norm.running_var = norm.running_mean[outputs], norm.running_var[outputs]
    if stage.lif is not None:
        stage.lif.keep(outputs)
    return stage


def _prune_synapse(synapse: Synapse, outputs: Tensor, inputs: Tensor | None) -> None:
    """Keep the given outputs and inputs; codes become multiples of a learned step."""
    with torch.no_grad():
        scale, old = synapse.scale(), synapse.quantizer
        codes = synapse.codes() if old is None else integer_codes(old, synapse.weight).to(scale.dtype)
        weight = codes * scale.view(-1, *[1] * (synapse.weight.dim() - 1))
        weight = weight[outputs] if inputs is None else weight[outputs][:, inputs]
    synapse.weight, synapse.quantizer = nn.Parameter(weight), None
    if old is not None:
        synapse.quantizer = weight_quantizer("learned", weight, old.bits, True, old.per_tensor)
        old.keep(outputs)
        synapse.quantizer.scale = old.scale.clone()
        synapse.quantizer.gain.data = old.gain.detach().clone()
