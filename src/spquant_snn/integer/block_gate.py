"""Blocks of neurons that are skipped by an integer rule: the deployed form of the gates that are trained in space.

A block is up to 32 neighbouring channels at one place of a layer. Before a step it is computed only if

    count * n + code * m >= least

where n is the number of inputs behind the pools that are not zero among all that the block's sums look at, and m is the
sum of its stored codes: what fires next is told by what came before and by how much comes in. A block that is not
computed does nothing in that step: it does not leak, integrate or fire, and what it stores stays. Torch is not needed
here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # channels


@dataclass(frozen=True, eq=False)
class BlockGate:
    """The rule of a layer of B blocks: channels 32 b .. 32 b + 31 at each place are block b."""

    count: NDArray[np.int32]  # [B]
    code: NDArray[np.int32]  # [B]
    least: NDArray[np.int32]  # [B]


def blocks_of(channels: int) -> int:
    """Blocks at one place."""
    return -(-channels // BLOCK)
