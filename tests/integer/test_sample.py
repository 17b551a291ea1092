"""The sample in a .spq file: what was given comes back exactly, is bounded, and nothing else is read."""

import json
import zlib

import numpy as np
import pytest
import torch

from mutations import opened, sealed
from random_graphs import random_graph
from spquant_snn.data.items import Items
from spquant_snn.errors import DataError, FileFormatError
from spquant_snn.integer.file import from_bytes, load_both, save, to_bytes, unpacked
from spquant_snn.integer.sample import LARGEST, MOST, choose_sample

GRAPH = random_graph(0)
SHAPE = GRAPH.input_shape


def items(count=5, steps=(), labels=None):
    images = np.random.default_rng(count).integers(0, 256, (count, *steps, *SHAPE)).astype(np.uint8)
    return Items("noise", images, labels)


LABELS = {
    "none": None,
    "classes": np.arange(5) % GRAPH.classes,
    "numbers": np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3),
    "pixels": np.zeros((5, 2, 2), np.int64) - 1,
}


@pytest.mark.parametrize("steps", [(), (3,)], ids=["images", "sequences"])
@pytest.mark.parametrize("labels", LABELS)
def test_what_is_kept_comes_back(labels, steps, tmp_path):
    kept = choose_sample(items(steps=steps, labels=LABELS[labels]))
    save(GRAPH, tmp_path / "x.spq", kept)
    graph, found = load_both(tmp_path / "x.spq")
    assert to_bytes(graph) == to_bytes(GRAPH)
    assert to_bytes(graph, found) == to_bytes(GRAPH, kept) == (tmp_path / "x.spq").read_bytes()
    for part in ("images", "labels", "indices"):
        a, b = getattr(kept, part), getattr(found, part)
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and np.array_equal(a, b))


def test_what_a_user_gives_is_kept(tmp_path):
    images = items(40).images
    for given, labels in ((images, None), (torch.from_numpy(images), None), ((images, [1] * 40), [1] * MOST)):
        save(GRAPH, tmp_path / "x.spq", sample=given)
        found = load_both(tmp_path / "x.spq")[1]
        assert np.array_equal(found.images, images[:MOST])
        assert (None if found.labels is None else found.labels.tolist()) == labels


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((2, *SHAPE)), "images of the sample must be uint8, 0 to 255, not float64"),
        (np.zeros((2, 1, 3, 3), np.uint8), "images of the sample are .2, 1, 3, 3., and the network takes"),
        ((items(5).images, [0, 1]), "the sample has 5 images and 2 labels"),
        ((items(2).images, [0, GRAPH.classes]), "labels of the sample"),
        ("images", "images of the sample must be uint8"),
    ],
)
def test_what_the_network_does_not_take_is_refused(given, said, tmp_path):
    with pytest.raises(DataError, match=said):
        save(GRAPH, tmp_path / "x.spq", sample=given)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_one_is_as_it_was():
    assert unpacked(to_bytes(GRAPH))[1] is None
    assert "sample" not in opened(to_bytes(GRAPH))[0]


def test_the_first_of_each_class_are_kept_in_the_order_of_the_set():
    labels = np.array([1] * 40 + [0] * 3 + [2] * 40)
    kept = choose_sample(Items("x", np.zeros((83, 1, 2, 2), np.uint8), labels))
    assert len(kept) == MOST
    assert kept.indices.tolist() == [*range(15), 40, 41, 42, *range(43, 57)]
    assert (kept.labels == labels[kept.indices]).all()
    again = choose_sample(kept)
    assert again.indices.tolist() == kept.indices.tolist()


@pytest.mark.parametrize(("side", "count"), [(1, 32), (100, 26), (600, 1), (1024, 1), (1025, None)])
def test_no_more_is_kept_than_fits(side, count):
    kept = choose_sample(Items("x", np.zeros((40, 1, side, side), np.uint8)))
    assert (None if kept is None else len(kept)) == count
    assert kept is None or kept.images.nbytes <= 4 * LARGEST


def changed(change):
    """A file with a sample, whose part of the header was changed, all else as it should be."""
    header, blobs = opened(to_bytes(GRAPH, choose_sample(items(labels=LABELS["classes"]))))
    return sealed(*(change(header["sample"], header, blobs) or (header, blobs)))


def with_bytes(name, array):
    """A change: other numbers in an array of the sample, the last of the file or not."""

    def change(sample, header, blobs):
        blob = sample[name]
        data = array.tobytes()
        start, end = blob["offset"], blob["offset"] + blob["length"]
        blob |= {
            "length": len(data),
            "shape": list(array.shape),
            "encoding": array.dtype.name,
            "crc32": zlib.crc32(data),
        }
        later = [x for x in sample.values() if x and x["offset"] > start]
        for other in later:
            other["offset"] += len(data) - (end - start)
        return header, blobs[:start] + data + blobs[end:]

    return change


NOISE = np.zeros((5, *SHAPE), np.uint8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s, h, b: s.pop("labels") and None, "sample has no key 'labels'"),
        (lambda s, h, b: s.update(more=1), "sample has an unknown key 'more'"),
        (lambda s, h, b: h.update(sample=None), "has an unknown key 'sample'"),
        (lambda s, h, b: h.update(sample=[]), "sample is a list of 0, not an object"),
        (lambda s, h, b: s["images"].update(encoding="bits2"), "encoding is 'bits2', not one of uint8, int8"),
        (lambda s, h, b: s["images"].update(shape=[5]), "sample.images.shape has 1 elements, not 4 or 5"),
        (lambda s, h, b: s["images"].update(crc32=1), "the checksum of sample.images does not hold"),
        (lambda s, h, b: (h, b + b"x"), "bytes follow the last array"),
        (with_bytes("images", NOISE[..., :-1]), "that the network does not take"),
        (with_bytes("images", NOISE.astype(np.int8)), "the sample is int8, which the network does not take"),
        (with_bytes("images", NOISE[:4]), "the sample has 4 images and 5 labels"),
        (with_bytes("images", np.zeros((33, *SHAPE), np.uint8)), "the sample has 33 items"),
        (with_bytes("labels", np.full(5, 99, np.int8)), "the labels of the sample must be 0 to"),
        (with_bytes("labels", np.full(5, -1, np.int8)), "the labels of the sample must be 0 or more"),
        (with_bytes("labels", np.full((5, 1), np.nan, np.float32)), "sample hold numbers that are not finite"),
        (with_bytes("indices", np.array([0, 1, 1, 2, 3], np.int8)), "the indices of the sample are not in order"),
        (with_bytes("indices", np.array([-1, 1, 2, 3, 4], np.int8)), "the indices of the sample are not in order"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_anything_else_is_refused(change, said):
    data = changed(change)
    with pytest.raises(FileFormatError) as refused:
        from_bytes(data)
    assert said in str(refused.value)
    assert json.dumps(str(refused.value))
