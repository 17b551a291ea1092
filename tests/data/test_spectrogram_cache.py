"""Spectrograms are made once, part by part, and read again."""

import numpy as np
import pytest

from spquant_snn.data.log_mel import LogMel
from spquant_snn.data.spectrogram_cache import SoundPart, SoundSet, spectrograms
from spquant_snn.errors import DataError


class Studio:
    """A set of noise; ``made`` counts the sounds, ``broken`` names a part that fails."""

    def __init__(self, broken=""):
        self.made, self.broken = 0, broken

    def sounds(self, seed):
        for index in range(3):
            if seed == self.broken:
                raise DataError("the third microphone is off: switch it on")
            self.made += 1
            yield (np.random.default_rng([ord(seed), index]).normal(0, 900, 16_000)).astype(np.int16)

    def part(self, seed):
        return SoundPart(seed, [0, 1, 1], lambda: self.sounds(seed))

    def set(self, identity=1):
        a, b, c, d = map(self.part, "abcd")
        return SoundSet("noise", ("low", "high"), identity, [a, b], [c], [d])


def test_images_and_signals_are_those_of_the_sounds_and_made_once(tmp_path):
    studio = Studio()
    train, validation, test = spectrograms(studio.set(), "", tmp_path, progress=False)
    assert studio.set().counts == (6, 3, 3)
    assert (train.images.shape, train.labels.tolist()) == ((6, 1, 49, 10), [0, 1, 1, 0, 1, 1])
    sounds = np.stack([*studio.sounds("a"), *studio.sounds("b")])
    assert np.array_equal(train.images[:, 0], LogMel(10)(sounds))
    assert len(validation) == len(test) == 3
    made = studio.made
    signals = spectrograms(studio.set(), "signal", tmp_path, progress=False)[0]
    assert studio.made == made
    assert signals.images.shape == (6, 40, 1, 49)
    assert np.array_equal(signals.images[:, :, 0].swapaxes(1, 2), LogMel(40)(sounds))
    spectrograms(studio.set(identity=2), "", tmp_path, progress=False)
    assert studio.made == made + 12


def test_what_was_stopped_goes_on_where_it_was(tmp_path):
    broken = Studio(broken="d")
    with pytest.raises(DataError, match="the third microphone is off"):
        spectrograms(broken.set(), "", tmp_path, progress=False)
    kept = len(list(tmp_path.glob("*/*.npz")))
    studio = Studio()
    spectrograms(studio.set(), "", tmp_path, progress=False)
    assert studio.made == 12 - 3 * kept
    assert [path.name for path in tmp_path.glob("*/.*")] == []


def test_a_damaged_part_is_said_so(tmp_path):
    spectrograms(Studio().set(), "", tmp_path, progress=False)
    (path,) = tmp_path.glob("*/b.npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"b\.npz is damaged .*: delete it, it is made anew"):
        spectrograms(Studio().set(), "", tmp_path, progress=False)
    np.savez(path, bands10=np.zeros((2, 49, 10), np.uint8), bands40=np.zeros((2, 49, 40), np.uint8))
    with pytest.raises(DataError, match=r"bands10 is uint8 \[2, 49, 10\]"):
        spectrograms(Studio().set(), "", tmp_path, progress=False)


def test_there_are_two_forms(tmp_path):
    with pytest.raises(DataError, match="noise is a set of spectrograms, or of signals as noise:signal, not 'wide'"):
        spectrograms(Studio().set(), "wide", tmp_path, progress=False)
