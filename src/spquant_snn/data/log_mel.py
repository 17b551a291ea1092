"""Log-mel spectrograms of sound, in integers only, so that a microcontroller computes the very same bytes.

Each frame is windowed (Hann), its spectrum found by a fixed-point FFT, the power of its bins gathered in triangular
bands spaced on the mel scale, and each band's power brought to eighths of an octave:

    windowed[n] = (x[n] * w[n] + 2^8) >> 9            x: int16, w: 15 fractional bits; 6 are left
    Z = FFT_256(windowed[2n] + i windowed[2n+1])       int32, twiddles with 14 fractional bits, rounded half up
    S[k] = Z[k] + conj Z[256-k] - i t^k (Z[k] - conj Z[256-k])        twice the spectrum of 512 real values
    E[b] = sum over k of m[b, k] * ((Re S[k]^2 + Im S[k]^2) >> 12)    uint64, m: 8 fractional bits
    y[b] = clamp(floor(8 log2 E[b]) - 8 floor, 0, 255)

The logarithm is exact: seven thresholds within an octave are compared. ``log_mel.c`` beside this file is the same in
C99, with the tables that ``LogMel.c_files`` writes; a test compares them in every byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..dtypes import Array, Float64, Int16, Int64, UInt8
from ..errors import ConfigError, DataError

RATE = 16_000  # samples a second
WINDOW, HOP = 480, 320  # samples: 30 ms, every 20 ms
_SIZE = 512  # of the transform
_HALF, _BINS = _SIZE // 2, _SIZE // 2 + 1
_SHIFT_WINDOW, _TWIDDLE, _SHIFT_POWER, _BAND = 9, 14, 12, 8  # bits
_LOWEST, _HIGHEST = 60.0, 7600.0  # hertz
_EIGHTHS = 8  # steps of an octave
_MOST_BANDS = 64


@dataclass(frozen=True)
class LogMel:
    """What turns sound of 16 kHz into a spectrogram of ``bands``, a frame each 20 ms; a second has 49 frames.

    Args:
        bands: of the mel scale between 60 and 7,600 Hz, 1 to 64.
        floor: power, as a power of two, at and below which a band is 0; 255 is 32 octaves higher, 96 dB.

    Raises:
        ConfigError: there are no such bands, or no such floor.

    Example:
        >>> LogMel(10)(numpy.zeros(16_000, numpy.int16)).shape
        (49, 10)
    """

    bands: int = 10
    floor: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.bands <= _MOST_BANDS:
            raise ConfigError(f"a log-mel spectrogram has 1 to {_MOST_BANDS} bands, not {self.bands}")
        if not 0 <= self.floor <= 31:
            raise ConfigError(f"the floor of a log-mel spectrogram lies from 0 to 31, not {self.floor}")

    def __call__(self, samples: Array) -> UInt8:
        """The spectrograms uint8 [..., frames, bands] of sounds int16 [..., samples] of 16 kHz.

        Raises:
            DataError: the samples are of another type, or shorter than a window.
        """
        if samples.dtype != np.int16 or samples.ndim < 1:
            raise DataError(
                f"sound must be int16 [..., samples], not {samples.dtype} {list(samples.shape)}: convert it"
            )
        if samples.shape[-1] < WINDOW:
            raise DataError(f"sound of {samples.shape[-1]} samples is shorter than a window of {WINDOW}: pad it")
        frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=-1)[..., ::HOP, :]
        power = self._power(frames)
        energy = np.zeros((*frames.shape[:-1], self.bands), np.uint64)
        for band, (first, weights) in enumerate(self.triangles):
            energy[..., band] = power[..., first : first + len(weights)] @ weights.astype(np.uint64)
        return np.clip(eighths(energy) - _EIGHTHS * self.floor, 0, 255).astype(np.uint8)

    def _power(self, frames: Int16) -> Array:
        """uint64 [..., 257] of the bins, without fractional bits."""
        windowed = np.zeros((*frames.shape[:-1], _SIZE), np.int64)
        half = 1 << (_SHIFT_WINDOW - 1)
        windowed[..., :WINDOW] = (frames.astype(np.int64) * self.window + half) >> _SHIFT_WINDOW
        real, imaginary = self._transform(windowed[..., ::2], windowed[..., 1::2])
        back = -np.arange(_BINS) % _HALF
        ahead = np.arange(_BINS) % _HALF
        even = real[..., ahead] + real[..., back], imaginary[..., ahead] - imaginary[..., back]
        odd = imaginary[..., ahead] + imaginary[..., back], real[..., back] - real[..., ahead]
        turned = _multiply(odd, self.twiddles[:, :_BINS])
        spectrum = even[0] + turned[0], even[1] + turned[1]
        power: Array = ((spectrum[0] ** 2 + spectrum[1] ** 2) >> _SHIFT_POWER).astype(np.uint64)
        return power

    def _transform(self, real: Int64, imaginary: Int64) -> tuple[Int64, Int64]:
        """The FFT of 256 complex values, decimated in time."""
        order = self.reversal
        real, imaginary = real[..., order].copy(), imaginary[..., order].copy()
        span = 1
        while span < _HALF:
            a, b = (part.reshape(*part.shape[:-1], -1, 2, span) for part in (real, imaginary))
            turn = self.twiddles[:, : _SIZE // 2 : _SIZE // (2 * span)]
            x, y = _multiply((a[..., 1, :], b[..., 1, :]), turn)
            a[..., 1, :], b[..., 1, :] = a[..., 0, :] - x, b[..., 0, :] - y
            a[..., 0, :] += x
            b[..., 0, :] += y
            span *= 2
        return real, imaginary

    @cached_property
    def window(self) -> Int64:
        """[480], 15 fractional bits."""
        rising: Float64 = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
        return np.rint(32768 * rising**2).astype(np.int64)

    @cached_property
    def twiddles(self) -> Int64:
        """Cosines and sines [2, 257] of -2 pi k / 512, 14 fractional bits."""
        angle = -2 * np.pi * np.arange(_BINS) / _SIZE
        circle: Float64 = np.stack([np.cos(angle), np.sin(angle)])
        return np.rint(circle * (1 << _TWIDDLE)).astype(np.int64)

    @cached_property
    def reversal(self) -> Int64:
        """[256]: the places in the order of their bits reversed."""
        return np.array([int(f"{place:08b}"[::-1], 2) for place in range(_HALF)], np.int64)

    @cached_property
    def triangles(self) -> list[tuple[int, Int64]]:
        """For each band the first bin and the weights from there on, 8 fractional bits; no band is empty."""
        edges = _mel_to_hertz(np.linspace(_hertz_to_mel(_LOWEST), _hertz_to_mel(_HIGHEST), self.bands + 2))
        bins = np.arange(_BINS) * RATE / _SIZE
        found = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
            weights = np.rint(np.clip(np.minimum(rising, falling), 0, 1) * (1 << _BAND)).astype(np.int64)
            weights[np.abs(bins - middle).argmin()] += not weights.any()  # narrower than a bin
            places = np.flatnonzero(weights)
            found.append((int(places[0]), weights[places[0] : places[-1] + 1]))
        return found

    def c_files(self) -> dict[str, str]:
        """``log_mel.c``, ``log_mel.h`` and ``log_mel_tables.h`` by name, C99 that needs nothing beside itself."""
        here = Path(__file__).parent
        files = {name: (here / name).read_text("utf-8") for name in ("log_mel.c", "log_mel.h")}
        starts = [first for first, _ in self.triangles]
        lengths = [len(weights) for _, weights in self.triangles]
        weights = np.concatenate([weights for _, weights in self.triangles])
        tables = (
            ("uint16_t", "log_mel_window", self.window),
            ("int16_t", "log_mel_cosines", self.twiddles[0]),
            ("int16_t", "log_mel_sines", self.twiddles[1]),
            ("uint16_t", "log_mel_starts", starts),
            ("uint16_t", "log_mel_lengths", lengths),
            ("uint16_t", "log_mel_weights", weights),
            ("uint16_t", "log_mel_octave", _octave()),
        )
        lines = [
            "/* Tables of log_mel.c, generated. */",
            f"#define LOG_MEL_FLOOR {_EIGHTHS * self.floor}",
            *(f"static const {kind} {name}[] = {{{', '.join(map(str, values))}}};" for kind, name, values in tables),
        ]
        files["log_mel.h"] = files["log_mel.h"].replace("LOG_MEL_BANDS 10", f"LOG_MEL_BANDS {self.bands}")
        return files | {"log_mel_tables.h": "\n".join(lines) + "\n"}


def eighths(energy: Array) -> Int64:
    """floor(8 log2 E) of uint64 numbers, exactly; 0 for 0."""
    left, octave = energy.astype(np.uint64), np.zeros(energy.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = left >= np.uint64(1) << np.uint64(step)
        left = np.where(large, left >> np.uint64(step), left)
        octave += step * large
    up, down = np.maximum(15 - octave, 0), np.maximum(octave - 15, 0)
    mantissa = (energy.astype(np.uint64) << up.astype(np.uint64)) >> down.astype(np.uint64)
    return _EIGHTHS * octave + np.searchsorted(_octave(), mantissa, "right") * (energy > 0)


def _octave() -> Int64:
    """[7]: the smallest 16-bit mantissas of the second to the eighth step of an octave."""
    return np.ceil(2.0 ** (15 + np.arange(1, _EIGHTHS) / _EIGHTHS)).astype(np.int64)


def _multiply(value: tuple[Int64, Int64], turn: Int64) -> tuple[Int64, Int64]:
    """Complex products with twiddles [2, ...], rounded half up."""
    (a, b), (c, s), half = value, turn, 1 << (_TWIDDLE - 1)
    return (a * c - b * s + half) >> _TWIDDLE, (a * s + b * c + half) >> _TWIDDLE


def _hertz_to_mel(frequency: float) -> float:
    return float(2595 * np.log10(1 + frequency / 700))


def _mel_to_hertz(mel: Float64) -> Float64:
    return 700 * (10 ** (mel / 2595) - 1)
