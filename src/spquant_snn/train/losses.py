"""What a training minimises: the logits of each time step, against labels and, where there is one, a teacher.

The mean loss asks that the logits averaged over time be right; temporal efficient training (Deng et al., ICLR 2022)
asks it of every step by itself, so that a sum of few steps answers too. Cross-entropy and divergence are convex in the
logits, so the average of the steps' is never below that of their average.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from .config import TrainConfig

_CENTRE = 1.0  # the threshold that neurons start with: what the regulariser draws logits to, the paper's phi


def objective(logits: Tensor, labels: Tensor, config: TrainConfig, teacher: Tensor | None) -> Tensor:
    """The loss of ``config.loss``; with a teacher, mixed with the divergence from its softened answer (Hinton et al.
    2015).

    Args:
        logits: of each step, [T, N, classes].
        labels: [N].
        teacher: its logits averaged over time, [N, classes]. With "tet" each step imitates this answer of all the
            teacher's steps, not the teacher's answer at that step: what is wanted of a step is the answer that all
            steps would give, and a teacher may have another number of them.
    """
    each = config.loss == "tet"
    answers = logits.flatten(0, 1) if each else logits.mean(0)  # [T * N, classes] or [N, classes]
    repeats = len(logits) if each else 1
    loss = F.cross_entropy(answers, labels.repeat(repeats), label_smoothing=config.label_smoothing)
    if each:
        spread = (logits - _CENTRE).square().mean()
        loss = (1 - config.tet_weight) * loss + config.tet_weight * spread
    if teacher is None:
        return loss
    heat = config.distill_temperature
    divergence = F.kl_div(
        F.log_softmax(answers / heat, 1),
        F.log_softmax(teacher.float() / heat, 1).repeat(repeats, 1),
        log_target=True,
        reduction="batchmean",
    )
    return (1 - config.distill_weight) * loss + config.distill_weight * heat**2 * divergence
