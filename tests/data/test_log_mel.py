"""Spectrograms in integers: near those of floating point, exact in their logarithm, and the same in C."""

import ctypes
import subprocess

import numpy as np
import pytest

from spquant_snn.build import command
from spquant_snn.data.log_mel import HOP, RATE, WINDOW, LogMel, eighths
from spquant_snn.errors import ConfigError, DataError, MissingDependencyError


def sounds(seed=0):
    """Noise of several levels, a tone that rises, the loudest square wave, and silence: int16 [6, 4000]."""
    rng = np.random.default_rng(seed)
    time = np.arange(4000) / RATE
    rising = 20_000 * np.sin(2 * np.pi * (200 + 8000 * time) * time)
    square = np.where(np.arange(4000) // 8 % 2, 32767, -32768)
    noise = [rng.normal(0, level, 4000) for level in (3, 300, 9000)]
    return np.clip(np.stack([*noise, rising, square, np.zeros(4000)]), -32768, 32767).astype(np.int16)


def in_floats(form, samples):
    """8 log2 of the bands' power over the floor, by NumPy's transform and the form's own triangles."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), WINDOW, axis=-1)[..., ::HOP, :]
    window = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2
    power = np.abs(2 * np.fft.rfft(frames * window, 512)) ** 2
    bands = [power[..., first : first + len(w)] @ w for first, w in form.triangles]
    return 8 * np.log2(np.maximum(np.stack(bands, -1), 1e-9)) - 8 * form.floor


@pytest.mark.parametrize("bands", [10, 40])
def test_bands_are_those_of_floating_point_to_a_step(bands):
    form, samples = LogMel(bands), sounds()
    found = form(samples)
    assert (found.dtype, found.shape) == (np.uint8, (6, 12, bands))
    expected = in_floats(form, samples)
    # above what is lost by rounding, and within 60 dB of the loudest band
    clear = (expected > 40) & (expected < 250) & (expected > expected.max(-1, keepdims=True) - 160)
    assert clear.mean() > 0.4
    assert np.abs(found + 0.5 - expected)[clear].max() < 1
    assert (found[-1] == 0).all()


def test_a_tone_is_in_its_band():
    form = LogMel(40)
    for band, (first, weights) in enumerate(form.triangles):
        if len(weights) < 2:
            continue  # narrower than what the window tells apart
        bin_ = first + int(weights.argmax())
        tone = 8000 * np.sin(2 * np.pi * bin_ * RATE / 512 * np.arange(WINDOW) / RATE)
        assert abs(int(form(tone.astype(np.int16))[0].argmax()) - band) <= 1


def test_the_logarithm_is_exact():
    numbers = [*range(1, 3000)] + [2**k + d for k in range(17, 64) for d in (-1, 0, 1)]
    found = eighths(np.array([0, *numbers], np.uint64))
    assert found[0] == 0
    for number, level in zip(numbers, found[1:].tolist(), strict=True):
        mantissa = number >> max(0, number.bit_length() - 16)  # the 16 highest bits decide
        lost = max(0, number.bit_length() - 16)
        assert 2 ** (level - 8 * lost) <= mantissa**8 < 2 ** (level - 8 * lost + 1)


def test_the_tables_are_what_they_were():
    """Features of a trained network must not move with a platform's cosine."""
    form = LogMel(10)
    sums = [int(form.window.sum()), *np.abs(form.twiddles).sum(1).tolist()]
    assert sums == [7864320, 2686540, 2670156]
    assert [first for first, _ in form.triangles] == [2, 8, 16, 25, 36, 50, 68, 89, 117, 150]
    assert sum(int(weights.sum()) for _, weights in form.triangles) == 54370


@pytest.mark.parametrize("bands", [10, 40])
def test_c_computes_the_same_bytes(bands, tmp_path):
    form, samples = LogMel(bands), sounds(1)
    for name, text in form.c_files().items():
        (tmp_path / name).write_text(text)
    try:
        compiler = command()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    options = ["-O1", "-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*compiler, *options, "-o", tmp_path / "log_mel.so", tmp_path / "log_mel.c"], check=True)
    frame = ctypes.CDLL(str(tmp_path / "log_mel.so")).log_mel_frame
    expected = form(samples)
    for sound, wanted in zip(samples, expected, strict=True):
        for number, bands_wanted in enumerate(wanted):
            piece = np.ascontiguousarray(sound[number * HOP : number * HOP + WINDOW])
            found = np.zeros(bands, np.uint8)
            frame(piece.ctypes.data_as(ctypes.c_void_p), found.ctypes.data_as(ctypes.c_void_p))
            assert np.array_equal(found, bands_wanted)


def test_what_is_no_sound_is_refused():
    with pytest.raises(DataError, match=r"sound must be int16 \[..., samples\], not float64 \[480\]"):
        LogMel()(np.zeros(480))
    with pytest.raises(DataError, match="479 samples is shorter than a window of 480"):
        LogMel()(np.zeros(479, np.int16))
    with pytest.raises(ConfigError, match="1 to 64 bands, not 0"):
        LogMel(0)
    with pytest.raises(ConfigError, match="from 0 to 31, not 40"):
        LogMel(10, 40)
