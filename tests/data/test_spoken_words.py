"""Words spoken by espeak-ng: who says what is drawn without it, what it says is repeatable."""

import shutil
from collections import Counter

import numpy as np
import pytest

from spquant_snn.data.sound import Scene
from spquant_snn.data.spectrogram_cache import spectrograms
from spquant_snn.data.spoken_words import ACCENTS, CLASSES, OTHERS, VOICES, WORDS, SpokenWords, Utterance, spoken_words
from spquant_snn.errors import MissingDependencyError

FEW = SpokenWords(train=2, validation=1, test=1, voices=1)
spoken = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def test_no_voice_and_no_family_is_in_two_splits():
    families = {split: {voice.rstrip("23456") or voice for voice in voices} for split, voices in VOICES.items()}
    for split in ("validation", "test"):
        named = {voice for voice in families[split] if len(voice) > 1}
        assert not named & (families["train"] | (families["test"] if split == "validation" else set()))
    every = [voice for voices in VOICES.values() for voice in voices]
    assert len(every) == len(set(every)) == 72


def test_takes_are_of_all_classes_and_repeatable():
    takes, labels = list(SpokenWords().takes("train", "m1")), SpokenWords().labels("train")
    counts = Counter(labels)
    assert counts == {**dict.fromkeys(range(10), 24), 10: 48}
    assert takes == list(SpokenWords().takes("train", "m1"))
    assert takes != list(SpokenWords(seed=1).takes("train", "m1"))
    words = {
        label: {said.word for place, said in zip(labels, takes, strict=True) if place == label} for label in range(11)
    }
    assert [words[label] for label in range(10)] == [{word} for word in WORDS]
    assert words[10] <= {"", *OTHERS}
    assert sum(said.word == "" for said in takes) == 8
    assert {said.accent for said in takes} == set(ACCENTS)
    assert not {*OTHERS} & {*WORDS}
    assert len(CLASSES) == 11


def test_noise_alone_needs_nobody_who_speaks(monkeypatch):
    monkeypatch.setenv("PATH", "")
    scene = Scene.drawn(np.random.default_rng(0))
    assert Utterance("", "m1", "en-us", 150, 50, 1.0, scene).record().std() > 0
    with pytest.raises(MissingDependencyError, match="espeak-ng, which is not installed: apt-get install espeak-ng"):
        Utterance("yes", "m1", "en-us", 150, 50, 1.0, scene).record()


def test_without_espeak_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        MissingDependencyError, match=r"spoken-words is spoken by espeak-ng, .*: apt-get install espeak-ng"
    ):
        spoken_words(FEW)


def test_an_espeak_that_lacks_voices_is_refused(monkeypatch, tmp_path):
    old = tmp_path / "espeak-ng"
    old.write_text("#!/bin/sh\necho 'eSpeak NG text-to-speech: 1.48  Data at: /x'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MissingDependencyError, match=r"1.48 lacks the voices m1, m2, m3, m5, m6, which spoken-words has"
    ):
        spoken_words(FEW)


@spoken
def test_words_are_spoken_the_same_way_each_time_and_differ():
    scene = Scene.drawn(np.random.default_rng(0))
    yes, again, no = (Utterance(word, "f2", "en-gb", 150, 50, 1.0, scene).speak() for word in ("yes", "yes", "no"))
    assert np.array_equal(yes, again)
    assert 0.1 < len(no) / 16_000 < 0.9
    assert len(yes) != len(no)
    larger = Utterance("yes", "f2", "en-gb", 150, 50, 1.25, scene).speak()
    assert len(larger) == pytest.approx(1.25 * len(yes), rel=0.02)
    assert 0.05 < np.abs(yes).max() <= 1.2


@spoken
def test_a_small_set_is_spoken(tmp_path):
    train, validation, test = spectrograms(spoken_words(FEW), "", tmp_path, progress=False)
    assert [len(part) for part in (train, validation, test)] == [24, 12, 12]
    assert np.bincount(train.labels).tolist() == [2] * 10 + [4]
    assert train.images.shape == (24, 1, 49, 10)
    assert 100 < train.images.mean() < 200
    assert len(np.unique(train.images.reshape(24, -1), axis=0)) == 24
