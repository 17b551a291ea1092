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
    assert difference(decoded(header, blobs)(), graph) is None


def at(header, path):
    for key in path[:-1]:
        header = header[key]
    return header, path[-1]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("input_shape",), [1, 2], "input_shape has 2 elements, not 3"),
        (("timesteps",), 0, "timesteps is 0"),
        (("layers", 0, "connection", "bits"), 9, r"layers\[0\]\.connection\.bits is 9"),
        (("layers", 0, "connection", "pools"), [{"kind": "mean", "kernel": 2, "stride": 2}], r"pools\[0\]\.kind"),
        (("layers", 0, "neuron", "reset"), "soft", r"layers\[0\]\.neuron\.reset"),
        (("layers", 0, "neuron", "store", "kind"), "none", r"layers\[0\]\.neuron\.store\.kind"),
        (("layers", 0, "neuron", "fire", "shape"), [1, 1], r"layers\[0\]\.neuron\.fire"),
        (("layers", 0, "shortcut"), None, r"layers\[0\] has an unknown key 'shortcut'"),
        (("readout", "scale"), 0, "readout.scale is 0"),
        (("readout", "fraction"), 9, "readout.fraction is 9"),
        (("more",), 1, "the header has an unknown key 'more'"),
    ],
)
def test_a_wrong_part_is_named_by_its_place(parts, path, value, words):
    header, blobs, _ = parts
    place, key = at(header, path)
    place[key] = value
    with pytest.raises(FileFormatError, match=words):
        decoded(header, blobs)


def test_pools_of_too_many_values_are_refused(parts):
    header, blobs, _ = parts
    header["layers"][0]["connection"]["pools"] = [{"kind": "sum", "kernel": 65535, "stride": 1}]
    with pytest.raises(FileFormatError, match="pools windows of more than"):
        decoded(header, blobs)


def test_bytes_behind_the_last_array_are_refused(parts):
    header, blobs, _ = parts
    with pytest.raises(FileFormatError, match="1 bytes follow the last array"):
        decoded(header, blobs + b"\0")
