"""What a network does on images: accuracy, loss, and how its neurons live."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..quant.network import SpikingNetwork
from .batches import Batches
from .distributed import ALONE, World

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
    """Accuracy in percent, mean cross-entropy, and the activity of each layer."""

    accuracy: float
    loss: float
    layers: tuple[LayerActivity, ...]


@torch.no_grad()
def measure(
    network: SpikingNetwork, data: Batches, batch_size: int = 500, sample: int = 1000, world: World = ALONE
) -> Metrics:
    """Evaluate a network in the form that it is in.

    Args:
        batch_size: images at a time; of sequences, as many as have so many frames.
        sample: how many of the first images the activity is taken from.
        world: the processes that share the batches and all have what they found together.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    batch_size = max(1, batch_size // (data.frames or 1))
    correct, loss, count = 0, 0.0, 0
    tally: Tally = {}
    for number, read in enumerate(data.in_order(batch_size, world)):
        batch = read.to(device)
        labels = batch.labels
        probe = _Activity(network, tally) if (number * world.size + world.rank) * batch_size < sample else None
        logits = network.mean_logits(batch.inputs(), probe)
        count += len(batch)
        correct += int((logits.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    network.train(training)
    correct, loss, count, tally = _sum(world.gather((correct, loss, count, tally)))
    layers = tuple(
        LayerActivity(name, float(spikes / steps), float(ends / steps), float((fired == 0).float().mean()))
        for name, (spikes, ends, steps, fired) in tally.items()
    )
    return Metrics(100.0 * correct / count, loss / count, layers)


def _sum(found: list[tuple[int, float, int, Tally]]) -> tuple[int, float, int, Tally]:
    """What several processes counted, together."""
    total: Tally = {}
    for *_, tally in found:
        for name, counts in tally.items():
            total[name] = _added(total.get(name), [count.cpu() for count in counts])
    return sum(part[0] for part in found), sum(part[1] for part in found), sum(part[2] for part in found), total


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
