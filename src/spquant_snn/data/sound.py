"""Sound: files of samples, and what a room, a microphone and noise make of it. All of it is mono; what comes out is
int16 at 16 kHz, what lies between is float64, where 1 is full scale."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dtypes import Float64, Int16
from ..errors import DataError
from ..io.reading import Flaw, guarded, read_bytes
from .log_mel import RATE

SECOND = RATE  # samples of a clip
_LONGEST_FILE = 64 << 20  # bytes: half an hour
_AUDIBLE = 0.01  # of the loudest sample


def read_wav(path: Path) -> Int16:
    """The samples of a .wav file of 16 kHz, 16 bits, one channel.

    Raises:
        DataError: it cannot be read, is damaged, or of another form.

    Example:
        >>> samples = one_second(read_wav(Path("go.wav")))
        >>> spectrogram = LogMel(10)(samples)
    """
    remedy = "convert it to 16 kHz, 16 bits, mono, as with 'sox IN -r 16000 -b 16 -c 1 OUT', or leave it out"
    with guarded(path, remedy, wrong="is not the sound that is wanted", unread=DataError, damaged=DataError):
        with wave.open(io.BytesIO(read_bytes(path, _LONGEST_FILE))) as file:
            form = file.getframerate(), 8 * file.getsampwidth(), file.getnchannels()
            if form != (RATE, 16, 1):
                raise Flaw("it has {:,} Hz, {} bits, {} channels".format(*form))
            content = file.readframes(file.getnframes())
        return np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.int16)


def one_second(samples: Int16) -> Int16:
    """A clip of one second: longer ones lose their end, shorter ones end in silence.

    Example:
        >>> one_second(numpy.ones(400, numpy.int16)).shape
        (16000,)
    """
    clip = np.zeros(SECOND, np.int16)
    clip[: len(samples)] = samples[:SECOND]
    return clip


def resample(samples: Float64, rate: float) -> Float64:
    """Samples of another rate at 16 kHz, by their spectrum."""
    count = max(1, round(len(samples) * RATE / rate))
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    return np.fft.irfft(spectrum, count) * (count / len(samples))


def trimmed(samples: Float64) -> Float64:
    """Without the silence before and behind."""
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE * np.abs(samples).max(initial=0))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


@dataclass(frozen=True)
class Scene:
    """Where a word is recorded: what lies between a mouth and the samples of a second. Drawn by ``drawn``.

    Args:
        place: of the word in the free room before and behind it, 0 to 1.
        peak: of the loudest sample, as a share of full scale.
        noise: level of the noise below the word, in decibels.
        colour: exponent by which the noise's power falls with frequency: 0 white, 1 pink, 2 brown.
        hum: amplitude of the mains, as a share of the noise's.
        echo, decay: level of the room's answer, and its duration in seconds.
        tilt: exponent by which the microphone's answer rises with frequency.
        seed: of the samples of noise and echo.
    """

    place: float
    peak: float
    noise: float
    colour: float
    hum: float
    echo: float
    decay: float
    tilt: float
    seed: int

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Scene:
        return cls(
            place=rng.uniform(0, 1),
            peak=10 ** (rng.uniform(-25, -2) / 20),
            noise=rng.uniform(8, 35),
            colour=rng.uniform(0, 2),
            hum=rng.uniform(0, 1) * (rng.uniform() < 0.3),
            echo=rng.uniform(0, 0.5) * (rng.uniform() < 0.5),
            decay=rng.uniform(0.05, 0.3),
            tilt=rng.uniform(-0.3, 0.3),
            seed=int(rng.integers(2**31)),
        )

    def record(self, word: Float64) -> Int16:
        """A second of a word, or of noise alone where the word has no samples."""
        rng = np.random.default_rng(self.seed)
        clip = np.zeros(SECOND)
        said = word[:SECOND]
        start = int(self.place * (SECOND - len(said)))
        clip[start : start + len(said)] = said
        level = np.sqrt(np.mean(said**2)) if len(said) else 1.0
        clip = self._heard(clip, rng) + level * 10 ** (-self.noise / 20) * self._noise(rng)
        loudest = self.peak if len(said) else self.peak * 10 ** (-self.noise / 20)
        scaled: Float64 = clip * (loudest * 32767 / max(np.abs(clip).max(), 1e-12))
        return np.rint(scaled).astype(np.int16)

    def _heard(self, clip: Float64, rng: np.random.Generator) -> Float64:
        """Through the room and the microphone."""
        time = np.arange(int(0.3 * RATE)) / RATE
        answer = rng.normal(0, 1, len(time)) * 10 ** (-3 * time / self.decay)  # 60 dB within the decay
        answer *= self.echo / np.sqrt(np.sum(answer**2))
        answer[0] = 1
        size = 2 * SECOND
        pitch = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 60) / 1000
        spectrum = np.fft.rfft(clip, size) * np.fft.rfft(answer, size) * pitch**self.tilt
        return np.fft.irfft(spectrum, size)[:SECOND]

    def _noise(self, rng: np.random.Generator) -> Float64:
        """A second of noise of power 1."""
        pitch = np.maximum(np.fft.rfftfreq(SECOND, 1 / RATE), 60)
        noise = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, SECOND)) * pitch ** (-self.colour / 2), SECOND)
        noise /= np.sqrt(np.mean(noise**2))
        time = np.arange(SECOND) / RATE
        mains = sum(np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6)) / k for k in (1, 2, 3, 5))
        noise = noise + self.hum * mains
        return np.asarray(noise / np.sqrt(np.mean(noise**2)))
