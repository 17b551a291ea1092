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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import ConfigError, DataError
from ..terminal import to_stderr
from .arrays import Labelled
from .events import Events
from .frames import Framing, UInt8, to_frames

_FORMAT = 1  # to be raised when the same parameters give other frames
_STALE = 86_400  # seconds
_COUNTS, _ABOUT = "frames.npy", "about.json"


@dataclass(frozen=True, eq=False)
class Recordings:
    """Labelled recordings of one camera, read when they are needed.

    Args:
        name: of the data set and the split, for messages and folders.
        sensor: (rows, columns) of the camera.
        labels: class of each.
        identity: everything that decides the events, as plain data.
        read: a pass over the recordings, in the order of the labels.
    """

    name: str
    sensor: tuple[int, int]
    labels: tuple[int, ...]
    identity: object
    read: Callable[[], Iterator[Events]]

    def __len__(self) -> int:
        return len(self.labels)


def framed(recordings: Recordings, framing: Framing, cache: Path, *, progress: bool = True) -> Labelled:
    """The frames of recordings, uint8 [N, T, 2, H, W], mapped from the cache; counted first where they are not there.

    Args:
        framing: with ``steps``, so that all recordings have as many frames.
        cache: folder below which frames are kept.
        progress: draw a bar on standard error, if that is a terminal, while they are counted; and say there how many
            events were lost.

    Raises:
        ConfigError: the framing has no steps.
        DataError: a recording cannot be read, or the cache cannot be written or is damaged.
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
    labels = hashlib.sha256(np.asarray(recordings.labels, "<i8").tobytes()).hexdigest()
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
    shape = (len(recordings), steps, 2, *framing.shape(recordings.sensor))
    beside = folder.with_name(f".{secrets.token_hex(6)}.part")
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
    console = to_stderr()
    shown, events, lost = progress and console.is_terminal, 0, 0
    try:
        beside.mkdir(parents=True)
        _clear(folder.parent)
        with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
            task = bar.add_task(f"{recordings.name}: events to frames", total=len(recordings))
            with (beside / _COUNTS).open("wb") as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for done, (recording, _) in enumerate(zip(recordings.read(), recordings.labels, strict=True)):
                    if recording.sensor != recordings.sensor:
                        raise DataError(f"{recordings.name}: recording {done} is of another camera: check the files")
                    frames = to_frames(recording, framing)
                    file.write(frames.counts.tobytes())
                    events, lost = events + frames.events, lost + frames.lost
                    bar.update(task, completed=done + 1)
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
        about = {"key": key, "labels": list(recordings.labels), "bytes": size, "events": events, "lost": lost}
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
    if progress and lost:
        console.print(
            f"{recordings.name}: {lost:,} of {events:,} events ({lost / events:.2%}) lie above the 255 that a count "
            "can hold, and were left out"
        )


def _clear(cache: Path) -> None:
    """Delete what processes that were killed have left half written, a day ago or longer."""
    for part in cache.glob(".*.part"):
        with suppress(OSError):  # another process was faster
            if time.time() - part.stat().st_mtime > _STALE:
                shutil.rmtree(part)


def _map(folder: Path, key: dict[str, Any]) -> Labelled:
    """The frames of a folder, if it is whole and of these parameters."""
    remedy = "delete the folder, it is made anew"
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        found, labels, size = about["key"], about["labels"], about["bytes"]
        if found != key:
            raise DataError(f"{folder} holds frames of other parameters than its name says: {remedy}")
        if (folder / _COUNTS).stat().st_size != size:
            raise ValueError(f"{_COUNTS} does not have {size} bytes")
        counts: UInt8 = np.load(folder / _COUNTS, mmap_mode="c", allow_pickle=False)  # read only: torch would warn
        classes = torch.tensor(labels, dtype=torch.int64)
        if counts.dtype != np.uint8 or counts.ndim != 5 or len(counts) != len(classes):
            raise ValueError(f"{_COUNTS} is {counts.dtype} {list(counts.shape)}")
        digest = hashlib.sha256(np.asarray(labels, "<i8").tobytes()).hexdigest()
        if digest != key["labels"]:
            raise ValueError("its labels are others")
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise DataError(f"{folder} is damaged ({reason}): {remedy}") from error
    return Labelled(torch.from_numpy(counts), classes)
