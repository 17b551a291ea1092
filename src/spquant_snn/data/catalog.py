"""The data sets known by name: where their files may lie, and where they come from when they do not.

Files are looked for in ``data_dir``, else in the folder that the environment variable SPQUANT_DATA names, else in the
user's cache. There they may lie as torchvision lays them (``MNIST/raw``, ``FashionMNIST/raw``, ``cifar-10-batches-py``,
``cifar-10-batches-bin``) or plainly.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import DataError, MissingDependencyError
from ..io.texts import did_you_mean
from ..io.writing import cache_folder
from .archive import unpack
from .arrays import Labelled, Splits, permutation
from .cifar import RECORDS, VERSIONS
from .download import Remote, fetch
from .dvs_gesture import find_dvs_gesture
from .folder_set import absolute, is_folder, load_folder
from .frames import Framing
from .gestures import Studio, gestures
from .heidelberg import load_spikes
from .idx import read_idx
from .input_format import InputFormat
from .motion import ACTIVITIES, MotionStudy, Split
from .nmnist import find_nmnist
from .recordings import Recordings, framed
from .recordings_by_class import CIFAR10_DVS, N_CALTECH101, find_by_class
from .spectrogram_cache import SoundSet, spectrograms
from .speech_commands import find_speech_commands
from .spoken_words import SpokenWords, spoken_words
from .task import Task, outputs_of

IMAGES: tuple[str, ...] = ("mnist", "fashion-mnist", "cifar10", "digits")
EVENTS: tuple[str, ...] = ("nmnist", "dvs-gesture", "cifar10-dvs", "n-caltech101", "gestures")
SPIKES: tuple[str, ...] = ("shd", "ssc")
SOUNDS: tuple[str, ...] = ("spoken-words", "speech-commands")
MOTIONS: tuple[str, ...] = ("activity",)
NAMES: tuple[str, ...] = (*IMAGES, *EVENTS, *SPIKES, *SOUNDS, *MOTIONS)
"""What ``spquant_snn.data.load``, ``SpQuantTrainer`` and ``--dataset`` take as a name; a colon and more may follow.

Example:
    >>> "digits" in NAMES
    True
"""


def of_events(name: str) -> bool:
    """Whether a name is that of a data set of events, of a camera or of spikes, whose recordings become sequences.

    Example:
        >>> of_events("gestures:32"), of_events("mnist")
        (True, False)
    """
    return name.partition(":")[0] in (*EVENTS, *SPIKES)


def of_spikes(name: str) -> bool:
    """Whether a name is that of a data set of spikes."""
    return name.partition(":")[0] in SPIKES


def load(
    name: str,
    data_dir: Path | None = None,
    *,
    timesteps: int = 10,
    download: bool = True,
    progress: bool = True,
) -> Splits:
    """Load a data set by its name.

    Args:
        name: one of ``NAMES``, or the path of a folder of images, see ``load_folder``. Behind those of event cameras
            (``EVENTS``) may follow a colon and the rows of the frames in pixels, as in "gestures:32"; dvs-gesture and
            cifar10-dvs have 64 of their camera's 128 without, n-caltech101 60 of 180. Behind those of spikes
            (``SPIKES``) may follow to how many channels their 700 are summed, as in "shd:140". Those of sounds
            (``SOUNDS``) are spectrograms [1, 49, 10]; with ":signal" behind them, signals [40, 1, 49] of mel bands over
            time. "activity" is generated, signals of a sensor of motion, int8 [6, 1, 128].
        data_dir: folder of the files; None for SPQUANT_DATA, else the user's cache.
        timesteps: frames into which recordings of events are divided; images are as they are.
        download: fetch the files that are missing into that folder; recordings are never fetched.
        progress: draw a bar while downloading, or while events become frames.

    Raises:
        DataError: the name is unknown, or files are missing and cannot be fetched; the message says what to put where.
        FileFormatError: a file is truncated or corrupted.
        MissingDependencyError: "digits" without scikit-learn, spikes without h5py, a folder without Pillow, or
            "spoken-words" without espeak-ng.

    Example:
        >>> digits = load("digits")
        >>> digits.train.images.shape, digits.test.images.shape
        ((1437, 1, 8, 8), (360, 1, 8, 8))
    """
    if of_spikes(name):
        return load_spikes(name, data_folder(data_dir), timesteps, progress=progress)
    if of_events(name):
        return load_frames(name, data_folder(data_dir), timesteps, progress=progress)
    if of_sounds(name):
        return load_sounds(name, data_folder(data_dir), progress=progress)
    if name in MOTIONS:
        return load_activity(MotionStudy())
    if name not in NAMES:
        if is_folder(name):
            return load_folder(name, progress=progress)
        if os.path.isfile(name):
            raise DataError(
                f"{name!r} is a file, and a data set is a name or a folder of images: read it in Python, and give "
                "((training images, labels), (test images, labels))"
            )
        raise DataError(
            f"unknown data set {name!r}: choose one of {', '.join(NAMES)}, or give the path of a folder of images, or "
            f"(train, test) yourself{did_you_mean(name, NAMES)}"
        )
    if name == "digits":
        return load_digits()
    folder = data_folder(data_dir)
    if name == "cifar10":
        return load_cifar10(CIFAR10, folder, download=download, progress=progress)
    return load_idx(MNIST if name == "mnist" else FASHION_MNIST, folder, download=download, progress=progress)


def anchored_name(name: str) -> str:
    """A name as it is, and the path of a folder from the root on."""
    return absolute(name) if name.partition(":")[0] not in NAMES and is_folder(name) else name


def title_of(name: str) -> str:
    """A name as it is, and of the path of a folder the last part."""
    return os.path.basename(os.path.normpath(name))


def data_folder(data_dir: Path | None = None) -> Path:
    """The folder of data files: ``data_dir``, else SPQUANT_DATA, else that of the user's cache."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    if named := os.environ.get("SPQUANT_DATA"):
        return Path(named).expanduser()
    return cache_folder()


def find_recordings(name: str, folder: Path) -> tuple[Recordings, Recordings]:
    """The recordings of training and of test of one of ``EVENTS``; none is read yet.

    Raises:
        DataError: they are not there; the message says where they come from and what goes where.

    Example:
        >>> train, test = find_recordings("dvs-gesture", Path("data"))
    """
    return _RECORDINGS[name.partition(":")[0]](folder)


def load_frames(name: str, folder: Path, timesteps: int, *, progress: bool) -> Splits:
    """The frames of one of ``EVENTS``; see ``load``."""
    base, _, side = name.partition(":")
    parts = find_recordings(base, folder)
    rows, columns = parts[0].sensor
    sides = [str(rows // shrink) for shrink in range(1, rows + 1) if rows % shrink == 0 and rows // shrink >= 8]
    wanted = side or _SIDES.get(base, str(rows))
    if wanted not in sides:
        raise DataError(f"{name}: frames of {rows}x{columns} pixels cannot have a side of {wanted}: {', '.join(sides)}")
    framing = Framing(steps=timesteps, shrink=rows // int(wanted))
    train, test = (framed(part, framing, cache_folder() / "frames", progress=progress) for part in parts)
    return Splits(name, train, test, Task("classification", outputs_of("classification", train.labels, test.labels)))


def of_sounds(name: str) -> bool:
    """Whether a name is that of a data set of sounds, which become spectrograms."""
    return name.partition(":")[0] in SOUNDS


def find_sounds(name: str, folder: Path) -> SoundSet:
    """The sounds of one of ``SOUNDS``; none is made or read yet.

    Raises:
        DataError: they are not there; the message says where they come from and what goes where.
        MissingDependencyError: what speaks them is not installed.
    """
    return spoken_words(SpokenWords()) if name.partition(":")[0] == "spoken-words" else find_speech_commands(folder)


def load_sounds(name: str, folder: Path, *, progress: bool) -> Splits:
    """The spectrograms of one of ``SOUNDS``; see ``load``."""
    base, _, form = name.partition(":")
    sounds = find_sounds(base, folder)
    train, validation, test = spectrograms(sounds, form, cache_folder() / "sounds", progress=progress)
    task = Task("classification", len(sounds.classes), sounds.classes)
    return Splits(name, train, test, task, validation=validation)


def load_activity(study: MotionStudy) -> Splits:
    """The signals of a study in int8, 127 for what the sensor can say at most."""
    held = InputFormat(signed=True, scale=1 / 127)

    def part(split: Split) -> Labelled:
        signals, labels = study.record(split)
        values, _ = held.quantize(signals[:, :, None])
        return Labelled(values, labels)

    task = Task("classification", len(ACTIVITIES), ACTIVITIES)
    return Splits("activity", part("train"), part("test"), task, held, part("validation"))


_RECORDINGS: dict[str, Callable[[Path], tuple[Recordings, Recordings]]] = {
    "nmnist": find_nmnist,
    "dvs-gesture": find_dvs_gesture,
    "cifar10-dvs": partial(find_by_class, CIFAR10_DVS),
    "n-caltech101": partial(find_by_class, N_CALTECH101),
    "gestures": lambda folder: gestures(Studio()),
}
_SIDES = {"dvs-gesture": "64", "cifar10-dvs": "64", "n-caltech101": "60"}


def load_digits() -> Splits:
    """The 1,797 images of 8x8 that scikit-learn carries with it (E. Alpaydin and C. Kaynak, Optical Recognition of
    Handwritten Digits, UCI Machine Learning Repository, 1998), for a first run without any download: 1,437 for training
    and 360 for test, uint8 [N, 1, 8, 8], their 17 grey levels spread over 0 .. 255.

    The split is always the same and keeps the share of every class to within one image.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "the digits come with scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    values, classes = datasets.load_digits(return_X_y=True)
    images = (values.astype(np.int64) * 255 // 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = classes.astype(np.int64)

    count = len(labels)
    shuffled = permutation(count, seed=0)
    by_class = shuffled[labels[shuffled].argsort(kind="stable")]
    spaced = np.arange(_DIGITS_TEST) * count // _DIGITS_TEST  # evenly, hence every class by its share
    test = np.zeros(count, np.bool_)
    test[by_class[spaced]] = True
    return Splits(
        "digits",
        Labelled(images[~test], labels[~test]),
        Labelled(images[test], labels[test]),
        Task("classification", 10),
    )


@dataclass(frozen=True)
class IdxSet:
    """A data set of four gzipped idx files: images and labels of training, then of test."""

    name: str
    layout: str  # torchvision's folder
    files: tuple[Remote, Remote, Remote, Remote]
    opening: tuple[int, ...]  # the first training labels: what tells two sets apart whose files bear the same names


def load_idx(source: IdxSet, folder: Path, *, download: bool, progress: bool) -> Splits:
    """Read the four files of MNIST or of a set in its form; see ``load``."""
    paths = []
    for remote in source.files:
        plain = remote.name.removesuffix(".gz")
        places = [base / name for base in (folder / source.layout, folder) for name in (plain, remote.name)]
        wanted = ", ".join(file.name.removesuffix(".gz") for file in source.files) + " (gzipped or not)"
        paths.append(_find(source.name, places, remote, folder / source.layout, wanted, download, progress))
    shapes = ((28, 28), (), (28, 28), ())
    train_images, train_labels, test_images, test_labels = map(read_idx, paths, shapes)
    for other in (MNIST, FASHION_MNIST):
        if other.name != source.name and train_labels[: len(other.opening)].tolist() == list(other.opening):
            raise DataError(
                f"{paths[1]} holds the labels of {other.name}, not of {source.name}: "
                f"put the files of {source.name} into {folder / source.layout}"
            )
    return Splits(
        source.name,
        Labelled(train_images[:, None], train_labels.astype(np.int64)),
        Labelled(test_images[:, None], test_labels.astype(np.int64)),
        Task("classification", 10),
    )


def load_cifar10(remote: Remote, folder: Path, *, download: bool, progress: bool, records: int = RECORDS) -> Splits:
    """Read CIFAR-10 in its binary or its python version, unpacked or from an archive; see ``load``.

    Args:
        remote: the archive to fetch where there is nothing.
        records: images in each batch.
    """
    for version in VERSIONS:
        for base in (folder / version.folder, folder):
            paths = [base / name for name in version.batches]
            if all(map(os.path.isfile, paths)):
                *train, test = (version.read(path, records) for path in paths)
                images = np.concatenate([part.images for part in train])
                labels = np.concatenate([part.labels for part in train])
                return Splits("cifar10", Labelled(images, labels), test, Task("classification", 10))
    archives = [folder / version.archive for version in VERSIONS]
    wanted = f"{archives[0].name} or {archives[1].name}, or the folder that is in it,"
    archive = _find("cifar10", archives, remote, folder, wanted, download, progress)
    version = next(version for version in VERSIONS if version.archive == archive.name)
    members = tuple(f"{version.folder}/{name}" for name in version.batches)
    unpack(archive, members, folder / version.folder, _MOST_UNPACKED)
    return load_cifar10(remote, folder, download=False, progress=progress, records=records)


def _find(
    name: str, places: list[Path], remote: Remote, destination: Path, wanted: str, download: bool, progress: bool
) -> Path:
    """The first of ``places`` that is a file, else ``remote``, downloaded into ``destination``."""
    for place in places:
        if os.path.isfile(place):
            return place
    remedy = f"put {wanted} into {destination}, or name the folder that has them by --data-dir or SPQUANT_DATA"
    if not download:
        raise DataError(f"{name}: {remote.name} is not in {places[0].parent} and downloading is off: {remedy}")
    try:
        return fetch(remote, destination, progress=progress)
    except DataError as error:
        raise DataError(f"{name}: {error}: {remedy}") from error


_DIGITS_TEST = 360  # images
_MOST_UNPACKED = 256 << 20  # bytes; the official archives of CIFAR-10 hold 186 MB
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
_FASHION_MIRRORS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)

MNIST = IdxSet(
    "mnist",
    "MNIST/raw",
    (
        Remote("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873", _MNIST_MIRRORS),
        Remote("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432", _MNIST_MIRRORS),
        Remote("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3", _MNIST_MIRRORS),
        Remote("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c", _MNIST_MIRRORS),
    ),
    opening=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
)
FASHION_MNIST = IdxSet(
    "fashion-mnist",
    "FashionMNIST/raw",
    (
        Remote("train-images-idx3-ubyte.gz", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", _FASHION_MIRRORS),
        Remote("train-labels-idx1-ubyte.gz", 29_515, "25c81989df183df01b3e8a0aad5dffbe", _FASHION_MIRRORS),
        Remote("t10k-images-idx3-ubyte.gz", 4_422_102, "bef4ecab320f06d8554ea6380940ec79", _FASHION_MIRRORS),
        Remote("t10k-labels-idx1-ubyte.gz", 5_148, "bb300cfdad3c16e7a12a480ee83cd310", _FASHION_MIRRORS),
    ),
    opening=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
)
CIFAR10 = Remote(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c32a1d4ab5d03f1284b67883e8d87530",
    ("https://www.cs.toronto.edu/~kriz", "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10"),
)
