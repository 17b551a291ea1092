"""Both versions of CIFAR-10: what was written comes back, damage gets a message, and a pickle never runs anything."""

import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from spquant_snn.data.cifar import read_binary, read_python
from spquant_snn.errors import DataError, FileFormatError


def python2_pickle(labels, pixels):
    """A batch as cPickle of Python 2 wrote the official files: str for bytes, protocol 2."""
    raw = pixels.tobytes()
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(",
            b"".join(b"K" + bytes([label]) for label in labels),
            b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(",
            b"K\x01" + b"K" + bytes([len(labels)]) + b"M\x00\x0c\x86",
            b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89T" + struct.pack("<i", len(raw)) + raw,
            b"tbU\tfilenamesq\x0c]q\x0d(U\x05a.pngq\x0eU\x05b.pngq\x0feu.",
        ]
    )


def check(found, labels, pixels):
    assert found.labels.tolist() == labels.tolist()
    assert np.array_equal(found.images, pixels.reshape(-1, 3, 32, 32))


def test_the_binary_version_comes_back(tmp_path, cifar_batches, cifar_binary):
    for (name, content), (labels, pixels) in zip(cifar_binary.items(), cifar_batches, strict=True):
        (tmp_path / name).write_bytes(content)
        check(read_binary(tmp_path / name, 2), labels, pixels)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("key", [str, str.encode])
def test_the_python_version_comes_back(tmp_path, cifar_batches, protocol, key):
    labels, pixels = cifar_batches[0]
    batch = {key("data"): pixels, key("labels"): labels.tolist(), key("filenames"): [b"a.png", b"b.png"]}
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, protocol))
    check(read_python(tmp_path / "batch", 2), labels, pixels)


def test_the_python_version_comes_back_as_python_2_wrote_it(tmp_path, cifar_batches):
    labels, pixels = cifar_batches[0]
    (tmp_path / "batch").write_bytes(python2_pickle(labels, pixels))
    check(read_python(tmp_path / "batch", 2), labels, pixels)
    assert pickle.loads(python2_pickle(labels, pixels), encoding="latin1")["labels"] == labels.tolist()


@pytest.mark.parametrize("size", [0, 1, 3073, 6145, 6147, 9219])
def test_a_binary_file_of_another_size_is_refused(tmp_path, size):
    (tmp_path / "batch.bin").write_bytes(bytes(size))
    with pytest.raises(FileFormatError, match="does not have the 6146 bytes"):
        read_binary(tmp_path / "batch.bin", 2)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "no 'data'"),
        ({"labels": [1, 2]}, "no 'data'"),
        ({"data": np.zeros((2, 3072), np.uint8)}, "no list of 2 'labels'"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "no list of 2 'labels'"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}, "not 0 to 9"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [True, 1]}, "not 0 to 9"),
        ({"data": np.zeros((3, 3072), np.uint8), "labels": [1, 2, 3]}, "no 'data' of 2 x 3072"),
        ({"data": np.zeros((2, 3072), np.int8), "labels": [1, 2]}, "no 'data'"),
        ({"data": np.zeros((3072, 2), np.uint8).T, "labels": [1, 2]}, "no 'data'"),
        ({"data": 7, "labels": [1, 2]}, "no 'data'"),
    ],
)
def test_another_pickle_is_refused_in_words(tmp_path, batch, message):
    (tmp_path / "batch").write_bytes(pickle.dumps(batch, 2))
    with pytest.raises(FileFormatError, match=message):
        read_python(tmp_path / "batch", 2)


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_nothing_in_a_pickle_is_run(tmp_path, protocol):
    target = tmp_path / "made"
    content = pickle.dumps({"data": Attack(str(target)), "labels": [1, 2]}, protocol)
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(FileFormatError):
        read_python(tmp_path / "batch", 2)
    assert not target.exists()


@pytest.mark.parametrize("name", ["os.mkdir", "numpy.load", "builtins.eval", "numpy.core.multiarray.fromfile"])
def test_what_no_array_needs_is_named_in_the_message(tmp_path, name):
    module, _, attribute = name.rpartition(".")
    (tmp_path / "batch").write_bytes(f"c{module}\n{attribute}\nX\1\0\0\0a\x85R.".encode("latin-1"))
    with pytest.raises(FileFormatError, match=rf"is a damaged pickle \(it names {name}, which no array needs\)"):
        read_python(tmp_path / "batch", 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02}q\x00",
        b"K\x01",  # no stop
        b"h\x05.",  # a memo entry that is not there
        b"e.",  # no mark
        b"(e.",  # no list
        b"}K\x01K\x02s.",  # a key that is no string
        b"](K\x01u.",
        b"}(U\x01au.",
        b"K\x01)R.",  # a call of a number
        b"cos\nsystem\nK\x01R.",  # arguments that are no tuple
        b"K\x01K\x02b.",
        b"K\x01K\x02\x93.",
        b"cnumpy\ndtype\n}U\x01aK\x01sb.",  # a state of what stands for a type, not of one that was made of it
        b"cnumpy\ndtype\nN}U\x0c__setstate__K\x01s\x86b.",
        b"c_codecs\nencode\nX\1\0\0\0aX\5\0\0\0utf16\x86R.",
        b"c_codecs\nencode\nX\1\0\0\0aX\6\0\0\0latin1\x86R}b.",
        b"}" + b")" + b"\x85" * 1001 + b"K\x01s.",  # a key that is nested deep
        b"T\xff\xff\xff\x7fabc",  # a string of 2 GB that is not there
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc",  # bytes of 8 EiB
        b"X\xff\xff\xff\xffabc",
        b"U\x01ar\xff\xff\xff\xff",  # a memo of 4 billion entries
        b"}" * 200_001 + b".",
        b"}U\xff" + b"k" * 255 + b"K\x01s.",
        b"V\\u12\n.",  # opcodes of protocol 0
        b"S'\\'\n.",
        b"L" + b"9" * 5000 + b"L\n.",
    ],
)
def test_a_damaged_pickle_is_refused_in_little_memory(tmp_path, content):
    (tmp_path / "batch").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=r"is a damaged pickle|no 'data'"):
            read_python(tmp_path / "batch", 2)
        assert tracemalloc.get_traced_memory()[1] < 80 * len(content) + (3 << 19)
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["python2", 2, 3, 4])
def test_random_damage_gives_a_message_or_images_and_never_much_memory(tmp_path, cifar_batches, protocol):
    rng = np.random.default_rng(5)
    labels, pixels = cifar_batches[0]
    batch = {"labels": labels.tolist(), "data": pixels}
    written = python2_pickle(labels, pixels) if protocol == "python2" else pickle.dumps(batch, protocol)
    intact = np.frombuffer(written, np.uint8)
    path = tmp_path / "batch"
    refused = 0
    tracemalloc.start()
    try:
        for trial in range(600):  # flips fall into the first 400 bytes, where the structure is
            content = intact.copy()
            if trial % 3 == 0:
                content = content[: rng.integers(len(content))]
            elif trial % 3 == 1:
                content[rng.integers(400)] ^= 1 << rng.integers(8)
            else:
                content[rng.integers(400) :][:4] = rng.choice([0, 127, 128, 255], 4)
            path.write_bytes(content.tobytes())
            try:
                assert read_python(path, 2).images.shape == (2, 3, 32, 32)
            except FileFormatError:
                refused += 1
        assert refused > 300
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", [read_binary, read_python])
def test_random_bytes_are_refused(tmp_path, read):
    rng = np.random.default_rng(6)
    for size in range(200):
        (tmp_path / "batch").write_bytes(rng.bytes(size))
        with pytest.raises(FileFormatError):
            read(tmp_path / "batch", 2)


@pytest.mark.parametrize("read", [read_binary, read_python])
def test_a_file_that_cannot_be_opened_is_a_data_error(tmp_path, read):
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "absent")


def test_a_python_batch_of_absurd_size_is_not_read_whole(tmp_path):
    path = tmp_path / "batch"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileFormatError, match="too many for CIFAR-10"):
        read_python(path)


def test_a_binary_batch_of_absurd_size_is_not_read_whole(tmp_path):
    path = tmp_path / "batch.bin"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="does not have"):
            read_binary(path, 2)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
