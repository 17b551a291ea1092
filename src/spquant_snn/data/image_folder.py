"""A folder of images, one folder in it for each class, as torchvision's ImageFolder takes; and the data set that a path
on the command line stands for.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Array, Int64
from ..errors import ConfigError, DataError
from ..io.reading import reason
from ..io.terminal import progress, to_stderr
from .image_file import SUFFIXES, UNREAD_SUFFIXES, ImageForm, Mode, pixels_of, read_image, require_pillow

_PROBED = 64  # images of which the first look is taken
_SKIP = "convert it to 8 bits of grey or RGB, delete it, or pass over such files with skip_unreadable=True"
_DEEPEST = 32  # folders below that of a class
_AT_ONCE = 256  # images that wait to be read


class ImageFolder:
    """A map-style Dataset of the images in ``folder``/<class>/, however deep; item by item (image, class).

    Files are read when they are asked for, by worker processes too. Hidden files and folders, and files that are no
    images, are passed over.

    Args:
        folder: holds one folder for each class.
        size: (H, W), or one number for squares: images are scaled so that they fill it, and what is over at the longer
            side is cut, evenly. Without it all images must be of one size, unless a
            transform brings them there.
        mode: "RGB" or "L" (grey). Without it, "RGB" if there is colour in any of 64 images that are spread evenly over
            all, else "L".
        background: grey level, 0 .. 255, behind images that are transparent in places, which are refused without it.
        classes: names of the folders in the order of their classes, as those of the training set for the test set;
            by default all that there are, sorted.
        transform: called with each image of Pillow, after mode and size; what it returns is the image of the item.
        skip_unreadable: read every file once now, pass over those that cannot be, and say on standard error how many.

    Attributes:
        classes: names, sorted.
        labels: int64 [N].
        paths: of the images, class by class, sorted.
        skipped: why each file was passed over, in a sentence that names it.

    Raises:
        DataError: the folder is not there, holds no folders of classes, one of them holds no image, links lead round in
            a circle, or no image can be read.
        MissingDependencyError: Pillow is not installed.

    Items are (uint8 [C, H, W], int), and raise DataError for a file that cannot be read, or of another size.

    Example:
        >>> everything = ImageFolder("pictures", size=(32, 32), mode="RGB")  # pictures/cat/1.jpg ...
        >>> train, test = everything.split(0.2)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        size: int | tuple[int, int] | None = None,
        mode: Mode | None = None,
        background: int | None = None,
        classes: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        skip_unreadable: bool = False,
    ) -> None:
        require_pillow()
        self.folder = Path(folder).expanduser()
        self.transform = transform
        self.skipped: tuple[str, ...] = ()
        self.form = ImageForm(mode, (size, size) if isinstance(size, int) else size, background)
        found = classes_in(self.folder)
        self.classes = tuple(found) if classes is None else tuple(classes)
        if unknown := sorted(set(found) - set(self.classes)):
            raise DataError(
                f"{self.folder} holds a folder {unknown[0]!r}, which is none of the classes "
                f"{', '.join(self.classes)}: delete it, or add it to classes"
            )
        self.paths: list[str] = []
        labels: list[int] = []
        for label, name in enumerate(self.classes):
            if name in found:
                paths = sorted(_images_below(found[name], ()))
                if not paths:
                    raise DataError(
                        f"{found[name]} holds no image ({', '.join(SUFFIXES)}): put some there, or delete the folder"
                    )
                self.paths += paths
                labels += [label] * len(paths)
        self.labels: Int64 = np.array(labels, np.int64)
        if not self.paths:
            raise DataError(f"{self.folder} holds none of the classes {', '.join(self.classes)}: check their names")
        if skip_unreadable:
            self._skip_unreadable()
        self._settle()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = read_image(self.paths[index], self.form, _SKIP)
        if self.transform is None and image.size != self._size[::-1]:
            height, width = self._size
            raise DataError(
                f"{self.paths[index]} has {image.height}x{image.width} pixels, the first image {height}x{width}: bring "
                f"them to one size, as by size=({height}, {width})"
            )
        given = pixels_of(image) if self.transform is None else self.transform(image)
        return given, int(self.labels[index])

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        return (self[index] for index in range(len(self)))

    def subset(self, which: Sequence[int] | Array) -> ImageFolder:
        """Some of the images, as a data set of the same form and classes."""
        part = copy.copy(self)
        chosen = np.asarray(which, np.int64)
        part.paths, part.labels = [self.paths[index] for index in chosen], self.labels[chosen]
        return part

    def split(self, share: float = 0.2) -> tuple[ImageFolder, ImageFolder]:
        """Two parts, the second with a share of each class, at least one of its images.

        The names of the files decide, by their digests, and so the same images fall into the second part on every
        machine, and most still do when others are added.

        Raises:
            DataError: a class has one image only.
        """
        if not 0 < share < 1:
            raise ConfigError(f"the share of images set apart must be between 0 and 1, not {share!r}")
        apart = np.zeros(len(self), np.bool_)
        for label in np.unique(self.labels):
            members = np.flatnonzero(self.labels == label)
            if len(members) < 2:
                raise DataError(
                    f"{self.folder / self.classes[label]} holds one image, too few to set some apart: add more, or "
                    "make folders train and test"
                )
            digests = [self._digest(int(index)) for index in members]
            order = sorted(range(len(members)), key=digests.__getitem__)
            apart[members[order[: min(len(members) - 1, max(1, round(share * len(members))))]]] = True
        return self.subset(np.flatnonzero(~apart)), self.subset(np.flatnonzero(apart))

    def _digest(self, index: int) -> bytes:
        name = Path(self.paths[index]).relative_to(self.folder).as_posix()
        return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()

    def _settle(self) -> None:
        """Decide what was left open: the mode by images that are spread over all, the size by the first."""
        spread = np.unique(np.linspace(0, len(self) - 1, _PROBED).astype(np.int64))
        looked_at, wrong = [], None
        for index in spread if self.form.mode is None else spread[:1]:
            try:
                looked_at.append(read_image(self.paths[index], self.form, _SKIP))
            except DataError as error:
                wrong = wrong or error
        if not looked_at:
            assert wrong is not None
            raise wrong
        if self.form.mode is None:
            self.form = self.form.with_mode("RGB" if any(image.mode == "RGB" for image in looked_at) else "L")
        self._size = (looked_at[0].height, looked_at[0].width)

    def _skip_unreadable(self) -> None:
        """Read every file once, and pass over those that cannot be read."""

        def flaw(path: str) -> str:
            try:
                read_image(path, self.form)
            except DataError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor() as pool, progress(len(self), f"{self.folder.name}: reading images") as shown:
            flaws: list[str] = []
            for start in range(0, len(self), _AT_ONCE):
                flaws += pool.map(flaw, self.paths[start : start + _AT_ONCE])
                shown(len(flaws))
        self.skipped = tuple(said for said in flaws if said)
        if not self.skipped:
            return
        kept = [index for index, said in enumerate(flaws) if not said]
        if not kept:
            raise DataError(f"no image in {self.folder} can be read, such as: {self.skipped[0]}")
        to_stderr().print(
            f"{self.folder}: {len(self.skipped):,} of {len(self):,} files are passed over, such as: {self.skipped[0]}"
        )
        self.paths, self.labels = [self.paths[index] for index in kept], self.labels[kept]


def classes_in(folder: Path) -> dict[str, Path]:
    """The folders of classes in a folder, by name, sorted.

    Raises:
        DataError: there are none.
    """
    found = {entry.name: Path(entry.path) for entry in _entries(folder) if _is_folder(entry)}
    if not found:
        raise DataError(f"{folder} holds no folders: put the images of each class into a folder of its own there")
    return dict(sorted(found.items()))


def _images_below(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Paths of the images in a folder and in those that it holds; ``above`` are those that it lies in."""
    held = folder.stat()
    if (held.st_dev, held.st_ino) in above:
        raise DataError(f"{folder} is a link to a folder that it lies in: delete the link")
    if len(above) > _DEEPEST:
        raise DataError(f"{folder} lies more than {_DEEPEST} folders deep: move its images further up")
    for entry in _entries(folder):
        suffix = os.path.splitext(entry.name)[1].lower()
        if _is_folder(entry):
            yield from _images_below(Path(entry.path), (*above, (held.st_dev, held.st_ino)))
        elif suffix in UNREAD_SUFFIXES:
            raise DataError(f"{entry.path} is an image of a kind that is not read: convert it to PNG, or delete it")
        elif suffix in SUFFIXES:
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be followed ({reason(error)}): delete the link") from error


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, but for hidden files and folders."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise DataError(f"{folder} cannot be read as a folder ({reason(error)}): check the path") from error
