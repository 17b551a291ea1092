"""The work of a network: synaptic operations, as a differentiable function of its gates.

An operation is one weight added for one input that is not zero (a SynOp), or, in the first layer, one product of a
weight and a pixel. Layer l takes, for one image,

    steps * density_l * taps_l * inputs_l * outputs_l

where ``taps`` counts the weights between one input and one output channel times the places where they are used,
padding included, and after the rewrite that folds a sum-pool into the kernel; ``density`` is the measured share of
inputs of open channels that are not zero (1 for pixels, which are taken densely, and once for a still image);
``inputs`` and ``outputs`` are the numbers of open channels. The share of the work that a choice of gates leaves is the
sum over the layers divided by the same sum with all gates open, at the densities of the moment: it says what the gates
save, and not what a change of the rates does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ..errors import ConfigError, ModelError
from ..quant.network import SpikingNetwork
from ..quant.stage import Stage
from .gates import ChannelGate, channel_gates

_STRENGTH = 4.0


@dataclass(frozen=True)
class Work:
    """What one layer does for one image.

    Args:
        name: of the layer.
        steps: how often its sums are computed.
        taps: weights between one input and one output channel, times the places where they are used.
        inputs, outputs: numbers of channels.
    """

    name: str
    steps: int
    taps: float
    inputs: int
    outputs: int


def layer_work(network: SpikingNetwork, still: bool = True) -> list[Work]:
    """The work of each layer, the readout last.

    Args:
        still: whether images stand still, so that the first layer's sums are computed once.
    """
    work = []
    shape: tuple[int, ...] = network.input_shape
    for i, stage in enumerate((*network.hidden, network.readout)):
        synapse, inputs = stage.synapse, shape[0]
        for pool in stage.pools:
            shape = (shape[0], *pool.size(*shape[1:]))
        steps = 1 if i == 0 and still else network.config.timesteps
        if not synapse.convolves:
            taps = float(math.prod(shape[1:]))
        else:
            height, width = (
                (size + 2 * pad - kernel) // stride + 1
                for size, pad, kernel, stride in zip(
                    shape[1:], synapse.padding, synapse.weight.shape[2:], synapse.stride, strict=True
                )
            )
            kernel_height, kernel_width = synapse.weight.shape[2:]
            if synapse.pool is not None and synapse.folds:
                height, width = synapse.pool.size(height, width)
                kernel_height, kernel_width = (side + synapse.pool.kernel - 1 for side in (kernel_height, kernel_width))
            taps = float(height * width * kernel_height * kernel_width) / synapse.groups
        work.append(Work(stage.name, steps, taps, inputs, len(synapse.weight)))
        shape = network.shapes[i] if i < len(network.hidden) else ()
    return work


def operations(work: Sequence[Work], densities: Sequence[Any], opened: Sequence[Any]) -> list[Any]:
    """Operations of each layer for one image.

    Args:
        work: of the L layers, the readout last.
        densities: of the inputs of each layer, L numbers or scalar tensors.
        opened: open channels of each layer of neurons, L - 1 numbers or scalar tensors.

    Returns:
        L numbers, or scalar tensors with the gradient of what went in.
    """
    inputs = [work[0].inputs, *opened]
    outputs = [*opened, work[-1].outputs]
    return [
        density * a * b * (layer.steps * layer.taps)
        for layer, density, a, b in zip(work, densities, inputs, outputs, strict=True)
    ]


class Budget:
    """The share of its work that a network with gates may keep.

    Args:
        network: with gates on its layers.
        target: share of the operations, in (0, 1].
        still: as for ``layer_work``.

    Raises:
        ConfigError: the target lies outside (0, 1].
        ModelError: there are no gates.
    """

    def __init__(self, network: SpikingNetwork, target: float, still: bool = True) -> None:
        self.gates = channel_gates(network)
        if len(self.gates) != len(network.hidden):
            raise ModelError("the network has no gates: call insert_gates() before a Budget is made")
        if not 0 < target <= 1:
            raise ConfigError(f"target_ops must be above 0 and at most 1, not {target!r}")
        self.target = target
        self.work = layer_work(network, still)

    @property
    def densities(self) -> list[float]:
        """Of the inputs of each layer, as measured; 1 for pixels."""
        return [1.0, *(float(gate.density) for gate in self.gates)]

    @property
    def widths(self) -> list[float]:
        return [float(len(gate.logits)) for gate in self.gates]

    def count(self, opened: Sequence[float]) -> float:
        """Operations for one image with so many open channels in each layer of neurons."""
        return float(sum(operations(self.work, self.densities, opened)))

    def share(self, opened: Sequence[float]) -> float:
        """The share of the operations that so many open channels leave."""
        return self.count(opened) / self.count(self.widths)

    def expected_share(self) -> Tensor:
        """The share that the gates leave in the mean over their draws, which are independent; with a gradient."""
        opened = [gate.probability().sum() for gate in self.gates]
        counts = operations(self.work, self.densities, opened)
        return torch.stack(counts).sum() / self.count(self.widths)

    def penalty(self, allowed: float) -> Tensor:
        """How far the expected share lies above ``allowed``: the square of the logarithm of their ratio, zero below
        it, in units of the loss."""
        return _STRENGTH * torch.relu(torch.log(self.expected_share() / allowed)).square()

    def least(self) -> tuple[float, str]:
        """The smallest share that is possible, one channel open in each layer that can be cut, and the name of the
        layer that takes most of it."""
        opened = [1.0 if gate.closable else float(len(gate.logits)) for gate in self.gates]
        counts = operations(self.work, self.densities, opened)
        return sum(counts) / self.count(self.widths), self.work[max(range(len(counts)), key=counts.__getitem__)].name

    def check(self) -> None:
        """Refuse a target that cannot be met.

        Raises:
            ModelError: it cannot, at the densities of the moment, without emptying a layer.
        """
        least, name = self.least()
        if least > self.target:
            raise ModelError(
                f"target_ops {self.target:g} cannot be met without emptying layer {name!r}: with one channel left in "
                f"each layer that can be cut, {least:.3%} of the operations remain; choose at least that"
            )

    def choose(self) -> list[Tensor]:
        """The final choice, [C] bool for each layer: the likely open gates, less the least likely of them while they
        leave more than the target, and the likeliest others for which there is room; one for each layer at the
        least."""
        masks = [gate.opened().clone() for gate in self.gates]
        opened = [float(mask.sum()) for mask in masks]
        ranked = sorted(
            (float(logit), layer, channel)
            for layer, gate in enumerate(self.gates)
            if not gate.settled
            for channel, logit in enumerate(gate.logits.detach())
        )
        for _, layer, channel in ranked:
            if self.share(opened) <= self.target:
                break
            if masks[layer][channel] and opened[layer] > 1:
                masks[layer][channel] = False
                opened[layer] -= 1
        for _, layer, channel in reversed(ranked):
            if not masks[layer][channel]:
                opened[layer] += 1
                if self.share(opened) <= self.target:
                    masks[layer][channel] = True
                else:
                    opened[layer] -= 1
        return masks


@torch.no_grad()
def measure_density(network: SpikingNetwork, index: int, spikes: Tensor) -> float:
    """The share of inputs that are not zero where the spikes [T, N, ...] of layer ``index`` reach the next layer's
    weights, among those of channels expected to be open."""
    gate, after = network.hidden[index].gate, cast(Stage, network.stages[index + 1])
    reached = after.pooled(spikes.flatten(0, 1)) != 0
    opened = 1.0
    if isinstance(gate, ChannelGate):
        drawn = gate.learning and gate.training and not gate.settled
        opened = float(gate.probability().mean() if drawn else gate.opened().float().mean())
    return min(1.0, float(reached.float().mean()) / opened)
