"""Speech Commands (Warden 2018): words of one second, spoken by thousands of people, as version 2 unpacks them: a
folder for each word with files of .wav, ``validation_list.txt`` and ``testing_list.txt``, which name files of these two
splits (the speakers of the three are disjoint), and ``_background_noise_``.

The classes are those of ``spoken_words``: ten words, and all others with noise alone as the last. Of the other words as
many are taken as of two of the ten, by a digest of their names; noise is cut into seconds, in order, eight tenths of
each file for training and one for each of the other two.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ..dtypes import Int16
from ..errors import DataError
from ..io.reading import guarded, read_bytes
from .sound import SECOND, one_second, read_wav
from .spectrogram_cache import SoundPart, SoundSet
from .spoken_words import CLASSES, WORDS

_HOME = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
_FOLDERS = ("speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02", "speech_commands")
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_NOISE = "_background_noise_"
_LONGEST_LIST = 16 << 20  # bytes
_OTHER = len(WORDS)
_TOGETHER = 500  # other words that are kept in one file


def find_speech_commands(folder: Path) -> SoundSet:
    """The files of the three splits, in one of the folders that the archive and torchaudio make below ``folder``, or in
    ``folder`` itself. Only the lists are read yet.

    Raises:
        DataError: they are not there, and the message says where they come from and what goes where; a list is damaged.
    """
    for base in (*(folder / name for name in _FOLDERS), folder):
        if os.path.isfile(base / _LISTS["test"]):
            return _sounds(base)
    raise DataError(
        f"speech-commands: there is no {folder / _FOLDERS[0] / _LISTS['test']}: fetch {_HOME} and unpack it into "
        f"{folder / _FOLDERS[0]}, or name the folder that holds it by --data-dir or SPQUANT_DATA"
    )


def _sounds(base: Path) -> SoundSet:
    listed = {split: _listed(base / name) for split, name in _LISTS.items()}
    files = sorted(path.relative_to(base).as_posix() for path in base.glob("*/*.wav"))
    words = [file for file in files if not file.startswith(_NOISE)]
    noise = [file for file in files if file.startswith(_NOISE)]
    groups = {
        "train": [file for file in words if file not in listed["validation"] and file not in listed["test"]],
        "validation": [file for file in words if file in listed["validation"]],
        "test": [file for file in words if file in listed["test"]],
    }
    for split, group in groups.items():
        if lacking := {*WORDS} - {file.partition("/")[0] for file in group}:
            raise DataError(
                f"speech-commands: {base} holds no {min(lacking)}/*.wav for {split}: unpack {_HOME} there whole"
            )
    parts = {split: list(_parts(base, split, group, noise)) for split, group in groups.items()}
    identity = [[file, (base / file).stat().st_size, (base / file).stat().st_mtime_ns] for file in files]
    return SoundSet(
        "speech-commands",
        CLASSES,
        [identity, *(sorted(names) for names in listed.values())],
        parts["train"],
        parts["validation"],
        parts["test"],
    )


def _listed(path: Path) -> frozenset[str]:
    with guarded(path, "unpack the archive again", unread=DataError, damaged=DataError):
        return frozenset(read_bytes(path, _LONGEST_LIST).decode("utf-8").split())


def _parts(base: Path, split: str, files: list[str], noise: list[str]) -> Iterator[SoundPart]:
    """A part for each of the ten words, some for the others, and one for noise alone."""
    count = 0
    for label, word in enumerate(WORDS):
        own = [file for file in files if file.startswith(f"{word}/")]
        count += len(own)
        yield SoundPart(f"{split}-{word}", [label] * len(own), partial(_read, base, own))
    others = [file for file in files if file.partition("/")[0] not in WORDS]
    others = sorted(sorted(others, key=_digest)[: 2 * count // len(WORDS)])
    for number, start in enumerate(range(0, len(others), _TOGETHER)):
        own = others[start : start + _TOGETHER]
        yield SoundPart(f"{split}-other{number}", [_OTHER] * len(own), partial(_read, base, own))
    seconds = [(file, second) for file in noise for second in _seconds(base / file, split)]
    if seconds:
        yield SoundPart(f"{split}-noise", [_OTHER] * len(seconds), partial(_cut, base, seconds))


def _digest(file: str) -> str:
    return hashlib.sha256(file.encode()).hexdigest()


def _read(base: Path, files: Iterable[str]) -> Iterator[Int16]:
    return (one_second(read_wav(base / file)) for file in files)


def _seconds(path: Path, split: str) -> range:
    """The seconds of a file of noise that belong to a split."""
    count = path.stat().st_size // (2 * SECOND)
    first, second = count * 8 // 10, count * 9 // 10
    return {"train": range(first), "validation": range(first, second), "test": range(second, count)}[split]


def _cut(base: Path, seconds: list[tuple[str, int]]) -> Iterator[Int16]:
    held, sound = "", None
    for file, second in seconds:
        if file != held:
            held, sound = file, read_wav(base / file)
        assert sound is not None
        yield one_second(sound[second * SECOND : (second + 1) * SECOND])
