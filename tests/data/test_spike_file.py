"""HDF5 files of spikes: every spike in the frame and channel that are its, and a sentence for files of another kind."""

import builtins
import pickle

import numpy as np
import pytest

from spquant_snn.data import SpikeFile
from spquant_snn.errors import ConfigError, DataError, MissingDependencyError

h5py = pytest.importorskip("h5py")
RECORDINGS = [([0.0, 0.004, 0.01, 0.5], [0, 0, 3, 6]), ([], []), ([0.0125] * 300, [5] * 300)]


def write(path, recordings=RECORDINGS, labels=(1, 0, 1), times="f2", names=("zero", "one")):
    with h5py.File(path, "w") as file:
        spikes = file.create_group("spikes")
        for name, kind, column in (("times", times, 0), ("units", "u2", 1)):
            held = spikes.create_dataset(name, (len(recordings),), h5py.vlen_dtype(np.dtype(kind)))
            for number, recording in enumerate(recordings):
                held[number] = np.array(recording[column], kind)
        file["labels"] = np.array(labels, "u2")
        if names:
            file["extra/keys"] = np.array(names, "S8")
    return path


def test_spikes_are_counted_in_their_frames_and_channels(tmp_path):
    data = pickle.loads(pickle.dumps(SpikeFile(write(tmp_path / "x.h5"), 4, 0.01, units=7)))
    wanted = np.zeros((4, 7), int)
    wanted[0, 0], wanted[1, 3] = 2, 1  # 0.01 as float16 lies just above; 0.5 s is behind the last frame
    counts, label = data[0]
    assert (counts.dtype, counts.shape, label) == (np.uint8, (4, 7, 1, 1), 1)
    assert np.array_equal(counts[..., 0, 0], wanted)
    assert not data[1][0].any()
    assert data[-1][0][1, 5, 0, 0] == 255
    assert [data.counts(number)[1:] for number in range(3)] == [(4, 1), (0, 0), (300, 45)]
    assert data.classes == ("zero", "one")
    assert data.labels.tolist() == [1, 0, 1]
    with pytest.raises(IndexError):
        data[3]


def test_channels_are_summed(tmp_path):
    data = SpikeFile(write(tmp_path / "x.h5"), 4, 0.01, units=7, shrink=3)
    assert data[0][0].shape == (4, 3, 1, 1)
    assert data[0][0][:2, :, 0, 0].tolist() == [[2, 0, 0], [0, 1, 0]]


def without(path, name):
    write(path)
    with h5py.File(path, "a") as file:
        del file[name]


def replaced(path, name, value):
    without(path, name.partition("/")[0])
    with h5py.File(path, "a") as file:
        file[name] = value


BAD = {
    "another kind of file": (lambda path: path.write_bytes(b"hello"), "cannot be used (", None),
    "no labels": (
        lambda path: without(path, "labels"),
        "it holds no labels; it holds extra, extra/keys, spikes,",
        None,
    ),
    "no spikes": (lambda path: without(path, "spikes/times"), "it holds no spikes/times; it holds", None),
    "a name that cannot be printed": (
        lambda path: replaced(path, "labels/\x1b", 1),
        "it holds no labels; it holds extra, extra/keys, labels, labels/\\x1b, spikes",
        None,
    ),
    "a group": (lambda path: replaced(path, "labels/more", 1), "it holds no labels", None),
    "a number": (lambda path: replaced(path, "labels", 1), "labels is []", None),
    "float labels": (lambda path: replaced(path, "labels", [0.5] * 3), "labels are float64, where classes are", None),
    "negative labels": (lambda path: replaced(path, "labels", [0, -1, 2]), "labels go from -1 to 2", None),
    "more labels": (
        lambda path: replaced(path, "labels", [0] * 4),
        "spikes/times is of 3 recordings, labels of 4",
        None,
    ),
    "times of whole numbers": (lambda path: write(path, times="i8"), "recording 0 holds int64 and uint16", 0),
    "one channel": (lambda path: write(path, [([0.1, 0.2], [1])], [0]), "recording 0 has 2 times of 1 channels", 0),
    "a channel too high": (lambda path: write(path, [([0.1], [7])], [0]), "has a spike of channel 7 of 7", 0),
    "a time below zero": (
        lambda path: write(path, [([-0.1], [1])], [0]),
        "recording 0 has a time that is no number",
        0,
    ),
    "no time": (lambda path: write(path, [([np.nan], [1])], [0]), "recording 0 has a time that is no number", 0),
}


@pytest.mark.parametrize("kind", BAD)
def test_files_of_another_kind_are_refused_in_a_sentence(tmp_path, kind):
    make, said, item = BAD[kind]
    make(tmp_path / "x.h5")
    with pytest.raises(DataError, match=r"x\.h5 cannot be used .*: fetch it again, or name what it holds") as caught:
        SpikeFile(tmp_path / "x.h5", units=7)[item]
    assert said in str(caught.value)


def test_numbers_that_cannot_be_and_a_file_that_is_not_there(tmp_path):
    for options in ({"steps": 0}, {"units": 1.5}, {"units": 7, "shrink": 8}, {"window": 0}, {"window": float("nan")}):
        with pytest.raises(ConfigError, match="not "):
            SpikeFile(tmp_path / "x.h5", **options)
    with pytest.raises(DataError, match=r"x\.h5 cannot be read \(No such file"):
        SpikeFile(tmp_path / "x.h5")


def test_without_h5py_a_line_says_how_to_install_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("h5py"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match="pip install h5py"):
        SpikeFile(tmp_path / "x.h5")
