"""Data: from files, tensors, arrays or any map-style Dataset to labelled uint8 images or sequences of frames in memory;
and the events of cameras, from recordings.

Beside ``spquant_snn`` this is the one module whose names are public. All of it needs NumPy only; each name is imported
when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..lazy import importer

if TYPE_CHECKING:
    from .aedat import read_aedat2, read_aedat3
    from .arrays import Labelled, Splits, hold_out
    from .catalog import NAMES, find_recordings, load, of_events
    from .columns import from_columns
    from .convert import as_splits
    from .events import Events, read_array, read_nmnist
    from .image_folder import ImageFolder
    from .input_format import InputFormat
    from .log_mel import LogMel
    from .sound import one_second, read_wav
    from .spike_file import SpikeFile
    from .tar_shards import TarShards
    from .task import Task

__all__ = [
    "NAMES",
    "Events",
    "ImageFolder",
    "InputFormat",
    "Labelled",
    "LogMel",
    "SpikeFile",
    "Splits",
    "TarShards",
    "Task",
    "as_splits",
    "find_recordings",
    "from_columns",
    "hold_out",
    "load",
    "of_events",
    "one_second",
    "read_aedat2",
    "read_aedat3",
    "read_array",
    "read_nmnist",
    "read_wav",
]

_HOMES = {
    "NAMES": ".catalog",
    "Events": ".events",
    "ImageFolder": ".image_folder",
    "InputFormat": ".input_format",
    "Labelled": ".arrays",
    "SpikeFile": ".spike_file",
    "LogMel": ".log_mel",
    "Splits": ".arrays",
    "TarShards": ".tar_shards",
    "Task": ".task",
    "as_splits": ".convert",
    "find_recordings": ".catalog",
    "from_columns": ".columns",
    "hold_out": ".arrays",
    "load": ".catalog",
    "of_events": ".catalog",
    "one_second": ".sound",
    "read_aedat2": ".aedat",
    "read_aedat3": ".aedat",
    "read_array": ".events",
    "read_nmnist": ".events",
    "read_wav": ".sound",
}
_find = importer(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return _find(name)


def __dir__() -> list[str]:
    return sorted(__all__)
