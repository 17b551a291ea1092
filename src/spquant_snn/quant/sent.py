"""What inputs and layers have sent in a pass through a network, for later layers to look at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..integer.connection import Shape
from ..nn.sequence_ends import SequenceEnds
from .stage import Look, NeuronStage


class Sent:
    """Spikes and pixels of a pass, over all time steps, or, of layers in a loop, up to the one that is computed.

    Args:
        given: for each input [N, ...], which stands still, or [T, N, ...].
        shapes: of all sources, the inputs first.
        stages: that will look at them, in order; what none of the later ones looks at is forgotten.
        steps: of the pass.
        ends: of sequences of several lengths; None: all have as many frames as there are steps.
    """

    def __init__(
        self,
        given: Sequence[Tensor],
        shapes: Sequence[Shape],
        stages: Sequence[NeuronStage],
        steps: int,
        ends: SequenceEnds | None = None,
    ) -> None:
        self.steps, self.ends = steps, ends
        self._shapes = shapes
        self._still = {i: x for i, x in enumerate(given) if x.dim() == len(shapes[i]) + 1}
        self._over_time = {i: x for i, x in enumerate(given) if i not in self._still}
        self._by_step: dict[int, list[Tensor]] = {}
        self._last = {source: i for i, stage in enumerate(stages) for source, _ in stage.sources}
        self._like = given[0]

    def put(self, source: int, spikes: Tensor) -> None:
        """Record the spikes of a layer, [T, N, ...]."""
        self._over_time[source] = spikes

    def put_step(self, source: int, spikes: Tensor) -> None:
        """Record the spikes of a layer in a loop at one more step, [N, ...]."""
        self._by_step.setdefault(source, []).append(spikes)

    def close(self, source: int) -> Tensor:
        """Join the recorded steps of a layer in a loop; returns its spikes [T, N, ...]."""
        self._over_time[source] = torch.stack(self._by_step.pop(source))
        return self._over_time[source]

    def forget(self, stage: int) -> None:
        """Drop the spikes that no stage after this one looks at."""
        for source in [source for source in self._over_time if self._last.get(source, -1) <= stage]:
            if source in self._last:
                del self._over_time[source]

    def stands_still(self, stage: NeuronStage) -> bool:
        """Whether all sources of a stage are the same at every step."""
        return all(source in self._still and not delay for source, delay in stage.sources)

    def raw(self, source: int) -> Tensor:
        """A source over time, [T, N, ...], or [N, ...] of a still input."""
        return self._still[source] if source in self._still else self._over_time[source]

    def joined(self, x: Tensor) -> Tensor:
        """[T, N, ...] as one batch: [T * N, ...], without what lies behind the ends of sequences."""
        return x.flatten(0, 1) if self.ends is None else self.ends.packed(x.flatten(0, 1))

    def parted(self, x: Tensor) -> Tensor:
        """The same back: [T, N, ...], zeros behind the ends."""
        return torch.unflatten(x, 0, (self.steps, -1)) if self.ends is None else self.ends.unpacked(x)

    def whole(self, static: bool) -> Look:
        """All steps as one batch, as ``joined`` makes them; or, where all stands still, one of them."""

        def look(source: int, delay: int) -> Tensor:
            if static:
                return self._still[source]
            x = self.raw(source)
            x = x.expand(self.steps, *x.shape) if source in self._still else x
            if delay:
                x = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
            return self.joined(x)

        return look

    def at(self, t: int) -> Look:
        """The sources at step t, [N, ...] each; with sequences of several lengths, only those that have not ended."""

        def look(source: int, delay: int) -> Tensor:
            x = step(source, delay)
            return x if self.ends is None else self.ends.packed_step(x, t)

        def step(source: int, delay: int) -> Tensor:
            if t < delay:
                return self._like.new_zeros(self._count, *self._shapes[source])
            if source in self._still:
                return self._still[source]
            steps = self._by_step[source] if source in self._by_step else self._over_time[source]
            return steps[t - delay]

        return look

    @property
    def _count(self) -> int:
        first = next(iter(self._still.values())) if self._still else next(iter(self._over_time.values()))[0]
        return len(first)


def loops_of(stages: Sequence[NeuronStage], first: int) -> list[range]:
    """The layers of neurons in groups, in order: those of a group are computed step by step, all together, since one of
    them looks at what a later one, or itself, sent one step ago. A group of one that does not is no loop.

    Args:
        first: how many inputs the network has.
    """
    groups: list[range] = []
    for i, stage in enumerate(stages):
        last = max((source - first for source, _ in stage.sources), default=i)
        group = range(i, max(i, last) + 1)
        while groups and groups[-1].stop > i:
            before = groups.pop()
            group = range(before.start, max(before.stop, group.stop))
        groups.append(group)
    return groups


def is_loop(group: range, stages: Sequence[NeuronStage], first: int) -> bool:
    """Whether a group is computed step by step."""
    return len(group) > 1 or any(source == first + group.start for source, _ in stages[group.start].sources)
