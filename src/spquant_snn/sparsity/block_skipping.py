"""Gates in space: which blocks of a layer's neurons are computed in a step, learned, and an integer rule at the end.

SpQuant-SNN takes the membrane potential as the prior of what will fire. Here a block, up to 32 neighbouring channels at
one place (see ``BlockGate``), has a predictor of the share r of its neurons that respond in a step: that fire, or come
to hold a higher code above zero than they did, which a later step may need to fire.

    logit r = count * n / N + code * m / M + bias

of the number n of its inputs that are not zero and the sum m of its stored codes, which are known before anything is
computed; N and M are the largest that they can be. It is a logistic regression on what the neurons truly do, or would
do if they were not skipped, and its gradient reaches nothing else. A block is computed where the prediction reaches a
threshold that is one for the whole network, so that the blocks which promise the least are the ones that are skipped.

What decides, in training too, are integers: the three numbers in units of 2^-k and the threshold rounded up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from ..integer.graph import BLOCK, BlockGate, blocks_of
from ..integer.grids import FLOAT, STATE_GRIDS
from ..nn.recurrence import Skip
from ..nn.sequence_ends import SequenceEnds
from ..quant.network import SpikingNetwork
from ..quant.stage import Skipping, Stage

_BITS = 10  # of the largest integer of a rule
_INT32 = (1 << 31) - 1


@dataclass(frozen=True)
class Seen:
    """What a predictor met in one step of a batch.

    Args:
        logits: [N, B, ...] predictions, with a gradient, for the sequences that have not ended.
        responses: [N, B, ...] share of each block's neurons that responded, or would have.
    """

    logits: Tensor
    responses: Tensor


class BlockSkipping(Skipping):
    """The predictors of one layer.

    Args:
        channels: of the layer.
        inputs: the most inputs that the sums of one place look at.
        largest: absolute value of a stored code.

    Attributes:
        threshold: prediction from which on a block is computed, minus infinity where all are.
        frozen: whether nothing is learned any more.
        watching: whether steps are kept in ``seen``.
    """

    threshold: Tensor
    frozen: Tensor

    def __init__(self, channels: int, inputs: int, largest: int) -> None:
        super().__init__()
        self.inputs, self.codes = inputs, BLOCK * largest
        self.weights = nn.Parameter(
            torch.tensor([[1.0], [1.0], [-2.0]], dtype=torch.float32).repeat(1, blocks_of(channels))
        )  # [3, B]
        self.register_buffer("threshold", torch.tensor(-math.inf, dtype=torch.float32))
        self.register_buffer("frozen", torch.tensor(False))
        self.watching = False
        self.seen: list[Seen] = []

    def over(self, active: Tensor, opened: Tensor | None, ends: SequenceEnds | None = None) -> Skip | None:
        if not self.watching and not bool(self.threshold.isfinite()):
            return None
        return _Decisions(self, active, opened, ends)

    def rule(self, channels: int) -> BlockGate | None:
        if not bool(self.threshold.isfinite()):
            return None
        count, code, least = (x[: blocks_of(channels)].cpu().numpy().astype(np.int32) for x in self.integers())
        return BlockGate(count, code, least)

    @torch.no_grad()
    def integers(self) -> tuple[Tensor, Tensor, Tensor]:
        """count, code and least, [B] int64 each."""
        count, code, bias = self.weights.double()
        count, code = count / self.inputs, code / self.codes
        unit = torch.ldexp(torch.ones_like(count), _BITS - torch.frexp(torch.maximum(count.abs(), code.abs()))[1])
        least = torch.ceil((self.threshold.double() - bias) * unit).clamp(-_INT32, _INT32)
        whole = [torch.floor(x * unit + 0.5) for x in (count, code)]
        return whole[0].long(), whole[1].long(), least.long()

    def keep(self, channels: int) -> None:
        """Let go of what blocks beyond so many channels had."""
        self.weights = nn.Parameter(self.weights.detach()[:, : blocks_of(channels)].clone())

    def extra_repr(self) -> str:
        return f"{self.weights.shape[1]} blocks, threshold {self.threshold.item():.3g}"


class _Decisions:
    """The decisions over one sequence."""

    def __init__(
        self, skipping: BlockSkipping, active: Tensor, opened: Tensor | None, ends: SequenceEnds | None
    ) -> None:
        self.skipping, self.active, self.opened, self.ends = skipping, active, opened, ends
        self.integers = skipping.integers() if bool(skipping.threshold.isfinite()) else None

    def __call__(self, t: int, codes: Tensor | None, fired: Tensor, after: Tensor | None) -> Tensor:
        active, channels = self.active[t], fired.shape[1]
        m = None if codes is None else _by_block(codes, self.opened)
        if self.skipping.watching:
            self._watch(t, active, m, _responses(codes, fired, after))
        if self.integers is None:
            return torch.ones_like(fired)
        shape = (-1, *[1] * (fired.dim() - 2))
        count, code, least = (x.view(shape) for x in self.integers)
        score = count * active.long()
        if m is not None:
            score = score + code * m.long()
        return _by_channel(score >= least, channels, self.opened)

    def _watch(self, t: int, active: Tensor, m: Tensor | None, responses: Tensor) -> None:
        if self.ends is not None:  # sequences that go on
            active, responses = (self.ends.packed_step(x, t) for x in (active, responses))
            m = None if m is None else self.ends.packed_step(m, t)
        share = _by_block(responses.float(), self.opened)
        shape = (-1, *[1] * (responses.dim() - 2))
        channels = responses.shape[1] if self.opened is None else int(self.opened.sum())
        skipping = self.skipping
        with torch.enable_grad(), torch.autocast(responses.device.type, enabled=False):
            count, code, bias = (x[: share.shape[1]].view(shape) for x in skipping.weights)
            logits = count * (active / skipping.inputs) + bias
            if m is not None:
                logits = logits + code * (m.float() / skipping.codes)
        skipping.seen.append(Seen(logits, share / block_sizes(channels, share.shape[1:]).to(share.device)))


def insert_skipping(network: SpikingNetwork) -> list[str]:
    """Add block predictors to the layers of a network whose blocks may be skipped: convolutions without groups, but for
    the first layer.

    Returns:
        The names of these layers.

    Raises:
        ModelError: there is no such layer, or the state is floating point.
    """
    bits = network.config.state_bits
    if bits == FLOAT:
        raise ModelError("blocks are skipped by their stored codes: target_skip needs a state of 1.58 to 8 bits")
    grid, names = STATE_GRIDS[float(bits)], []
    for stage in network.in_a_row("target_skip")[1:-1]:
        synapse = stage.synapse
        if not synapse.convolves or synapse.groups > 1 or synapse.dilation != (1, 1):
            continue
        height, width = synapse.field
        inputs = int(synapse.weight.shape[1]) * height * width
        stage.skipping = BlockSkipping(len(synapse.weight), inputs, max(-grid.low, grid.high)).to(synapse.weight.device)
        names.append(stage.name)
    if not names:
        raise ModelError("target_skip needs a convolution without groups behind the first layer, and there is none")
    return names


def skipping_stages(network: SpikingNetwork) -> list[tuple[Stage, BlockSkipping]]:
    """The layers with predictors."""
    return [
        (stage, stage.skipping)
        for stage in network.hidden
        if isinstance(stage, Stage) and isinstance(stage.skipping, BlockSkipping)
    ]


def prediction_loss(seen: list[Seen]) -> Tensor:
    """Mean binary cross-entropy of predictions and responses."""
    losses = [F.binary_cross_entropy_with_logits(step.logits, step.responses) for step in seen]
    return torch.stack(losses).mean()


def _responses(before: Tensor | None, fired: Tensor, after: Tensor | None) -> Tensor:
    """[N, C, ...] bool, which neurons fired or hold a higher code above zero."""
    if after is None:
        return fired
    return fired | (after > (0 if before is None else before.clamp(min=0)))


def block_sizes(channels: int, shape: tuple[int, ...]) -> Tensor:
    """[B, 1, ...] how many of the kept channels are in each of the blocks [B, ...]."""
    sizes = torch.full((shape[0], *[1] * (len(shape) - 1)), float(BLOCK), dtype=torch.float32)
    sizes[-1] = channels - BLOCK * (shape[0] - 1)
    return sizes


def _by_block(x: Tensor, opened: Tensor | None) -> Tensor:
    """Sums [N, B, ...] over the blocks of kept channels of [N, C, ...]."""
    x = x if opened is None or bool(opened.all()) else x[:, opened]
    missing = blocks_of(x.shape[1]) * BLOCK - x.shape[1]
    if missing:
        x = torch.cat([x, x.new_zeros(len(x), missing, *x.shape[2:])], 1)
    summed: Tensor = x.reshape(len(x), -1, BLOCK, *x.shape[2:]).sum(2)
    return summed


def _by_channel(blocks: Tensor, channels: int, opened: Tensor | None) -> Tensor:
    """[N, C, ...] what is said of the block of each channel; of pruned ones, of any."""
    place = torch.arange(channels, device=blocks.device) // BLOCK
    if opened is not None:
        place = (opened.long().cumsum(0) - 1).clamp(min=0) // BLOCK
    return blocks[:, place]
