"""Leaky integrators: neurons that never fire, whose membrane potential is the output, as for regression."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .recurrence import check_sequence
from .sequence_ends import behind_ends, last_of, mean_over_time

Answer = Literal["last", "largest", "mean"]


class LeakyIntegrator(nn.Module):
    """A last layer of neurons without a threshold: the output at step t is ``m_t = leak * m_(t-1) + x_t``.

    Args:
        leak: the factor by which the potential decays in a step, 0 to 1: 1 sums over time, 0 keeps nothing.
        over_time: what a prepared network that ends with this layer answers: m at the "last" step, its "largest" value
            over time, or its "mean".

    Shape:
        input [T, N, ...], time first; output the same.

    Raises:
        ConfigError: an argument has a value that it cannot have.
        DataError: in ``forward``, the input has no time step or is not floating point.

    Example:
        >>> LeakyIntegrator(leak=0.5)(torch.ones(3, 1, 2))[:, 0, 0].tolist()
        [1.0, 1.5, 1.75]
    """

    def __init__(self, leak: float = 0.9, over_time: Answer = "last") -> None:
        super().__init__()
        if isinstance(leak, bool) or not isinstance(leak, int | float) or not 0 <= leak <= 1:
            raise ConfigError(f"leak must be a number from 0 to 1, not {leak!r}")
        if over_time not in ("last", "largest", "mean"):
            raise ConfigError(f"over_time must be 'last', 'largest' or 'mean', not {over_time!r}")
        self.leak, self.over_time = float(leak), over_time

    def forward(self, x: Tensor) -> Tensor:
        check_sequence("LeakyIntegrator", x)
        kept, said = torch.zeros_like(x[0]), []
        for current in x:
            kept = self.leak * kept + current
            said.append(kept)
        return torch.stack(said)

    def answer(self, said: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answer [N, ...] from the outputs of all steps, [T, N, ...], as ``over_time`` says.

        Args:
            lengths: [N], steps of each sequence, behind which nothing is looked at; None: all have T.
        """
        if self.over_time == "largest":
            return (said if lengths is None else behind_ends(said, lengths, float("-inf"))).amax(0)
        return mean_over_time(said, lengths) if self.over_time == "mean" else last_of(said, lengths)

    def extra_repr(self) -> str:
        return f"leak={self.leak:g}, over_time={self.over_time!r}"
