"""Gates on the channels of a layer of neurons, learned, and exactly 0 or 1 at the end.

A gate multiplies the spikes of its channel. While it is learned it is a hard concrete variable (Louizos, Welling,
Kingma: Learning sparse neural networks through L0 regularization, ICLR 2018, openreview.net/forum?id=H1Y8hhg0b):

    s = sigmoid((log(x / (1 - x)) + a) / temperature)        x uniform in (0, 1), a learned
    g = clamp(1.2 s - 0.1, 0, 1)                             exactly 0 or 1 with a probability of its own
    P(g > 0) = sigmoid(a + temperature * log(1.1 / 0.1))

It was preferred to a threshold with a gradient straight through it because the expected number of kept channels, and
with it the expected work, is a differentiable function of ``a`` in closed form; a count of thresholds is not, and its
channels, which start alike, tend to fall together. Each image draws its own gates, as in dropout, so that a batch
averages over many choices. In evaluation a gate is open where ``a > 0``, and nothing between; ``freeze`` fixes the
choice for good.

The gate stands behind the neuron, not before it: the loss then tells even a pruned channel what its spikes would be
worth. That pruned channels are silent in the integers too is the affair of ``quant.fold.fold_stage``.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..quant.network import SpikingNetwork
from ..quant.stage import Gate

_STRETCH = (-0.1, 1.1)  # ends of the interval that is clipped to 0 .. 1, as published
_START = 3.0  # of the parameters: all but one in a hundred open
WARM = 2 / 3  # the published temperature
COLD = 0.1  # at which a draw is 0 or 1 nine times in ten, whatever its probability


class ChannelGate(Gate):
    """One gate per channel of a layer.

    Args:
        channels: of the layer.
        prunable: whether channels may be pruned; a layer that cannot be pruned keeps all of them open.

    Attributes:
        logits: [C] the parameters ``a``.
        learning: whether training draws gates; where it does not, it sees those of evaluation.
        temperature: of the draws.
        frozen, mask: whether the choice is final, and the choice [C].
        density: share of inputs that are not zero where the spikes of kept channels reach the next layer's weights;
            a running mean over training batches.
    """

    frozen: Tensor
    mask: Tensor
    density: Tensor

    def __init__(self, channels: int, prunable: bool = True) -> None:
        super().__init__()
        self.prunable = prunable
        self.logits = nn.Parameter(torch.full((channels,), _START, dtype=torch.float32), requires_grad=prunable)
        self.learning = False
        self.temperature = WARM
        self.register_buffer("frozen", torch.tensor(not prunable))
        self.register_buffer("mask", torch.ones(channels, dtype=torch.bool))
        self.register_buffer("density", torch.tensor(1.0, dtype=torch.float32))

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes [T, N, C, ...] times the gates."""
        shape = (*spikes.shape[1:3], *[1] * (spikes.dim() - 3))
        if self.training and self.learning and not self.frozen:
            return spikes * self.draw(spikes.shape[1]).view(shape)
        opened = self.opened()
        if bool(opened.all()):
            return spikes
        return spikes * opened.to(spikes.dtype).view(1, *shape[1:])

    def draw(self, count: int) -> Tensor:
        """[count, C] gates drawn at random, with a gradient."""
        size, shard = len(self.logits), self.shard
        if shard is None:
            x = torch.rand(count, size, device=self.logits.device, dtype=self.logits.dtype)
        else:
            x = shard.rand(size, like=self.logits)
        noise = torch.logit(x, eps=1e-6)
        s = torch.sigmoid((noise + self.logits) / self.temperature)
        low, high = _STRETCH
        return (s * (high - low) + low).clamp(0.0, 1.0)

    def probability(self) -> Tensor:
        """[C] probability that each gate is not zero, with a gradient; 0 or 1 once frozen."""
        if self.frozen:
            return self.mask.to(self.logits.dtype)
        low, high = _STRETCH
        return torch.sigmoid(self.logits - self.temperature * math.log(-low / high))

    def opened(self) -> Tensor:
        """[C] bool, as in evaluation: the final choice or, until there is one, the gates that are more likely open;
        one at the least."""
        if self.frozen:
            return self.mask
        opened = self.logits.detach() > 0
        if not opened.any():
            opened[self.logits.argmax()] = True
        return opened

    def freeze(self, mask: Tensor) -> None:
        """Make a choice [C] final.

        Raises:
            ModelError: it prunes all channels, or one of a layer that cannot be pruned.
        """
        if not mask.any() or not (self.prunable or mask.all()):
            raise ModelError("a layer keeps at least one channel, and one that cannot be pruned keeps all of them")
        self.mask.copy_(mask)
        self.frozen.fill_(True)
        self.logits.grad = None

    def extra_repr(self) -> str:
        return f"{int(self.opened().sum())} of {len(self.logits)} open"


def insert_gates(network: SpikingNetwork, layers: list[str] | None = None) -> list[str]:
    """Add a gate after each layer of neurons of a network, all channels open.

    Args:
        network: in training form; changed in place.
        layers: names of those whose channels may be pruned, and with them those of tied layers; all that
            can be pruned by default.

    Returns:
        The names of the layers whose channels cannot be pruned.

    Raises:
        ModelError: a named layer is not there or cannot be pruned, or no layer can.
    """
    hidden = network.in_a_row("pruning channels")[:-1]
    names = [stage.name for stage in hidden]
    for name in layers or []:
        if name not in names:
            raise ModelError(f"there is no layer {name!r} to prune channels of; the layers are {', '.join(names)}")
    kept = []
    for group in tied_layers(network):
        stages = [hidden[i] for i in group]
        reason = next((reason for i in group if (reason := _why_whole(network, i))), None)
        named = [stage.name for stage in stages if layers is not None and stage.name in layers]
        if reason and named:
            raise ModelError(f"the channels of layer {named[0]!r} cannot be pruned: {reason}")
        prunable = not reason and (layers is None or bool(named))
        if not prunable:
            kept += group
        weight = stages[0].synapse.weight
        for stage in stages:
            stage.gate = ChannelGate(len(weight), prunable).to(weight.device)
        first = cast(ChannelGate, stages[0].gate)
        for stage in stages[1:]:
            cast(ChannelGate, stage.gate).logits = first.logits  # one parameter: they open and close together
    if len(kept) == len(names):
        whole = _why_whole(network, 0) or "none was named"
        raise ModelError(f"no channel of any layer can be pruned, not of {names[0]!r} either: {whole}")
    return [names[i] for i in sorted(kept)]


def channel_gates(network: SpikingNetwork) -> list[ChannelGate]:
    """The gates of a network, one per layer of neurons; none where there are none."""
    return [stage.gate for stage in network.hidden if isinstance(stage.gate, ChannelGate)]


def _why_whole(network: SpikingNetwork, index: int) -> str | None:
    """Why the channels of a layer cannot be removed one by one; None where they can."""
    stages = network.in_a_row("pruning channels")
    stage, after = stages[index], stages[index + 1]
    joined = [(stage.synapse, "its own"), (after.synapse, f"the next layer's, {after.name!r},")]
    for i, other in enumerate(stages):
        shortcut = other.shortcut
        if shortcut is not None and not shortcut.identity and index in (i, shortcut.source):
            joined.append((shortcut.synapse, f"the shortcut's, {shortcut.name!r},"))
    for synapse, whose in joined:
        if synapse.groups > 1:
            return f"{whose} weights join channels in {synapse.groups} groups, which must stay alike"
    return None


def tied_layers(network: SpikingNetwork) -> list[list[int]]:
    """The layers of neurons in groups, by their indices: those whose channels are one and the same, because a shortcut
    adds the spikes of the one to the sums of the other, are pruned together. Any other layer is a group of its own."""
    group = list(range(len(network.hidden)))
    for index, stage in enumerate(network.in_a_row("pruning channels")[:-1]):
        if stage.shortcut is not None and stage.shortcut.identity:
            old, new = group[index], group[stage.shortcut.source]
            group = [new if each == old else each for each in group]
    return [[i for i, each in enumerate(group) if each == first] for first in dict.fromkeys(group)]
