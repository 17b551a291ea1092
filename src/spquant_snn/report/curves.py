"""Learning curves: the epochs of a run, as it wrote them down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import FileFormatError
from ..io.fields import Fields
from ..io.reading import Flaw
from ..io.texts import parse_object
from ..train.run import RunFolder

_MOST_LAYERS = 1024
_OTHERS = ("val_loss", "val_layers")  # than the metric
_LARGEST = 1e300  # of a loss: curves are drawn with differences of them


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training.

    Args:
        number: counted from one.
        train_loss, train_accuracy: over the epoch, the latter in percent, of classes alone, on images as they were
            changed at random.
        val_loss, val_score: after it, on the validation set; the latter is the value of ``metric``,
            named as in metrics.jsonl.
        rates, saturated, dead: of each layer, as ``train.metrics.LayerActivity`` says.
        channels: kept and all channels of each layer; empty where none are pruned.
        ops_share: of the dense operations, what pruned channels leave; None where none are pruned.
    """

    number: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float
    val_score: float
    rates: Mapping[str, float]
    saturated: Mapping[str, float]
    dead: Mapping[str, float]
    channels: Mapping[str, tuple[int, int]]
    ops_share: float | None
    metric: str = "accuracy"


def read_epochs(run: RunFolder) -> tuple[Epoch, ...]:
    """The epochs in a run's metrics.jsonl; none where there is no such file.

    Raises:
        FileFormatError: it is damaged.
        RunError: it cannot be read.
    """
    if not os.path.exists(run.metrics):
        return ()
    epochs: list[Epoch] = []
    for number, line in run.read_metrics():
        try:
            epochs.append(_epoch(Fields(parse_object(line))))
            if _layers(epochs[-1]) != _layers(epochs[0]):
                raise Flaw("its layers are others than those before")
        except Flaw as error:
            raise FileFormatError(
                f"{run.metrics} is damaged, its line {number} is not the record of an epoch ({error}): "
                "copy it again, or remove it"
            ) from None
    return tuple(epochs)


def _epoch(record: Fields) -> Epoch:
    metric = next((name for name in record.names() if name.startswith("val_") and name not in _OTHERS), "val_accuracy")
    most = 100.0 if metric == "val_accuracy" else _LARGEST
    layers = {layer.text("name", 256): layer for layer in record.inner_row("val_layers", _MOST_LAYERS)}
    rates, saturated, dead = (
        {name: layer.number(what, 0, 1) for name, layer in layers.items()} for what in ("rate", "saturated", "dead")
    )
    return Epoch(
        number=record.integer("epoch", 1, 1 << 31),
        train_loss=record.number("train_loss", -_LARGEST, _LARGEST),
        train_accuracy=record.number("train_accuracy", 0, 100) if metric == "val_accuracy" else _any_accuracy(record),
        val_loss=record.number("val_loss", -_LARGEST, _LARGEST),
        val_score=record.number(metric, -0.0 if metric == "val_accuracy" else -_LARGEST, most),
        metric=metric.removeprefix("val_"),
        rates=rates,
        saturated=saturated,
        dead=dead,
        channels=_channels(record.inner("channels")) if record.has("channels") else {},
        ops_share=record.number("ops_share", 0, 2) if record.has("ops_share") else None,
    )


def _any_accuracy(record: Fields) -> float | None:
    """That of training, where another metric is of classes too."""
    return record.number("train_accuracy", 0, 100) if record.has("train_accuracy") else None


def _channels(fields: Fields) -> dict[str, tuple[int, int]]:
    return {name: (pair[0], pair[1]) for name in fields.names() if (pair := fields.integers(name, (2,), 0, 1 << 31))}


def _layers(epoch: Epoch) -> tuple[list[str], list[str], bool, str]:
    """What all epochs of a run have in common."""
    return list(epoch.rates), list(epoch.channels), epoch.ops_share is None, epoch.metric
