"""Sparsity in training: when gates are learned, and what each step adds to the loss.

    0 .. 20 % of the epochs     all gates open; densities are measured
    20 .. 60 %                  gates are drawn and learned; the share of the operations that is allowed falls from 1
                                to the target, evenly in its logarithm, within the first four fifths of this phase,
                                and the temperature of the draws from 2/3 to 1/10
    60 %, at an epoch's end     the gates are frozen, exactly 0 or 1, within the target
    60 .. 100 %                 the network trains on with fixed gates

What rates may be falls in the first 48 %, evenly in its logarithm, from all neurons firing in each step to the target:
a network that is trained already keeps what it can do, and gives up spikes a few at a time. The penalties are squares
of an excess, zero below what is allowed, and pass their gradient to the spikes, as in Zenke and Vogels (2021, doi
10.1162/neco_a_01367); they are relative to what is allowed, so that one weight suits any.

So it is with learned gates. Of the controls (``choices``) nothing is learned and nothing added to the loss:

    random      pruned before the first step, within the target at the densities of the untrained network, and never
                opened again; those of the trained network may ask for more, so at 60 % further channels are pruned, in
                the order drawn, where more than the target is left. Less than the target can be left, then.
    magnitude   all gates open until 60 %, then frozen as learned ones are

At 60 % each choice is within the target; what rates do afterwards can move the share of all of them.

Everything here is a function of the moment and of what the network's state holds, so that a training that was stopped
goes on as it would have.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..quant.network import SpikingNetwork
from .budget import STRENGTH, Budget, layer_work, measure_density, operations, shortcut_work
from .choices import magnitude_scores, prune, random_scores, rank
from .gates import COLD, WARM, channel_gates
from .goals import Goals
from .skip_threshold import SkipThresholdTraining

_BEGIN, _END = 0.2, 0.6  # of the epochs
_REACHED = 0.8  # of the phase in which gates are learned, and of all that comes before _END for rates
_MOMENTUM = 0.05  # of the running means
GATE_RATE = 0.1  # learning rate of the gates' parameters


class SparseTraining:
    """The sparsity of one training.

    Args:
        network: with gates, if channels are to be pruned.
        goals: of the training.
        epochs: of the training, in training form.
        static_input: whether images stand still.

    Attributes:
        freezes: the epoch, counted from one, at whose end the gates are frozen; 0 where there is nothing to freeze.
        fixed: the epoch up to which the network is not yet what was asked for: something is not frozen, or rates are
            still on their way down.
    """

    def __init__(self, network: SpikingNetwork, goals: Goals, epochs: int, static_input: bool = True) -> None:
        self.network, self.goals, self.epochs = network, goals, epochs
        self.gates = channel_gates(network)
        self.budget = Budget(network, goals.ops, static_input) if self.gates else None
        # Rates alone are held in any network; operations are counted in rows.
        counts = network.row is not None or goals.synops > 0 or goals.skip > 0 or bool(self.gates)
        self.work = layer_work(network, static_input) if counts else []
        self.beside = shortcut_work(network) if counts else []
        self.freezes = 0 if self.frozen else max(1, round(_END * epochs))
        self.skipping = SkipThresholdTraining(network, goals.skip, epochs) if goals.skip > 0 else None
        lowered = round(_END * epochs) if (goals.rate < 1 or goals.synops > 0) and epochs > 1 else 0
        self.fixed = max(self.freezes, self.skipping.freezes if self.skipping else 0, lowered)
        self._rates: list[Tensor] = []
        self._densities: list[Tensor] = []

    @property
    def frozen(self) -> bool:
        """Whether no gate can change any more."""
        return all(bool(gate.frozen) for gate in self.gates)

    def start(self, images: Tensor) -> None:
        """Measure the densities of an untrained network on a batch of images, refuse a target that they show to be out
        of reach, and prune channels that are drawn at random.

        Raises:
            ModelError: the target cannot be met without emptying a layer.
        """
        if self.budget is None or self.frozen:
            return
        trial = copy.deepcopy(self.network).train()
        with torch.no_grad():
            trial(images, watch=lambda i, spikes: self._measure(trial, i, spikes, 1.0))
        for gate, tried in zip(self.gates, channel_gates(trial), strict=True):
            gate.density.copy_(tried.density)
        self.budget.check()
        if self.goals.choice == "random":
            rank(self.gates, random_scores(self.gates, self.goals.seed))
            prune(self.gates, self.budget.choose())

    def begin_step(self, moment: float) -> None:
        """Prepare the gates for a step at a moment, in epochs."""
        self._rates, self._densities = [], []
        if self.skipping is not None:
            self.skipping.begin_step(moment)
        progress = self._progress(moment)
        for gate in self.gates:
            gate.learning = progress is not None
            gate.temperature = WARM if progress is None else WARM * (COLD / WARM) ** progress

    def watch(self, index: int, spikes: Tensor) -> None:
        """Take note of a layer's spikes [T, N, ...] in a training step."""
        rate, shard = spikes.float().mean(), self.network.hidden[index].shard
        if shard is not None:
            rate = shard.mean(rate)
        self._rates.append(rate)
        if not self.work:
            return
        density = self._measure(self.network, index, spikes, _MOMENTUM)
        per_spike = density / float(rate.detach()) if rate > 0 else 1.0
        self._densities.append(density + per_spike * (rate - rate.detach()))

    def penalty(self, moment: float) -> Tensor:
        """What is added to the loss of a step whose spikes were watched."""
        goals, loss = self.goals, self._rates[0].new_zeros(())
        progress = self._progress(moment)
        if self.budget is not None and progress is not None:
            loss = loss + self.budget.penalty(goals.ops ** min(1.0, progress / _REACHED))
        lowered = min(1.0, moment / (_REACHED * _END * max(1, self.epochs)))
        if goals.rate < 1:
            loss = loss + goals.weight * rate_penalty(self._open_rates(), goals.rate**lowered)
        if goals.synops > 0:
            most = max(goals.synops, sum(self._spiking([1.0] * len(self._densities))))
            allowed = most * (goals.synops / most) ** lowered
            loss = loss + goals.weight * synops_penalty(self._spiking(self._densities), allowed)
        return loss if self.skipping is None else loss + self.skipping.penalty(moment, loss)

    def end_epoch(self, epoch: int, images: Tensor) -> None:
        """Settle gates and predictors at the end of the epoch, counted from one, at which they are due.

        Args:
            images: of the training set, on the device of the network, as many as there may be.
        """
        if self.skipping is not None:
            self.skipping.end_epoch(epoch, images)
        if self.budget is None or epoch != self.freezes:
            return
        if self.goals.choice == "magnitude":
            rank(self.gates, magnitude_scores(self.network))
        for gate, mask in zip(self.gates, self.budget.choose(), strict=True):
            gate.freeze(mask & gate.opened() if self.goals.choice == "random" else mask)

    def summary(self) -> dict[str, Any]:
        """Kept and all channels of each layer, the operations for one image, and the share of all of them that closed
        channels leave, where there are gates; the threshold of blocks, where there are predictors."""
        skipped = {} if self.skipping is None else {"least_expected": self.skipping.least_expected}
        if self.budget is None:
            return skipped
        opened = [float(gate.opened().sum()) for gate in self.gates]
        return {
            "channels": {
                stage.name: [int(count), len(gate.logits)]
                for stage, gate, count in zip(self.network.hidden, self.gates, opened, strict=True)
            },
            "expected_ops": self.budget.count(opened),
            "ops_share": self.budget.share(opened),
        } | skipped

    def lines(self) -> list[str]:
        """The same in words, for a console of 80 columns; and why, where the target was out of reach in the end."""
        summary, lines = self.summary(), []
        if self.budget is not None:
            opened, total = (sum(pair[i] for pair in summary["channels"].values()) for i in (0, 1))
            lines.append(f"{opened} of {total} channels kept, {summary['ops_share']:.1%} of the operations left")
            if self.frozen and self.budget.unmet() is not None:
                lines.append(f"fewer would empty layer {self.budget.unmet()!r}")
        if summary.get("least_expected"):
            lines.append(f"blocks skipped of which less than {summary['least_expected']:.1%} is expected to respond")
        return [f"{'':>10} {line}" for line in lines]

    def _progress(self, moment: float) -> float | None:
        """How far the phase is in which gates are learned, 0 to 1; None outside of it."""
        begin = _BEGIN * self.epochs
        learned = self.goals.choice == "learned" and self.budget is not None and not self.frozen
        if not learned or not begin <= moment < self.freezes:
            return None
        return (moment - begin) / (self.freezes - begin)

    def _measure(self, network: SpikingNetwork, index: int, spikes: Tensor, momentum: float) -> float:
        density, shard = measure_density(network, self.work, index, spikes), network.hidden[index].shard
        if shard is not None:
            density = float(shard.mean(torch.tensor(density, dtype=torch.float64, device=spikes.device)))
        for gate in channel_gates(network)[index : index + 1]:
            gate.density.lerp_(gate.density.new_tensor(density), momentum)
        return density

    def _opened(self) -> list[float]:
        """Channels of each layer of neurons that are open, or expected to be."""
        if not self.gates:
            return [float(layer.outputs) for layer in self.work[:-1]]
        return [
            (gate.probability() if gate.learning and not gate.frozen else gate.opened()).sum().item()
            for gate in self.gates
        ]

    def _open_rates(self) -> list[Tensor]:
        """Rates of open neurons, with a gradient."""
        if not self.gates:
            return self._rates
        return [
            rate * (layer.outputs / opened)
            for rate, layer, opened in zip(self._rates, self.work[:-1], self._opened(), strict=True)
        ]

    def _spiking(self, densities: Sequence[Any]) -> list[Any]:
        """Operations of each layer but the first for one image, with the gradient of the densities behind it."""
        return operations([*self.work, *self.beside], [1.0, *densities], self._opened())[1:]


def rate_penalty(rates: Sequence[Tensor], target: float) -> Tensor:
    """Mean over the layers of the squared relative excess of a rate over the target.

    Args:
        rates: spikes per neuron and time step of each layer, with a gradient.
        target: the rate up to which nothing is lost, above 0.
    """
    return torch.relu(torch.stack(list(rates)) / target - 1).square().mean()


def synops_penalty(counts: Sequence[Tensor], target: float) -> Tensor:
    """Squared logarithm of the ratio of all layers' synaptic operations to the target, where it is above 1; as strong
    as the penalty on gates.

    Args:
        counts: operations of each layer for one image, with a gradient.
        target: operations for one image, above 0.
    """
    return STRENGTH * torch.relu(torch.log(torch.stack(list(counts)).sum() / target + 1e-9)).square()
