"""Spectrograms of a set of sounds, made once, part by part, and kept in the user's cache.

A set is kept in a folder whose name holds a digest of everything that decides it, a file for each part (a voice, a
word). Files are written beside and renamed when they are whole, so that what was stopped goes on where it was, and
processes that make the same set do not meet.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dtypes import Int16, Int64, UInt8
from ..errors import DataError, RunError
from ..io.reading import Flaw, guarded
from ..io.terminal import progress as progress_bar
from ..io.writing import replace_file
from .arrays import Labelled
from .log_mel import LogMel
from .npz import read_npy_or_npz

_FORMAT = 1  # to be raised when the same sounds give other spectrograms
_MOST_WORKERS = 16
FORMS = {"": LogMel(10), "signal": LogMel(40)}
"""What may follow the name of such a set: nothing, for images [1, 49, 10] of frames by bands, or ":signal", for signals
[40, 1, 49] of bands over time."""


@dataclass(frozen=True)
class SoundPart:
    """Sounds that are made and kept together.

    Args:
        name: of its file.
        labels: of each sound.
        make: the sounds one after the other, int16 [16000] each; called when the cache does not hold them.
    """

    name: str
    labels: Sequence[int]
    make: Callable[[], Iterable[Int16]]


@dataclass(frozen=True)
class SoundSet:
    """A data set of sounds, of which none is made or read yet.

    Args:
        name: of the data set.
        classes: their names.
        identity: everything that decides the sounds, as plain data.
        train, validation, test: disjoint parts of it.
    """

    name: str
    classes: tuple[str, ...]
    identity: object
    train: Sequence[SoundPart]
    validation: Sequence[SoundPart]
    test: Sequence[SoundPart]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Sounds of training, validation and test."""
        train, validation, test = (
            sum(len(part.labels) for part in parts) for parts in (self.train, self.validation, self.test)
        )
        return train, validation, test


def spectrograms(sounds: SoundSet, form: str, cache: Path, *, progress: bool) -> tuple[Labelled, Labelled, Labelled]:
    """The spectrograms of training, validation and test; those that the cache does not hold are made first, in threads.

    Args:
        form: one of ``FORMS``.
        cache: folder below which they are kept.
        progress: draw a bar on standard error, if that is a terminal, while they are made.

    Raises:
        DataError: the form is none, a sound cannot be read, or the cache cannot be written or is damaged.
    """
    if form not in FORMS:
        raise DataError(f"{sounds.name} is a set of spectrograms, or of signals as {sounds.name}:signal, not {form!r}")
    digest = hashlib.sha256(json.dumps([_FORMAT, sounds.identity], sort_keys=True).encode()).hexdigest()[:16]
    folder = cache / f"{sounds.name}-{digest}"
    every = [*sounds.train, *sounds.validation, *sounds.test]
    missing = [part for part in every if not (folder / f"{part.name}.npz").is_file()]
    total = sum(len(part.labels) for part in missing)
    bar = progress_bar(total, f"{sounds.name}: sounds to spectrograms", quiet=not progress)
    with bar as advance, ThreadPoolExecutor(min(_MOST_WORKERS, os.cpu_count() or 1)) as pool:
        jobs = {pool.submit(_make, folder, part): len(part.labels) for part in missing}
        done = 0
        try:
            for job in as_completed(jobs):
                job.result()
                done += jobs[job]
                advance(done)
        finally:
            pool.shutdown(cancel_futures=True)
    train, validation, test = (
        _joined([_read(folder, part, form) for part in parts])
        for parts in (sounds.train, sounds.validation, sounds.test)
    )
    return train, validation, test


def _make(folder: Path, part: SoundPart) -> None:
    found: dict[str, list[UInt8]] = {form: [] for form in FORMS}
    for sound in part.make():
        for form, log_mel in FORMS.items():
            found[form].append(log_mel(sound))
    content = io.BytesIO()
    np.savez(content, **{_array(form): np.stack(values) for form, values in found.items()})  # type: ignore[arg-type]
    try:
        replace_file(folder / f"{part.name}.npz", content.getvalue())
    except RunError as error:
        raise DataError(f"{error}; or set XDG_CACHE_HOME to a folder that can be written") from error


def _read(folder: Path, part: SoundPart, form: str) -> Labelled:
    path, wanted = folder / f"{part.name}.npz", _array(form)
    with guarded(path, "delete it, it is made anew", unread=DataError, damaged=DataError):
        values: UInt8 = read_npy_or_npz(path, [wanted])[wanted]
        if values.dtype != np.uint8 or values.ndim != 3 or len(values) != len(part.labels):
            raise Flaw(f"{wanted} is {values.dtype} {list(values.shape)}")
    frames_first = values[:, None] if form == "" else np.ascontiguousarray(values.swapaxes(1, 2))[:, :, None]
    return Labelled(frames_first, np.array(part.labels, np.int64))


def _joined(parts: list[Labelled]) -> Labelled:
    labels: Int64 = np.concatenate([part.labels for part in parts])
    return Labelled(np.concatenate([part.images for part in parts]), labels)


def _array(form: str) -> str:
    """The name of the array of a form in a file."""
    return f"bands{FORMS[form].bands}"
