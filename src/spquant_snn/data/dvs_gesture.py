"""DVS128 Gesture (Amir et al. 2017): 29 people, 11 hand and arm gestures, a camera of 128 x 128 pixels.

The folder holds a recording for each person and light, userNN_LIGHT.aedat, and beside it userNN_LIGHT_labels.csv, which
says of each gesture its class, 1 to 11, and when it begins and ends, in microseconds; trials_to_train.txt and
trials_to_test.txt name the recordings of the two splits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..io.reading import guarded, read_bytes
from .aedat import read_aedat3
from .events import Events
from .recordings import Recordings, unless_empty

SENSOR = (128, 128)
_CLASSES = 11
_HOME = "https://ibm.biz/EventCameraDataset (or https://research.ibm.com/interactive/dvsgesture)"
_FOLDERS = ("DvsGesture", "DVS128Gesture/DvsGesture", "DVSGesture/DvsGesture")
_HEADING = ["class", "startTime_usec", "endTime_usec"]
_LONGEST_LIST = 1 << 20  # bytes
_NO_TEXT = "is not a text of names and times"
_LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}


@dataclass(frozen=True)
class Gesture:
    """One line of a label file: a class, 0 to 10, and its time in [start, stop), in microseconds."""

    label: int
    start: int
    stop: int


def find_dvs_gesture(folder: Path) -> tuple[Recordings, Recordings]:
    """The gestures of training and of test, in the folder DvsGesture of ``folder`` or in ``folder`` itself. Only the
    label files are read yet.

    Raises:
        DataError: they are not there, and the message says where they come from and what goes where; a file that a
            split names is missing; a label file is damaged.
    """
    for base in (*(folder / name for name in _FOLDERS), folder):
        if any(os.path.isfile(base / name) for name in _LISTS.values()):
            return _recordings(base, "train"), _recordings(base, "test")
    raise DataError(
        f"dvs-gesture: there is no {folder / _FOLDERS[0] / _LISTS['train']}: fetch DvsGesture.tar.gz from {_HOME} and "
        f"unpack it into {folder}, or name the folder that holds DvsGesture by --data-dir or SPQUANT_DATA"
    )


def read_labels(path: Path) -> tuple[Gesture, ...]:
    """Read a label file.

    Raises:
        DataError: it cannot be read, or a line is no class with its times.
    """
    with guarded(path, "it belongs to its .aedat file", wrong=_NO_TEXT, unread=DataError, damaged=DataError):
        lines = read_bytes(path, _LONGEST_LIST).decode().split("\n")
    if lines[0].strip().split(",") != _HEADING:
        raise DataError(
            f"{path} begins with {lines[0].strip()[:60]!r}, not with {','.join(_HEADING)!r}: check the file"
        )
    gestures = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 3 or not all(cell.isascii() and cell.isdigit() and len(cell) < 16 for cell in cells):
            raise DataError(f"{path}, line {number}, is {line.strip()[:60]!r}: it needs {', '.join(_HEADING)}")
        label, start, stop = map(int, cells)
        if not 1 <= label <= _CLASSES:
            raise DataError(f"{path}, line {number}: class {label} is not 1 to {_CLASSES}: check the file")
        if start >= stop:
            raise DataError(f"{path}, line {number}: the gesture ends at {stop}, not after {start}: check the file")
        gestures.append(Gesture(label - 1, start, stop))
    if not gestures:
        raise DataError(f"{path} names no gesture: fetch it again")
    return tuple(gestures)


def cut(path: Path, gestures: tuple[Gesture, ...]) -> Iterator[Events | None]:
    """The gestures of a recording, one after the other; None for one in which nothing happened.

    Raises:
        DataError: the recording cannot be read, or does not have the time of a gesture.
    """
    recording = unless_empty(read_aedat3, path, SENSOR)
    for gesture in gestures:
        part = None if recording is None else recording.between(gesture.start, gesture.stop)
        if recording is not None and not part:
            first, last = int(recording.t[0]), int(recording.t[-1])
            if gesture.stop <= first or gesture.start > last:
                raise DataError(
                    f"{path} has no events from {gesture.start} to {gesture.stop} microseconds, where its label file "
                    f"has a gesture; it lasts from {first} to {last}: check that the two belong together"
                )
        yield part or None


def _recordings(base: Path, split: str) -> Recordings:
    names = _names(base / _LISTS[split])
    files = [base / name for name in names]
    labelled = [(path, read_labels(path.with_name(f"{path.stem}_labels.csv"))) for path in files if _there(path, split)]
    known = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns, [vars(gesture) for gesture in gestures])
        for path, gestures in labelled
    ]

    def read() -> Iterator[Events | None]:
        for path, gestures in labelled:
            yield from cut(path, gestures)

    labels = tuple(gesture.label for _, gestures in labelled for gesture in gestures)
    return Recordings(f"dvs-gesture {split}", SENSOR, labels, known, read)


def _names(path: Path) -> list[str]:
    """The file names in a list of a split."""
    with guarded(path, "it belongs to the data set, unpack it", wrong=_NO_TEXT, unread=DataError, damaged=DataError):
        names = read_bytes(path, _LONGEST_LIST).decode().split()
    odd = [name for name in names if not name.endswith(".aedat") or Path(name).name != name or not name.isprintable()]
    if odd or not names:
        raise DataError(
            f"{path} names {odd[0][:60]!r}, which is no recording" if odd else f"{path} names no recording: unpack it"
        )
    return names


def _there(path: Path, split: str) -> bool:
    if not os.path.isfile(path):
        raise DataError(f"dvs-gesture: {path} is missing, which {_LISTS[split]} names: unpack the whole archive")
    return True
