"""Learning curves: the epochs of a run, as it wrote them down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileFormatError


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training.

    Args:
        number: counted from one.
        train_loss, train_accuracy: over the epoch, in percent, on images as they were changed at random.
        val_loss, val_accuracy: after it, on the images that were held out.
        rates, saturated, dead: of each layer, as ``train.metrics.LayerActivity`` says.
        channels: open and all channels of each layer; empty where none are closed.
        ops_share: of the dense operations, what closed channels leave; None where none are closed.
    """

    number: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    rates: Mapping[str, float]
    saturated: Mapping[str, float]
    dead: Mapping[str, float]
    channels: Mapping[str, tuple[int, int]]
    ops_share: float | None


def read_epochs(path: Path) -> tuple[Epoch, ...]:
    """The epochs in a run's metrics.jsonl; none where there is no such file.

    Raises:
        FileFormatError: it is damaged.
    """
    if not path.exists():
        return ()
    epochs = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            epochs.append(_epoch(json.loads(line)))
            if _layers(epochs[-1]) != _layers(epochs[0]):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FileFormatError(
                f"{path} is damaged, its line {number} is not the record of an epoch: copy it again, or remove it"
            ) from None
    return tuple(epochs)


def _epoch(record: dict[str, Any]) -> Epoch:
    layers = record["val_layers"]
    share = record.get("ops_share")
    return Epoch(
        number=int(record["epoch"]),
        train_loss=_finite(record["train_loss"]),
        train_accuracy=_finite(record["train_accuracy"]),
        val_loss=_finite(record["val_loss"]),
        val_accuracy=_finite(record["val_accuracy"]),
        rates={layer["name"]: _finite(layer["rate"]) for layer in layers},
        saturated={layer["name"]: _finite(layer["saturated"]) for layer in layers},
        dead={layer["name"]: _finite(layer["dead"]) for layer in layers},
        channels={name: (int(opened), int(total)) for name, (opened, total) in record.get("channels", {}).items()},
        ops_share=None if share is None else _finite(share),
    )


def _layers(epoch: Epoch) -> tuple[list[str], list[str], bool]:
    """What all epochs of a run have in common."""
    return list(epoch.rates), list(epoch.channels), epoch.ops_share is None


def _finite(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError
    return float(value)
