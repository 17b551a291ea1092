"""Data: from files, tensors or any map-style Dataset to labelled uint8 images or sequences of frames in memory, and
their augmentation; and the events of cameras, from recordings.

Beside ``spquant_snn`` this is the one module whose names are public. Each is imported when it is first used: events and
frames serve machines without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..lazy import importer

if TYPE_CHECKING:
    from .aedat import read_aedat2, read_aedat3
    from .arrays import Labelled, Splits, as_inputs, hold_out
    from .augment import Augment, Augmentation, default_augmentation
    from .catalog import NAMES, find_recordings, load, of_events
    from .convert import as_splits
    from .events import Events, read_array, read_nmnist

__all__ = [
    "NAMES",
    "Augment",
    "Augmentation",
    "Events",
    "Labelled",
    "Splits",
    "as_inputs",
    "as_splits",
    "default_augmentation",
    "find_recordings",
    "hold_out",
    "load",
    "of_events",
    "read_aedat2",
    "read_aedat3",
    "read_array",
    "read_nmnist",
]

_HOMES = {
    "NAMES": ".catalog",
    "Augment": ".augment",
    "Augmentation": ".augment",
    "Events": ".events",
    "Labelled": ".arrays",
    "Splits": ".arrays",
    "as_inputs": ".arrays",
    "as_splits": ".convert",
    "default_augmentation": ".augment",
    "find_recordings": ".catalog",
    "hold_out": ".arrays",
    "load": ".catalog",
    "of_events": ".catalog",
    "read_aedat2": ".aedat",
    "read_aedat3": ".aedat",
    "read_array": ".events",
    "read_nmnist": ".events",
}
_find = importer(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return _find(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
