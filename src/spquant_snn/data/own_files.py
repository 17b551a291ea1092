"""A user's own images and labels: .npy and .npz files as NumPy saves them, without pickles, and folders of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..dtypes import Array
from ..errors import DataError
from ..io.reading import Flaw, guarded
from .npz import named, read_chosen

_PAIRS = (("images", "labels"), ("x", "y"))  # what the two arrays of an .npz file may be called


def read_own(
    images: Path,
    labels: Path | None = None,
    shape: tuple[int, int, int] = (1, 1, 1),
    classes: Sequence[str] = (),
    outputs: int = 0,
) -> tuple[Array, Array | None]:
    """The array of images in a file, as it is, and that of labels, where there are some: in a file of their own, or
    beside the images in an .npz file, as ``images`` and ``labels`` or as ``x`` and ``y``. Or the images of a folder
    that holds one folder for each class.

    Args:
        shape: (C, H, W) to which the images of a folder are brought, as ``ImageFolder`` does.
        classes: names of the folders in it, in the order of their classes; none: those that there are, sorted.
        outputs: how many folders there must be where no names are known; 0: any.

    Raises:
        DataError: a file is not there or holds something else; the message says what it holds.
        MissingDependencyError: a folder needs Pillow.
    """
    if os.path.isdir(images):
        if labels is not None:
            raise DataError(f"{images} is a folder, whose folders are the classes: leave the labels {labels} out")
        return _read_folder(images, shape, classes, outputs)
    _check_there(images, "images")
    found = _read(images, "images")
    if labels is None:
        return found[0], found[1] if len(found) > 1 else None
    _check_there(labels, "labels")
    return found[0], _read(labels, "labels")[-1]


def _read_folder(
    folder: Path, shape: tuple[int, int, int], classes: Sequence[str], outputs: int
) -> tuple[Array, Array]:
    from .image_folder import ImageFolder

    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(
            f"{folder} holds images, grey or RGB, and the network takes {channels} channels: give an .npy file"
        )
    items = ImageFolder(
        folder, size=(height, width), mode="L" if channels == 1 else "RGB", classes=tuple(classes) or None
    )
    if not classes and outputs and len(items.classes) != outputs:
        raise DataError(
            f"{folder} holds {len(items.classes)} folders of classes, and the network has {outputs} classes, without "
            "names: give a folder for each, in the order of their names, or an .npz file with images and labels"
        )
    return np.stack([items[i][0] for i in range(len(items))]), items.labels


def _check_there(path: Path, what: str) -> None:
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
