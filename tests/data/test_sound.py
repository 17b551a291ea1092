"""Files of sound, and what a scene makes of a word."""

from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.data.sound import Scene, one_second, read_wav, resample, trimmed
from spquant_snn.errors import DataError
from wav_files import write_wav

CLEAN = Scene(place=0.5, peak=0.5, noise=300, colour=0, hum=0, echo=0, decay=0.1, tilt=0, seed=0)


def test_a_file_gives_its_samples(tmp_path):
    samples = np.arange(-300, 300, dtype=np.int16)
    write_wav(tmp_path / "a.wav", samples)
    assert np.array_equal(read_wav(tmp_path / "a.wav"), samples)
    clip = one_second(read_wav(tmp_path / "a.wav"))
    assert (clip.shape, clip[:600].tolist(), clip[600:].any()) == ((16_000,), samples.tolist(), False)
    assert np.array_equal(one_second(np.arange(20_000, dtype=np.int16)), np.arange(16_000))


def test_a_file_of_another_form_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros(8, np.int16), rate=44_100, channels=2)
    with pytest.raises(DataError, match=r"44,100 Hz, 16 bits, 2 channels.*: convert it to 16 kHz"):
        read_wav(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"RIFF and nothing")
    with pytest.raises(DataError, match=r"b.wav is not the sound that is wanted"):
        read_wav(tmp_path / "b.wav")
    with pytest.raises(DataError, match=r"c.wav cannot be read"):
        read_wav(tmp_path / "c.wav")


def test_a_tone_keeps_its_pitch_and_level_at_another_rate():
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    found = resample(tone, 22_050)
    assert len(found) == 16_000
    assert np.abs(found - np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).max() < 1e-9


def test_silence_around_a_word_is_cut():
    assert trimmed(np.array([0, 0.001, 1, 0, -1, 0.001, 0])).tolist() == [1, 0, -1]
    assert len(trimmed(np.zeros(9))) == 0


def test_a_clean_scene_only_places_a_word_and_sets_its_level():
    word = np.sin(2 * np.pi * 500 * np.arange(4000) / 16_000)
    clip = CLEAN.record(word).astype(float)
    assert np.abs(clip[6000:10_000] - word * 0.5 * 32767).max() <= 1
    assert (clip[:6000] == 0).all()
    assert (clip[10_000:] == 0).all()
    assert np.abs(replace(CLEAN, place=0, peak=0.1).record(word)).max() == round(0.1 * 32767)


def test_noise_lies_as_far_below_the_word_as_is_said():
    word = np.ones(16_000) * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    noisy = replace(CLEAN, noise=10).record(word).astype(float)
    share = noisy @ word / (word @ word)
    rest = noisy - share * word
    assert 10 * np.log10(np.mean((share * word) ** 2) / np.mean(rest**2)) == pytest.approx(10, abs=0.3)


def test_brown_noise_falls_with_frequency_and_an_echo_follows_the_word():
    power = np.abs(np.fft.rfft(replace(CLEAN, noise=0, colour=2).record(np.zeros(0)).astype(float))) ** 2
    assert power[200:400].mean() > 50 * power[2000:4000].mean()
    click = np.r_[1.0, np.zeros(99)]
    clip = np.abs(replace(CLEAN, echo=0.5, decay=0.3, place=0).record(click).astype(float))
    assert clip[200:2000].mean() > 3 * clip[3000:4800].mean() > 0
    assert (clip[4801:] <= 1).all()


def test_drawn_scenes_are_repeatable():
    one, same, other = (Scene.drawn(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same != other
    word = np.random.default_rng(0).normal(0, 0.1, 20_000)
    assert np.array_equal(one.record(word), same.record(word))
    assert one.record(word).dtype == np.int16
