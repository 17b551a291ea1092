"""Generated speech: ten words that command something, and others, spoken by espeak-ng in many voices, recorded by
simulated rooms and microphones. A stand-in for Speech Commands (Warden 2018), with its words and lengths, that needs no
files.

A voice is a variant of espeak-ng, with its pitch, formants and timbre. Voices of one family (as iven, iven2) stay
together, and no voice is in two of training, validation and test. The accent, the speed, the pitch, the size of the
speaker, the word among the others and all of the ``Scene`` are drawn for each take. A sixth of the last class is noise
alone.
"""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ..dtypes import Float64, Int16
from ..errors import DataError, MissingDependencyError
from .sound import Scene, resample, trimmed
from .spectrogram_cache import SoundPart, SoundSet


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*WORDS, "other")
OTHERS = _words(
    """about after again animal apple backward banana bed bird blue book bread bridge brother cat chair cheese child
    circle city cloud coffee corner country dance dinner doctor dog door eight engine evening family father finger fire
    five flower follow forest forward four friend garden girl glass green guitar hammer happy help hill horse house
    island jump kitchen lamp learn letter light lion marvin meadow milk minute monday money moon morning mountain nine
    number orange paper pencil people picture planet quick rabbit rain red river road school seven sheila ship silver
    simple six sleep smile snow spoon spring square station street summer sun table ten three tree two visual water
    window winter word yellow zero"""
)
ACCENTS = (
    *("en-gb", "en-us", "en-gb-scotland", "en-gb-x-gbclan"),
    *("en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"),
)
VOICES = {
    "train": _words(
        """m1 m2 m3 m5 m6 m8 f1 f2 f4 adam Alex Andy anika Annie antonio belinda benjamin boris caleb Denis Diogo ed
        edward edward2 Gene Gene2 grandma grandpa gustave iven iven2 iven3 iven4 Jacky kaukovalta klatt2 klatt3 Lee
        linda Marco Mario max Michael miguel Nguyen pablo paul sandro steph steph2 steph3 victor zac"""
    ),
    "validation": _words("m4 f3 Alicia david Mike quincy norbert Henrique"),
    "test": _words("m7 f5 Andrea aunty Hugo john marcelo pedro rob shelby travis"),
}
_FORMAT = 1  # to be raised when the same settings give other sounds
_HEADER = 44  # bytes before the samples that espeak-ng writes
_NOISE_ALONE = 6  # one of so many takes of the last class


@dataclass(frozen=True)
class Utterance:
    """One take: what espeak-ng is told, and where it is recorded. Without a word it is noise alone."""

    word: str
    voice: str
    accent: str
    speed: int  # words a minute
    pitch: int  # 0 to 99
    size: float  # of the speaker: by how much all pitches and formants of the voice are lowered
    scene: Scene

    def speak(self) -> Float64:
        """The word, 1 for full scale, at 16 kHz.

        Raises:
            MissingDependencyError: espeak-ng is not installed.
            DataError: it did not speak.
        """
        if not self.word:
            return np.zeros(0)
        options = ["-v", f"{self.accent}+{self.voice}", "-s", str(self.speed), "-p", str(self.pitch)]
        content = _espeak(*options, "--stdout", self.word)
        if len(content) <= _HEADER or content[:4] != b"RIFF":
            raise DataError(f"espeak-ng did not speak {self.word!r} with {' '.join(options)}: install version 1.51")
        rate = int.from_bytes(content[24:28], "little")
        samples = np.frombuffer(content[_HEADER : len(content) // 2 * 2], "<i2").astype(np.float64) / 32768
        return trimmed(resample(samples, rate / self.size))

    def record(self) -> Int16:
        """The second of sound, int16 [16000]."""
        return self.scene.record(self.speak())


@dataclass(frozen=True)
class SpokenWords:
    """How much is spoken.

    Args:
        train, validation, test: takes of each of the ten words by each voice; twice as many of other words.
        voices: of each split, at most; 0 takes all.
        seed: of everything random.
    """

    train: int = 24
    validation: int = 20
    test: int = 20
    voices: int = 0
    seed: int = 0

    def cast(self, split: str) -> tuple[str, ...]:
        """The voices of a split."""
        return VOICES[split][: self.voices or None]

    def labels(self, split: str) -> list[int]:
        """The class of each take of a voice."""
        takes: int = getattr(self, split)
        return [label for label in range(len(CLASSES)) for _ in range(takes * (2 if label == len(WORDS) else 1))]

    def takes(self, split: str, voice: str) -> Iterator[Utterance]:
        """The takes of a voice, in the order of their classes."""
        numbers = dict.fromkeys(range(len(CLASSES)), 0)
        for label in self.labels(split):
            take = numbers[label]
            numbers[label] += 1
            rng = np.random.default_rng([self.seed, 5, zlib.crc32(voice.encode()), label, take])
            said = CLASSES[label]
            if said == "other":
                said = "" if take % _NOISE_ALONE == 0 else str(rng.choice(OTHERS))
            accent, speed, pitch = str(rng.choice(ACCENTS)), int(rng.integers(110, 221)), int(rng.integers(25, 76))
            size = float(np.exp(rng.uniform(-0.16, 0.16)))
            yield Utterance(said, voice, accent, speed, pitch, size, Scene.drawn(rng))

    def part(self, split: str, voice: str) -> SoundPart:
        """The takes of a voice, as the cache keeps them."""
        return SoundPart(
            f"{split}-{voice}", self.labels(split), lambda: (said.record() for said in self.takes(split, voice))
        )


def spoken_words(settings: SpokenWords) -> SoundSet:
    """The takes of all voices; nothing is spoken yet.

    Raises:
        MissingDependencyError: espeak-ng is not installed, or lacks a voice.
    """
    identity = {"format": _FORMAT, "espeak-ng": _check_espeak(), **asdict(settings)}
    train, validation, test = ([settings.part(split, voice) for voice in settings.cast(split)] for split in VOICES)
    return SoundSet("spoken-words", CLASSES, identity, train, validation, test)


def _check_espeak() -> str:
    """The version of espeak-ng, which has all voices.

    Raises:
        MissingDependencyError: it is not installed, or lacks some.
    """
    version = _espeak("--version").decode("utf-8", "replace").split("Data at")[0].strip()
    listed = _espeak("--voices=variant").decode("utf-8", "replace").split()
    lacking = [voice for split in VOICES.values() for voice in split if f"!v/{voice}" not in listed]
    if lacking:
        raise MissingDependencyError(
            f"{version} lacks the voices {', '.join(lacking[:5])}, which spoken-words has: install version 1.51"
        )
    return version


def _espeak(*arguments: str) -> bytes:
    try:
        return subprocess.run(["espeak-ng", *arguments], capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise MissingDependencyError(
            "spoken-words is spoken by espeak-ng, which is not installed: apt-get install espeak-ng"
        ) from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(f"espeak-ng {' '.join(arguments)} failed ({error}): install version 1.51 or newer") from error
