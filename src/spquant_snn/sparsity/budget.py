"""The work of a network: synaptic operations, as a differentiable function of its gates.

An operation is one weight added for one input that is not zero (a SynOp), or, in the first layer, one product of a
weight and a pixel. Layer l takes, for one image,

    steps * density_l * taps_l * inputs_l * outputs_l

where ``taps`` counts the weights between one input and one output channel times the places where they are used,
without padding, and after the rewrite that folds a sum-pool into the kernel; ``density`` is the measured share of
these whose input, of a kept channel, is not zero (1 for pixels, which are taken densely, and once for a still
image); ``inputs`` and ``outputs`` are the numbers of kept channels. The share of the work that a choice of gates
leaves is the sum over the layers divided by the same sum with all gates open, at the densities of the moment: it says
what the gates save, and not what a change of the rates does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from ..errors import ConfigError, ModelError
from ..quant.network import SpikingNetwork
from ..quant.stage import Stage
from ..quant.synapse import Synapse
from .gates import ChannelGate, channel_gates, tied_layers

STRENGTH = 4.0  # of a squared logarithm of operations in the loss


@dataclass(frozen=True)
class LayerOps:
    """What one layer does for one image.

    Args:
        name: of the layer.
        steps: how often its sums are computed.
        inputs, outputs: numbers of channels.
        usage: [H, W] how many places use each place of the input; its sum is ``taps``.
        source: the layer of neurons whose kept channels are its inputs; None where all ``inputs`` are there: the
            channels of the image, or the one of an identity.
        met: the layer of neurons whose density of inputs is its own; None for the image.
        target: the layer whose kept channels are its outputs; the readout's are all there.
    """

    name: str
    steps: int
    inputs: int
    outputs: int
    usage: Tensor
    source: int | None
    met: int | None
    target: int

    @property
    def taps(self) -> float:
        """Weights between one input and one output channel, times the places where they are used."""
        return float(self.usage.sum())

    def density(self, met: Tensor) -> float:
        """The share of taps whose input is not zero.

        Args:
            met: [N, I, H, W], or anything of as many elements in this order; what reaches the weights.
        """
        places = self.usage.to(met.device, torch.float64).flatten()
        active = (met != 0).view(torch.int8).reshape(-1, len(places))  # bytes are summed far faster than bools
        return float(active.sum(0, dtype=torch.int32).double() @ places) / (len(active) * self.taps)


def layer_work(network: SpikingNetwork, static_input: bool = True) -> list[LayerOps]:
    """The work of each layer, the readout last.

    Args:
        static_input: whether images stand still, so that the first layer's sums are computed once.
    """
    work = []
    shape: tuple[int, ...] = network.input_shape
    for i, stage in enumerate(network.in_a_row("a target of operations")):
        synapse, inputs = stage.synapse, shape[0]
        for pool in stage.pools:
            shape = (shape[0], *pool.size(*shape[1:]))
        steps = 1 if i == 0 and static_input else network.config.timesteps
        flat = shape[1:] if len(shape) == 3 else (1, 1)
        usage = _usage(synapse, shape) if synapse.convolves else torch.ones(flat, dtype=torch.float32)
        before = i - 1 if i else None
        work.append(LayerOps(stage.name, steps, inputs, len(synapse.weight), usage / synapse.groups, before, before, i))
        shape = network.shapes[i] if i < len(network.hidden) else ()
    return work


def shortcut_work(network: SpikingNetwork) -> list[LayerOps]:
    """The work of each shortcut, whose inputs are taken to be as dense as those of the layer behind its source."""
    work = []
    for i, stage in enumerate(network.in_a_row("a target of operations")):
        if stage.shortcut is None:
            continue
        synapse, source = stage.shortcut.synapse, stage.shortcut.source
        shape, steps = network.shapes[source], network.config.timesteps
        usage = _usage(synapse, shape)
        alone = stage.shortcut.identity
        inputs = 1 if alone else shape[0]
        work.append(
            LayerOps(
                stage.shortcut.name,
                steps,
                inputs,
                len(synapse.weight),
                usage if alone else usage / synapse.groups,
                None if alone else source,
                source,
                i,
            )
        )
    return work


def operations(work: Sequence[LayerOps], densities: Sequence[Any], opened: Sequence[Any]) -> list[Any]:
    """Operations of each layer for one image.

    Args:
        work: of the L layers, the readout last, and of shortcuts.
        densities: of the inputs of each layer, L numbers or scalar tensors.
        opened: kept channels of each layer of neurons, L - 1 numbers or scalar tensors.

    Returns:
        A number for each, or scalar tensors with the gradient of what went in.
    """
    counts = []
    for layer in work:
        density = densities[0 if layer.met is None else layer.met + 1]
        inputs = layer.inputs if layer.source is None else opened[layer.source]
        outputs = opened[layer.target] if layer.target < len(opened) else layer.outputs
        counts.append(density * inputs * outputs * (layer.steps * layer.taps))
    return counts


class Budget:
    """The share of its work that a network with gates may keep.

    Args:
        network: with gates on its layers.
        target: share of the operations, in (0, 1].
        static_input: as for ``layer_work``.

    Raises:
        ConfigError: the target lies outside (0, 1].
        ModelError: there are no gates.
    """

    def __init__(self, network: SpikingNetwork, target: float, static_input: bool = True) -> None:
        self.gates = channel_gates(network)
        if len(self.gates) != len(network.hidden):
            raise ModelError("the network has no gates: call insert_gates() before a Budget is made")
        if not 0 < target <= 1:
            raise ConfigError(f"target_ops must be above 0 and at most 1, not {target!r}")
        self.target = target
        self.work = [*layer_work(network, static_input), *shortcut_work(network)]
        self._tied = tied_layers(network)

    @property
    def densities(self) -> list[float]:
        """Of the inputs of each layer, as measured; 1 for pixels."""
        return [1.0, *(float(gate.density) for gate in self.gates)]

    @property
    def widths(self) -> list[float]:
        return [float(len(gate.logits)) for gate in self.gates]

    def count(self, opened: Sequence[float]) -> float:
        """Operations for one image with given numbers of kept channels in each layer of neurons."""
        return float(sum(operations(self.work, self.densities, opened)))

    def share(self, opened: Sequence[float]) -> float:
        """The share of all operations that is left with given numbers of kept channels."""
        return self.count(opened) / self.count(self.widths)

    def expected_share(self) -> Tensor:
        """The share that the gates leave in the mean over their draws, which are independent; with a gradient."""
        opened = [gate.probability().sum() for gate in self.gates]
        counts = operations(self.work, self.densities, opened)
        return torch.stack(counts).sum() / self.count(self.widths)

    def penalty(self, allowed: float) -> Tensor:
        """The loss term for an expected share of operations above ``allowed``: the squared logarithm of their ratio,
        zero below."""
        return STRENGTH * torch.relu(torch.log(self.expected_share() / allowed)).square()

    def least(self) -> tuple[float, str]:
        """The smallest possible share of operations, with one channel open in each layer that can be pruned, and the
        name of the layer that takes most of it."""
        opened = [1.0 if gate.prunable else float(len(gate.logits)) for gate in self.gates]
        counts = operations(self.work, self.densities, opened)
        return sum(counts) / self.count(self.widths), self.work[max(range(len(counts)), key=counts.__getitem__)].name

    def unmet(self) -> str | None:
        """The layer that keeps frozen gates from the target, though no more channels can be pruned; None where the
        target was met or more can be."""
        last = all(int(gate.opened().sum()) == 1 for gate in self.gates if gate.prunable)
        least, name = self.least()
        return name if last and least > self.target else None

    def check(self) -> None:
        """Refuse a target that cannot be met.

        Raises:
            ModelError: it cannot, at the densities of the moment, without emptying a layer.
        """
        least, name = self.least()
        if least > self.target:
            raise ModelError(
                f"target_ops {self.target:g} cannot be met without emptying layer {name!r}: with one channel left in "
                f"each layer that can be pruned, {least:.3%} of the operations remain; choose at least that"
            )

    def choose(self) -> list[Tensor]:
        """The final choice, [C] bool for each layer: the likely open gates, less the least likely of them while they
        leave more than the target, and the likeliest others for which there is room; one for each layer at the
        least, and the same of tied layers."""
        masks = [gate.opened().clone() for gate in self.gates]
        opened = [float(mask.sum()) for mask in masks]
        ranked = sorted(
            (float(logit), group[0], channel)
            for group in self._tied
            if not self.gates[group[0]].frozen
            for channel, logit in enumerate(self.gates[group[0]].logits.detach())
        )
        together = {group[0]: group for group in self._tied}

        def count(first: int, change: float) -> None:
            for layer in together[first]:
                opened[layer] += change

        def turn(first: int, channel: int, open_: bool) -> None:
            for layer in together[first]:
                masks[layer][channel] = open_

        for _, first, channel in ranked:
            if self.share(opened) <= self.target:
                break
            if masks[first][channel] and opened[first] > 1:
                turn(first, channel, False)
                count(first, -1)
        for _, first, channel in reversed(ranked):
            if not masks[first][channel]:
                count(first, 1)
                if self.share(opened) <= self.target:
                    turn(first, channel, True)
                else:
                    count(first, -1)
        return masks


def _usage(synapse: Synapse, shape: tuple[int, ...]) -> Tensor:
    """[H, W] how many sums take each place of a convolution's input [C, H, W], in one channel."""
    kernel, stride, pool = tuple(synapse.weight.shape[2:]), synapse.stride, synapse.pool
    if pool is not None and synapse.folds:
        kernel, stride = tuple(side + pool.kernel[0] - 1 for side in kernel), pool.kernel
    padding = synapse.geometry.padding
    one, ones = (torch.ones(1, 1, *sides, dtype=torch.float32) for sides in (shape[1:], kernel))
    sums = F.conv2d(one, ones, None, stride, padding, synapse.dilation)
    used: Tensor = conv2d_input(one.shape, ones, torch.ones_like(sums), stride, padding, synapse.dilation)  # type: ignore[no-untyped-call]
    return used[0, 0]


@torch.no_grad()
def measure_density(network: SpikingNetwork, work: Sequence[LayerOps], index: int, spikes: Tensor) -> float:
    """The density of the input of the layer behind layer ``index``, whose spikes are [T, N, ...]: among channels that
    are open, or expected to be."""
    gate, after = network.hidden[index].gate, cast(Stage, network.stages[index + 1])
    found = work[index + 1].density(after.pooled(spikes.flatten(0, 1)))
    if not isinstance(gate, ChannelGate):
        return found
    drawn = gate.learning and gate.training and not gate.frozen
    return min(1.0, found / float(gate.probability().mean() if drawn else gate.opened().float().mean()))
