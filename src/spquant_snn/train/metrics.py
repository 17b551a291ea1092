"""What a network does on images: accuracy, loss, and how its neurons live."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..data.scores import ACCURACY, Counts, Metric, add, count, details, score
from ..dtypes import Array
from ..io.terminal import Report, progress_shown, unseen
from ..quant.network import SpikingNetwork
from .batches import Batches
from .distributed import ALONE, World
from .objective import Objective, plain_objective

Tally = dict[str, list[Tensor]]
_SILENT, _BUSY, _FULL = 0.001, 0.6, 0.95


@dataclass(frozen=True)
class LayerActivity:
    """How the neurons of a layer behave on a sample, those of pruned channels left out.

    Args:
        name: of the layer.
        rate: spikes per neuron and time step.
        saturated: share of stored codes at the lowest or highest code; 0 for a floating-point state.
        dead: share of neurons that never fired.
    """

    name: str
    rate: float
    saturated: float
    dead: float

    def warning(self) -> str | None:
        """What is wrong with this layer, in words, if anything is."""
        if self.rate < _SILENT:
            return f"layer {self.name!r} is silent (rate {self.rate:.2%}): lower its v_threshold or the learning rate"
        if self.rate > _BUSY:
            return f"layer {self.name!r} fires almost always ({self.rate:.0%}): raise its v_threshold"
        if self.saturated > _FULL:
            share = f"{self.saturated:.0%} of its stored codes are at the end of the grid"
            return f"layer {self.name!r} is saturated ({share}): use more state bits"
        return None


@dataclass(frozen=True)
class Metrics:
    """How good a network is, its mean loss, and the activity of each layer.

    Args:
        score: accuracy in percent, or the value of another metric.
        counts: what it was computed from, as ``data.scores`` says; none for the metric of a user.
        details: what else is said of the answers.
    """

    score: float
    loss: float
    layers: tuple[LayerActivity, ...]
    metric: Metric = ACCURACY
    counts: Counts = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)


@torch.no_grad()
def measure(
    network: SpikingNetwork,
    data: Batches,
    batch_size: int = 500,
    sample: int = 1000,
    world: World = ALONE,
    wanted: Objective | None = None,
    progress: Report | None = unseen,
) -> Metrics:
    """Evaluate a network in the form that it is in.

    Args:
        batch_size: images at a time; of sequences, as many as have so many frames.
        sample: how many of the first images the activity is taken from.
        world: the processes that share the batches and all have what they found together.
        wanted: the loss and the metric; those of the network's task by default.
        progress: called with the number of items that this process has done; None: a bar.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    batch_size = max(1, batch_size // (data.frames or 1))
    wanted = _of(network) if wanted is None else wanted
    task, kept = wanted.task, _Found()
    tally: Tally = {}
    total = (getattr(data, "count", None) or 0) // world.size

    def look() -> None:
        with progress_shown(progress, total, "evaluating") as report:
            for number, read in enumerate(data.in_order(batch_size, world)):
                probe = _Activity(network, tally) if (number * world.size + world.rank) * batch_size < sample else None
                for batch in read.to(device).by_length():
                    answers = network.mean_logits(batch.inputs(), probe)
                    kept.items += len(batch)
                    kept.loss += wanted.total(answers, batch.labels)
                    values = wanted.output_format.in_units(answers.double().cpu().numpy())
                    labels = batch.labels.cpu().numpy()
                    kept.counts = add(kept.counts, count(task, values, labels))
                    if wanted.judge is not None:
                        kept.judged.append((values.astype(np.float32), labels))
                report(kept.items)

    world.together(look)
    network.train(training)
    found, tally = _together(world.gather((kept, tally)))
    layers = tuple(
        LayerActivity(name, float(spikes / steps), float(ends / steps), float((fired == 0).float().mean()))
        for name, (spikes, ends, steps, fired) in tally.items()
    )
    loss = found.loss / found.items
    if wanted.judge is not None:
        values, labels = (np.concatenate(parts) for parts in zip(*found.judged, strict=True))
        return Metrics(wanted.judged(values, labels), loss, layers, wanted.metric)
    return Metrics(score(task, found.counts), loss, layers, wanted.metric, found.counts, details(task, found.counts))


@dataclass
class _Found:
    """What one process, or all together, found so far."""

    items: int = 0
    loss: float = 0.0
    counts: Counts = field(default_factory=dict)
    judged: list[tuple[Array, Array]] = field(default_factory=list)  # for the metric of a user


def _of(network: SpikingNetwork) -> Objective:
    """The loss and the metric of a network's own task."""
    said, device = network.output_format, next(network.parameters()).device
    return plain_objective(network.outputs) if said is None else Objective(said, device=device)


def _together(found: list[tuple[_Found, Tally]]) -> tuple[_Found, Tally]:
    """What several processes found, together."""
    whole, total = _Found(), Tally()
    for part, tally in found:
        whole.items, whole.loss = whole.items + part.items, whole.loss + part.loss
        whole.counts = add(whole.counts, part.counts)
        whole.judged += part.judged
        for name, counts in tally.items():
            total[name] = _added(total.get(name), [each.cpu() for each in counts])
    return whole, total


def _added(held: list[Tensor] | None, counts: list[Tensor]) -> list[Tensor]:
    return counts if held is None else [a + b for a, b in zip(held, counts, strict=True)]


class _Activity:
    """A probe that adds to a tally each layer's spikes, codes at the ends of the grid, neuron steps, and spikes per
    neuron."""

    def __init__(self, network: SpikingNetwork, tally: Tally) -> None:
        self.tally = tally
        self.levels = {stage.name: stage.lif.levels for stage in network.hidden if stage.lif is not None}
        self.opened = {stage.name: stage.gate.opened() for stage in network.hidden if stage.gate is not None}

    def __call__(self, name: str, spikes: Tensor, stored: Tensor) -> None:
        if name in self.opened:
            spikes, stored = spikes[:, :, self.opened[name]], stored[:, :, self.opened[name]]
        spikes, levels = spikes.double(), self.levels[name]
        ends = spikes.new_zeros(())
        if levels is not None:
            codes = stored.round()
            ends = ((codes <= levels.low) | (codes >= levels.high)).double().sum()
        counts = [spikes.sum(), ends, spikes.new_tensor(float(spikes.numel())), spikes.sum((0, 1))]
        self.tally[name] = _added(self.tally.get(name), counts)
