"""The .spq file: what is saved is loaded to the last bit, in few bytes, and whatever else a file holds is refused."""

import copy
import errno
import os
import random
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import case
from mutations import descriptions, forged, garbled, opened, sealed
from spquant_snn.errors import FileFormatError, ModelError, RunError
from spquant_snn.integer.file import from_bytes, load_graph, save, to_bytes
from spquant_snn.integer.graph import Connection, Graph, Layer, Readout
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.integer.pool import Pool

WIDTHS = sorted(WEIGHT_GRIDS)


def lenet(bits):
    """32C5-P2-64C5-P2-FC128-FC10 over 1x28x28, as trained networks have it."""
    rng, grid = np.random.default_rng(0), WEIGHT_GRIDS[bits]

    def connection(name, *shape, **options):
        return Connection(name, rng.integers(grid.low, grid.high + 1, shape).astype(np.int8), bits, **options)

    def layer(synapses, largest):
        gain = rng.uniform(0.02, 0.1, len(synapses.codes)) / largest
        neuron, _ = fold_neuron(bits, gain, rng.normal(0, 0.3, len(gain)), 1.0, 0.5, "zero", synapses.reach(largest))
        return Layer(synapses, neuron)

    pooled = {"padding": (2, 2), "sum_pool": Pool("sum", 2, 2)}
    layers = (
        layer(connection("conv1", 32, 1, 5, 5, **pooled), 255),
        layer(connection("conv2", 64, 32, 5, 5, **pooled), 1),
        layer(connection("fc3", 128, 64 * 49), 1),
    )
    return Graph((1, 28, 28), 2, layers, Readout(connection("fc4", 10, 128), 8, np.arange(10, dtype=np.int32), 0.01))


# What is saved is loaded.


@given(
    seed=st.integers(0, 1 << 32),
    weight=st.sampled_from(WIDTHS),
    state=st.sampled_from(WIDTHS),
    reset=st.sampled_from(["zero", "subtract"]),
)
@settings(deadline=None, derandomize=True, max_examples=150)
def test_every_array_and_field_of_a_random_graph_comes_back(random_graph, difference, seed, weight, state, reset):
    graph = random_graph(seed, weight, state, reset)
    data = to_bytes(graph)
    back = from_bytes(data)
    assert difference(graph, back) is None
    assert to_bytes(back) == data == to_bytes(random_graph(seed, weight, state, reset))


@pytest.mark.parametrize("path_type", [str, lambda path: path])
def test_a_file_holds_the_graph(tmp_path, random_graph, difference, path_type):
    graph = random_graph(1)
    save(graph, path_type(tmp_path / "model.spq"))
    assert (tmp_path / "model.spq").read_bytes() == to_bytes(graph)
    assert difference(load_graph(path_type(tmp_path / "model.spq")), graph) is None


def test_the_comparison_of_graphs_sees_one_changed_number(random_graph, difference):
    graph, other = random_graph(4), copy.deepcopy(random_graph(4))
    other.layers[0].neuron.fire[-1] += 1
    assert difference(graph, other) == "graph.layers[0].neuron.fire"


@pytest.mark.parametrize("bits", WIDTHS)
def test_a_file_is_hardly_larger_than_the_weights_at_their_width(bits):
    graph = lenet(bits)
    weights = sum(connection.codes.size for connection in graph.connections)
    assert weights == 454_688
    assert len(to_bytes(graph)) <= 1.1 * weights * bits / 8 + 4096


@pytest.mark.parametrize("value", [0, 127, -128, 128, -129, 32767, 32768, -32769, (1 << 31) - 1, -(1 << 31)])
def test_constants_of_any_size_come_back_from_the_narrowest_integers(random_graph, difference, value):
    graph = copy.deepcopy(random_graph(2))
    graph.layers[0].neuron.fire[:] = value
    header, _ = opened(to_bytes(graph))
    width = next(bits for bits in (8, 16, 32) if -(1 << bits - 1) <= value < 1 << bits - 1)
    assert header["layers"][0]["neuron"]["fire"]["encoding"] == f"int{width}"
    assert difference(from_bytes(to_bytes(graph)), graph) is None


def test_numpy_numbers_in_a_graph_are_written_as_numbers(random_graph, difference):
    plain = random_graph(3)
    layers, (channels, height, width) = plain.layers, plain.input_shape
    other = Graph(
        (np.int64(channels), np.int32(height), np.uint16(width)), np.int64(plain.timesteps), layers, plain.readout
    )
    assert difference(from_bytes(to_bytes(other)), plain) is None


def test_a_graph_that_the_format_cannot_hold_is_not_written(random_graph, tmp_path):
    graph = random_graph(0)
    last = graph.readout.connection
    named = Connection("a\nb", last.codes, last.bits, pools=last.pools)
    graph = Graph(graph.input_shape, 1, graph.layers, Readout(named, 0, graph.readout.bias, 1.0))
    with pytest.raises(ModelError, match=r"does not fit a \.spq file .*readout\.connection\.name"):
        save(graph, tmp_path / "model.spq")
    assert list(tmp_path.iterdir()) == []


# Saving, whole or not at all.


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch, random_graph, failing):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "model.spq"
    save(random_graph(0), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, failing, full)
    with pytest.raises(RunError, match=r"model\.spq cannot be written \(No space left on device\): make room"):
        save(random_graph(1), path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


@pytest.mark.parametrize("place", ["file/model.spq", "file/below/model.spq", "folder", "nul\0.spq"])
def test_a_place_that_cannot_be_written_is_refused_in_words(tmp_path, random_graph, place):
    (tmp_path / "file").write_bytes(b"here")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match=r"cannot be written.*choose"):
        save(random_graph(0), tmp_path / place)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["file", "folder"]


def test_a_link_is_followed(tmp_path, random_graph, difference):
    (tmp_path / "models").mkdir()
    try:
        (tmp_path / "link.spq").symlink_to(tmp_path / "models" / "real.spq")
    except OSError:
        pytest.skip("this system makes no links")
    save(random_graph(0), tmp_path / "link.spq")
    assert (tmp_path / "link.spq").is_symlink()
    assert difference(load_graph(tmp_path / "models" / "real.spq"), random_graph(0)) is None


# Loading what is no graph.


@pytest.mark.parametrize("place", ["missing.spq", "folder", "file/model.spq", "nul\0.spq"])
def test_a_place_without_a_file_is_refused_in_words(tmp_path, place):
    (tmp_path / "file").write_bytes(b"here")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileFormatError, match=r"cannot be read|it is not a file"):
        load_graph(tmp_path / place)


def test_messages_begin_with_the_path(tmp_path, random_graph):
    (tmp_path / "model.spq").write_bytes(to_bytes(random_graph(0))[:-1])
    with pytest.raises(FileFormatError, match=r"model\.spq: the file is damaged, .*: copy or export it again"):
        load_graph(tmp_path / "model.spq")


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\x89SPQ\n\x1a\n" + bytes(40)])
def test_another_kind_of_file_is_named_as_such(data):
    with pytest.raises(FileFormatError, match=r"not a \.spq file, it starts with"):
        from_bytes(data)


@pytest.mark.parametrize("header", [b"", b"{}", b"\xff binary"])
def test_another_version_is_refused_whatever_follows(header):
    for version in (0, 2, 3):
        with pytest.raises(
            FileFormatError, match=rf"another version \(format {version}, this one reads 1\): export it"
        ):
            from_bytes(sealed(header, b"", version=version))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "has no key 'input_shape'"),
        (b'{"a":1,"a":1}', "key 'a' twice"),
        (b'{"a":[{"b":1,"c":2,"b":3}]}', "key 'b' twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":' + b"9" * 100_000 + b"}", "100000 digits"),
        (b'{"a":' * 200_000, "not JSON"),
        (b"[" * 1_000_000, "not JSON"),
        (b" " * (1 << 20) + b"{}", "does not exist"),
    ],
)
def test_a_hostile_header_is_refused(header, reason):
    with pytest.raises(FileFormatError, match=reason):
        from_bytes(sealed(header, b""))


POOL = {"kind": "sum", "kernel": 1, "stride": 1}

HOSTILE = {
    "timesteps": [0, 1025, 1.0, True, "1", None, 10**30],
    "input_shape": [[], [1, 9], [1, 9, 9, 9], [0, 9, 9], [65536, 9, 9], [1.0, 9, 9], "abc", None],
    "layers": [[], {}, [None], [{}] * 1025, 5],
    "layers.0.connection.name": ["", "a" * 257, "a\nb", "\ud800", "\u202e", 3, None],
    "layers.0.connection.bits": [1, 9, 2.5, "2", True, None, []],
    "layers.0.connection.stride": [[0, 1], [1], [1, 1, 1], [65536, 1]],
    "layers.0.connection.padding": [[-1, 0], [65536, 0]],
    "layers.0.connection.groups": [0, -1, 65536],
    "layers.0.connection.pools": [
        None,
        [{"kind": "sum", "kernel": 1, "stride": 1}] * 17,
        [{"kind": "mean", "kernel": 1, "stride": 1}],
    ],
    "layers.0.connection.sum_pool": [
        {},
        {"kind": "max", "kernel": 1, "stride": 1},
        {"kind": "sum", "kernel": 65535, "stride": 1},
    ],
    "layers.0.connection.codes.shape": [[4], [2**31, 1], [2**31 - 1] * 4, [0, 0], [-1, -1], [1] * 5],
    "layers.0.connection.codes.encoding": ["int8", "bits4", "zip", None],
    "layers.0.connection.codes.offset": [1, -1, 2**64, None],
    "layers.0.connection.codes.length": [0, -1, 2**64, 1.5],
    "layers.0.connection.codes.crc32": [0, -1, 2**32],
    "layers.0.neuron.bits": [5, 8, 1, "4"],
    "layers.0.neuron.fraction": [-1, 7],
    "layers.0.neuron.reset": ["", "none", None],
    "layers.0.neuron.fire.shape": [[], [1, 1], [2**31 - 1], [1]],
    "layers.0.neuron.fire.encoding": ["int64", "bits2", "uint8"],
    "layers.0.neuron.store.kind": ["scaled", "", None],
    "readout.scale": [0, -1.0, 1e999, "1", True, None],
    "readout.fraction": [-1, 9],
}


def test_a_field_out_of_range_is_refused_although_the_checksum_holds(random_graph):
    for place, value in ((place, value) for place, values in HOSTILE.items() for value in values):
        with case(place, value):
            header, blobs = opened(to_bytes(random_graph(2, 2, 2)))
            *path, key = [int(x) if x.isdigit() else x for x in place.split(".")]
            inner = header
            for step in path:
                inner = inner[step]
            assert key in inner
            inner[key] = value
            with pytest.raises(FileFormatError):
                from_bytes(sealed(header, blobs))


@pytest.mark.parametrize("shift", [-1, 1])
def test_blobs_with_a_gap_or_an_overlap_are_refused(random_graph, shift):
    header, blobs = opened(to_bytes(random_graph(2)))
    for blob in list(descriptions(header))[1:]:
        blob["offset"] += shift
    end = next(descriptions(header))["length"]
    with pytest.raises(FileFormatError, match=r"neuron\.fire\.offset is"):
        from_bytes(sealed(header, blobs[:end] + b"\0" + blobs[end:]))


def test_bytes_behind_the_last_array_are_refused(random_graph):
    with pytest.raises(FileFormatError, match="1 bytes follow"):
        from_bytes(to_bytes(random_graph(2)) + b"\0")


def test_codes_that_are_no_packed_codes_are_refused_although_the_checksum_holds(random_graph):
    header, blobs = opened(to_bytes(random_graph(2, 1.58)))
    first = next(descriptions(header))
    blobs = b"\xff" + blobs[1:]
    first["crc32"] = zlib.crc32(blobs[: first["length"]])
    with pytest.raises(FileFormatError, match=r"damaged, a byte of ternary codes is 255"):
        from_bytes(sealed(header, blobs))


# Fuzzing: whatever a file holds, the answer is a graph that can be run or a FileFormatError, soon and in little memory.


@pytest.mark.slow
@pytest.mark.parametrize("damage", [garbled, forged])
def test_damaged_files_give_a_graph_or_one_kind_of_error(random_graph, difference, damage):
    rng = random.Random(0)
    files = [to_bytes(random_graph(seed)) for seed in range(12)]
    damaged = [damage(rng.choice(files), rng) for _ in range(1500)]
    accepted, refused = [], 0
    tracemalloc.start()
    try:
        for data in damaged:
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.process_time()
            try:
                accepted.append(from_bytes(data))
            except FileFormatError as error:
                refused += len(str(error)) < 600
            assert time.process_time() - start < 2
            assert tracemalloc.get_traced_memory()[1] - before < 20 * len(data) + (4 << 20)
    finally:
        tracemalloc.stop()
    assert len(accepted) + refused == len(damaged)  # no message is longer than a screen
    assert refused > 1000
    for graph in accepted:
        assert difference(from_bytes(to_bytes(graph)), graph) is None


def test_a_file_cut_short_anywhere_is_refused(random_graph):
    data = to_bytes(random_graph(5))
    for length in (*range(40), *range(40, len(data), 37), len(data) - 1):
        with pytest.raises(FileFormatError, match=r"not a \.spq file|ends after|length is"):
            from_bytes(data[:length])


def test_a_file_of_nothing_but_claims_takes_little_memory(random_graph):
    header, _ = opened(to_bytes(random_graph(2, 2, 2)))
    for blob in descriptions(header):
        blob |= {"shape": [2**31 - 1] * len(blob["shape"]), "length": 2**62}
    data = sealed(header, b"")
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError):
            from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data) + (1 << 20)
    finally:
        tracemalloc.stop()
