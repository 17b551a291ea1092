"""Data sets by name: where their files are looked for, and what is said when they are not there."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spquant_snn.data import NAMES, load
from spquant_snn.data.catalog import CIFAR10, FASHION_MNIST, MNIST, data_folder, load_cifar10, load_idx
from spquant_snn.data.download import Remote
from spquant_snn.errors import DataError, FileFormatError, MissingDependencyError


def write(folder, files, pack=bytes, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + suffix)).write_bytes(pack(content))


def tar_gz(folder, files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def served(site, name, content):
    site.files[name] = content
    return Remote(name, len(content), hashlib.md5(content).hexdigest(), (f"{site.address}/absent", site.address))


@pytest.mark.parametrize(("pack", "suffix"), [(bytes, ""), (gzip.compress, ".gz")])
@pytest.mark.parametrize("layout", ["MNIST/raw", "."])
def test_mnist_is_read_from_either_layout_packed_or_not(tmp_path, mnist_files, pack, suffix, layout):
    write(tmp_path / layout, mnist_files, pack, suffix)
    splits = load("mnist", tmp_path, download=False)
    assert (splits.name, splits.shape, splits.classes) == ("mnist", (1, 28, 28), 10)
    assert splits.train.labels.tolist() == [*range(10), 0, 1]
    assert splits.test.labels.tolist() == [9, 8, 7, 6]
    assert splits.train.images.tobytes() == mnist_files["train-images-idx3-ubyte"][16:]


def test_fashion_mnist_has_its_own_folder(tmp_path, mnist_files):
    write(tmp_path / "FashionMNIST" / "raw", mnist_files)
    assert load("fashion-mnist", tmp_path, download=False).name == "fashion-mnist"
    with pytest.raises(DataError, match=r"mnist: train-images-idx3-ubyte.gz is not in"):
        load("mnist", tmp_path, download=False)


@pytest.mark.parametrize(("asked", "there"), [(MNIST, FASHION_MNIST), (FASHION_MNIST, MNIST)])
def test_one_set_is_not_taken_for_the_other(tmp_path, mnist_files, idx_bytes, asked, there):
    labels = {"train-labels-idx1-ubyte": idx_bytes([*there.opening, 0, 0])}
    write(tmp_path, mnist_files | labels)
    assert load(there.name, tmp_path, download=False).name == there.name
    with pytest.raises(DataError, match=f"holds the labels of {there.name}, not of {asked.name}: put .* into"):
        load(asked.name, tmp_path, download=False)


def test_the_folder_is_the_argument_then_the_variable_then_the_cache(monkeypatch):
    monkeypatch.setenv("SPQUANT_DATA", "/named")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data_folder(Path("/given")) == Path("/given")
    assert data_folder() == Path("/named")
    monkeypatch.delenv("SPQUANT_DATA")
    assert data_folder() == Path("/cache/spquant_snn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_folder() == Path("/home/someone/.cache/spquant_snn")
    assert data_folder(Path("~/data")) == Path("/home/someone/data")


def test_the_variable_is_followed(tmp_path, mnist_files, monkeypatch):
    write(tmp_path, mnist_files)
    monkeypatch.setenv("SPQUANT_DATA", str(tmp_path))
    assert len(load("mnist", download=False).train) == 12


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        DataError, match=r"unknown data set 'mnits': choose one of mnist, .* dvs-gesture, .*gestures, shd"
    ):
        load("mnits")
    events = ("nmnist", "dvs-gesture", "cifar10-dvs", "n-caltech101", "gestures")
    assert (
        "mnist",
        "fashion-mnist",
        "cifar10",
        "digits",
        *events,
        "shd",
        "ssc",
        "spoken-words",
        "speech-commands",
        "activity",
    ) == NAMES


@pytest.mark.parametrize(
    ("name", "files", "place"),
    [
        ("mnist", "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte", "MNIST/raw"),
        ("fashion-mnist", "train-images-idx3-ubyte, .* t10k-labels-idx1-ubyte .gzipped or not.", "FashionMNIST/raw"),
        ("cifar10", "cifar-10-binary.tar.gz or cifar-10-python.tar.gz", "."),
    ],
)
def test_what_is_absent_offline_is_asked_for_in_one_message(tmp_path, name, files, place):
    folder = str(tmp_path / place)
    with pytest.raises(DataError, match=f"{name}: .* put {files}.* into {folder}.*--data-dir or SPQUANT_DATA"):
        load(name, tmp_path, download=False)
    assert list(tmp_path.iterdir()) == []


def test_labels_out_of_range_are_refused(tmp_path, mnist_files, idx_bytes):
    write(tmp_path, mnist_files | {"t10k-labels-idx1-ubyte": idx_bytes([0, 10, 2, 3])})
    with pytest.raises(DataError, match="mnist: test labels must be 0 to 9, found 10"):
        load("mnist", tmp_path, download=False)


def test_labels_of_another_number_are_refused(tmp_path, mnist_files, idx_bytes):
    write(tmp_path, mnist_files | {"t10k-labels-idx1-ubyte": idx_bytes([0, 1, 2])})
    with pytest.raises(DataError, match="4 images have 3 labels"):
        load("mnist", tmp_path, download=False)


def test_empty_files_are_refused(tmp_path, mnist_files, idx_bytes):
    nothing = {"t10k-images-idx3-ubyte": idx_bytes([[[0] * 28] * 28])[:4] + bytes(4) + bytes([0, 0, 0, 28] * 2)}
    write(tmp_path, mnist_files | nothing | {"t10k-labels-idx1-ubyte": idx_bytes([])})
    with pytest.raises(DataError, match="the data set is empty"):
        load("mnist", tmp_path, download=False)


def test_missing_files_are_downloaded_beside_torchvision(tmp_path, mnist_files, site):
    remotes = tuple(served(site, f"{name}.gz", gzip.compress(content)) for name, content in mnist_files.items())
    source = replace(MNIST, files=remotes)
    first = load_idx(source, tmp_path, download=True, progress=False)
    requests = len(site.ranges)
    assert sorted(path.name for path in (tmp_path / "MNIST/raw").iterdir()) == sorted(site.files)
    again = load_idx(source, tmp_path, download=True, progress=False)
    assert np.array_equal(first.train.images, again.train.images)
    assert len(site.ranges) == requests == 8


def test_a_failed_download_says_why_and_what_to_put_where(tmp_path, site):
    source = replace(MNIST, files=tuple(replace(file, mirrors=(site.address,)) for file in MNIST.files))
    wanted = rf"no mirror gave train-images.* HTTP Error 404.*: put train-images.* into {tmp_path}/MNIST/raw, or name"
    with pytest.raises(DataError, match=wanted):
        load_idx(source, tmp_path, download=True, progress=False)


@pytest.mark.parametrize("version", ["binary", "python"])
@pytest.mark.parametrize("form", ["torchvision", "plain", "archive", "download"])
def test_cifar10_is_read_in_either_version_from_anywhere(
    tmp_path, cifar_batches, cifar_binary, cifar_python, site, version, form
):
    files = cifar_binary if version == "binary" else cifar_python
    folder = "cifar-10-batches-bin" if version == "binary" else "cifar-10-batches-py"
    archive = tar_gz(folder, {"readme.html": b"?", **files})
    remote = served(site, f"cifar-10-{version}.tar.gz", archive)
    if form == "archive":
        (tmp_path / remote.name).write_bytes(archive)
    elif form != "download":
        write(tmp_path / (folder if form == "torchvision" else "."), files)
    for _ in range(2):
        splits = load_cifar10(remote, tmp_path, download=form == "download", progress=False, records=2)
        assert (splits.name, splits.shape, splits.classes) == ("cifar10", (3, 32, 32), 10)
        assert splits.train.labels.tolist() == [int(label) for labels, _ in cifar_batches[:5] for label in labels]
        assert splits.train.images.tobytes() == b"".join(pixels.tobytes() for _, pixels in cifar_batches[:5])
        assert splits.test.images.tobytes() == cifar_batches[5][1].tobytes()
    assert len(site.ranges) == (2 if form == "download" else 0)


def test_cifar10_of_the_official_size_is_read_by_name(tmp_path):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        with (tmp_path / "cifar-10-batches-bin" / f"{name}.bin").open("wb") as file:
            file.truncate(10_000 * 3073)
    splits = load("cifar10", tmp_path)
    assert (len(splits.train), len(splits.test)) == (50_000, 10_000)


def test_a_truncated_cifar10_is_refused(tmp_path, cifar_binary):
    write(tmp_path, cifar_binary)
    with pytest.raises(FileFormatError, match=r"does not have the 30730000 bytes of 10000"):
        load("cifar10", tmp_path, download=False)


def test_a_cifar10_label_out_of_range_is_refused(tmp_path, cifar_binary):
    write(tmp_path, cifar_binary | {"test_batch.bin": b"\x0b" + cifar_binary["test_batch.bin"][1:]})
    with pytest.raises(DataError, match="cifar10: test labels must be 0 to 9, found 11"):
        load_cifar10(CIFAR10, tmp_path, download=False, progress=False, records=2)


def test_an_archive_that_is_none_is_refused(tmp_path):
    (tmp_path / CIFAR10.name).write_bytes(b"<html>not found</html>")
    with pytest.raises(FileFormatError, match="is damaged"):
        load("cifar10", tmp_path, download=False)


def test_every_remote_file_has_two_mirrors_and_a_checksum():
    for remote in (*MNIST.files, *FASHION_MNIST.files, CIFAR10):
        assert len(remote.mirrors) == 2
        assert len(bytes.fromhex(remote.md5)) == 16
        assert remote.size > 0


def test_digits_are_split_by_class_and_always_alike():
    splits = load("digits")
    assert (splits.name, splits.shape, splits.classes) == ("digits", (1, 8, 8), 10)
    assert (len(splits.train), len(splits.test)) == (1437, 360)
    train, test = np.bincount(splits.train.labels), np.bincount(splits.test.labels)
    share = (train + test) * 360 / 1797
    assert (abs(test - share) <= 1).all()
    assert (int(splits.train.images.min()), int(splits.train.images.max())) == (0, 255)
    assert set(np.unique(splits.train.images).tolist()) <= {level * 255 // 16 for level in range(17)}
    assert np.array_equal(load("digits").test.images, splits.test.images)


def test_digits_hold_every_image_once():
    from sklearn import datasets

    splits = load("digits")
    found = np.concatenate([splits.train.images, splits.test.images]).reshape(-1, 64)
    expected = datasets.load_digits().data.astype(np.int64) * 255 // 16
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, expected.tolist()))


def test_digits_without_scikit_learn_name_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match="pip install scikit-learn"):
        load("digits")


@pytest.mark.mnist
def test_the_real_mnist_has_its_published_counts():
    if "SPQUANT_DATA" not in os.environ:
        pytest.skip("SPQUANT_DATA is not set")
    try:
        splits = load("mnist", download=False)
    except DataError as error:
        pytest.skip(str(error))
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert np.bincount(splits.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert splits.train.labels[:10].tolist() == list(MNIST.opening)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from pathlib import Path
from spquant_snn.data import as_splits, hold_out, load
data = load("mnist", Path(sys.argv[1]), download=False)
rest, held = hold_out(data.train, 2, 0)
again = as_splits(((rest.images / 255, rest.labels), list(zip(held.images[:, 0], held.labels))))
print(again.shape, len(again.train), (again.train.images == rest.images).all(), again.test.inputs().shape)
"""


def test_data_are_loaded_and_converted_without_torch(tmp_path, mnist_files):
    write(tmp_path, mnist_files)
    call = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)]
    ended = subprocess.run(call, capture_output=True, text=True, check=False)
    assert ended.stdout == "(1, 28, 28) 10 True (2, 1, 28, 28)\n", ended.stderr


def test_a_split_of_digits_is_that_of_every_run_before():
    datasets = pytest.importorskip("sklearn.datasets")
    labels = torch.from_numpy(datasets.load_digits().target).long()
    shuffled = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    chosen = by_class[torch.arange(360) * 1797 // 360].sort().values
    assert load("digits").test.labels.tolist() == labels[chosen].tolist()
