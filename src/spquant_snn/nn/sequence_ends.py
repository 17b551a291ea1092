"""Sequences of several lengths in one batch of training: frames behind the end of one are never computed.

The frames that there are stand in one row, sequence beside sequence and step behind step, so that no sum, no dropout
and no statistic of batch normalisation sees what fills a batch up. Only neurons run over all steps of all: what they do
behind the end of a sequence is looked at by nobody, since nothing looks ahead in time.
"""

from __future__ import annotations

import torch
from torch import Tensor


class SequenceEnds:
    """Where the sequences of a batch end.

    Args:
        lengths: int64 [N], frames of each, 1 to ``steps``.
        steps: T of the batch.
        device: of what is computed.
    """

    def __init__(self, lengths: Tensor, steps: int, device: torch.device) -> None:
        self._lengths = lengths.to("cpu")
        inside = torch.arange(steps)[:, None] < self._lengths  # [T, N]
        self._shape = (steps, len(lengths))
        self._rows = inside.flatten().nonzero().squeeze(1).to(device)
        self._of_step = [row.nonzero().squeeze(1).to(device) for row in inside]

    def packed(self, x: Tensor) -> Tensor:
        """The frames that there are, [V, ...], of [T * N, ...]."""
        return x.index_select(0, self._rows)

    def unpacked(self, x: Tensor) -> Tensor:
        """[T, N, ...] of the frames that there are, [V, ...]; zeros behind the ends."""
        found = x.new_zeros(self._shape[0] * self._shape[1], *x.shape[1:]).index_copy(0, self._rows, x)
        return torch.unflatten(found, 0, self._shape)

    def alone_at(self, t: int) -> bool:
        """Whether one sequence alone goes on at a step."""
        return len(self._of_step[t]) == 1

    def packed_step(self, x: Tensor, t: int) -> Tensor:
        """Those of the sequences that go on at a step, of [N, ...]."""
        return x if len(self._of_step[t]) == len(x) else x.index_select(0, self._of_step[t])

    def unpacked_step(self, x: Tensor, t: int) -> Tensor:
        """[N, ...] of those that go on at a step; zeros for those that have ended."""
        if len(x) == self._shape[1]:
            return x
        return x.new_zeros(self._shape[1], *x.shape[1:]).index_copy(0, self._of_step[t], x)


def of_each_length(lengths: Tensor) -> list[tuple[int, Tensor]]:
    """The lengths of sequences, the shortest first, and the places of those of each."""
    return [(steps, (lengths == steps).nonzero().squeeze(1)) for steps in sorted(set(lengths.tolist()))]


def mean_over_time(said: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean of what is said at each step, [T, N, ...], of each over its own steps."""
    if lengths is None:
        return said.mean(0)
    return behind_ends(said, lengths, 0.0).sum(0) / _along(lengths, said).to(said.dtype)


def last_of(said: Tensor, lengths: Tensor | None) -> Tensor:
    """What is said at the last step of each."""
    if lengths is None:
        return said[-1]
    return said[lengths.to(said.device) - 1, torch.arange(said.shape[1], device=said.device)]


def behind_ends(said: Tensor, lengths: Tensor, value: float) -> Tensor:
    """[T, N, ...] with a value in place of what stands behind the ends."""
    steps = torch.arange(len(said), device=said.device).view(-1, *[1] * (said.dim() - 1))
    return said.masked_fill(steps >= _along(lengths, said), value)


def _along(lengths: Tensor, said: Tensor) -> Tensor:
    return lengths.to(said.device).view(-1, *[1] * (said.dim() - 2))
