"""The Spiking Heidelberg Digits (SHD) and Spiking Speech Commands (SSC): spoken words as spikes of 700 channels of a
model of the inner ear (Cramer, Stradmann, Schemmel, Zenke 2020).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.terminal import progress as bar
from ..io.terminal import to_stderr
from .arrays import Labelled, Splits
from .spike_file import SpikeFile
from .task import Task, outputs_of

_HOME = "https://zenkelab.org/resources/spiking-heidelberg-datasets-shd"
_UNITS, _FEWEST = 700, 10


@dataclass(frozen=True)
class _SpikeSet:
    seconds: float  # that its recordings take at most, which are divided into frames
    train: str
    test: str
    validation: str = ""  # which is taken where it is there


_SETS = {
    "shd": _SpikeSet(1.4, "shd_train.h5", "shd_test.h5"),
    "ssc": _SpikeSet(1.0, "ssc_train.h5", "ssc_test.h5", "ssc_valid.h5"),
}
DURATIONS = {name: held.seconds for name, held in _SETS.items()}  # which frames divide


def find_spikes(name: str, folder: Path, timesteps: int) -> tuple[SpikeFile, SpikeFile | None, SpikeFile]:
    """The recordings of training, of validation where they are there, and of test of "shd" or "ssc", in ``folder`` or
    in its folder SHD or SSC. Only their labels are read yet. Behind the name may follow a colon and to how many
    channels the 700 are summed, as "shd:140".

    Raises:
        DataError: they are not there; the message says where they come from and what goes where.
        MissingDependencyError: h5py is not installed.
    """
    base, _, channels = name.partition(":")
    widths = [str(_UNITS // shrink) for shrink in range(1, _UNITS + 1) if _UNITS % shrink == 0]
    widths = [width for width in widths if int(width) >= _FEWEST]
    if channels and channels not in widths:
        raise DataError(f"{name}: {_UNITS} channels cannot be summed to {channels}: {', '.join(widths)}")
    held, own = _SETS[base], folder / base.upper()
    for place in (own, folder):
        if all(os.path.isfile(place / file) for file in (held.train, held.test)):
            shrink = _UNITS // int(channels or _UNITS)
            window = held.seconds / timesteps
            train, test = (
                SpikeFile(place / each, timesteps, window, shrink=shrink) for each in (held.train, held.test)
            )
            if not held.validation or not os.path.isfile(place / held.validation):
                return train, None, test
            return train, SpikeFile(place / held.validation, timesteps, window, shrink=shrink), test
    raise DataError(
        f"{name}: there is no {own / held.train} with {held.test} beside it: fetch both, gzipped, from {_HOME} and "
        f"unpack them into {own}, or name the folder that holds {base.upper()} by --data-dir or SPQUANT_DATA"
    )


def load_spikes(name: str, folder: Path, timesteps: int, *, progress: bool) -> Splits:
    """Their spikes, counted in ``timesteps`` frames of 1.4 seconds together, or of 1 second for SSC; see ``load``."""
    files = find_spikes(name, folder, timesteps)
    names = files[0].classes
    train, validation, test = (None if file is None else _read(file, name, progress) for file in files)
    assert train is not None
    assert test is not None
    labels = [part.labels for part in (train, validation, test) if part is not None]
    outputs = max(len(names), outputs_of("classification", *labels))
    task = Task("classification", outputs, names if len(names) == outputs else ())
    return Splits(name, train, test, task, validation=validation)


def _read(file: SpikeFile, name: str, progress: bool) -> Labelled:
    counts, spikes, lost = np.empty((len(file), *file.shape), np.uint8), 0, 0
    with bar(len(file), f"{name}: spikes to frames", quiet=not progress) as shown:
        for number in range(len(file)):
            counts[number], found, left_out = file.counts(number)
            spikes, lost = spikes + found, lost + left_out
            shown(number + 1)
    if progress and lost:
        to_stderr().print(
            f"{file.path.name}: {lost:,} of {spikes:,} spikes ({lost / spikes:.2%}) come after the last frame, or lie "
            "above the 255 that a count can hold, and are left out"
        )
    return Labelled(counts, file.labels)
