"""Speech Commands as its archive unpacks, in small."""

import numpy as np
import pytest

from spquant_snn.data.catalog import load
from spquant_snn.data.spectrogram_cache import spectrograms
from spquant_snn.data.speech_commands import find_speech_commands
from spquant_snn.data.spoken_words import WORDS
from spquant_snn.errors import DataError
from wav_files import write_wav


@pytest.fixture
def commands(tmp_path):
    """Four files for each of the ten words and for three others, the third for validation, the fourth for test."""
    base = tmp_path / "speech_commands_v0.02"
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for number, word in enumerate((*WORDS, "bed", "bird", "cat")):
        (base / word).mkdir(parents=True)
        for speaker in range(4):
            name = f"{word}/{speaker:08x}_nohash_0.wav"
            rng = np.random.default_rng([number, speaker])
            write_wav(base / name, rng.normal(0, 500, 15_000 + 500 * speaker).astype(np.int16))
            if speaker >= 2:
                lists[("validation_list.txt", "testing_list.txt")[speaker - 2]].append(name)
    (base / "_background_noise_").mkdir()
    write_wav(base / "_background_noise_/pink.wav", np.random.default_rng(9).normal(0, 90, 160_500).astype(np.int16))
    for name, files in lists.items():
        (base / name).write_text("\n".join(files) + "\n")
    return tmp_path


def test_the_splits_are_those_of_the_lists(commands):
    found = find_speech_commands(commands)
    assert [part.name for part in found.test] == [*(f"test-{word}" for word in WORDS), "test-other0", "test-noise"]
    assert found.counts == (20 + 4 + 8, 10 + 2 + 1, 10 + 2 + 1)  # words, others, noise
    assert find_speech_commands(commands / "speech_commands_v0.02").counts == found.counts
    train, validation, test = spectrograms(found, "signal", commands / "cache", progress=False)
    assert np.bincount(train.labels).tolist() == [2] * 10 + [12]
    assert train.images.shape == (32, 40, 1, 49)
    assert len(validation) == len(test) == 13
    every = np.concatenate([part.images for part in (train, validation, test)])
    assert len(np.unique(every.reshape(len(every), -1), axis=0)) == len(every)


def test_by_name(commands, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(commands / "home"))
    found = load("speech-commands", commands, progress=False)
    assert (found.name, found.classes, found.shape) == ("speech-commands", 11, (1, 49, 10))
    assert found.task.names == (*WORDS, "other")


def test_without_files_the_line_says_what_goes_where(tmp_path):
    with pytest.raises(DataError, match=rf"there is no {tmp_path}/speech_commands_v0.02/.*: fetch http://download.t"):
        find_speech_commands(tmp_path)


def test_an_archive_that_is_not_whole_is_refused(commands):
    (commands / "speech_commands_v0.02/testing_list.txt").write_text("nobody/1.wav\n")
    with pytest.raises(DataError, match=r"holds no down/\*\.wav for test: unpack http"):
        find_speech_commands(commands)


def test_a_sound_of_another_rate_is_named(commands):
    write_wav(commands / "speech_commands_v0.02/yes/00000000_nohash_0.wav", np.zeros(9, np.int16), rate=8000)
    with pytest.raises(DataError, match=r"yes/00000000_nohash_0\.wav is not the sound .* 8,000 Hz"):
        spectrograms(find_speech_commands(commands), "", commands / "cache", progress=False)
