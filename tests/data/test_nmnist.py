"""N-MNIST by its name: folders of digits become sequences; the real recordings where they are present."""

import os
from pathlib import Path

import numpy as np
import pytest

import recorded
from spquant_snn.data import load
from spquant_snn.data.nmnist import find_nmnist
from spquant_snn.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def some(digit, count=50):
    return [(t * 1000, digit, t % 34, t % 2) for t in range(count)]


@pytest.fixture
def folder(tmp_path):
    for part, numbers in (("Train", (1, 2, 3)), ("Test", (7,))):
        for digit in (0, 1, 4):
            where = tmp_path / "NMNIST" / part / str(digit)
            where.mkdir(parents=True)
            for number in numbers:
                (where / f"{number:05d}.bin").write_bytes(recorded.nmnist(some(digit)))
    return tmp_path


@pytest.mark.parametrize("place", ["NMNIST", "."])
def test_it_is_loaded_by_name_as_sequences(folder, place):
    splits = load("nmnist", folder / "NMNIST" if place == "." else folder, timesteps=5, progress=False)
    assert (splits.name, splits.shape, splits.frames, splits.classes) == ("nmnist", (2, 34, 34), 5, 5)
    assert splits.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 4, 4, 4]
    assert splits.test.labels.tolist() == [0, 1, 4]
    assert (splits.test.images.sum((1, 2, 3, 4)) == 50).all()
    assert splits.train.images.sum((1, 2, 3))[7].nonzero()[0].tolist() == [4]


def test_frames_may_be_smaller(folder):
    assert load("nmnist:17", folder, timesteps=2, progress=False).shape == (2, 17, 17)
    for side in ("16", "x", "0", "-17", "68"):
        with pytest.raises(
            DataError, match=f"nmnist:{side}: frames of 34x34 pixels cannot have a side of {side}: 34, 17"
        ):
            load(f"nmnist:{side}", folder, progress=False)


def test_what_is_missing_is_asked_for_in_one_sentence(tmp_path):
    wanted = rf"there is no {tmp_path}/NMNIST/Train: fetch Train.zip and Test.zip from https://.* unpack them into "
    with pytest.raises(DataError, match=wanted):
        load("nmnist", tmp_path)
    (tmp_path / "Train").mkdir()
    (tmp_path / "Test").mkdir()
    with pytest.raises(DataError, match=r"Train holds no <digit>/<number>.bin: unpack Train.zip"):
        load("nmnist", tmp_path)


def test_a_damaged_recording_is_named(folder):
    path = folder / "NMNIST" / "Train" / "4" / "00002.bin"
    path.write_bytes(b"???")
    with pytest.raises(DataError, match=f"{path} has 3 bytes"):
        load("nmnist", folder, progress=False)


def test_empty_recordings_are_left_out_and_told_of_once(folder, capsys):
    for name in ("0/00001", "4/00002"):
        (folder / "NMNIST" / "Train" / f"{name}.bin").write_bytes(b"")
    for told in (1, 0):  # the second time the frames are there
        splits = load("nmnist", folder, timesteps=5, progress=True)
        assert splits.train.labels.tolist() == [0, 0, 1, 1, 1, 4, 4]
        assert (splits.train.images.sum((1, 2, 3, 4)) == 50).all()
        assert splits.train.images.sum((1, 2, 3))[6].nonzero()[0].tolist() == [4]
        said = capsys.readouterr().err
        assert said.count("nmnist train: 2 of 9 recordings hold no events, left out") == told
        assert "nmnist test" not in said


def test_a_data_set_of_empty_recordings_alone_is_refused(folder, tmp_path):
    for path in (folder / "NMNIST" / "Test").glob("*/*.bin"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="nmnist test: none of 3 recordings holds an event: check the files"):
        load("nmnist", folder, progress=False)


@pytest.mark.mnist
@pytest.mark.parametrize("folder", ["NMNIST", "NMNIST8"])
def test_the_real_recordings_are_read(folder):
    base = Path(os.environ.get("SPQUANT_DATA", "absent")) / folder
    if not (base / "Train").is_dir():
        pytest.skip(f"$SPQUANT_DATA holds no {folder}")
    _, test = find_nmnist(base)
    seen = 0
    for events, label in zip(test.read(), test.labels, strict=True):
        assert 0 <= label <= 9
        assert 200_000 < events.t[-1] - events.t[0] < 400_000  # three movements of 100 ms
        assert set(np.unique(events.p)) == {0, 1}
        seen += len(events)
    assert seen > 1000 * len(test)
