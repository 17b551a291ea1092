"""The controls: scores of channels that nothing learned, in place of the parameters of the gates.

Whoever gives the scores, one budget turns them into kept and pruned channels (``Budget.choose``). Both controls number
the channels of a layer evenly from 0 to 1: pruned in the order of all scores, they are the same share of every layer,
but for the last few, which fill the budget up.

Random: in an order drawn at random.

Magnitude: by the absolute scale of their batch normalisation (network slimming, Liu et al. 2017, doi
10.1109/ICCV.2017.298, without its penalty on scales). Norms of filters (Li et al. 2017,
openreview.net/forum?id=rJqFGTslg) say nothing here: weights are taken in units of their own channel's size, and their
sums are normalised, so that all channels are alike. The scale is what is left: the standard deviation of a
channel's current. It is compared within a layer, as filters are there, for nothing makes the scales of different layers
comparable. A channel without batch normalisation is scored by the norm of the weights that it computes with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..quant.network import SpikingNetwork
from ..quant.stage import Stage
from .gates import ChannelGate


def random_scores(gates: Sequence[ChannelGate], seed: int) -> list[Tensor]:
    """[C] for each layer, in (0, 1]; the same for the same seed and widths."""
    draw = torch.Generator().manual_seed(seed)
    return [(torch.randperm(len(gate.logits), generator=draw) + 1).float() / len(gate.logits) for gate in gates]


def magnitude_scores(network: SpikingNetwork) -> list[Tensor]:
    """[C] for each layer of neurons, in (0, 1]."""
    return [
        (magnitude.argsort().argsort() + 1).float() / len(magnitude)
        for magnitude in map(_magnitude, network.in_a_row("pruning channels")[:-1])
    ]


@torch.no_grad()
def rank(gates: Sequence[ChannelGate], scores: Sequence[Tensor]) -> None:
    """Open all gates, with scores above 0, [C] each, for parameters; tied layers share theirs, the mean."""
    for gate in gates:
        shared = [score for other, score in zip(gates, scores, strict=True) if other.logits is gate.logits]
        gate.logits.copy_(torch.stack(shared).mean(0))


@torch.no_grad()
def prune(gates: Sequence[ChannelGate], masks: Sequence[Tensor]) -> None:
    """Prune channels outside of masks [C], each below all kept ones and in the order that they had, but not for
    good."""
    # Tied layers share their parameters.
    distinct = {id(gate.logits): (gate, mask) for gate, mask in zip(gates, masks, strict=True)}
    for gate, mask in distinct.values():
        gate.logits.sub_(torch.where(mask, 0.0, 1 + gate.logits.max()))


@torch.no_grad()
def _magnitude(stage: Stage) -> Tensor:
    """[C] what the input moves in each channel, up to a factor that is the same for all of them."""
    if stage.norm is not None:
        return stage.norm.weight.abs()
    synapse = stage.synapse
    size: Tensor = synapse.codes().flatten(1).norm(dim=1)
    return synapse.scale() * size
