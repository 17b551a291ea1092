"""Firing rates of few bits brought to those of floating point, by what is added to each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..nn.lif import LIF
from .branched_stage import BranchedStage
from .drive import Drive, DroppedSums, NormalisedSums, PooledSums, Summed, Weights, pads
from .network import SpikingNetwork
from .sent import Sent
from .stage import NeuronStage, Stage
from .synapse import Synapse
from .training_pass import TrainingPass

_TURNS = 12  # halvings in the search of what is added to a channel
_WIDEST = 2.0  # thresholds, within which it is searched


class Recorder:
    """A probe that keeps spikes and stored codes of layers."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, name: str, spikes: Tensor, stored: Tensor) -> None:
        self.found[name] = spikes, stored


def match_rates(stage: NeuronStage, current: Tensor, wanted: Tensor, steps: int) -> None:
    """Add to each channel what lets its neurons fire as often as in the spikes that are wanted, [T, N, C, ...]."""
    lif, static = cast(LIF, stage.lif), current.dim() == wanted.dim() - 1
    axis = 1 if static else 2
    goal = _rates(wanted)
    shape = (-1, *[1] * (current.dim() - axis - 1))

    def rates(more: Tensor) -> Tensor:
        moved = current + more.view(shape)
        return _rates(lif.forward_static(moved, steps) if static else lif(moved))

    plain = rates(torch.zeros_like(goal))
    (found,) = _search([stage], [goal], [plain], lambda more: [rates(more[0])])
    better = (rates(found) - goal).abs() < (plain - goal).abs()
    _shift(stage, torch.where(better, found, 0.0))


def match_rates_in_loop(network: SpikingNetwork, sent: Sent, group: range, wanted: Sequence[Tensor]) -> None:
    """The same of layers that look at one another's past, all at once: what is added to one channel moves the others,
    so every guess is run through all steps. Nothing is added where that brings the rates no nearer on the whole."""
    stages, first = [network.hidden[i] for i in group], len(network.input_shapes)
    goals = [_rates(spikes) for spikes in wanted]
    added = [torch.zeros_like(goal) for goal in goals]

    def add(more: list[Tensor]) -> None:
        for k, stage in enumerate(stages):
            _shift(stage, more[k] - added[k])
            added[k] = more[k]

    def rates(more: list[Tensor]) -> list[Tensor]:
        add(more)
        recorder = Recorder()
        TrainingPass(network.hidden, first, False, False, recorder, None).run_group(group, sent)
        return [_rates(recorder.found[stage.name][0]) for stage in stages]

    def far(found: list[Tensor]) -> float:
        return sum(float((a - b).abs().sum()) for a, b in zip(found, goals, strict=True))

    plain = rates(added)
    _search(stages, goals, plain, rates)
    if far(rates(added)) >= far(plain):  # with the last guess
        add([torch.zeros_like(goal) for goal in goals])


def _search(
    stages: Sequence[NeuronStage],
    goals: list[Tensor],
    plain: list[Tensor],
    rates: Callable[[list[Tensor]], list[Tensor]],
) -> list[Tensor]:
    """What is to be added to each channel of some layers for their rates to come near the goals, by halving.

    Args:
        goals, plain: rates [C] of each layer that are wanted, and those where nothing is added.
        rates: those with so much added to each channel.
    """
    low, high = [], []
    for stage, goal, found in zip(stages, goals, plain, strict=True):
        widest = _WIDEST * cast(LIF, stage.lif).threshold.expand(len(goal))
        low.append(torch.where(found > goal, -widest, 0.0))
        high.append(torch.where(found > goal, 0.0, widest))
    for _ in range(_TURNS):
        middle = _middle(low, high)
        more = [a > b for a, b in zip(rates(middle), goals, strict=True)]
        low = [torch.where(too, a, m) for too, a, m in zip(more, low, middle, strict=True)]
        high = [torch.where(too, m, b) for too, b, m in zip(more, high, middle, strict=True)]
    return _middle(low, high)


def _middle(low: list[Tensor], high: list[Tensor]) -> list[Tensor]:
    return [(a + b) / 2 for a, b in zip(low, high, strict=True)]


def _shift(stage: NeuronStage, more: Tensor) -> None:
    """Add to the current of each channel."""
    if isinstance(stage, Stage):
        shift_stage(stage, more)
    else:
        _shift_drive(cast(BranchedStage, stage).drive, more)


def shift_stage(stage: Stage, more: Tensor) -> None:
    if stage.norm is not None:
        stage.norm.bias.add_(more)
    else:
        add_bias(stage.synapse, more)


def _shift_drive(drive: Drive, more: Tensor) -> None:
    """Add to the current of each channel, in the place nearest to the neurons where something is added."""
    if isinstance(drive, NormalisedSums):
        drive.norm.bias.add_(more)
    elif isinstance(drive, Weights):
        add_bias(drive.synapse, more)
    elif isinstance(drive, DroppedSums) or (isinstance(drive, PooledSums) and not pads(drive.pool)):
        _shift_drive(drive.inner, more)
    elif isinstance(drive, Summed):
        _shift_drive(cast(Drive, drive.drives[0]), more)


def add_bias(synapse: Synapse, more: Tensor) -> None:
    if synapse.bias is None:
        synapse.bias = nn.Parameter(torch.zeros_like(more))
    synapse.bias.add_(more)


def _rates(spikes: Tensor) -> Tensor:
    """[C] of spikes [T, N, C, ...]."""
    return spikes.float().flatten(0, 1).transpose(0, 1).flatten(1).mean(1)
