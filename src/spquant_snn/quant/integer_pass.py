"""A pass through a frozen network: integer spikes of all layers over time and the outputs of its readouts, with the
gradient of the training form during fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ..integer.graph import Input, Readout, Term, largest_of
from ..nn.lif import LIF
from .fold import Folded
from .freeze import IntegerSteps, integer_unroll, with_gradient
from .sent import Sent, is_loop, loops_of
from .stage import Look, NeuronStage, Stage
from .torch_terms import integrated, weighed
from .training_pass import Probe, Watch, drive_over_time


def summed(terms: tuple[Term, ...], look: Look, given: Sequence[Input]) -> Tensor:
    """Integer sums of terms, int32 [N, ...], in the shape of the first; ``given`` are the inputs of the network."""
    total: Tensor | None = None
    for term in terms:
        sums = weighed(term, look(term.source, term.delay).detach(), *largest_of(given, term.source))
        total = sums if total is None else total + sums.reshape(total.shape)
    assert total is not None
    return total


def integer_outputs(readout: Readout, sent: Sent, given: Sequence[Input]) -> Tensor:
    """The integrated value of a readout after each step, int64 [T, N, ...]; where it sums all steps, the contribution
    of each."""
    sums = torch.unflatten(summed(readout.terms, sent.whole(False), given).long(), 0, (sent.steps, -1))
    bias = torch.from_numpy(readout.bias).to(sums.device)
    z = (sums << readout.fraction) + bias.view(-1, *[1] * (sums.dim() - 3))
    return z if readout.leak is None else integrated(readout, z)


@dataclass(frozen=True)
class IntegerPass:
    """A pass.

    Args:
        stages: with neurons.
        layers: their integers.
        given: the inputs of the network.
        learns: give the training form's gradient.
        probe, watch: called for each layer.
    """

    stages: Sequence[NeuronStage]
    layers: Sequence[Folded]
    given: Sequence[Input]
    learns: bool
    probe: Probe | None
    watch: Watch | None

    @property
    def first(self) -> int:
        """How many inputs there are."""
        return len(self.given)

    def run(self, sent: Sent) -> None:
        """Compute all layers of neurons and add their spikes to ``sent``."""
        for group in loops_of(self.stages, self.first):
            if is_loop(group, self.stages, self.first):
                self._run_loop(group, sent)
            else:
                self._run_stage(group.start, sent)
            for i in group:
                if self.watch is not None:
                    self.watch(i, sent.raw(self.first + i))
                sent.forget(i)

    def _run_stage(self, index: int, sent: Sent) -> None:
        stage, folded, steps = self.stages[index], self.layers[index], sent.steps
        static_input = sent.stands_still(stage)
        sums = summed(folded.layer.terms, sent.whole(static_input), self.given)
        sums = sums if static_input else torch.unflatten(sums, 0, (steps, -1))
        skip = stage.skip(sent.raw(stage.source)) if isinstance(stage, Stage) and not static_input else None
        potentials, spikes, codes, computed = integer_unroll(folded.layer.neuron, sums, steps, static_input, skip)
        if self.probe is not None:
            self.probe(stage.name, spikes, codes)
        h = spikes.float()
        if self.learns:
            current = drive_over_time(stage, sent, static_input)
            h = with_gradient(stage, folded, current, potentials, spikes, computed, static_input)
            if stage.gate is not None:
                h = stage.gate(h)  # pruned channels are silent already; this is for the gradient
        sent.put(self.first + index, h)

    def _run_loop(self, group: range, sent: Sent) -> None:
        """Step by step; the gradient is that of the training form beside the integers, straight through them."""
        stages = [self.stages[i] for i in group]
        neurons: list[IntegerSteps | None] = [None] * len(stages)
        codes: list[Any] = [None] * len(stages)
        states: list[Any] = [None] * len(stages)
        stored: list[list[Tensor]] = [[] for _ in stages]
        for t in range(sent.steps):
            for k, stage in enumerate(stages):
                layer = self.layers[group.start + k].layer
                sums = summed(layer.terms, sent.at(t), self.given)
                steps = neurons[k] or IntegerSteps(layer.neuron, sums, 1)
                neurons[k] = steps
                code = steps.initial(sums) if t == 0 else codes[k]
                _, fired, codes[k] = steps.step(sums, code)
                spikes = fired.float()
                if self.learns:
                    lif, current = cast(LIF, stage.lif), stage.current_of(sent.at(t))
                    state = lif.initial_state(current) if t == 0 else states[k]
                    free, states[k] = lif.step(current, state)
                    spikes = spikes + (free - free.detach())
                sent.put_step(self.first + group.start + k, spikes)
                stored[k].append(cast(Tensor, codes[k]))
        for k, stage in enumerate(stages):
            spikes = sent.close(self.first + group.start + k)
            if self.probe is not None:
                self.probe(stage.name, spikes != 0, torch.stack(stored[k]))
