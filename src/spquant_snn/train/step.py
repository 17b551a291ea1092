"""One batch forward and backward: the loss, what fills the gradients, and the statistics of the step.

The mean loss asks that the logits averaged over time be right; temporal efficient training (Deng et al., ICLR 2022)
asks it of every step by itself, so that a sum of few steps answers too. Cross-entropy and divergence are convex in the
logits, so the average of the steps' is never below that of their average.

A GPU takes the few hundred kernels of a step sooner than a program can launch them. So where a batch is whole and each
step does the same, the launches are recorded once for each size of a batch, as a CUDA graph, and replayed. A teacher
answers before that.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..nn.sequence_ends import of_each_length
from ..quant.network import SpikingNetwork
from ..sparsity.training import SparseTraining
from .config import TrainConfig
from .objective import Objective, plain_objective

_CENTRE = 1.0  # the threshold that neurons start with: what the regulariser draws logits to, the paper's phi
_FIRST = 2  # steps of a size that are launched one by one: kernels are compiled and chosen in them


@dataclass(frozen=True)
class _Recorded:
    """A graph, its inputs, and what it writes."""

    graph: torch.cuda.CUDAGraph
    x: Tensor
    y: Tensor
    answers: Tensor | None  # of the teacher
    statistics: Tensor
    gradients: list[Tensor | None]


class Step:
    """Forward and backward of a network on a batch or a part of it.

    Args:
        teacher: its logits are imitated, if given.
        sparse: prunes channels and holds rates down, if given.
        whole: whether each call is of a whole batch, computed by this process alone.
        wanted: what is minimised; cross-entropy by default.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        config: TrainConfig,
        teacher: nn.Module | None,
        sparse: SparseTraining | None,
        whole: bool,
        wanted: Objective | None = None,
    ) -> None:
        self._network, self._config, self._teacher, self._sparse = network, config, teacher, sparse
        self._wanted = plain_objective(network.outputs) if wanted is None else wanted
        own = self._wanted.own_loss is not None  # which may do what no graph can hold
        self._records = whole and sparse is None and not config.checkpoint_time and not own
        self._seen: dict[torch.Size, int] = {}
        self._recorded: dict[torch.Size, _Recorded] = {}
        self._parameters = [p for p in network.parameters() if p.requires_grad]

    def __call__(self, x: Tensor, y: Tensor, moment: float, weight: float, lengths: Tensor | None = None) -> Tensor:
        """Add to the gradients those of the loss times ``weight``; after a replay they are these alone.

        Args:
            x: inputs as networks take them.
            y: labels, N in the first axis.
            moment: epochs so far, for what is learned for sparsity.
            lengths: [N], frames of each sequence, where they differ.

        Returns:
            float32 [3]: the loss times the weight, images that were right, the largest sum that took two bytes.
        """
        answers = self._answers(x, lengths)
        if not (self._records and x.is_cuda) or self._network.frozen or lengths is not None:
            return self._compute(x, y, answers, moment, weight, lengths)
        found = self._recorded.get(x.shape)
        if found is None:
            seen = self._seen[x.shape] = self._seen.get(x.shape, 0) + 1
            found = self._record(x, y, answers, moment, weight) if seen > _FIRST else None
        if found is None:
            return self._compute(x, y, answers, moment, weight)
        found.x.copy_(x)
        found.y.copy_(y)
        if found.answers is not None and answers is not None:
            found.answers.copy_(answers)
        found.graph.replay()
        for parameter, gradient in zip(self._parameters, found.gradients, strict=True):
            parameter.grad = gradient
        return found.statistics

    def forget(self) -> None:
        """Record again: the network computes otherwise from now on."""
        self._recorded.clear()
        self._seen.clear()

    @torch.no_grad()
    def _answers(self, x: Tensor, lengths: Tensor | None) -> Tensor | None:
        """What the teacher says, [N, ...], of each sequence at its own length; never recorded, since it may be any
        module."""
        if self._teacher is None:
            return None
        with self._precision(x):
            if lengths is None:
                answers: Tensor = self._teacher(x).mean(0)
                return answers
            parts = [(places, self._teacher(x[:steps, places]).mean(0)) for steps, places in of_each_length(lengths)]
        order = torch.cat([places for places, _ in parts])
        return torch.cat([said for _, said in parts])[order.argsort().to(x.device)]

    def _precision(self, x: Tensor) -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self._config.precision == "bf16")

    def _record(self, x: Tensor, y: Tensor, answers: Tensor | None, moment: float, weight: float) -> _Recorded | None:
        graph = torch.cuda.CUDAGraph()
        pool = next((found.graph.pool() for found in self._recorded.values()), None)
        given = (x.clone(), y.clone(), None if answers is None else answers.clone())
        try:
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                statistics = self._compute(*given, moment, weight)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            warnings.warn(f"the steps of training are launched kernel by kernel, slower: {reason}", stacklevel=2)
            self._records = False
            for parameter in self._parameters:
                parameter.grad = None
            return None
        self._recorded[x.shape] = _Recorded(
            graph, *given, statistics, [parameter.grad for parameter in self._parameters]
        )
        return self._recorded[x.shape]

    def _compute(
        self,
        x: Tensor,
        y: Tensor,
        answers: Tensor | None,
        moment: float,
        weight: float,
        lengths: Tensor | None = None,
    ) -> Tensor:
        network, config, sparse = self._network, self._config, self._sparse
        if sparse is not None:
            sparse.begin_step(moment)
        with self._precision(x):
            logits = network(x, watch=None if sparse is None else sparse.watch, lengths=lengths)
            logits = logits.float()  # [T, N, classes]
            answer = network.answer(logits, lengths)
            loss = objective(logits, y, config, answers, self._wanted, answer, lengths)
        if sparse is not None:
            loss = loss + sparse.penalty(moment)
        loss = loss * weight
        loss.backward()  # type: ignore[no-untyped-call]
        hits = self._wanted.hits(answer, y)
        return torch.stack((loss.detach(), hits, network.largest_narrow_sum()))


def objective(
    logits: Tensor,
    labels: Tensor,
    config: TrainConfig,
    teacher: Tensor | None,
    wanted: Objective | None = None,
    answer: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """The loss of ``config.loss``; with a teacher, mixed with the distance from its answer, see
    ``Objective.imitation``.

    Args:
        logits: of each step, [T, N, classes], or what a network says instead of logits.
        labels: N in the first axis.
        teacher: what it answers over time, [N, ...], in the units of the labels. With "tet" each step imitates this
            answer of all the teacher's steps, not the teacher's answer at that step: what is wanted of a step is the
            answer that all steps would give, and a teacher may have another number of them.
        wanted: what is minimised; cross-entropy by default.
        answer: what the network says over time, [N, classes]; the mean of the steps by default.
        lengths: [N], steps of each sequence, where they differ: each counts the same, by the mean of its own.
    """
    if lengths is not None and config.loss == "tet":
        parts = [
            objective(logits[:steps, at], labels[at], config, None if teacher is None else teacher[at], wanted)
            * (len(at) / len(labels))
            for steps, at in of_each_length(lengths)
        ]
        return torch.stack(parts).sum()
    each, wanted = config.loss == "tet", plain_objective(logits.shape[2]) if wanted is None else wanted
    answer = logits.mean(0) if answer is None else answer
    answers = logits.flatten(0, 1) if each else answer  # [T * N, classes] or [N, classes]
    repeats = len(logits) if each else 1
    loss = wanted.loss(answers, labels.repeat(repeats, *[1] * (labels.dim() - 1)), config.label_smoothing)
    if each and wanted.task.kind == "classification":
        spread = (logits - _CENTRE).square().mean()
        loss = (1 - config.tet_weight) * loss + config.tet_weight * spread
    if teacher is None:
        return loss
    taught = teacher.repeat(repeats, *[1] * (teacher.dim() - 1))
    imitated = wanted.imitation(answers, taught, config.distill_temperature)
    return (1 - config.distill_weight) * loss + config.distill_weight * imitated
