"""How sparse a training should make its network; torch is not needed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ChannelChoice = Literal["learned", "random", "magnitude"]


@dataclass(frozen=True)
class Goals:
    """What is wanted.

    Args:
        ops: share of the operations that pruned channels leave; 1 prunes none.
        rate: spikes per neuron and step that no layer should exceed; 1 regulates nothing.
        synops: synaptic operations for one image, those on pixels left out, that should not be exceeded; 0 regulates
            nothing.
        skip: share of the operations of convolutions on spikes that skipped blocks leave out; 0 skips none.
        weight: of the two penalties on rates in the loss.
        choice: who decides which channels are pruned; see ``choices``.
        seed: of channels drawn at random.
    """

    ops: float = 1.0
    rate: float = 1.0
    synops: float = 0.0
    skip: float = 0.0
    weight: float = 1.0
    choice: ChannelChoice = "learned"
    seed: int = 0

    @property
    def any(self) -> bool:
        return self.ops < 1 or self.rate < 1 or self.synops > 0 or self.skip > 0
