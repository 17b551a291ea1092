"""N-MNIST (Orchard, Jayawant, Cohen, Thakor 2015): MNIST's digits, shown on a screen to a camera that moves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from .events import NMNIST_SENSOR, Events, read_nmnist
from .recordings import Recordings, unless_empty

_HOME = "https://www.garrickorchard.com/datasets/n-mnist"


def find_nmnist(folder: Path) -> tuple[Recordings, Recordings]:
    """The recordings of training and of test, Train/<digit>/<number>.bin and Test/<digit>/<number>.bin, in ``folder``
    or in its folder NMNIST. Nothing is read yet.

    Raises:
        DataError: they are not there; the message says where they come from and what goes where.
    """
    for base in (folder / "NMNIST", folder):
        if os.path.isdir(base / "Train") and os.path.isdir(base / "Test"):
            return _recordings(base, "Train", "train"), _recordings(base, "Test", "test")
    raise DataError(
        f"nmnist: there is no {folder / 'NMNIST' / 'Train'}: fetch Train.zip and Test.zip from {_HOME} and unpack them "
        f"into {folder / 'NMNIST'}, or name the folder that holds NMNIST by --data-dir or SPQUANT_DATA"
    )


def _recordings(base: Path, part: str, split: str) -> Recordings:
    files, labels = [], []
    for digit in range(10):
        for path in sorted((base / part / str(digit)).glob("*.bin")):
            files.append(path)
            labels.append(digit)
    if not files:
        raise DataError(f"nmnist: {base / part} holds no <digit>/<number>.bin: unpack {part}.zip of {_HOME} there")
    known = [(f"{path.parent.name}/{path.name}", path.stat().st_size, path.stat().st_mtime_ns) for path in files]

    def read() -> Iterator[Events | None]:
        return (unless_empty(read_nmnist, path) for path in files)

    return Recordings(f"nmnist {split}", NMNIST_SENSOR, tuple(labels), known, read)
