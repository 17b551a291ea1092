"""What a user gives a training as objects of Python, where a configuration holds text and numbers: functions, which are
recorded by their names alone and given again to go on, a teacher, a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from ..data.task import Task
from ..errors import ConfigError
from .config import CUSTOM, RUNS
from .objective import Judge, Loss, as_text

_NAMED = ("loss", "optimizer", "schedule", "metric")


@dataclass(frozen=True)
class EpochRecord:
    """An epoch that was validated, as callbacks are told of it.

    Args:
        epoch: its number, from 1.
        epochs: how many there will be.
        train_loss: the mean over the epoch.
        val_loss: on the validation set.
        metric: what epochs are compared by, as its key in metrics.jsonl.
        value: of the metric on the validation set.
        best: whether it is the best epoch so far.
    """

    epoch: int
    epochs: int
    train_loss: float
    val_loss: float
    metric: str
    value: float
    best: bool


@dataclass(frozen=True, eq=False)
class Functions:
    """Functions in place of what a configuration says.

    Args:
        loss: of answers averaged over time [N, ...], in the units of the labels, and labels: a scalar.
        optimizer: of a list of parameters: what trains them.
        schedule: of the share of the training that is done, 0 to 1: what the learning rate is multiplied by.
        metric: of all answers, and labels: a number.
        metric_mode: whether the largest or the smallest is the best.
        callbacks: called behind each epoch that is validated.
    """

    loss: Loss | None = None
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None
    schedule: Callable[[float], float] | None = None
    metric: Judge | None = None
    metric_mode: Literal["max", "min"] = "max"
    callbacks: tuple[Callable[[EpochRecord], object], ...] = ()

    def names(self) -> dict[str, str]:
        """Where each that decides a training is from."""
        given = {name: _origin(value) for name in _NAMED if (value := getattr(self, name)) is not None}
        return given | ({"metric_mode": self.metric_mode} if self.metric is not None else {})


NO_FUNCTIONS = Functions()


@dataclass(frozen=True, eq=False)
class GivenObjects:
    """The options of a training: objects of Python, and the fields of its configuration.

    Args:
        teacher: a module; None where there is none, or one by its path.
        task: with its names and unit; None where its kind alone is said, or nothing.
        options: fields of ``TrainConfig``.
    """

    functions: Functions
    teacher: nn.Module | None
    task: Task | None
    options: dict[str, Any]


def take_objects(options: dict[str, Any]) -> GivenObjects:
    """The objects among the options of a training, and what stands for them in its configuration.

    Raises:
        ConfigError: a function cannot be called.
    """
    functions, fields = _take_functions(options)
    teacher, task = fields.get("teacher"), fields.pop("task", None) or "auto"
    if isinstance(teacher, nn.Module):
        fields["teacher"] = CUSTOM
    for name in RUNS:  # as the configuration says that there is none
        fields |= {name: ""} if fields.get(name, "") is None else {}
    fields["task"] = task.kind if isinstance(task, Task) else task
    if isinstance(fields.get("in_memory"), bool):
        fields["in_memory"] = "yes" if fields["in_memory"] else "auto"
    if "class_weights" in fields:
        fields["class_weights"] = as_text(fields["class_weights"])
    return GivenObjects(
        functions,
        teacher if isinstance(teacher, nn.Module) else None,
        task if isinstance(task, Task) else None,
        fields,
    )


def _take_functions(options: dict[str, Any]) -> tuple[Functions, dict[str, Any]]:
    """The functions among the options of a training, and the rest.

    Raises:
        ConfigError: one of them cannot be called.
    """
    found, rest = {}, dict(options)
    for name in _NAMED:
        value = rest.get(name)
        if callable(value):
            found[name] = rest.pop(name)
        elif name in ("optimizer", "metric") and name in rest and rest.pop(name) is not None:
            takes = "a list of parameters" if name == "optimizer" else "all answers and labels"
            raise ConfigError(f"{name} must be a function of {takes}, not {value!r:.60}")
    mode = rest.pop("metric_mode", "max")
    if mode not in ("max", "min"):
        raise ConfigError(f"metric_mode must be max or min, not {mode!r:.60}")
    given = rest.pop("callbacks", ())
    callbacks = tuple(given) if isinstance(given, Iterable) else (None,)
    if not all(map(callable, callbacks)):
        raise ConfigError("callbacks must be a list of functions, each called with the record of an epoch")
    return Functions(**found, metric_mode=mode, callbacks=callbacks), rest


def _origin(function: Any) -> str:
    """The name of a function and of the module that it is from."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
