"""Shards of tar files: every sample once over all that read, and a sentence for each way that a shard can be wrong."""

import gzip
import io
import itertools
import json
import tarfile

import numpy as np
import pytest
from torch.utils.data import DataLoader, IterableDataset

from spquant_snn.data import TarShards
from spquant_snn.errors import ConfigError, DataError

Image = pytest.importorskip("PIL.Image")


def png(value):
    content = io.BytesIO()
    Image.new("L", (8, 6), value).save(content, "PNG")
    return content.getvalue()


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def write(path, members, packed=False, **options):
    """A tar file of (name, content)."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", **options) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path.write_bytes(gzip.compress(content.getvalue()) if packed else content.getvalue())
    return path


def samples(first, count):
    return [
        pair for n in range(first, first + count) for pair in ((f"{n:06d}.png", png(n)), (f"{n:06d}.cls", b"%d\n" % n))
    ]


def values(items):
    return [(int(np.asarray(image).flat[0]), label) for image, label in items]


@pytest.fixture
def shards(tmp_path):
    for number in range(3):
        write(tmp_path / f"part-{number:02d}.tar", samples(4 * number, 4))
    return tmp_path


@pytest.mark.parametrize("how", ["part-{00..02}.tar", "part-*.tar"])
def test_samples_come_in_the_order_of_the_shards(shards, how):
    data = TarShards(shards / how, length=12)
    assert values(data) == [(n, n) for n in range(12)]
    assert len(data) == 12
    image, _ = next(iter(data))
    assert (image.dtype, image.shape) == (np.uint8, (1, 6, 8))


def test_packed_shards_arrays_json_and_names_of_classes(tmp_path):
    members = [
        ("a/1.npy", npy(np.full((2, 3), 5, np.int8))),
        ("a/1.json", json.dumps({"label": "dog", "kind": 0}).encode()),
        ("b/1.Npy", npy(np.full((2, 3), 6, np.int8))),  # another sample, of the same name in another folder
        ("b/1.json", json.dumps({"label": 0, "kind": 1}).encode()),
        (".hidden", b""),
    ]
    path = write(tmp_path / "x.tgz", members, packed=True, format=tarfile.PAX_FORMAT)
    assert values(TarShards(path, classes=("cat", "dog"))) == [(5, 1), (6, 0)]
    assert values(TarShards(path, label="json/kind", transform=lambda array: 2 * array)) == [(10, 0), (12, 1)]


def test_workers_read_every_sample_once(shards):
    class Torch(IterableDataset):
        def __init__(self, data):
            self.data = data

        def __iter__(self):
            return iter(self.data)

    for pattern, count in (("part-*.tar", 12), ("part-00.tar", 4)):  # more shards than workers, and fewer
        loader = DataLoader(Torch(TarShards(shards / pattern)), None, num_workers=2)
        assert sorted(values(loader)) == [(n, n) for n in range(count)]


@pytest.mark.parametrize("readers", [2, 5])
def test_several_processes_read_every_sample_once(shards, monkeypatch, readers):
    data, found = TarShards(shards / "part-*.tar", shuffle=3), []
    for reader in range(readers):
        monkeypatch.setattr("spquant_snn.data.tar_shards.this_reader", lambda reader=reader: (reader, readers, 7))
        data.set_epoch(1)
        found += values(data)
    assert sorted(found) == [(n, n) for n in range(12)]


def test_an_order_is_that_of_seed_and_pass(shards):
    data = TarShards(shards / "part-*.tar", shuffle=5, seed=3)
    first, second = values(data), values(data)
    assert sorted(first) == sorted(second) == [(n, n) for n in range(12)]
    assert len({tuple(first), tuple(second), tuple((n, n) for n in range(12))}) == 3
    data.set_epoch(0)
    assert values(data) == first
    assert values(TarShards(shards / "part-*.tar", shuffle=5, seed=4)) != first


def test_images_that_cannot_be_read_stop_or_are_passed_over(tmp_path, capsys):
    path = write(tmp_path / "x.tar", [*samples(0, 2), ("7.png", b"hello"), ("7.cls", b"7"), *samples(8, 1)])
    with pytest.raises(DataError, match=r"x\.tar: 7\.png cannot be used \(it is no JPEG"):
        list(TarShards(path))
    assert values(TarShards(path, skip_unreadable=True)) == [(0, 0), (1, 1), (8, 8)]
    assert "1 samples are passed over, such as: " in capsys.readouterr().err


GOOD = ("1.png", png(1))
BAD = {
    "no class": ([GOOD], "holds no class (.json) among png: say by label where it is"),
    "a class of words": ([GOOD, ("1.cls", b"dog")], "'dog' is no class: classes are numbered from 0, or named"),
    "a class of floats": ([GOOD, ("1.cls", b"1.5")], "'1.5' is no class"),
    "a class below zero": ([GOOD, ("1.json", b'{"label": -1}')], "-1 is no class"),
    "JSON without it": ([GOOD, ("1.json", b'{"name": 1}')], "it has no field 'label'; it has 'name'"),
    "JSON of a list": ([GOOD, ("1.json", b"[1]")], "it is a list of 1, not a JSON object"),
    "no image": ([("1.cls", b"1")], "holds no images (jpg, jpeg, png,"),
    "two images": ([GOOD, ("1.jpg", b""), ("1.cls", b"1")], "holds 2 images"),
    "an array cut off": ([("1.npy", npy(np.zeros(9))[:-1]), ("1.cls", b"1")], "does not have the 72 bytes that its"),
    "a pickle": ([("1.npy", npy(np.array([None]))), ("1.cls", b"1")], "it holds Python objects"),
}


@pytest.mark.parametrize("kind", BAD)
def test_samples_of_another_kind_are_refused_in_a_sentence(tmp_path, kind):
    members, said = BAD[kind]
    path = write(tmp_path / "x.tar", members)
    with pytest.raises(DataError, match=r"x\.tar: 1") as caught:
        list(TarShards(path))
    assert said in str(caught.value)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
def test_shards_that_break_off_are_refused_wherever_that_is(tmp_path, packed):
    whole = write(tmp_path / "x.tar", samples(0, 3), packed).read_bytes()
    end = len(whole) if packed else whole.index(bytes(1024 * 2), 4 * 1024)
    for size in itertools.chain(range(0, end, 211 if packed else 256), () if packed else (6 * 1024,)):
        (tmp_path / "x.tar").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"x\.tar is damaged"):
            list(TarShards(tmp_path / "x.tar"))
    damaged = bytearray(whole)
    damaged[len(whole) // 2 if packed else 1024 + 100] ^= 255  # in the header of the second member
    (tmp_path / "x.tar").write_bytes(damaged)
    with pytest.raises(DataError, match=r"x\.tar is damaged"):
        list(TarShards(tmp_path / "x.tar"))


def test_links_and_paths_that_lead_elsewhere_have_no_effect(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(99))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(link)
        for name, data in (("../2.png", png(2)), ("../2.cls", b"2")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.tar").write_bytes(content.getvalue())
    assert values(TarShards(tmp_path / "in" / "x.tar")) == [(2, 2)]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "secret.png", "x.tar"]


def test_shards_that_are_not_there_and_numbers_that_cannot_be(shards):
    for paths in ("no.tar", "part-{00..05}.tar", "*.zip", [shards / "part-00.tar", shards / "none.tar"]):
        with pytest.raises(DataError, match=r"there is no file .*: give the paths of tar files"):
            TarShards(paths if isinstance(paths, list) else shards / paths)
    with pytest.raises(DataError, match=r"\{02\.\.00\} stands for no number of shards"):
        TarShards("part-{02..00}.tar")
    with pytest.raises(DataError, match="there are no shards"):
        TarShards([])
    for options in ({"shuffle": -1}, {"length": 1.5}):
        with pytest.raises(ConfigError, match="must be a number of samples"):
            TarShards(shards / "part-00.tar", **options)
    with pytest.raises(TypeError, match="say it by length"):
        len(TarShards(shards / "part-00.tar"))
