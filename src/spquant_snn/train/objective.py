"""What a training minimises of a network's answers, and what its epochs are compared by.

Networks answer in units in which the numbers of the training set have a mean of zero and a deviation of one, so that
losses are of one size whatever the numbers measure. A loss and a metric of a user are given answers in the units of the
labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.scores import Metric, metric_of
from ..data.task import OutputFormat, Task, TaskKind
from ..dtypes import Array
from ..errors import ConfigError

Criterion = Literal["auto", "cross-entropy", "bce", "mse", "huber"]
Loss = Callable[[Tensor, Tensor], Tensor]  # of answers averaged over time, and labels: a scalar
Judge = Callable[[Tensor, Tensor], Any]  # of all answers and labels: a number

_OF_KIND: dict[TaskKind, tuple[Criterion, ...]] = {  # the first is that of "auto"
    "classification": ("cross-entropy",),
    "multilabel": ("bce",),
    "regression": ("mse", "huber"),
    "segmentation": ("cross-entropy",),
}
_MOST_WEIGHTS = 1 << 16


class Objective:
    """The loss and the metric of a task.

    Args:
        output_format: the task, and what answers stand for.
        criterion: what is minimised: the task's own ("auto"), or one by name.
        class_weights: what an image or a pixel of each class counts; of labels, what a true one counts against a false
            one. None: all the same.
        loss: in place of the criterion.
        metric: in place of the task's own.
        metric_mode: whether the largest or the smallest value of that metric is the best.
        device: of answers and labels.

    Raises:
        ConfigError: the task has no such criterion, or no classes to weigh, or not as many.
    """

    def __init__(
        self,
        output_format: OutputFormat,
        criterion: Criterion = "auto",
        class_weights: Sequence[float] = (),
        loss: Loss | None = None,
        metric: Judge | None = None,
        metric_mode: Literal["max", "min"] = "max",
        device: torch.device | None = None,
    ) -> None:
        self.output_format, self.task = output_format, output_format.task
        self.criterion = criterion_of(self.task, criterion)
        self.own_loss, self.judge = loss, metric
        self.metric = metric_of(self.task)
        if metric is not None:
            self.metric = Metric(name_of(metric), name_of(metric), larger_is_better=metric_mode == "max")
        if class_weights and (self.task.kind == "regression" or len(class_weights) != self.task.outputs):
            raise ConfigError(
                "class_weights are of classes, and the task is regression: leave them out"
                if self.task.kind == "regression"
                else f"class_weights has {len(class_weights)} numbers, the task {self.task.outputs} outputs: give one "
                "for each"
            )
        self._weights = torch.tensor(class_weights, dtype=torch.float32, device=device) if class_weights else None
        self._gains, self._offsets = (
            torch.tensor(row, dtype=torch.float32, device=device) if row else None
            for row in (output_format.gains, output_format.offsets)
        )

    def loss(self, answers: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of answers [N, ...], a scalar, the mean over what counts.

        Raises:
            ConfigError: the loss of a user gives something else.
        """
        if self.own_loss is not None:
            return self._own(self.own_loss, answers, labels)
        if self.criterion == "bce":
            return F.binary_cross_entropy_with_logits(_like(answers, labels), labels, pos_weight=self._weights)
        if self.criterion == "cross-entropy":
            return self._cross_entropy(answers, labels, smoothing)
        answers, wanted = _like(answers, labels), self._standardised(labels)
        return F.mse_loss(answers, wanted) if self.criterion == "mse" else F.huber_loss(answers, wanted)

    def imitation(self, answers: Tensor, teacher: Tensor, heat: float) -> Tensor:
        """How far answers [N, ...] are from a teacher's, which are in the units of the labels: a scalar.

        Of classes, also of each pixel, the divergence from its softened answer (Hinton et al. 2015); of labels the
        cross-entropy with its softened ones; of numbers the criterion.
        """
        teacher = _like(teacher.float(), answers)
        if self.task.kind == "regression":
            wanted = self._standardised(teacher)
            return F.huber_loss(answers, wanted) if self.criterion == "huber" else F.mse_loss(answers, wanted)
        if self.task.kind == "multilabel":
            return heat**2 * F.binary_cross_entropy_with_logits(answers / heat, torch.sigmoid(teacher / heat))
        said, soft = F.log_softmax(answers / heat, 1), F.log_softmax(teacher / heat, 1)
        places = answers.numel() // (answers.shape[0] * answers.shape[1])
        return heat**2 * F.kl_div(said, soft, log_target=True, reduction="batchmean") / places

    def total(self, answers: Tensor, labels: Tensor) -> float:
        """The same, summed over items, without what only training changes."""
        if self.task.kind == "classification" and self.own_loss is None and self._weights is None:
            return float(F.cross_entropy(answers, labels, reduction="sum"))
        return float(self.loss(answers, labels)) * len(labels)

    def hits(self, answers: Tensor, labels: Tensor) -> Tensor:
        """How many images are right, a scalar; none where that cannot be said."""
        if self.task.kind != "classification":
            return torch.zeros((), dtype=torch.int64, device=answers.device)
        return (answers.argmax(1) == labels).sum()

    def in_units(self, answers: Tensor) -> Tensor:
        """Answers in the units of the labels."""
        if self._gains is None or self._offsets is None:
            return answers
        shape = [1, -1, *[1] * (answers.dim() - 2)]
        return answers * self._gains.view(shape) + self._offsets.view(shape)

    def judged(self, answers: Array, labels: Array) -> float:
        """What the metric of a user says of all answers, in the units of the labels.

        Raises:
            ConfigError: it gives no number, or none that is finite.
        """
        assert self.judge is not None
        found = self.judge(torch.from_numpy(np.ascontiguousarray(answers)), torch.from_numpy(labels))
        try:
            number = float(found)
        except (TypeError, ValueError, RuntimeError):
            raise ConfigError(
                f"{_called('metric', self.judge)} gives {type(found).__name__}, not a number: return a float"
            ) from None
        if not math.isfinite(number):
            raise ConfigError(
                f"{_called('metric', self.judge)} gives {number}, by which epochs cannot be compared: return a finite "
                "number, also where a class does not occur"
            )
        return number

    def _own(self, loss: Loss, answers: Tensor, labels: Tensor) -> Tensor:
        found = loss(self.in_units(answers), labels)
        if not isinstance(found, Tensor) or found.dim() or not (found.requires_grad or not answers.requires_grad):
            what = f"a tensor {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(
                f"{_called('loss', loss)} gives {what}, not a scalar with a gradient: return the mean over the batch "
                "as a tensor"
            )
        return found

    def _cross_entropy(self, answers: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        if labels.dim() == 3:
            answers = answers.reshape(*answers.shape[:2], *labels.shape[1:])
        elif self._weights is None:
            return F.cross_entropy(answers, labels, label_smoothing=smoothing)
        each = F.cross_entropy(answers, labels, reduction="none", ignore_index=-1, label_smoothing=smoothing)
        if self._weights is not None:
            each = each * self._weights[labels.clamp(min=0)]
        return each.sum() / (labels >= 0).sum().clamp(min=1)

    def _standardised(self, labels: Tensor) -> Tensor:
        if self._gains is None or self._offsets is None:
            return labels
        shape = [1, -1, *[1] * (labels.dim() - 2)]
        return (labels - self._offsets.view(shape)) / self._gains.view(shape)


def criterion_of(task: Task, criterion: Criterion) -> Criterion:
    """The criterion that a name stands for.

    Raises:
        ConfigError: it is of other tasks.
    """
    choices = _OF_KIND[task.kind]
    if criterion == "auto":
        return choices[0]
    if criterion not in choices:
        raise ConfigError(f"criterion {criterion} is not of {task.kind}: choose {' or '.join(choices)}, or give a loss")
    return criterion


def plain_objective(classes: int) -> Objective:
    """The cross-entropy and the accuracy of so many classes."""
    return Objective(OutputFormat(Task("classification", classes)))


def read_class_weights(text: str, task: Task, labels: Array) -> tuple[float, ...]:
    """The weights that an option says: none, "balanced", or numbers with commas.

    Balanced are those by which every class counts the same in all, and an image 1 in the mean; of labels of which each
    may be true, the number of false ones for each true one.

    Args:
        labels: of the training set, or of enough of it.

    Raises:
        ConfigError: it says none of these, or a class has no image.
    """
    if not text:
        return ()
    if text == "balanced":
        if task.kind == "regression":
            raise ConfigError("class_weights are of classes, and the task is regression: leave them out")
        return _balanced(task, labels)
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or len(found) > _MOST_WEIGHTS or not all(0 <= weight < float("inf") for weight in found):
        raise ConfigError(f"class_weights must be balanced or numbers of at least 0 with commas, not {text[:60]!r}")
    return found


def as_text(weights: object) -> object:
    """Weights given as a row of numbers, as the option has them; anything else as it is."""
    if isinstance(weights, str) or weights is None:
        return weights or ""
    try:
        return ",".join(repr(float(weight)) for weight in weights)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return weights


def _balanced(task: Task, labels: Array) -> tuple[float, ...]:
    if task.kind == "multilabel":
        counts = labels.sum(0, np.float64)
        weights = (len(labels) - counts) / np.maximum(counts, 1)
    else:
        counts = np.bincount(labels[labels >= 0], minlength=task.outputs).astype(np.float64)
        weights = counts.sum() / (task.outputs * np.maximum(counts, 1))
    if bool((counts == 0).any()):
        which = int((counts == 0).argmax())
        name = task.names[which] if task.names else which
        raise ConfigError(f"class_weights cannot be balanced, class {name} does not occur: give numbers instead")
    return tuple(weights.tolist())


def name_of(function: Any) -> str:
    """What a function of a user is called in records."""
    name = str(getattr(function, "__name__", type(function).__name__))
    return name if name.isidentifier() else "metric"


def _called(what: str, function: Any) -> str:
    """What a message calls a function of a user."""
    name = str(getattr(function, "__name__", ""))
    return f"the {what} {name}" if name.isidentifier() and name != what else f"the {what}"


def _like(answers: Tensor, labels: Tensor) -> Tensor:
    """Answers in the shape of their labels, but for axes of one."""
    return answers.reshape(labels.shape)
