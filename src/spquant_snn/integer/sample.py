"""A sample: a few of the items that a network was measured on, which its .spq file keeps, so that the network can be
exported, verified and reported on without a data set. ``file`` defines the format."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data.items import Items, first_of_each_class
from ..data.task import Task, check_fits, check_labels
from ..dtypes import Array, Int64
from ..errors import DataError, FileFormatError
from ..io.fields import Fields
from .blobs import INTEGERS, BlobReader, BlobWriter
from .graph import Graph
from .inputs import as_array, check_takes_one, task_of
from .own_items import Interface, own_items

MOST = 32  # items
LARGEST = 1 << 18  # bytes of items that are kept; of a single one four times as many
NAME = "the sample in the file"


def choose_sample(test: Items) -> Items | None:
    """Up to 32 items of a test set, exactly as they are, that take 256 KiB at most, or the first one where that takes
    1 MiB at most: the first of each class, then the second of each, and so on, in the order of the set. None where the
    items are larger. Of sequences of several lengths those of the commonest one.
    """
    each = sum(part[0].nbytes for part in (test.images, test.labels) if part is not None)
    count = min(MOST, len(test), LARGEST // each)
    if not count and each > 4 * LARGEST:
        return None
    test = test.of_one_length()
    order = np.arange(len(test)) if test.classes is None else first_of_each_class(test.classes)
    places: Int64 = np.sort(order[: count or 1])
    part = test.chosen(places)
    indices = places if part.indices is None else part.indices
    return Items(test.name, np.ascontiguousarray(part.images), part.labels, indices)


def items_of(graph: Graph, given: object) -> Items:
    """What a user gives of what a network is used on: inputs alone, or a pair of inputs and labels.

    Raises:
        ConfigError: the network takes several inputs.
        DataError: they are not what the network takes and says.
    """
    if isinstance(given, Items):
        return given
    check_takes_one(graph, "a sample")
    images, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    right = None if labels is None else as_array(labels, "the labels of the sample")
    return own_items(as_array(images, "the sample"), right, Interface.of(graph), "the sample")


def sample_of(graph: Graph, given: object) -> Items:
    """The sample that a file of a graph keeps of ``items_of``.

    Raises:
        DataError: each is too large to be kept.
    """
    items = items_of(graph, given)
    found = choose_sample(items)
    if found is None:
        size = items.images[0].nbytes
        raise DataError(f"each input of the sample has {size:,} bytes, and {4 * LARGEST:,} are kept: leave it out")
    return found


def encode_sample(sample: Items, blobs: BlobWriter) -> dict[str, object]:
    """What the header says of a sample; its arrays go to ``blobs``."""
    labels = sample.labels
    indices = np.arange(len(sample)) if sample.indices is None else sample.indices
    return {
        "images": blobs.add_plain(np.ascontiguousarray(sample.images)),
        "labels": None if labels is None else blobs.add_plain(labels) if _real(labels) else blobs.add(labels),
        "indices": blobs.add(indices),
    }


def decode_sample(part: Fields, blobs: BlobReader) -> Callable[[Graph], Items]:
    """What makes a sample of its part of a header, for the graph of the same file.

    Raises:
        FileFormatError: a field is missing, unknown or of another type; or, by what is returned, the sample does not
            fit the graph.
    """
    images = blobs.claim_plain(part.inner("images"), ("uint8", "int8"), (4, 5))
    labels = None
    if part.has("labels"):
        labels = blobs.claim_plain(part.inner("labels"), (*INTEGERS, "float32"), (1, 2, 3, 4))
    else:
        part.value("labels")  # it is null, or it is missing
    indices = blobs.claim_plain(part.inner("indices"), INTEGERS, (1,))
    part.close()
    size = images.size + (0 if labels is None else labels.size)
    if size > 4 * LARGEST or images.shape[0] > MOST:
        raise FileFormatError(f"the sample has {images.shape[0]} items of {size} bytes")
    for what, blob in (("labels", labels), ("indices", indices)):
        if blob is not None and blob.shape[0] != images.shape[0]:
            raise FileFormatError(f"the sample has {images.shape[0]} images and {blob.shape[0]} {what}")

    def make(graph: Graph) -> Items:
        found = images.array()
        given = graph.inputs[0]
        if len(graph.inputs) > 1 or found.dtype != (np.int8 if given.signed else np.uint8):
            raise FileFormatError(f"the sample is {found.dtype}, which the network does not take")
        if found.shape[-3:] != given.shape or (given.signed and int(found.min()) < -given.largest):
            raise FileFormatError(f"the sample holds images {list(found.shape)} that the network does not take")
        if found.ndim == 5 and found.shape[1] > graph.longest:
            raise FileFormatError(f"the sample holds sequences of {found.shape[1]} frames, too long for the network")
        places = indices.int64()
        if int(places.min()) < 0 or (np.diff(places) <= 0).any():
            raise FileFormatError("the indices of the sample are not in order")
        return Items(NAME, found, None if labels is None else _as_labels(labels.array(), graph), places)

    return make


def _as_labels(labels: Array, graph: Graph) -> Array:
    found: Array = labels if _real(labels) else labels.astype(np.int64)
    where = "the labels of the sample"
    try:
        check_labels(found, where)
        if graph.readout.output_format is not None or not _real(labels):
            check_fits(task_of(graph) if found.ndim < 3 else _of_maps(graph), found, where)
    except DataError as error:
        raise FileFormatError(str(error)) from error
    return found


def _of_maps(graph: Graph) -> Task:
    said = graph.readout.output_format
    return Task("segmentation", graph.outputs[0][0]) if said is None else said.task


def _real(labels: Array) -> bool:
    return labels.dtype.kind == "f"


def sample_note(items: Items, file: str) -> str:
    """What a file of that name keeps of test items, in words."""
    kept = choose_sample(items)
    if kept is None:
        return f"{file} keeps no test items, which are too large"
    return f"{file} keeps {len(kept)} test items, {kept.images.nbytes:,} bytes (remember_sample=False: none)"
