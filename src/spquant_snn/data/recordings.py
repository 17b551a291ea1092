"""Recordings: event data sets as a catalogue knows them, and their frames, made once and then mapped into memory.

The frames of a data set lie in a folder of the user's cache whose name holds a digest of everything that decides them:
the recordings, how they are cut, and the format. A folder is written beside and renamed when it is whole, so that
another process meets all of it or nothing; of two that make the same one, the first is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import UInt8
from ..errors import ConfigError, DataError
from ..io.fields import Fields
from ..io.reading import Flaw, guarded, read_bytes
from ..io.terminal import progress as progress_bar
from ..io.terminal import to_stderr
from ..io.texts import parse_json
from .arrays import Labelled
from .events import Events, NoEvents
from .frames import Framing, to_frames
from .npz import map_npy

_FORMAT = 2  # to be raised when the same parameters give other frames
_STALE = 86_400  # seconds
_COUNTS, _ABOUT = "frames.npy", "about.json"
_LONGEST_ABOUT = 16 << 20  # bytes; the 60,000 labels of N-MNIST take 180,000
_MOST_RECORDINGS, _MOST_CLASSES = 10_000_000, 10_000


@dataclass(frozen=True, eq=False)
class Recordings:
    """Labelled recordings of one camera, read when they are needed.

    Args:
        name: of the data set and the split, for messages and folders.
        sensor: (rows, columns) of the camera.
        labels: class of each.
        identity: everything that decides the events, as plain data.
        read: a pass over the recordings, in the order of the labels; None for one that holds no events.
    """

    name: str
    sensor: tuple[int, int]
    labels: tuple[int, ...]
    identity: object
    read: Callable[[], Iterator[Events | None]]

    def __len__(self) -> int:
        return len(self.labels)


def unless_empty(read: Callable[..., Events], *arguments: Any) -> Events | None:
    """What a reader gives; None where it finds that nothing happened."""
    try:
        return read(*arguments)
    except NoEvents:
        return None


def framed(recordings: Recordings, framing: Framing, cache: Path, *, progress: bool = True) -> Labelled:
    """The frames of recordings, uint8 [N, T, 2, H, W], mapped from the cache; counted first where they are not there.
    Recordings without events are left out.

    Args:
        framing: with ``steps``, so that all recordings have as many frames.
        cache: folder below which frames are kept.
        progress: draw a bar on standard error, if that is a terminal, while they are counted; and say there how many
            events were lost and how many recordings hold none.

    Raises:
        ConfigError: the framing has no steps.
        DataError: no recording holds an event, one cannot be read, or the cache cannot be written or is damaged.
    """
    if framing.steps is None:
        raise ConfigError("framing: the recordings of a data set need as many frames each: give steps")
    key = _key(recordings, framing)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache / f"{recordings.name.replace(' ', '-').replace(':', 'x')}-{digest}"
    if not folder.is_dir():
        _write(folder, recordings, framing, framing.steps, key, progress)
    return _map(folder, key)


def _key(recordings: Recordings, framing: Framing) -> dict[str, Any]:
    """Everything that decides the frames, as JSON gives it back."""
    labels = _digest(recordings.labels)
    parts = {
        "format": _FORMAT,
        "name": recordings.name,
        "sensor": recordings.sensor,
        "count": len(recordings),
        "labels": labels,
        "events": recordings.identity,
        "framing": asdict(framing),
    }
    key: dict[str, Any] = json.loads(json.dumps(parts))
    return key


def _write(
    folder: Path, recordings: Recordings, framing: Framing, steps: int, key: dict[str, Any], progress: bool
) -> None:
    """Count all events and write the folder whole."""
    each = (steps, 2, *framing.shape(recordings.sensor))
    beside = folder.with_name(f".{secrets.token_hex(6)}.part")
    events = lost = 0
    empty: list[int] = []
    try:
        beside.mkdir(parents=True)
        _clear(folder.parent)
        bar = progress_bar(len(recordings), f"{recordings.name}: events to frames", quiet=not progress)
        with bar as report, (beside / _COUNTS).open("wb") as file:
            file.write(header := _header(len(recordings), each))
            for done, (recording, _) in enumerate(zip(recordings.read(), recordings.labels, strict=True)):
                report(done + 1)
                if recording is None:
                    empty.append(done)
                    continue
                if recording.sensor != recordings.sensor:
                    raise DataError(f"{recordings.name}: recording {done} is of another camera: check the files")
                frames = to_frames(recording, framing)
                file.write(frames.counts.tobytes())
                events, lost = events + frames.events, lost + frames.lost
            size = file.tell()
            if len(empty) == len(recordings):
                raise DataError(f"{recordings.name}: none of {len(empty)} recordings holds an event: check the files")
            if empty:
                file.seek(0)
                file.write(_header(len(recordings) - len(empty), each, len(header)))
            file.flush()
            os.fsync(file.fileno())
        about = {"key": key, "labels": list(recordings.labels), "empty": empty, "bytes": size}
        about |= {"events": events, "lost": lost}
        (beside / _ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")
        with suppress(OSError):  # another process was faster; its folder is the same
            beside.rename(folder)
        if not folder.is_dir():
            raise OSError("the folder cannot be renamed")
    except OSError as error:
        raise DataError(
            f"cannot write {folder} ({error.strerror or error}): make room, or set XDG_CACHE_HOME to a folder that can "
            "be written"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if progress and empty:
        to_stderr().print(
            f"{recordings.name}: {len(empty):,} of {len(recordings):,} recordings hold no events, left out"
        )
    if progress and lost:
        to_stderr().print(
            f"{recordings.name}: {lost:,} of {events:,} events ({lost / events:.2%}) lie above the 255 that a count "
            "can hold, and were left out"
        )


def _header(count: int, each: tuple[int, ...], size: int = 0) -> bytes:
    """The header of an .npy file of so many arrays of bytes; of ``size`` bytes, where it is to take another's place."""
    described = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {(count, *each)}, }}"
    length = max(size, -(-(len(described) + 11) // 64) * 64)  # data begin at a multiple of 64
    text = described.ljust(length - 11).encode() + b"\n"
    return np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text


def _digest(labels: Sequence[int]) -> str:
    return hashlib.sha256(np.asarray(labels, "<i8").tobytes()).hexdigest()


def _clear(cache: Path) -> None:
    """Delete what processes that were killed have left half written, a day ago or longer."""
    for part in cache.glob(".*.part"):
        with suppress(OSError):  # another process was faster
            if time.time() - part.stat().st_mtime > _STALE:
                shutil.rmtree(part)


def _map(folder: Path, key: dict[str, Any]) -> Labelled:
    """The frames of a folder, if it is whole and of these parameters."""
    remedy = "delete the folder, it is made anew"
    with guarded(folder, remedy, unread=DataError, damaged=DataError):
        about = Fields(parse_json(read_bytes(folder / _ABOUT, _LONGEST_ABOUT), _ABOUT), whole=_ABOUT)
        if about.value("key") != key:
            raise DataError(f"{folder} holds frames of other parameters than its name says: {remedy}")
        labels = about.whole_numbers("labels", _MOST_RECORDINGS, 0, _MOST_CLASSES)
        if _digest(labels) != key["labels"]:
            raise Flaw("its labels are others")
        empty = set(about.whole_numbers("empty", len(labels), 0, len(labels) - 1))
        size = about.integer("bytes", 1, 1 << 53)
        if (folder / _COUNTS).stat().st_size != size:
            raise Flaw(f"{_COUNTS} does not have {size} bytes")
        counts: UInt8 = map_npy(folder / _COUNTS, "c")  # what a user writes into them stays in memory
        classes = np.array([label for n, label in enumerate(labels) if n not in empty], np.int64)
        if counts.dtype != np.uint8 or counts.ndim != 5 or len(counts) != len(classes):
            raise Flaw(f"{_COUNTS} is {counts.dtype} {list(counts.shape)}")
    return Labelled(counts, classes)
