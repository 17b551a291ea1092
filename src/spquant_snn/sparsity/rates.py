"""Spike rates held down by the loss: a rate that no layer should exceed, or a number of operations for all of them.

Both are squares of an excess, zero below their target, and pass their gradient to the spikes, as in Zenke and Vogels
(2021, doi 10.1162/neco_a_01367). They are relative to the target, so that one weight suits any target.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def rate_penalty(rates: Sequence[Tensor], target: float) -> Tensor:
    """Mean over the layers of the squared relative excess of a rate over the target.

    Args:
        rates: spikes per neuron and time step of each layer, with a gradient.
        target: the rate up to which nothing is lost, above 0.
    """
    return torch.relu(torch.stack(list(rates)) / target - 1).square().mean()


def synops_penalty(counts: Sequence[Tensor], target: float) -> Tensor:
    """Squared logarithm of the ratio of all layers' synaptic operations to the target, where it is above 1.

    Args:
        counts: operations of each layer for one image, with a gradient.
        target: operations for one image, above 0.
    """
    return torch.relu(torch.log(torch.stack(list(counts)).sum() / target + 1e-9)).square()
