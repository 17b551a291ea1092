"""From a header to a graph: each part is refused by its place, before an array is made."""

import pytest

from mutations import opened
from spquant_snn.errors import FileFormatError
from spquant_snn.integer.blobs import BlobReader
from spquant_snn.integer.decode import decode
from spquant_snn.integer.file import to_bytes
from spquant_snn.io.fields import Fields


@pytest.fixture
def parts(random_graph):
    """Header and blobs of a network, and the network."""
    graph = random_graph(3)
    return (*opened(to_bytes(graph)), graph)


def decoded(header, blobs):
    return decode(Fields(header, whole="the header"), BlobReader(memoryview(blobs)))


def test_a_header_gives_its_graph(parts, difference):
    header, blobs, graph = parts
    assert difference(decoded(header, blobs)()[0], graph) is None


def at(header, path):
    for key in path[:-1]:
        header = header[key]
    return header, path[-1]


POOL = {"type": "Pool", "kind": "sum", "kernel": [2, 2], "stride": [1, 1], "padding": [0] * 4, "dilation": [1, 1]}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("inputs", 0, "shape"), [1, 2], r"inputs\[0\]\.shape has 2 elements, not 3"),
        (("inputs", 0, "type"), "Output", r"inputs\[0\]\.type is 'Output', not one of Input"),
        (("timesteps",), 1.5, "timesteps is 1.5"),
        (("connections", 0, "bits"), 9, r"connections\[0\]\.bits is 9"),
        (("connections", 0, "pools"), [POOL | {"kind": "mean"}], r"pools\[0\]\.kind is 'mean', not one of sum, max"),
        (("connections", 0, "pools"), [POOL | {"type": "Window"}], r"pools\[0\]\.type .*not one of Pool, Upsample"),
        (("connections", 0, "padding"), [1, 1], r"connections\[0\]\.padding has 2 elements, not 4"),
        (("layers", 0, "terms", 0, "delay"), 2, r"layers\[0\]\.terms\[0\]\.delay is 2, not one of 0, 1"),
        (("layers", 0, "terms", 0, "multiplier"), 2, r"layers\[0\]\.terms\[0\]\.multiplier is 2, not an object"),
        (("layers", 0, "neuron", "reset"), "soft", r"\.neuron\.reset is 'soft', not one of zero, subtract, none"),
        (("layers", 0, "neuron", "store", "type"), "none", r"layers\[0\]\.neuron\.store\.type"),
        (("layers", 0, "neuron", "fire", "shape"), [1, 1, 1], r"layers\[0\]\.neuron\.fire\.shape"),
        (("layers", 0, "shortcut"), None, r"layers\[0\] has an unknown key 'shortcut'"),
        (("readouts", 0, "scale"), 0, r"readouts\[0\]\.scale is 0"),
        (("readouts", 0, "over_time"), "first", r"readouts\[0\]\.over_time is 'first', not one of last, largest, sum"),
        (("more",), 1, "the header has an unknown key 'more'"),
    ],
)  # fmt: skip
def test_a_wrong_part_is_named_by_its_place(parts, path, value, words):
    header, blobs, _ = parts
    place, key = at(header, path)
    place[key] = value
    with pytest.raises(FileFormatError, match=words):
        decoded(header, blobs)


@pytest.mark.parametrize(
    "path", [("timesteps",), ("inputs", 0, "signed"), ("layers", 0, "gate"), ("layers", 0, "terms", 0, "multiplier")]
)
def test_a_missing_field_is_named_even_where_it_may_be_null(parts, path):
    header, blobs, _ = parts
    place, key = at(header, path)
    del place[key]
    with pytest.raises(FileFormatError, match=f"has no key '{key}'"):
        decoded(header, blobs)


def test_pools_of_too_many_values_are_refused(parts):
    header, blobs, _ = parts
    header["connections"][0]["pools"] = [POOL | {"kernel": [65535, 65535]}]
    with pytest.raises(FileFormatError, match=r"connections\[0\]\.pools\[0\] pools windows of more than"):
        decoded(header, blobs)


def test_bytes_behind_the_last_array_are_refused(parts):
    header, blobs, _ = parts
    with pytest.raises(FileFormatError, match="1 bytes follow the last array"):
        decoded(header, blobs + b"\0")
