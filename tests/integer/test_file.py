"""The .spq file: what is saved is loaded to the last bit, in few bytes, and whatever else a file holds is refused."""

import copy
import errno
import os
import re
import time
import zlib
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import case
from general_graphs import general_graph
from mutations import HUGE, descriptions, opened, sealed
from residual_graphs import residual_graph
from rows import Last, Part, around, row, square
from spquant_snn.data.task import OutputFormat, Task
from spquant_snn.errors import ConfigError, FileFormatError, ModelError, RunError
from spquant_snn.integer import file
from spquant_snn.integer.file import from_bytes, load_graph, save, to_bytes
from spquant_snn.integer.graph import BlockGate, Connection, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import Current, Neuron, ScaledStore, TableStore, fold_neuron
from spquant_snn.integer.pool import Pool, Upsample
from spquant_snn.integer.program import Program

WIDTHS = sorted(WEIGHT_GRIDS)


def lenet(bits):
    """32C5-P2-64C5-P2-FC128-FC10 over 1x28x28, as trained networks have it."""
    rng, grid = np.random.default_rng(0), WEIGHT_GRIDS[bits]

    def connection(name, *shape, **options):
        return Connection(name, rng.integers(grid.low, grid.high + 1, shape).astype(np.int8), bits, **options)

    def layer(synapses, largest):
        gain = rng.uniform(0.02, 0.1, len(synapses.codes)) / largest
        neuron, _ = fold_neuron(bits, gain, rng.normal(0, 0.3, len(gain)), 1.0, 0.5, "zero", synapses.reach(largest))
        return Part(synapses, neuron)

    pooled = {"padding": around(2, 2), "sum_pool": square("sum", 2, 2)}
    layers = (
        layer(connection("conv1", 32, 1, 5, 5, **pooled), 255),
        layer(connection("conv2", 64, 32, 5, 5, **pooled), 1),
        layer(connection("fc3", 128, 64 * 49), 1),
    )
    return row((1, 28, 28), 2, layers, Last(connection("fc4", 10, 128), 8, np.arange(10, dtype=np.int32), 0.01))


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


@pytest.mark.parametrize("made", [general_graph, residual_graph])
def test_every_array_and_field_of_a_graph_of_many_terms_comes_back(difference, made):
    for seed in range(60):
        with case("seed", seed):
            graph = made(seed)
            data = to_bytes(graph)
            back = from_bytes(data)
            assert data[8] == 1
            assert difference(graph, back) is None
            assert to_bytes(back) == data


def test_terms_that_share_a_connection_share_it_in_the_file_and_behind_it(random_graph):
    graph = random_graph(2, 8, 8)
    (first,) = graph.layers[0].terms
    twice = replace(graph.layers[0], terms=(first, replace(first, delay=1)))
    shared = replace(graph, layers=(twice, *graph.layers[1:]))
    back = from_bytes(to_bytes(shared))
    a, b = back.layers[0].terms
    assert a.connection is b.connection
    assert len(to_bytes(shared)) - len(to_bytes(graph)) < 120  # a term, without its codes


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
    channels, height, width = plain.input_shape
    given = replace(plain.inputs[0], shape=(np.int64(channels), np.int32(height), np.uint16(width)))
    other = replace(plain, inputs=(given,), timesteps=np.int64(plain.timesteps))
    assert difference(from_bytes(to_bytes(other)), plain) is None


def test_a_graph_that_the_format_cannot_hold_is_not_written(random_graph, tmp_path):
    graph = replace(random_graph(0), readouts=(replace(random_graph(0).readout, name="a\nb"),))
    with pytest.raises(ModelError, match=r"does not fit a \.spq file .*readouts\[0\]\.name"):
        save(graph, tmp_path / "model.spq")
    assert list(tmp_path.iterdir()) == []


def chain(count):
    """Layers of one neuron in a row, all of one shared connection."""
    neuron, _ = fold_neuron(2, np.ones(1), np.zeros(1), 1.0, 0.5, "zero", np.ones(1, np.int64))
    one = Connection("one", np.ones((1, 1), np.int8), 2)
    layers = tuple(Layer(f"layer{i}", (Term(one, i),), neuron) for i in range(count))
    return Graph((Input((1, 1, 1)),), 1, layers, (Readout("last", (Term(one, count),), 0, np.zeros(1, np.int32), 1.0),))


def test_a_file_holds_1024_layers_and_no_more():
    assert len(from_bytes(to_bytes(chain(1024))).layers) == 1024
    with pytest.raises(ModelError, match=r"does not fit a \.spq file .*layers is .*up to 1024"):
        to_bytes(chain(1025))


def test_the_format_is_described_field_by_field():
    """The table of the module's docstring names what the dataclasses have, in their order."""
    table, described = file.__doc__.split("**Header**")[1].split("Keys come in any order")[0], {}
    for line in table.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name = line.split()[0]
        if line.startswith("    "):
            described.setdefault(name, []).extend(re.findall(r'"(\w+)":', line))
    classes = (Pool, Upsample, Input, Layer, Term, Neuron, Current, TableStore, ScaledStore, BlockGate, Readout)
    classes += (OutputFormat, Task)
    for kind in (*classes, Connection, Graph):
        names = [field.name for field in fields(kind) if field.init]
        found = described[{Connection: "connection", Graph: "header"}.get(kind, kind.__name__)]
        assert set(found) == set(names) | ({"connections"} if kind is Graph else set()), kind.__name__
    for graph in (general_graph(1), residual_graph(2)):
        header, _ = opened(to_bytes(graph))
        assert set(header) == set(described["header"])
        assert all(set(each) == set(described["connection"]) for each in header["connections"])


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


@pytest.mark.parametrize("path", [None, 3, 1.5, ["model.spq"]])
def test_what_is_no_path_is_refused_in_words(random_graph, path):
    for call in (lambda: save(random_graph(0), path), lambda: load_graph(path)):
        with pytest.raises(ConfigError, match=r"a path must be text or a pathlib\.Path, not a "):
            call()


def test_an_empty_path_is_refused_in_words(random_graph):
    with pytest.raises(RunError, match="the name of the file to write is empty: give one"):
        save(random_graph(0), "")


def test_what_is_no_graph_is_not_written(tmp_path, random_graph):
    for wrong in (None, "model.spq", 3):
        with pytest.raises(ModelError, match="a Graph or a Program is needed, not a "):
            save(wrong, tmp_path / "model.spq")
    assert list(tmp_path.iterdir()) == []
    save(Program(random_graph(0)), tmp_path / "model.spq")
    assert load_graph(tmp_path / "model.spq").timesteps == random_graph(0).timesteps


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
        (b"{}", "has no key 'connections'"),
        (b'{"a":1,"a":1}', "key 'a' twice"),
        (b'{"a":[{"b":1,"c":2,"b":3}]}', "key 'b' twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":' + b"9" * 100_000 + b"}", "100000 digits"),
        (b'{"a":' * 200_000, "not JSON"),
        (b"[" * 1_000_000, "not JSON"),
        (b" " * (4 << 20) + b"{}", "does not exist"),
    ],
)
def test_a_hostile_header_is_refused(header, reason):
    with pytest.raises(FileFormatError, match=reason):
        from_bytes(sealed(header, b""))


POOL = {"type": "Pool", "kind": "sum", "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1]}
PAIR = [[0, 1], [1], [1, 1, 1], [-1, 1], [1 << 31, 1], [1.0, 1], [True, 1], "ab", None, {}]
ROW = [None, {}, 5, [None], [[]], [5], "terms"]
ARRAY = [None, [], {}, 5, "blob"]

HOSTILE = {
    "timesteps": [0, (1 << 20) + 1, 1.0, True, "1", None, 10**30],
    "inputs": [[], {}, [None], [{}], 5],
    "inputs.0.type": ["Output", "input", 1, None],
    "inputs.0.shape": [[], [1, 9], [1, 9, 9, 9], [0, 9, 9], [1.0, 9, 9], [HUGE, HUGE, HUGE], "abc", None],
    "inputs.0.signed": [0, 1, None, "false"],
    "inputs.0.scale": [0, -1.0, 1e999, "1", True, None],
    "connections": [[], None, {}, [None], 5, [{}] * 4097],
    "connections.0.name": ["", "a" * 257, "a\nb", "\ud800", "\u202e", 3, None],
    "connections.0.bits": [1, 9, 2.5, "2", True, None, []],
    "connections.0.stride": PAIR,
    "connections.0.dilation": PAIR,
    "connections.0.spread": PAIR,
    "connections.0.padding": [[-1, 0, 0, 0], [0, 0], [0] * 5, [1 << 31, 0, 0, 0], [HUGE] * 4, None],
    "connections.0.groups": [0, -1, 65536, 1.0, None],
    "connections.0.pools": [
        None,
        POOL,
        [POOL] * 17,
        [POOL | {"kind": "mean"}],
        [POOL | {"type": "Upsample"}],
        [POOL | {"kernel": 1}],
        [POOL | {"kernel": [HUGE, HUGE]}],
        [POOL | {"more": 1}],
        [{"type": "Upsample", "factor": [HUGE, HUGE]}],
        [{"type": "Upsample", "factor": [0, 1]}],
        [{"type": "Upsample"}],
    ],
    "connections.0.sum_pool": [
        {},
        [],
        POOL | {"kernel": [65535, 65535]},
        POOL | {"kind": "max", "padding": [9, 9, 9, 9]},
        {"type": "Upsample", "factor": [1, 1]},
    ],
    "connections.0.codes": ARRAY,
    "connections.0.codes.shape": [[4], [2**31, 1], [2**31 - 1] * 4, [0, 0], [-1, -1], [1] * 5],
    "connections.0.codes.encoding": ["int8", "bits4", "zip", None],
    "connections.0.codes.offset": [1, -1, 2**64, None],
    "connections.0.codes.length": [0, -1, 2**64, 1.5],
    "connections.0.codes.crc32": [0, -1, 2**32],
    "layers": [{}, [None], [{}] * 1025, 5, None],
    "layers.0.name": ["", "a\nb", 3, None],
    "layers.0.terms": [*ROW, []],
    "layers.0.terms.0.type": ["Layer", None],
    "layers.0.terms.0.connection": [-1, 1, HUGE, 2**64, None, {}, 0.0, True],
    "layers.0.terms.0.source": [-1, 1, 2, 1023, HUGE, 2**64, None, 0.5],
    "layers.0.terms.0.delay": [2, -1, None, "1", True],
    "layers.0.terms.0.multiplier": [5, [], {}, "1"],
    "layers.0.terms.0.shift": [-1, 32, HUGE, 1.5, None],
    "layers.0.neuron": ARRAY,
    "layers.0.neuron.bits": [5, 8, 1, "4", None],
    "layers.0.neuron.fraction": [-1, 7, HUGE, None],
    "layers.0.neuron.reset": ["", "half", None],
    "layers.0.neuron.fire": ARRAY,
    "layers.0.neuron.fire.shape": [[], [1, 1], [2**31 - 1], [1]],
    "layers.0.neuron.fire.encoding": ["int64", "bits2", "uint8"],
    "layers.0.neuron.store": ARRAY,
    "layers.0.neuron.store.type": ["ScaledStore", "", None],
    "layers.0.neuron.current": [{}, [], 5],
    "layers.0.gate": [{}, [], 5],
    "readouts": [*ROW, []],
    "readouts.0.terms": [*ROW, []],
    "readouts.0.terms.0.source": [9, HUGE, None],
    "readouts.0.scale": [0, -1.0, 1e999, "1", True, None],
    "readouts.0.fraction": [-1, 9],
    "readouts.0.leak": [5, [], {}],
    "readouts.0.leak_shift": [-1, 17, None],
    "readouts.0.over_time": ["first", "", None, 3],
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
            with pytest.raises(FileFormatError) as refused:
                from_bytes(sealed(header, blobs))
            assert len(str(refused.value)) < 600
            assert str(refused.value).isprintable()


def test_a_refusal_names_the_layer_and_the_field(random_graph):
    header, blobs = opened(to_bytes(random_graph(2, 2, 2)))
    name = header["layers"][0]["name"]
    header["layers"][0]["terms"][0]["source"] = 7
    with pytest.raises(FileFormatError, match=rf"cannot be run \(layer '{name}': there is no source 7"):
        from_bytes(sealed(header, blobs))
    header["layers"][0]["terms"][0]["source"] = "7"
    with pytest.raises(FileFormatError, match=r"layers\[0\]\.terms\[0\]\.source is '7', not a whole number"):
        from_bytes(sealed(header, blobs))


# Connections: numbered as the terms have them, none too many.


def test_connections_in_another_order_are_refused(random_graph):
    header, blobs = opened(to_bytes(random_graph(12)))
    assert len(header["connections"]) > 1
    header["layers"][0]["terms"][0]["connection"] = 1
    with pytest.raises(FileFormatError, match=r"terms\[0\]\.connection is 1, not a whole number from 0 to 0"):
        from_bytes(sealed(header, blobs))


def test_a_connection_without_a_term_and_a_term_without_its_connection_are_refused():
    header, blobs = opened(to_bytes(chain(2)))
    header["connections"].append(copy.deepcopy(header["connections"][0]))
    header["connections"][1]["codes"] |= {"offset": header["connections"][0]["codes"]["length"]}
    length = header["connections"][0]["codes"]["length"]
    for blob in list(descriptions(header))[2:]:
        blob["offset"] += length
    with pytest.raises(FileFormatError, match=r"connections\[1\] belongs to no term"):
        from_bytes(sealed(header, blobs[:length] + blobs))
    header, blobs = opened(to_bytes(chain(2)))
    header["readouts"][0]["terms"][0]["connection"] = 1
    with pytest.raises(FileFormatError, match="connections has 1 elements, and terms have 2"):
        from_bytes(sealed(header, blobs))


def test_many_terms_of_one_connection_take_no_more_time_than_their_number():
    """The sums of a connection are looked at once, however many terms have it."""
    wide = Connection("wide", np.ones((64, 64 * 9), np.int8), 2, pools=())
    neuron, _ = fold_neuron(2, np.ones(64), np.zeros(64), 1.0, 0.5, "zero", np.full(64, 200_000, np.int64))
    layer = Layer("a", (Term(wide, 0), *(Term(wide, 0, 1) for _ in range(255))), neuron)
    last = Readout("last", (Term(Connection("l", np.ones((2, 64), np.int8), 2), 1),), 0, np.zeros(2, np.int32), 1.0)
    data = to_bytes(Graph((Input((64, 3, 3)),), 1, (layer,), (last,)))
    start = time.process_time()
    from_bytes(data)
    assert time.process_time() - start < 1
    more = replace(layer, terms=(*layer.terms, layer.terms[1]))
    with pytest.raises(ModelError, match=r"does not fit .*layers\[0\]\.terms is .*up to 256"):
        to_bytes(Graph((Input((64, 3, 3)),), 1, (more,), (last,)))


@pytest.mark.parametrize("shift", [-1, 1])
def test_blobs_with_a_gap_or_an_overlap_are_refused(random_graph, shift):
    header, blobs = opened(to_bytes(random_graph(2)))
    for blob in list(descriptions(header))[1:]:
        blob["offset"] += shift
    end = next(descriptions(header))["length"]
    with pytest.raises(FileFormatError, match=r"\.offset is"):
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
