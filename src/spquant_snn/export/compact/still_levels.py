"""What a neuron does with one and the same sum in every step: levels that the sum reaches, each with its spikes.

With the input still, the sums of a first layer are the same in every step, so that a neuron's spikes are a function of
one integer, constant between a few of its values, whatever the state's bits and the reset are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...dtypes import Int64
from ...integer.neuron import Neuron, TableStore

_MOST_EDGES = 1 << 12


@dataclass(frozen=True, eq=False)
class StillLevels:
    """Levels of a layer's sums.

    Args:
        reached: [C, levels] the least sum of each; they do not fall. What no sum reaches is the largest sum plus one.
        spikes: of each level, bit t for step t, the same for all channels.
    """

    reached: Int64
    spikes: tuple[int, ...]

    @property
    def toggles(self) -> list[int]:
        """The steps whose spikes differ from those of the level below."""
        return [here ^ below for here, below in zip(self.spikes, (0, *self.spikes), strict=False)]


def still_levels(neuron: Neuron, low: Int64, high: Int64, steps: int) -> StillLevels:
    """The levels of neurons without a synaptic current whose sums lie between ``low`` and ``high`` [C]."""
    channels = [_intervals(neuron, c, int(low[c]), int(high[c]), steps) for c in range(len(low))]
    order: list[int] = []
    for found in channels:
        order = _merged(order, [spikes for _, spikes in found if spikes or found[0][1]])
    order = order or [0]  # none ever spikes
    rows = [_starts(order, found, int(most) + 1) for found, most in zip(channels, high, strict=True)]
    return StillLevels(np.array(rows, np.int64).reshape(len(rows), len(order)), tuple(order))


def _intervals(neuron: Neuron, channel: int, low: int, high: int, steps: int) -> list[tuple[int, int]]:
    """Where spikes change: the least sum of each interval, and its spikes."""
    edges, fire, drop = _edges(neuron, channel), int(neuron.fire[channel]), int(neuron.drop[channel])
    parts = [(low, _remainder(neuron, channel, 0), 0)]  # from which sum on, what is left of the last step, spikes
    for t in range(steps):
        found: list[tuple[int, int, int]] = []
        for (start, left, spikes), end in zip(parts, [*(part[0] for part in parts[1:]), high + 1], strict=True):
            bounds = {fire, *edges, *((edge + drop for edge in edges) if neuron.reset == "subtract" else ())}
            cuts = {-((left - bound) // (1 << neuron.fraction)) for bound in bounds}
            for at in sorted({start, *(cut for cut in cuts if start < cut < end)}):
                potential = (at << neuron.fraction) + left
                fired = potential >= fire
                code = bisect_right(edges, potential - drop if fired else potential) + neuron.low
                kept = _remainder(neuron, channel, 0 if fired and neuron.reset == "zero" else code)
                new = (at, kept, spikes | fired << t)
                if not found or found[-1][1:] != new[1:]:
                    found.append(new)
        parts = found
    changes = [part for i, part in enumerate(parts) if i == 0 or parts[i - 1][2] != part[2]]
    return [(start, spikes) for start, _, spikes in changes]


def _edges(neuron: Neuron, channel: int) -> list[int]:
    """The least potential of each code but the lowest."""
    store = neuron.store
    if isinstance(store, TableStore):
        return sorted(int(edge) for edge in store.edges[:, channel])
    gain, offset = int(store.gain[channel]), int(store.offset[channel])
    codes = range(neuron.low + 1, neuron.high + 1)
    if gain == 0:
        code = offset >> store.shift
        return [-_FAR if code >= other else _FAR for other in codes]
    return [-((offset - (code << store.shift)) // gain) for code in codes]


_FAR = 1 << 40  # beyond any potential


def _remainder(neuron: Neuron, channel: int, code: int) -> int:
    store = neuron.store
    if isinstance(store, TableStore):
        return int(store.decay[code - neuron.low, channel])
    half = (1 << store.decay_shift) >> 1
    return (code * int(store.decay[channel]) + half) >> store.decay_shift


def _merged(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """The shortest sequence that holds both, in their order."""
    lengths = np.zeros((len(first) + 1, len(second) + 1), int)
    for i in reversed(range(len(first) + 1)):
        for j in reversed(range(len(second) + 1)):
            if i == len(first) or j == len(second):
                lengths[i, j] = len(first) - i + len(second) - j
            elif first[i] == second[j]:
                lengths[i, j] = 1 + lengths[i + 1, j + 1]
            else:
                lengths[i, j] = 1 + min(lengths[i + 1, j], lengths[i, j + 1])
    found, i, j = list[int](), 0, 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            found.append(first[i])
            i, j = i + 1, j + 1
        elif lengths[i + 1, j] <= lengths[i, j + 1]:
            found.append(first[i])
            i += 1
        else:
            found.append(second[j])
            j += 1
    return [*found, *first[i:], *second[j:]]


def _starts(order: Sequence[int], found: Sequence[tuple[int, int]], never: int) -> list[int]:
    """Where each level of ``order`` starts for a channel that goes through those it has."""
    own = [item for item in found if item[1] or found[0][1]]
    starts, i = list[int](), 0
    for spikes in order:
        starts.append(own[i][0] if i < len(own) else never)
        if i < len(own) and own[i][1] == spikes:
            i += 1
    assert i == len(own)
    return starts
