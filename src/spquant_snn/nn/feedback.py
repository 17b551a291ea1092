"""Spikes that come back one time step later: recurrent layers, and feedback from later layers to earlier ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .instant import each_step, earlier_spikes, fed_back
from .layers import knows_time


class Feedback(nn.Module):
    """``y_t = body(x_t + layer(y_(t-1)))``: what ``body`` gives comes back to its input one time step later.

    Args:
        body: a module of one time step that ends with a LIF layer, as a rule that layer alone.
        layer: what the spikes pass on their way back: Linear, a convolution, ``OneToOne``, Identity, or a row of them
            and batch normalisation.

    Shape:
        input [T, N, ...], time first; output [T, N, ...] of spikes. Before the first step there are none.

    Example:
        >>> recurrent = Feedback(LIF(), torch.nn.Linear(3, 3))
        >>> recurrent(torch.ones(4, 2, 3)).shape
        torch.Size([4, 2, 3])
    """

    def __init__(self, body: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.body, self.layer = body, layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(list(each_step(self, x)))

    def instant(self, x: Tensor) -> Tensor:
        """One time step, in a graph: how ``prepare`` reads it."""
        earlier = earlier_spikes(x, self.body)
        current = x + self.layer(earlier)
        spikes: Tensor = fed_back(self.body.instant(current) if knows_time(self.body) else self.body(current), earlier)
        return spikes
