"""A pass through a network in training form: spikes of all layers of neurons over time.

Layer by layer, each over all time steps; step by step only within loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from ..nn.lif import LIF
from ..nn.recurrence import Skip
from .recompute import recomputed
from .sent import Sent, is_loop, loops_of
from .stage import NeuronStage, Norm, Stage

# Of a layer: its name, its spikes and the codes that its neurons store, both [T, N, ...].
Probe = Callable[[str, Tensor, Tensor], None]
# Of a layer: its index, and its spikes [T, N, ...], which carry a gradient.
Watch = Callable[[int, Tensor], None]


def drive_over_time(stage: NeuronStage, sent: Sent, static_input: bool = False) -> Tensor:
    """The currents of a stage at all time steps, [T, N, ...], or [N, ...] where they are the same at each."""
    current = stage.current_of(sent.whole(static_input))
    return current if static_input else sent.parted(current)


@dataclass(frozen=True)
class TrainingPass:
    """A pass.

    Args:
        stages: with neurons.
        first: how many inputs the network has.
        training: whether parameters are learned.
        recompute: compute layers again in the backward pass, where that can be.
        probe, watch: called for each layer.
    """

    stages: Sequence[NeuronStage]
    first: int
    training: bool
    recompute: bool
    probe: Probe | None
    watch: Watch | None

    def run(self, sent: Sent) -> None:
        """Compute all layers of neurons and add their spikes to ``sent``."""
        whole = True  # gates that are being learned make fractions of spikes
        for group in loops_of(self.stages, self.first):
            self.run_group(group, sent, whole)
            for i in group:
                whole = self.stages[i].gate is None or not self.training
                if self.watch is not None:
                    spikes = sent.raw(self.first + i)  # all that there are count the same
                    self.watch(i, spikes if sent.ends is None else sent.joined(spikes)[None])
                sent.forget(i)

    def run_group(self, group: range, sent: Sent, whole: bool = True) -> None:
        """A layer, or those of a loop; ``whole``: all inputs are whole numbers."""
        if is_loop(group, self.stages, self.first):
            self._run_loop(group, sent)
        else:
            self._run_stage(group.start, sent, whole)

    def _run_stage(self, index: int, sent: Sent, whole: bool) -> None:
        """A layer over all time; ``whole``: all inputs are whole numbers."""
        stage, static_input = self.stages[index], sent.stands_still(self.stages[index])
        if not isinstance(stage, Stage):
            spikes = self._fired(stage, drive_over_time(stage, sent, static_input), sent.steps, static_input, None)
        else:
            run = partial(self._spikes, stage, sent=sent, static_input=static_input, whole=whole)
            h = sent.raw(stage.source)
            beside = None if stage.shortcut is None else sent.joined(sent.raw(stage.first + stage.shortcut.source))
            # What is skipped is decided by a threshold that may have moved before the backward pass.
            again = self.recompute and self.probe is None and stage.skipping is None
            spikes = recomputed(run, stage, h, beside) if again else run(h, beside)
        sent.put(self.first + index, spikes)

    def _run_loop(self, group: range, sent: Sent) -> None:
        """Layers that look at one another's past, step by step."""
        stages = [self.stages[i] for i in group]
        states: list[Any] = [None] * len(stages)
        stored: list[list[Tensor]] = [[] for _ in stages]
        for t in range(sent.steps):
            for k, stage in enumerate(stages):
                lif = cast(LIF, stage.lif)
                current = _current_at(stage, sent, t)
                state = lif.initial_state(current) if t == 0 else states[k]
                spikes, states[k] = lif.step(current, state)
                sent.put_step(self.first + group.start + k, spikes)
                if self.probe is not None:
                    stored[k].append(lif.codes(states[k]))
        for k, stage in enumerate(stages):
            spikes = sent.close(self.first + group.start + k)
            if self.probe is not None:
                self.probe(stage.name, spikes, torch.stack(stored[k]))

    def _spikes(
        self, stage: Stage, h: Tensor, source: Tensor | None, sent: Sent, static_input: bool, whole: bool
    ) -> Tensor:
        steps = sent.steps
        if self.probe is None and sent.ends is None:
            low = self.watch is None and stage.gate is None  # spikes may take the type of autocast
            fired = stage.fire(h if static_input else h.flatten(0, 1), steps, static_input, whole, low)
            if fired is not None:
                return fired if stage.gate is None else cast(Tensor, stage.gate(fired))
        current = stage.current(h) if static_input else sent.parted(stage.current(sent.joined(h), source))
        return self._fired(stage, current, steps, static_input, None if static_input else stage.skip(h, sent.ends))

    def _fired(self, stage: NeuronStage, current: Tensor, steps: int, static_input: bool, skip: Skip | None) -> Tensor:
        """Spikes [T, N, ...] of a layer under these currents."""
        lif = cast(LIF, stage.lif)
        if self.probe is None:
            spikes = lif.forward_static(current, steps) if static_input else cast(Tensor, lif(current, skip))
            return spikes if stage.gate is None else cast(Tensor, stage.gate(spikes))
        drives = [current] * steps if static_input else list(current)
        state = lif.initial_state(drives[0])
        history = []
        for t, drive in enumerate(drives):
            spikes, state = lif.step(drive, state, None if skip is None else partial(_at, skip, t))
            history.append((spikes, lif.codes(state)))
        fired, codes = (torch.stack(h) for h in zip(*history, strict=True))
        if stage.gate is not None:
            fired = stage.gate(fired)
        self.probe(stage.name, fired, codes)
        return fired


def _current_at(stage: NeuronStage, sent: Sent, t: int) -> Tensor:
    """What reaches a stage of a loop at one step, [N, ...]."""
    if sent.ends is None:
        return stage.current_of(sent.at(t))
    with _statistics_kept(stage, sent.ends.alone_at(t)):
        return sent.ends.unpacked_step(stage.current_of(sent.at(t)), t)


@contextmanager
def _statistics_kept(stage: NeuronStage, kept: bool) -> Iterator[None]:
    """Within it a stage normalises by its running statistics: a sequence that goes on alone has none of its own."""
    norms = [module for module in stage.modules() if kept and isinstance(module, Norm) and module.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def _at(skip: Skip, t: int, step: int, codes: Tensor | None, fired: Tensor, after: Tensor | None) -> Tensor:
    """The decision at step t of a sequence, for a recurrence that takes it as its only one."""
    return skip(t + step, codes, fired, after)
