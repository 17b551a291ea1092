"""A user's own images and labels, from files: .npy and .npz as NumPy saves them, without pickles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..dtypes import Array
from ..errors import DataError
from ..io.reading import Flaw, guarded
from .npz import named, read_chosen

_PAIRS = (("images", "labels"), ("x", "y"))  # what the two arrays of an .npz file may be called


def read_own(images: Path, labels: Path | None = None) -> tuple[Array, Array | None]:
    """The array of images in a file, as it is, and that of labels, where there are some: in a file of their own, or
    beside the images in an .npz file, as ``images`` and ``labels`` or as ``x`` and ``y``.

    Raises:
        DataError: a file is not there or holds something else; the message says what it holds.
    """
    _check_there(images, "images")
    found = _read(images, "images")
    if labels is None:
        return found[0], found[1] if len(found) > 1 else None
    _check_there(labels, "labels")
    return found[0], _read(labels, "labels")[-1]


def _check_there(path: Path, what: str) -> None:
    if os.path.isdir(path):
        raise DataError(f"{path} is a folder: give {what} as an .npy or .npz file")
    if not os.path.exists(path):
        raise DataError(f"there is no {path}: give {what} as an .npy or .npz file")


def _read(path: Path, what: str) -> list[Array]:
    """The array of a file; or of an .npz file images and labels, or one of the two."""

    def choose(names: Sequence[str]) -> Sequence[str]:
        if len(names) == 1:
            return names
        for pair in _PAIRS:
            wanted = pair if what == "images" else pair[1:]
            if set(wanted) <= set(names):
                return wanted
        pairs = " or ".join(" and ".join(pair) for pair in _PAIRS)
        raise Flaw(f"it holds {named(names)}, and needs {pairs}")

    with guarded(
        path, "save it by numpy.save or numpy.savez", wrong="cannot be used", unread=DataError, damaged=DataError
    ):
        return list(read_chosen(path, choose).values())
