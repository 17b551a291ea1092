"""The skip threshold of a network's predictors: moved while they are learned until blocks of the wanted share of work
are skipped.

    60 .. 75 % of the epochs    the predictors learn what responds, and the share that is skipped rises to the target
    75 .. 90 %                  the predictors are fixed, and the threshold follows what the network still learns
    90 %, at an epoch's end     the threshold is set once more, with running statistics, and frozen: integers from then
                                on

All of it comes when the channels that are left are known. The share is of the operations of the layers that have
predictors, all inputs counted: one block weighs as much as its sums take. It is reached on training images, of the
network at that moment; what the deployed rules skip is counted by the ledger.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..quant.network import SpikingNetwork
from .block_skipping import block_sizes, prediction_loss, skipping_stages

_BEGIN, _LEARNED, _END = 0.6, 0.75, 0.9  # of the epochs
_MOMENTUM = 0.1  # of the running mean
_LOOKED_AT = 16  # images of a batch, at most, by which the threshold is moved
_HALVINGS = 12  # by which it is frozen
PREDICTOR_RATE = 0.02  # learning rate


class SkipThresholdTraining:
    """The predictors of one training.

    Args:
        network: with predictors on some layers.
        target: share of the operations of these layers that is skipped, in (0, 1).
        epochs: of the training, in training form.

    Attributes:
        freezes: the epoch, counted from one, at whose end everything is fixed; 0 where it is already.
    """

    def __init__(self, network: SpikingNetwork, target: float, epochs: int) -> None:
        self.network, self.layers = network, skipping_stages(network)
        self.target, self.epochs = target, epochs
        self.freezes = 0 if self.frozen else max(2, round(_END * epochs))
        self._begins = min(round(_BEGIN * epochs), self.freezes - 1)
        self._learned = max(_LEARNED * epochs, self._begins + 0.5)

    @property
    def frozen(self) -> bool:
        return all(bool(skipping.frozen) for _, skipping in self.layers)

    def begin_step(self, moment: float) -> None:
        """Prepare for a step at a moment, in epochs."""
        self._watch(self._moves(moment))

    @property
    def least_expected(self) -> float:
        """Share of its neurons that must be expected to respond for a block to be computed."""
        return float(torch.sigmoid(self.layers[0][1].threshold))

    def penalty(self, moment: float, nothing: Tensor) -> Tensor:
        """What is added to the loss of the step, ``nothing`` where nothing is learned; moves the threshold."""
        if not self._moves(moment):
            return nothing.new_zeros(())
        progress = min(1.0, (moment - self._begins) / (self._learned - self._begins))
        loss = torch.stack([prediction_loss(skipping.seen) for _, skipping in self.layers]).sum()
        self._move(self.target * progress)
        return loss if progress < 1 else nothing.new_zeros(())

    def end_epoch(self, epoch: int, images: Tensor) -> None:
        """Settle at the end of the epoch, counted from one, at which it is due, on images of the training set."""
        self._watch(False)
        if epoch != self.freezes:
            return
        self._calibrate(images)
        for _, skipping in self.layers:
            skipping.frozen.fill_(True)
            skipping.weights.grad = None

    def _moves(self, moment: float) -> bool:
        return not self.frozen and self._begins <= moment < self.freezes

    @torch.no_grad()
    def _calibrate(self, images: Tensor) -> None:
        """Set the threshold of the network in evaluation, whose sums are normalised otherwise than a batch's, by
        halving: what is skipped changes what comes after."""
        training = self.network.training
        self.network.eval()
        self._watch(True)
        low, high, best = -math.inf, math.inf, (math.inf, math.inf)
        for _ in range(_HALVINGS):
            for part in torch.split(images, _LOOKED_AT):
                self.network(part)
            predictions, work = self._seen(_LOOKED_AT)
            threshold = self.layers[0][1].threshold
            skipped = float(work[predictions < threshold].sum() / work.sum())
            best = min(best, (abs(skipped - self.target), float(threshold)))
            low, high = (float(threshold), high) if skipped < self.target else (low, float(threshold))
            ends = (max(low, float(predictions.min()) - 1e-3), min(high, float(predictions.max()) + 1e-3))
            self._set(threshold.new_tensor(sum(ends) / 2))
        self._set(threshold.new_tensor(best[1]))
        self._watch(False)
        self.network.train(training)

    @torch.no_grad()
    def _move(self, share: float) -> None:
        """Move the threshold towards the prediction below which blocks of that share of the work lie."""
        predictions, work = self._seen(_LOOKED_AT)
        predictions, order = predictions.sort()
        below = work[order].cumsum(0)
        place = int(torch.searchsorted(below, share * below[-1]))
        new, old = predictions[min(place, len(predictions) - 1)], self.layers[0][1].threshold
        self._set(new if math.isinf(old.item()) else old.lerp(new, _MOMENTUM))

    def _seen(self, images: int) -> tuple[Tensor, Tensor]:
        """The predictions for all blocks of so many images of each step that was watched, and the operations that a
        block takes; forgets them."""
        predictions, work = [], []
        for stage, skipping in self.layers:
            opened = len(stage.synapse.weight) if stage.gate is None else int(stage.gate.opened().sum())
            for step in skipping.seen:
                part = step.logits.detach()[:images]
                sizes = block_sizes(opened, part.shape[1:]).to(part.device) * skipping.inputs
                predictions.append(part.flatten())
                work.append(sizes.expand_as(part).flatten().double())
            skipping.seen.clear()
        return torch.cat(predictions), torch.cat(work)

    def _set(self, threshold: Tensor) -> None:
        for _, skipping in self.layers:
            skipping.threshold.copy_(threshold)

    def _watch(self, watching: bool) -> None:
        for _, skipping in self.layers:
            skipping.watching = watching
