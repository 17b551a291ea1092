"""CIFAR10-DVS (Li et al. 2017) and N-Caltech101 (Orchard et al. 2015): pictures shown on a screen to an event camera,
in one folder of recordings for each class. Neither has a test set of its own: the last tenth of each class is taken for
it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import DataError
from .aedat import read_aedat2
from .events import Events, read_nmnist
from .recordings import Recordings, unless_empty

_TEST = 10  # one of so many recordings, the last ones of each class


@dataclass(frozen=True)
class ByClass:
    """A data set of a folder for each class.

    Args:
        name: of the catalogue.
        folder: in which the folders of classes lie.
        classes: the least that there must be.
        suffix: of the recordings.
        sensor: (rows, columns) of the camera.
        read: one of them.
        home: what is to be fetched, and where.
    """

    name: str
    folder: str
    classes: int
    suffix: str
    sensor: tuple[int, int]
    read: Callable[[Path], Events]
    home: str


CIFAR10_DVS = ByClass(
    "cifar10-dvs",
    "CIFAR10DVS",
    10,
    ".aedat",
    (128, 128),
    read_aedat2,
    "airplane.zip and the nine others from https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671",
)
N_CALTECH101 = ByClass(
    "n-caltech101",
    "Caltech101",
    101,
    ".bin",
    (180, 240),
    partial(read_nmnist, sensor=(180, 240)),
    "Caltech101.zip from https://www.garrickorchard.com/datasets/n-caltech101",
)


def find_by_class(held: ByClass, folder: Path) -> tuple[Recordings, Recordings]:
    """The recordings of training and of test, <class>/<recording>, in ``folder`` or in its folder CIFAR10DVS or
    Caltech101. Nothing is read yet.

    Raises:
        DataError: they are not there; the message says where they come from and what goes where.
    """
    for base in (folder / held.folder, folder):
        found = {path.name: _in_order(path, held.suffix) for path in _folders(base)}
        found = {name: files for name, files in found.items() if files}
        if len(found) >= held.classes:
            parts: tuple[list[tuple[Path, int]], list[tuple[Path, int]]] = ([], [])
            for label, files in enumerate(found.values()):
                rest = len(files) - max(1, len(files) // _TEST)
                parts[0].extend((path, label) for path in files[:rest])
                parts[1].extend((path, label) for path in files[rest:])
            return _recordings(held, "train", parts[0]), _recordings(held, "test", parts[1])
    raise DataError(
        f"{held.name}: {folder / held.folder} does not hold {held.classes} folders of {held.suffix} files: fetch "
        f"{held.home} and unpack it there, or name the folder that holds {held.folder} by --data-dir or SPQUANT_DATA"
    )


def _folders(base: Path) -> list[Path]:
    return sorted(path for path in base.iterdir() if path.is_dir()) if os.path.isdir(base) else []


def _in_order(folder: Path, suffix: str) -> list[Path]:
    """The recordings of a class, by the numbers in their names."""
    return sorted(folder.glob(f"*{suffix}"), key=lambda path: ([int(n) for n in re.findall(r"\d+", path.stem)], path))


def _recordings(held: ByClass, split: str, files: list[tuple[Path, int]]) -> Recordings:
    known = [(f"{path.parent.name}/{path.name}", path.stat().st_size, path.stat().st_mtime_ns) for path, _ in files]

    def read() -> Iterator[Events | None]:
        return (unless_empty(held.read, path) for path, _ in files)

    return Recordings(f"{held.name} {split}", held.sensor, tuple(label for _, label in files), known, read)
