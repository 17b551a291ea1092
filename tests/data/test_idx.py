"""The idx reader: it gives back what was written, and answers any damage with a message, in little memory."""

import gzip
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from spquant_snn.data.idx import read_idx
from spquant_snn.errors import DataError, FileFormatError


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(5, 3, 4), (7,), (0, 3, 4)])
def test_reads_what_was_written(tmp_path, idx_bytes, pack, shape):
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path / "any-name"
    path.write_bytes(pack(idx_bytes(values)))
    assert np.array_equal(read_idx(path, shape[1:]), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"<html>", "starts with 3c68746d"),
        (struct.pack(">HBBI", 0, 13, 1, 1) + b"....", "type 13 in 1 dimensions"),
        (struct.pack(">HBBI", 0, 8, 1, 1) + b".", "type 8 in 1 dimensions, expected .* in 3"),
        (struct.pack(">HBBI", 0, 8, 3, 1), "ends within its header"),
        (struct.pack(">HBB3I", 0, 8, 3, 1, 9, 9) + bytes(81), r"items of shape \[9, 9\], expected \[3, 4\]"),
        (struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(23), "has 39 bytes, its header says 40"),
        (struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(25), "has 41 bytes, its header says 40"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(23), mtime=0), "holds fewer than the 24 bytes"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(25), mtime=0), "holds more than the 24 bytes"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 3, 4), mtime=0), "more than can be packed into it"),
        (gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(24), mtime=0)[:-9], "is damaged"),
    ],
)
def test_each_kind_of_damage_has_its_message(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_idx(path, (3, 4))


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_opened_is_a_data_error(tmp_path, name):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / name, ())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_random_damage_gives_a_message_or_an_array_and_never_much_memory(tmp_path, idx_bytes, pack):
    rng = np.random.default_rng(2)
    intact = np.frombuffer(pack(idx_bytes(rng.integers(0, 256, (5, 3, 4)))), np.uint8)
    path = tmp_path / "file"
    refused = 0
    tracemalloc.start()
    try:
        for trial in range(600):
            content = intact.copy()
            if trial % 3 == 0:
                content = content[: rng.integers(len(content))]
            elif trial % 3 == 1:
                content[rng.integers(len(content))] ^= 1 << rng.integers(8)
            else:
                content[4 * rng.integers(4) :][:4] = rng.integers(0, 256, 4)
            path.write_bytes(content.tobytes())
            try:
                assert read_idx(path, (3, 4)).shape == (5, 3, 4)
            except FileFormatError:
                refused += 1
        assert refused > 300
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_random_bytes_are_refused(tmp_path):
    rng = np.random.default_rng(3)
    path = tmp_path / "file"
    for size in range(300):
        path.write_bytes(rng.bytes(size))
        with pytest.raises(FileFormatError):
            read_idx(path, (28, 28))


def test_a_gzip_bomb_is_not_unpacked_beyond_its_header(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 1, 28, 28) + bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="holds more than the 784 bytes"):
            read_idx(path, (28, 28))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_no_deflate_stream_beats_the_ratio_that_the_reader_assumes():
    packer = zlib.compressobj(9)
    packed = packer.compress(bytes(16 << 20)) + packer.flush()
    assert len(packed) * 1032 > 16 << 20
