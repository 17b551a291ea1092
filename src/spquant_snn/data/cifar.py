"""The files of CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009), in both versions.

Six batches of 10,000 images of 3x32x32, planar red, green, blue. The python version is pickled: it is read as data,
nothing in it is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import DataError, FileFormatError
from ..io.reading import guarded, open_file, read_up_to
from .arrays import Labelled
from .pickles import ENCODE, Call, read_pickle

RECORDS = 10_000

_PIXELS = 3 * 32 * 32
_MOST_PYTHON = 64 << 20  # bytes; the official batches have 31 MB
_RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")


def read_binary(path: Path, records: int = RECORDS) -> Labelled:
    """Read one batch of the binary version: per image one byte of label and 3,072 of pixels.

    Raises:
        DataError: the file cannot be read.
        FileFormatError: the file does not have the size of ``records`` images.
    """
    size = records * (1 + _PIXELS)
    content = _read(path, size)
    if len(content) != size:
        raise FileFormatError(f"{path} does not have the {size} bytes of {records} CIFAR-10 images: fetch it again")
    rows = torch.frombuffer(content, dtype=torch.uint8).reshape(records, 1 + _PIXELS)
    return Labelled(rows[:, 1:].reshape(records, 3, 32, 32), rows[:, 0].to(torch.int64))


def read_python(path: Path, records: int = RECORDS) -> Labelled:
    """Read one batch of the python version: a pickled dict, "data" uint8 [records, 3072] and "labels" a list.

    Raises:
        DataError: the file cannot be read.
        FileFormatError: the pickle is damaged, is no such dict, or holds another number of images.
    """
    content = _read(path, _MOST_PYTHON)
    if len(content) > _MOST_PYTHON:
        raise FileFormatError(
            f"{path} has more than {_MOST_PYTHON} bytes, too many for CIFAR-10: use the official file"
        )
    with guarded(path, "fetch it again"):
        batch = read_pickle(content)
        entries = batch if isinstance(batch, dict) else {}
        pixels, labels = _pixels(entries.get("data"), records), entries.get("labels")
    if pixels is None:
        raise FileFormatError(f"{path} has no 'data' of {records} x {_PIXELS} unsigned bytes: use the official file")
    if not isinstance(labels, list) or len(labels) != records:
        raise FileFormatError(f"{path} has no list of {records} 'labels': use the official file")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise FileFormatError(f"{path} has labels that are not 0 to 9: use the official file")
    images = torch.frombuffer(pixels, dtype=torch.uint8).reshape(records, 3, 32, 32)
    return Labelled(images, torch.tensor(labels, dtype=torch.int64))


@dataclass(frozen=True)
class Version:
    """One of the two official versions: its archive, the folder in it, the names of its batches and their reader."""

    archive: str
    folder: str
    suffix: str
    read: Callable[[Path, int], Labelled]

    @property
    def batches(self) -> tuple[str, ...]:
        """File names: five of training, one of test."""
        return (*(f"data_batch_{i}{self.suffix}" for i in range(1, 6)), f"test_batch{self.suffix}")


VERSIONS = (
    Version("cifar-10-binary.tar.gz", "cifar-10-batches-bin", ".bin", read_binary),
    Version("cifar-10-python.tar.gz", "cifar-10-batches-py", "", read_python),
)


def _read(path: Path, most: int) -> bytearray:
    """The file, or its first ``most`` + 1 bytes where it is longer."""
    with guarded(path, "check the file", unread=DataError), open_file(path) as file:
        return read_up_to(file, most + 1)


def _pixels(data: object, records: int) -> bytearray | None:
    """The bytes of a pickled C-ordered uint8 array [records, 3072], or None where ``data`` is anything else."""
    if not isinstance(data, Call) or data.function not in _RECONSTRUCT:
        return None
    if not isinstance(data.state, tuple) or len(data.state) != 5:
        return None
    _, shape, dtype, fortran, raw = data.state
    unsigned = (
        isinstance(dtype, Call) and dtype.function == "numpy dtype" and dtype.arguments[:1] in (("u1",), (b"u1",))
    )
    if shape != (records, _PIXELS) or not unsigned or fortran is not False:
        return None
    if isinstance(raw, Call) and raw.function == ENCODE and raw.arguments[1:] == ("latin1",):
        raw = raw.arguments[0]
    if isinstance(raw, str):
        raw = raw.encode("latin-1", errors="ignore")
    return bytearray(raw) if isinstance(raw, bytes) and len(raw) == records * _PIXELS else None
