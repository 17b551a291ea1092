"""SHD and SSC by name, from files of their form."""

import numpy as np
import pytest

from spquant_snn.data import load, of_events
from spquant_snn.errors import DataError

h5py = pytest.importorskip("h5py")


def write(path, count, seconds, channel):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, kind, value in (("times", "f2", seconds), ("units", "u2", channel)):
            held = file.create_dataset(f"spikes/{name}", (count,), h5py.vlen_dtype(np.dtype(kind)))
            for number in range(count):
                held[number] = np.array([0, value], kind)
        file["labels"] = np.arange(count, dtype="u2")
        file["extra/keys"] = np.array(["null", "eins", "zwei", "drei"], "S4")


def test_recordings_become_frames_of_their_channels(tmp_path, capsys):
    write(tmp_path / "SHD" / "shd_train.h5", 3, 1.3, 699)
    write(tmp_path / "SHD" / "shd_test.h5", 2, 1.5, 699)
    data = load("shd:140", tmp_path, timesteps=7)
    assert data.train.images.shape == (3, 7, 140, 1, 1)
    assert data.task.names == ("null", "eins", "zwei", "drei")
    assert [tuple(map(int, place)) for place in np.argwhere(data.train.images[1])] == [(0, 0, 0, 0), (6, 139, 0, 0)]
    assert "shd_test.h5: 2 of 4 spikes (50.00%) come after the last frame" in capsys.readouterr().err
    assert load("shd", tmp_path, timesteps=1).shape == (700, 1, 1)
    assert of_events("shd:140")


def test_the_validation_set_of_ssc_is_taken_where_it_is_there(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        write(tmp_path / "SSC" / f"ssc_{part}.h5", count, 0.5, 1)
    assert load("ssc:70", tmp_path, timesteps=2).validation is None
    write(tmp_path / "SSC" / "ssc_valid.h5", 4, 0.5, 1)
    data = load("ssc:70", tmp_path, timesteps=2)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [3, 4, 2]


def test_files_that_are_not_there_and_channels_that_cannot_be(tmp_path):
    with pytest.raises(DataError, match=r"ssc: there is no .*ssc_train\.h5 with ssc_test\.h5 beside it: fetch both"):
        load("ssc", tmp_path)
    with pytest.raises(DataError, match=r"shd:128: 700 channels cannot be summed to 128: 700, 350, .* 70, .*10"):
        load("shd:128", tmp_path)
