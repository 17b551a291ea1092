"""Data: from files, tensors or any map-style Dataset to labelled uint8 images or sequences of frames in memory, and
their augmentation."""

from .arrays import Labelled, Splits, as_inputs, hold_out
from .augment import Augment, Augmentation, default_augmentation
from .catalog import NAMES, find_recordings, load, of_events
from .sources import as_splits

__all__ = [
    "NAMES",
    "Augment",
    "Augmentation",
    "Labelled",
    "Splits",
    "as_inputs",
    "as_splits",
    "default_augmentation",
    "find_recordings",
    "hold_out",
    "load",
    "of_events",
]
