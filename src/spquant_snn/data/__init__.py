"""Data: from files, tensors or any map-style Dataset to labelled uint8 images in memory, and their augmentation."""

from .arrays import Labelled, Splits, hold_out
from .augment import Augmentation, default_augmentation
from .catalog import NAMES, load
from .sources import as_splits

__all__ = [
    "NAMES",
    "Augmentation",
    "Labelled",
    "Splits",
    "as_splits",
    "default_augmentation",
    "hold_out",
    "load",
]
