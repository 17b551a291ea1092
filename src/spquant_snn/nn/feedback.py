"""Recurrent connections: spikes that return to an earlier layer, or to their own, one time step later."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .instant import each_step, earlier_spikes, fed_back
from .layers import knows_time
from .recurrence import check_sequence


class Feedback(nn.Module):
    """A recurrent connection: ``y_t = body(x_t + layer(y_(t-1)))``, with no spikes before the first step.

    Args:
        body: the module inside the loop, for one time step; it ends with a LIF layer, and often is that layer alone.
        layer: what the spikes pass on the way back: Linear, a convolution, ``OneToOne``, Identity, or a sequence of
            these and batch normalisation.

    Shape:
        input [T, N, ...], time first; output [T, N, ...] of spikes.

    Raises:
        DataError: in ``forward``, the input has no time step or is not floating point.
        ModelError: in ``forward``, body or layer cannot be traced, or their shapes do not fit together.

    Example:
        >>> recurrent = Feedback(LIF(), torch.nn.Linear(3, 3))
        >>> recurrent(torch.ones(4, 2, 3)).shape
        torch.Size([4, 2, 3])
    """

    def __init__(self, body: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.body, self.layer = body, layer

    def forward(self, x: Tensor) -> Tensor:
        check_sequence("Feedback", x)
        return torch.stack(list(each_step(self, x)))

    def instant(self, x: Tensor) -> Tensor:
        """One time step, while it is traced: how ``prepare`` reads it."""
        earlier = earlier_spikes(x, self.body)
        current = x + self.layer(earlier)
        spikes: Tensor = fed_back(self.body.instant(current) if knows_time(self.body) else self.body(current), earlier)
        return spikes
