"""The path of a folder of images as a data set by name, from Python and from the command line."""

import json

import numpy as np
import pytest

from spquant_snn import load as open_model
from spquant_snn.data import ImageFolder, load
from spquant_snn.data.catalog import anchored_name, title_of
from spquant_snn.data.own_files import read_own
from spquant_snn.errors import DataError
from spquant_snn.train.config import load_config

Image = pytest.importorskip("PIL.Image")


def pictures(folder, count=10, size=(8, 8), classes=("bright", "dark")):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full(size, 200 - 150 * label + number, np.uint8)).save(folder / name / f"{number}.png")
    return folder


def test_a_folder_of_classes_is_divided(tmp_path):
    data = load(str(pictures(tmp_path / "pictures")))
    assert (data.name, data.task.names, data.shape) == ("pictures", ("bright", "dark"), (1, 8, 8))
    assert (len(data.train), len(data.test)) == (16, 4)
    for part in (data.train, data.test):
        assert np.array_equal(part.labels, part.images[:, 0, 0, 0] < 100)
    assert not set(data.train.images[:, 0, 0, 0]) & set(data.test.images[:, 0, 0, 0])


def test_folders_train_and_test_are_taken_as_they_are(tmp_path, capsys):
    pictures(tmp_path / "train", 4)
    pictures(tmp_path / "val", 3, classes=("bright",))
    data = load(f"{tmp_path}:4x6")
    assert (len(data.train), len(data.test), data.shape, data.classes) == (8, 3, (1, 4, 6), 2)
    assert data.validation is None
    pictures(tmp_path / "test", 1)
    data = load(str(tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 3, 2)
    assert "is not read" not in capsys.readouterr().err
    pictures(tmp_path / "valid", 1)
    assert len(load(str(tmp_path)).validation) == 3
    assert "valid is not read: val is for validation" in capsys.readouterr().err


def test_names_of_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    pictures(tmp_path / "a")
    assert [anchored_name(name) for name in ("mnist", "a", "a:4", "none", "custom")] == [
        *("mnist", f"{tmp_path}/a", f"{tmp_path}/a:4x4", "none", "custom")
    ]
    assert anchored_name("./mnist") == f"{tmp_path}/mnist"  # which is then a folder, and no name of the catalogue
    assert [title_of(name) for name in ("gestures:32", "/x/a:4x4", "/x/a/")] == ["gestures:32", "a:4x4", "a"]


def test_folders_that_are_no_data_set(tmp_path):
    with pytest.raises(DataError, match=r"unknown data set '.*none': .*, or give the path of a folder of images"):
        load(str(tmp_path / "none"))
    with pytest.raises(DataError, match="holds no folders: put the images of each class"):
        load(str(tmp_path))
    pictures(tmp_path / "a" / "train")
    pictures(tmp_path / "a" / "test", 1, (9, 9))
    with pytest.raises(DataError, match=r"a: training images are .*, test images .*: bring them to one shape"):
        load(str(tmp_path / "a"))


def test_images_that_memory_should_not_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("spquant_snn.data.folder_set._MOST", 1000)
    with pytest.raises(
        DataError, match=r"16 images of 1x8x8 take 1,024 bytes of memory: make them smaller, as by a size"
    ):
        load(str(pictures(tmp_path)))
    assert len(load(f"{tmp_path}:7").train) == 16


@pytest.mark.slow
def test_one_command_trains_on_a_folder(spquant, tmp_path, monkeypatch):
    pictures(tmp_path / "pictures", 20)
    monkeypatch.chdir(tmp_path)
    options = ("--model", "FC4-FC2", "--epochs", "1", "--timesteps", "1", "--device", "cpu")
    assert spquant("train", "--dataset", "pictures", *options)[0] == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name == "FC4-FC2-pictures-w2s2-1"
    assert load_config(run / "config.toml").dataset == str(tmp_path / "pictures")
    monkeypatch.chdir(run)
    code, out, err = spquant("eval", ".")
    assert (code, err) == (0, "")
    assert "Test Accuracy" in out
    dark = pictures(tmp_path / "dark", 3, classes=("dark",))  # which alone has the second of the two classes
    code, out, err = spquant("eval", "model.spq", "--images", str(dark), "--json", "--backend", "reference")
    assert (code, err) == (0, "")
    images = np.stack([image for image, _ in ImageFolder(dark)])
    assert json.loads(out)["accuracy"] == pytest.approx(100 * np.mean(open_model("model.spq").predict(images) == 1))


def test_own_images_are_of_the_classes_that_a_network_knows(tmp_path):
    dark = pictures(tmp_path, 3, classes=("dark",))
    images, labels = read_own(dark, shape=(3, 4, 6), classes=("bright", "dark"))
    assert (images.shape, labels.tolist()) == ((3, 3, 4, 6), [1, 1, 1])
    assert read_own(dark, shape=(1, 4, 6))[1].tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="holds a folder 'dark', which is none of the classes day, night"):
        read_own(dark, shape=(1, 4, 6), classes=("day", "night"))
