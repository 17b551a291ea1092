"""The data set that the path of a folder stands for: images in folders of their classes, in ``train`` and ``test`` or
without these.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..io.terminal import progress as bar
from ..io.terminal import to_stderr
from .arrays import Labelled, Splits
from .image_folder import ImageFolder
from .task import Task

_MOST = 4 << 30  # bytes of images in memory
_AT_ONCE = 256  # images that wait to be read
_SIZE = re.compile(r"(.+):(\d{1,5})(?:x(\d{1,5}))?")
_TRAIN, _TEST, _VALIDATION = "train", "test", ("val", "valid", "validation")
_SHARE = 0.2  # of the images, for test, where the folder does not say


def is_folder(name: str) -> bool:
    """Whether a name of a data set is the path of a folder, with or without a size behind it."""
    return os.path.isdir(_parse(name)[0])


def absolute(name: str) -> str:
    """The same from the root on."""
    path, size = _parse(name)
    return os.path.abspath(path) + ("" if size is None else f":{size[0]}x{size[1]}")


def load_folder(name: str, *, progress: bool = True) -> Splits:
    """All images of a folder, in memory.

    Args:
        name: its path. Behind it may follow a colon and the size that images are brought to, as "pictures:32" or
            "pictures:32x48" (height, width); see ``ImageFolder``.
        progress: draw a bar while they are read, and say what is not.

    Where the folder holds ``train`` and ``test``, these hold the folders of classes, and ``val``, ``valid`` or
    ``validation`` beside them those of the images that epochs are compared by; without ``test`` it stands in its place.
    Else the folder itself holds them, and a fifth of each class is for test, which the names of its files decide.

    Raises:
        DataError: as ``ImageFolder``, or there are more images than memory should hold.
        MissingDependencyError: Pillow is not installed.
    """
    path, size = _parse(name)
    folder = Path(path)
    title = folder.resolve().name or "folder"
    held = [part for part in (_TEST, *_VALIDATION) if os.path.isdir(folder / part)]
    if os.path.isdir(folder / _TRAIN) and held:
        train = ImageFolder(folder / _TRAIN, size=size)
        test, *chosen_by = (
            ImageFolder(folder / part, size=size, mode=train.form.mode, classes=train.classes) for part in held[:2]
        )
        if progress and len(held) > 2:
            to_stderr().print(f"{folder / held[2]} is not read: {held[1]} is for validation")
    else:
        train, test = ImageFolder(folder, size=size).split(_SHARE)
        chosen_by = []
    task = Task("classification", len(train.classes), train.classes)
    read = [_read(part, title, progress) for part in (train, test, *chosen_by)]
    return Splits(title, read[0], read[1], task, validation=read[2] if chosen_by else None)


def _parse(name: str) -> tuple[str, tuple[int, int] | None]:
    """The path, and (H, W) if they stand behind it."""
    found = _SIZE.fullmatch(name)
    if found is None or os.path.isdir(os.path.expanduser(name)):
        return os.path.expanduser(name), None
    path, height, width = found.groups()
    return os.path.expanduser(path), (int(height), int(width or height))


def _read(images: ImageFolder, title: str, progress: bool) -> Labelled:
    first, _ = images[0]
    if len(images) * first.nbytes > _MOST:
        raise DataError(
            f"{title}: {len(images):,} images of {'x'.join(map(str, first.shape))} take {len(images) * first.nbytes:,} "
            "bytes of memory: make them smaller, as by a size behind the folder's name, or train in Python on "
            "(ImageFolder(...), ImageFolder(...)), which are read as they are needed"
        )
    pixels = np.empty((len(images), *first.shape), np.uint8)
    with ThreadPoolExecutor() as pool, bar(len(images), f"{title}: reading images", quiet=not progress) as shown:
        for start in range(0, len(images), _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, len(images)))
            for number, (image, _) in zip(numbers, pool.map(images.__getitem__, numbers), strict=True):
                pixels[number] = image
            shown(numbers.stop)
    return Labelled(pixels, images.labels)
