"""Accuracy against the time steps used: all images stopped after so many steps, or each as soon as it is decided.

An image that stops after k steps does what a network of k steps does, and so its operations are counted.

An image is decided when the best of its logits leads the second by a margin; a logit is what the readout would answer
if the step were the last: the sum since the first, or as its ``LeakyIntegrator`` asks. Logits and margins are those of
the integer model, so that a device that compares the same integers stops at the same step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import ConfigError, DataError, ModelError
from ..integer.graph import Graph
from ..io.terminal import Report, progress_shown, unseen
from ..quant.lower import lower
from ..quant.network import SpikingNetwork
from ..quant.torch_terms import so_far
from ..train.batches import Batches
from .counts import count_traces, tracer_of
from .wiring import wiring_of

GIVEN_UP = (0.0, 0.5, 2.0)


@dataclass(frozen=True, eq=False)
class ExitCurve:
    """How the answers to N images come about over T steps.

    Args:
        right: bool [T, N], whether the largest logit, summed up to that step, is that of the label.
        lead: int64 [T, N], by how much it led the second, at its most up to that step.
    """

    right: Tensor
    lead: Tensor

    def steps(self, margin: float) -> Tensor:
        """The steps each image takes if it stops at the first with at least this margin, or else at the last:
        int64 [N]."""
        return 1 + (self.lead[:-1] < margin).sum(0)

    def measure(self, margin: float) -> Measured:
        """What stopping at a margin gives; 0 stops all after the first step, infinity none before the last."""
        steps = self.steps(margin)
        return Measured(float(steps.double().mean()), _percent(self.right.gather(0, steps[None] - 1)))

    def after(self, step: int) -> Measured:
        """What stopping every image after ``step`` steps, 1 to T, gives."""
        return Measured(float(step), _percent(self.right[step - 1]))


@dataclass(frozen=True)
class Measured:
    """The mean of the time steps used, and accuracy in percent."""

    steps: float
    accuracy: float


@dataclass(frozen=True)
class AfterStep:
    """All images stopped after a step, the first being 1; ``operations`` are synaptic ones that are done for a test
    image."""

    step: int
    validation: Measured
    test: Measured
    operations: float


@dataclass(frozen=True)
class AtMargin:
    """Each image stopped at a margin, in units of the integer logits; it was chosen to give up at most so many points
    of the accuracy that all steps have on the validation set. ``operations`` are synaptic ones that are done for a test
    image."""

    margin: int
    given_up: float
    validation: Measured
    test: Measured
    operations: float


@dataclass(frozen=True)
class EarlyExit:
    """Accuracy against time steps, on the validation set, which margins were chosen on, and on the test set.

    Args:
        validation, test: how many images there were of each.
        unit: what an integer logit of one is worth.
        after: of every step.
        at: of each margin.
    """

    validation: int
    test: int
    unit: float
    after: tuple[AfterStep, ...]
    at: tuple[AtMargin, ...]


def measure_early_exit(
    network: SpikingNetwork,
    validation: Batches,
    test: Batches,
    given_up: Sequence[float] = GIVEN_UP,
    progress: Report | None = unseen,
) -> EarlyExit:
    """Stop a network early, on images that it was not trained on.

    Args:
        network: frozen.
        validation: what margins are chosen on.
        test: what is only measured on.
        given_up: points of accuracy on ``validation`` that may be lost, a margin for each.
        progress: called with how many items are done of the three passes over them; None: a bar.

    Raises:
        ConfigError: as ``choose_margin``.
        ModelError: the network is not frozen, or has a single class.
    """
    if isinstance(given_up, str) or not isinstance(given_up, Sequence):
        raise ConfigError(f"given_up must be a list of points of accuracy, not {given_up!r}")
    total = sum(getattr(part, "count", None) or 0 for part in (validation, test, test))
    with progress_shown(progress, total, "stopping early") as report:
        known = follow(network, validation, report)
        margins = [choose_margin(known, points) for points in given_up]
        first = known.right.shape[1]
        fresh = follow(network, test, lambda done: report(first + done))
        every, second = range(1, len(known.right) + 1), first + fresh.right.shape[1]
        together = [torch.full((fresh.right.shape[1],), step) for step in every]
        ways = [*together, *map(fresh.steps, margins)]
        done = operations_until(lower(network), test, ways, lambda done: report(second + done))
    return EarlyExit(
        known.right.shape[1],
        fresh.right.shape[1],
        network.fold_readouts()[0].scale,
        tuple(AfterStep(t, known.after(t), fresh.after(t), work) for t, work in zip(every, done, strict=False)),
        tuple(
            AtMargin(margin, points, known.measure(margin), fresh.measure(margin), work)
            for margin, points, work in zip(margins, given_up, done[len(every) :], strict=True)
        ),
    )


def operations_until(
    graph: Graph, data: Batches, ways: Sequence[Tensor], progress: Report = unseen, batch_size: int = 500
) -> list[float]:
    """Synaptic operations that are done for an image, the mean, for each way to stop.

    Args:
        ways: int64 [N], the steps that each image takes, in the order in which ``follow`` read them.
        progress: called with the number of images done.
        batch_size: images, or frames, that are read at a time.
    """
    wiring = wiring_of(graph)
    tracers = {step: tracer_of(replace(graph, timesteps=step)) for step in _distinct(torch.cat(list(ways)))}
    totals, place = [0.0] * len(ways), 0
    for batch in (
        part for read in data.in_order(max(1, batch_size // (data.frames or 1))) for part in read.by_length()
    ):
        inputs = batch.inputs().cpu().numpy()
        for i, way in enumerate(ways):
            own = way[place : place + len(batch)]
            for step in _distinct(own):
                stopped = inputs.compress((own == step).numpy(), inputs.ndim - 4)
                given = stopped[:step] if inputs.ndim == 5 else stopped
                found = count_traces(wiring, *tracers[step], step, (given,))
                totals[i] += found.images * sum(row.done for row in found.rows)
        place += len(batch)
        progress(place)
    return [total / max(1, place) for total in totals]


@torch.no_grad()
def follow(network: SpikingNetwork, data: Batches, progress: Report = unseen, batch_size: int = 500) -> ExitCurve:
    """The course of a frozen network's answers; ``batch_size`` images at a time, or as many frames. ``progress`` is
    called with the number of images done.

    Raises:
        DataError: the sequences have several lengths.
        ModelError: the network is not frozen, or has a single class.
    """
    if not network.frozen:
        raise ModelError("margins are of integer logits: freeze the network first")
    if network.outputs < 2:
        raise ModelError("a network of one class has no second logit to lead: early exit needs two")
    device, readout = next(network.parameters()).device, network.fold_readouts()[0]
    network.eval()
    batch_size = max(1, batch_size // (data.frames or 1))
    right, lead = [], []
    for batch in (part for read in data.in_order(batch_size) for part in read.by_length()):
        logits = network(batch.inputs().to(device)) / readout.scale  # whole numbers, but for the rounding of float64
        answers = so_far(readout, logits.round().long())  # [T, N, classes]
        first, second = answers.topk(2, dim=2).values.unbind(2)
        right.append((answers.argmax(2) == batch.labels.to(device)).cpu())
        lead.append((first - second).cummax(0).values.cpu())
        progress(sum(part.shape[1] for part in lead))
    if len(steps := {len(part) for part in right}) > 1:
        raise DataError(
            f"early exit counts the steps of all, and the sequences have {min(steps)} to {max(steps)} frames: measure "
            "it on those of one length"
        )
    return ExitCurve(torch.cat(right, 1), torch.cat(lead, 1))


def choose_margin(course: ExitCurve, given_up: float = 0.0) -> int:
    """The lowest margin from which on accuracy never lies more than ``given_up`` points below that of all steps.

    Raises:
        ConfigError: ``given_up`` is no number from 0 to 100.
    """
    if not isinstance(given_up, int | float) or not 0 <= given_up <= 100:
        raise ConfigError(f"given_up must be points of accuracy, from 0 to 100, not {given_up!r}")
    right = course.right.long()
    # A margin above a lead makes that image go on: what it then gets right counts in place of what it got right before.
    leads, order = course.lead[:-1].flatten().sort()
    total = right[0].sum() + (right[1:] - right[:-1]).flatten()[order].cumsum(0)  # above this lead and those before it
    last = torch.ones_like(leads, dtype=torch.bool)
    last[:-1] = leads[1:] != leads[:-1]
    margins = torch.cat([leads.new_zeros(1), leads[last] + 1])
    counts = torch.cat([right[0].sum()[None], total[last]])
    short = (right[-1].sum() - counts > math.floor(given_up * right.shape[1] / 100)).nonzero()
    return int(margins[0 if len(short) == 0 else int(short[-1]) + 1])


def _distinct(steps: Tensor) -> list[int]:
    return sorted(set(steps.tolist()))


def _percent(right: Tensor) -> float:
    return 100 * int(right.sum()) / right.numel()
