"""HDF5 files of spikes, as those of the Spiking Heidelberg Digits (SHD) and Spiking Speech Commands (SSC) of Cramer,
Stradmann, Schemmel and Zenke (2020): of each recording the times of its spikes in seconds and the channel of each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Array, Int64, UInt8
from ..errors import ConfigError, DataError, MissingDependencyError
from ..io.reading import Flaw, guarded, open_file

_MOST_RECORDINGS, _MOST_CLASSES, _MOST_UNITS, _MOST_STEPS = 10_000_000, 10_000, 1 << 16, 100_000
_MOST_SPIKES = 1 << 26  # of a recording
_LATEST = 1e6  # seconds
_LONGEST_NAME = 64
_REMEDY = "fetch it again, or name what it holds by times, units and labels"
_LAYOUT = ("spikes/times", "spikes/units", "labels", "extra/keys")


class SpikeFile:
    """A map-style Dataset of the recordings in an HDF5 file; item by item (frames of counts, class).

    Recordings are read when they are asked for, by worker processes too, through the library of HDF5, which on damaged
    files may wait for ever: hold what you fetch against its checksum.

    Args:
        path: the file, with one array of times (seconds) and one of channels for each recording.
        steps: frames of a recording.
        window: seconds of a frame; later spikes are left out. The 0.014 by default are right for 100 frames of SHD.
        units: channels that there are.
        shrink: channels whose spikes are summed into one; 5 makes 140 of 700.
        times, channels, labels: where in the file they stand.

    Attributes:
        classes: names, where the file has them (at extra/keys), else none.
        labels: int64 [N].

    Raises:
        ConfigError: a number that cannot be.
        DataError: the file cannot be read or is damaged, or does not hold what is named.
        MissingDependencyError: h5py is not installed.

    Items are (uint8 [T, C, 1, 1], int); counts above 255 are cut there. They raise DataError for a recording that is
    damaged or holds a spike of a channel that there is not.

    Example:
        >>> recordings = SpikeFile("shd_train.h5", steps=100, shrink=5)  # 100 frames of 140 channels
        >>> frames, label = recordings[0]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        steps: int = 100,
        window: float = 0.014,
        *,
        units: int = 700,
        shrink: int = 1,
        times: str = _LAYOUT[0],
        channels: str = _LAYOUT[1],
        labels: str = _LAYOUT[2],
    ) -> None:
        for name, value, most in (
            ("steps", steps, _MOST_STEPS),
            ("units", units, _MOST_UNITS),
            ("shrink", shrink, units),
        ):
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(f"{name} of recordings must be a whole number from 1 to {most}, not {value!r}")
        if not isinstance(window, int | float) or not 0 < window < _LATEST:
            raise ConfigError(f"window must be the seconds of a frame, more than 0, not {window!r}")
        _require_h5py()
        self.path = Path(path).expanduser()
        self.steps, self.window, self.units, self.shrink = steps, float(window), units, shrink
        self._places = (times, channels)
        self._file: Any = None
        self._process = 0
        with self._guarded():
            file = self._opened()
            columns = [_column(file, place) for place in self._places]
            self.labels = _whole_numbers(_column(file, labels), labels)
            for place, column in zip(self._places, columns, strict=True):
                if len(column) != len(self.labels):
                    raise Flaw(f"{place} is of {len(column)} recordings, {labels} of {len(self.labels)}")
            self.classes = _names(file, int(self.labels.max()))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, C, 1, 1) of every item."""
        return self.steps, -(-self.units // self.shrink), 1, 1

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[UInt8, int]:
        return self.counts(index)[0], int(self.labels[index])

    def counts(self, index: int) -> tuple[UInt8, int, int]:
        """The frames of a recording, uint8 [T, C, 1, 1], how many spikes it has, and how many of them are left out:
        after the last frame, or above the 255 that a count can hold."""
        number = range(len(self))[index]
        with self._guarded():
            times, channels = (np.asarray(_column(self._opened(), place)[number]) for place in self._places)
            if times.ndim != 1 or times.dtype.kind != "f" or channels.dtype.kind not in "ui":
                found = f"{times.dtype} and {channels.dtype}"
                raise Flaw(f"recording {number} holds {found}, where times in seconds are floats and channels integers")
            if times.shape != channels.shape or len(times) > _MOST_SPIKES:
                raise Flaw(f"recording {number} has {len(times)} times of {channels.size} channels")
            seconds = times.astype(np.float64)
            if len(seconds) and not (seconds.min() >= 0 and seconds.max() <= _LATEST):
                raise Flaw(f"recording {number} has a time that is no number of seconds from 0 on")
            if len(channels) and not 0 <= int(channels.min()) <= int(channels.max()) < self.units:
                raise Flaw(f"recording {number} has a spike of channel {int(channels.max())} of {self.units}")
        step = np.floor(seconds / self.window).astype(np.int64)
        inside = step < self.steps
        width = self.shape[1]
        places = step[inside] * width + channels[inside].astype(np.int64) // self.shrink
        counts = np.bincount(places, minlength=self.steps * width)
        kept = np.minimum(counts, 255)
        return (
            kept.astype(np.uint8).reshape(self.shape),
            len(seconds),
            len(seconds) - int(kept.sum()),
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_process": 0}

    def _guarded(self) -> Any:
        return guarded(self.path, _REMEDY, wrong="cannot be used", unread=DataError, damaged=DataError)

    def _opened(self) -> Any:
        """The file, opened by this process: one that was forked must not use its parent's."""
        import h5py

        if self._file is None or self._process != os.getpid():
            with open_file(self.path):
                pass  # where there is none, that is said as of other files
            self._file, self._process = h5py.File(self.path, "r"), os.getpid()
        return self._file


def _require_h5py() -> None:
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("HDF5 files are read by h5py, which is not installed: pip install h5py") from error


def _column(file: Any, place: str) -> Any:
    """A dataset of one entry for each recording."""
    import h5py

    found = file.get(place)
    if not isinstance(found, h5py.Dataset):
        held: list[str] = []
        file.visit(lambda name: held.append(_shown(str(name))) if len(held) < 12 else True)
        raise Flaw(f"it holds no {place}; it holds {', '.join(held) or 'nothing'}")
    if found.ndim != 1 or not 0 < len(found) <= _MOST_RECORDINGS:
        raise Flaw(f"{place} is {list(found.shape)}, where there is one entry for each recording")
    return found


def _whole_numbers(column: Any, place: str) -> Int64:
    if column.dtype.kind not in "ui":
        raise Flaw(f"{place} are {column.dtype}, where classes are whole numbers")
    labels: Array = np.asarray(column)
    if not 0 <= int(labels.min()) <= int(labels.max()) < _MOST_CLASSES:
        raise Flaw(f"{place} go from {int(labels.min())} to {int(labels.max())}, where classes are numbered from 0")
    return labels.astype(np.int64)


def _names(file: Any, highest: int) -> tuple[str, ...]:
    """Names of the classes, if the file has one for each."""
    import h5py

    found = file.get(_LAYOUT[3])
    if not isinstance(found, h5py.Dataset) or found.ndim != 1 or not highest < len(found) <= _MOST_CLASSES:
        return ()
    names = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in found[()].tolist()]
    return tuple(_shown(name) or "?" for name in names)


def _shown(name: str) -> str:
    """A name of a file as what can be printed."""
    return (name if name.isprintable() else ascii(name)[1:-1])[:_LONGEST_NAME]
