"""CIFAR10-DVS and N-Caltech101 by name: the last recordings of each class are the test set."""

import pytest

import recorded
from spquant_snn.data import load
from spquant_snn.errors import DataError

EVENTS = [(100 * n, n, n % 7, n % 2) for n in range(100)]
SETS = {
    "cifar10-dvs": ("CIFAR10DVS", 10, "cifar10_class_{}.aedat", recorded.aedat2, (2, 64, 64)),
    "n-caltech101": ("Caltech101", 101, "image_{:04d}.bin", recorded.nmnist, (2, 60, 80)),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("place", ["within", "."])
@pytest.mark.parametrize("name", SETS)
def test_they_are_loaded_by_name(tmp_path, name, place):
    within, classes, form, write, shape = SETS[name]
    folder = tmp_path / within
    for label in range(classes):
        (folder / f"{label:03d}").mkdir(parents=True)
        for number in (2, 10, 1):
            (folder / f"{label:03d}" / form.format(number)).write_bytes(write(EVENTS[: 60 + number]))
    (folder / "annotations").mkdir()  # which hold no recordings
    data = load(name, folder if place == "." else tmp_path, timesteps=1, progress=False)
    assert (data.shape, data.classes, data.train.labels[:4].tolist()) == (shape, classes, [0, 0, 1, 1])
    assert {int(counts) for counts in data.test.images.sum((1, 2, 3, 4))} == {70}  # of number 10, the last


@pytest.mark.parametrize("name", SETS)
def test_what_is_missing_is_asked_for_in_one_sentence(tmp_path, name):
    within, classes, *_ = SETS[name]
    wanted = rf"{name}: {tmp_path}/{within} does not hold {classes} folders of .* files: fetch .* from https://.* there"
    with pytest.raises(DataError, match=wanted):
        load(name, tmp_path)
    with pytest.raises(DataError, match="does not hold"):
        load(name, tmp_path / "none")
