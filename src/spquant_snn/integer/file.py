"""The ``.spq`` file, version 1: an integer graph in bytes, the same bytes for the same graph on every machine.

All integers are little-endian. A file is a prefix, a header and a row of blobs, with nothing between or behind them.

**Prefix**, 20 bytes:

    0   8  magic   89 53 50 51 0D 0A 1A 0A ("\\x89SPQ\\r\\n\\x1a\\n": a transfer as text or of 7 bits breaks it)
    8   4  version uint32, 1
    12  4  length  uint32, bytes of the header, at most 4 MiB
    16  4  crc32   uint32, of the header's bytes (CRC-32 of ISO 3309, as in zlib and PNG)

**Header**, UTF-8 JSON, one object. Its parts are the dataclasses of ``graph``, ``connection``, ``pool`` and ``neuron``,
field by field, where it is said what they mean; each but the header and a connection has its class's name as "type":

    header       "connections": [connection, ...] (1..4096), "inputs": [Input, ...] (1..16), "timesteps": 1..2^20,
                 "layers": [Layer, ...] (0..1024), "readouts": [Readout, ...] (1..64)
    connection   "name": text, "codes": blob [O, I/g, kh, kw] or [O, F], "bits": 1.58 or 2..8, "stride": [y, x],
                 "padding": [top, bottom, left, right], "groups": g, "dilation": [y, x], "spread": [y, x],
                 "pools": [Pool or Upsample, ...] (0..16), "sum_pool": Pool or null
    Pool         "kind": "sum" or "max", "kernel": [y, x], "stride": [y, x], "padding": [top, bottom, left, right],
                 "dilation": [y, x]
    Upsample     "factor": [y, x]
    Input        "shape": [C, H, W], "signed": true or false, "scale": number above 0
    Layer        "name": text, "terms": [Term, ...] (1..256), "neuron": Neuron, "gate": BlockGate or null
    Term         "connection": its index, "source": 0.., "delay": 0 or 1, "multiplier": blob [O] or null, "shift": 0..31
    Neuron       "bits": 1.58 or 2..8, "fraction": 0..6, "reset": "zero", "subtract" or "none", "fire": blob [O],
                 "drop": blob [O], "store": TableStore or ScaledStore, "current": Current or null
    Current      "bits": those of the neuron, "store": TableStore or ScaledStore
    TableStore   "decay": blob [K, O], "edges": blob [K-1, O], for K codes
    ScaledStore  "decay": blob [O], "decay_shift": 0..16, "gain": blob [O], "offset": blob [O], "shift": 0..40
    BlockGate    "count": blob [B], "code": blob [B], "least": blob [B], for B = ceil(O / 32) blocks
    Readout      "name": text, "terms": [Term, ...] (1..256), "fraction": 0..8, "bias": blob [O],
                 "scale": number above 0, "leak": blob [O] or null, "leak_shift": 0..16,
                 "over_time": "last", "largest", "sum" or "all", "output_format": OutputFormat or null
    OutputFormat "task": Task, "gains": [numbers above 0], "offsets": [numbers]; one of each output, or none
    Task         "kind": "classification", "multilabel", "regression" or "segmentation", "outputs": 1..,
                 "names": [text, ...], one of each output, or none, "unit": text, which may be empty
    header, too  "sample": Sample, where the file holds one
    Sample       "images": blob [N, C, H, W] or [N, T, C, H, W], "labels": blob or null, "indices": blob [N], for N
                 items (1..32) that the one input takes
    blob         "offset": from the end of the header, "length": in bytes, "encoding": text, "shape": [sizes],
                 "crc32": of the blob's bytes

Keys come in any order; none but "sample" may be missing, and none unknown or doubled. Whole numbers are at most
2^31 - 1, others finite; a text is one line of up to 256 printable characters; a "sum" pools windows of at most 2^23
values. Terms may share a connection; connections are numbered in the order in which terms, those of the layers first,
have them.

**Blobs** lie in the order in which the tables name them, from the connections on. The first is at offset 0, each of the
others where the one before it ends. The last index of an array runs fastest.

    ternary, bits2 .. bits8   codes, as their bits say, packed as ``pack`` says
    int8, int16, int32        all other arrays, in two's complement
    int64                     the offset of a ScaledStore, labels and indices too
    uint8, float32            the images of a sample, and labels that are no whole numbers

A writer takes the narrowest integers that hold an array. A reader refuses all that differs from this, and checks the
header and the extents of the arrays before it makes one.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable

from ..data.items import Items
from ..errors import FileFormatError, ModelError
from ..io.fields import Fields
from ..io.reading import guarded, open_file, read_up_to
from ..io.texts import parse_json
from ..io.writing import path_text, replace_file
from .blobs import BlobReader, BlobWriter
from .decode import decode
from .encode import encode
from .graph import Graph, HasGraph, as_graph
from .sample import encode_sample, sample_of

MAGIC = b"\x89SPQ\r\n\x1a\n"
VERSION = 1

_PREFIX = struct.Struct("<8sIII")
_LONGEST_HEADER = 4 << 20
_LARGEST = 1 << 32  # bytes of a file
_WHOLE = "the header"


def save(graph: Graph | HasGraph, path: str | os.PathLike[str], sample: object = None) -> None:
    """Write a graph to a file, whole or not at all: an older file stays as it was until the new one is on the disk.

    Args:
        graph: by itself or in a program.
        path: of the file; folders that are missing are made.
        sample: of what the network is used on, uint8 inputs [N, ...] or sequences [N, T, ...], or a pair of these and
            their labels: the file keeps up to 32 of them, 256 KiB at most, with which ``spquant verify``, ``report``
            and ``export`` work where no others are named.

    Raises:
        RunError: the file cannot be written.
        ConfigError: ``path`` is no path.
        ModelError: ``graph`` is none, or is larger than the format takes.
        DataError: the sample is not what the network takes.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(), input_shape=(1, 8, 8)).eval().freeze()
        >>> save(lower(network), "model.spq", sample=numpy.zeros((5, 1, 8, 8), numpy.uint8))
    """
    checked = as_graph(graph)
    replace_file(path, to_bytes(checked, None if sample is None else sample_of(checked, sample)))


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """The graph in a ``.spq`` file; ``load`` makes a program of it, to run.

    Raises:
        ConfigError: ``path`` is no path.
        FileFormatError: the file is missing, cannot be read, or is not a valid .spq file of this version.

    Example:
        >>> graph = load_graph("model.spq")
        >>> graph.input_shape, graph.timesteps, graph.classes
        ((1, 8, 8), 2, 10)
    """
    return load_both(path)[0]


def load_both(path: str | os.PathLike[str]) -> tuple[Graph, Items | None]:
    """The graph in a ``.spq`` file, and the sample of its data, if it keeps one.

    Raises:
        FileFormatError: as ``load_graph``.
    """
    with guarded(path, "give the path of a .spq file"), open_file(path) as file:
        try:
            _prefix(file.read(_PREFIX.size))  # another kind of file is not read to its end
            file.seek(0)
            data = read_up_to(file, _LARGEST + 1)
            if len(data) > _LARGEST:
                raise FileFormatError(f"it has more than {_LARGEST:,} bytes: give the path of a .spq file")
            return unpacked(bytes(data))
        except FileFormatError as error:
            raise FileFormatError(f"{path_text(path)}: {error}") from error


def to_bytes(graph: Graph, sample: Items | None = None) -> bytes:
    """The file of a graph, with a sample of its data if one is given.

    Raises:
        ModelError: the graph is larger than the format takes.
    """
    blobs = BlobWriter()
    about = encode(graph, blobs) | ({} if sample is None else {"sample": encode_sample(sample, blobs)})
    header = json.dumps(about, separators=(",", ":"), allow_nan=False).encode()
    data = b"".join([_PREFIX.pack(MAGIC, VERSION, len(header), zlib.crc32(header)), header, *blobs.parts])
    try:
        _check(data)  # nothing is written that could not be read
    except FileFormatError as error:
        raise ModelError(f"the graph does not fit a .spq file ({error})") from error
    return data


def from_bytes(data: bytes) -> Graph:
    """The graph of a file's bytes; takes memory of a small multiple of their number, whatever they are.

    Raises:
        FileFormatError: they are not a valid file of this version.
    """
    return unpacked(data)[0]


def unpacked(data: bytes) -> tuple[Graph, Items | None]:
    """The graph and the sample of a file's bytes; see ``from_bytes``."""
    build = _check(data)
    try:
        return build()
    except FileFormatError as error:
        raise _damaged(error) from error
    except (ModelError, OverflowError) as error:
        raise FileFormatError(f"it holds a network that cannot be run ({error}): export it again") from error


def _check(data: bytes) -> Callable[[], tuple[Graph, Items | None]]:
    """Check everything but the values of the arrays; what is returned builds the graph and the sample."""
    view = memoryview(data)
    length, checksum = _prefix(data)
    header, blobs = bytes(view[_PREFIX.size : _PREFIX.size + length]), view[_PREFIX.size + length :]
    try:
        if len(header) < length:
            raise FileFormatError(f"it ends after {len(data)} bytes, within its header")
        if zlib.crc32(header) != checksum:
            raise FileFormatError("the checksum of the header does not hold")
        return decode(Fields(parse_json(header, _WHOLE), whole=_WHOLE), BlobReader(blobs))
    except FileFormatError as error:
        raise _damaged(error) from error


def _prefix(data: bytes) -> tuple[int, int]:
    """Length and checksum of the header."""
    if not data.startswith(MAGIC):
        raise FileFormatError(
            f"it is not a .spq file, it starts with {data[:8].hex() or 'nothing'}: give the path of an exported network"
        )
    if len(data) < _PREFIX.size:
        raise FileFormatError(f"it ends after {len(data)} bytes: copy or export the file again")
    _, version, length, checksum = _PREFIX.unpack(data[: _PREFIX.size])
    if version != VERSION:
        raise FileFormatError(
            f"it was written by another version (format {version}, this one reads {VERSION}): export it again with "
            "this version of spquant-snn, or read it with that which wrote it"
        )
    if length > _LONGEST_HEADER:
        raise FileFormatError(f"a header of {length} bytes does not exist: copy or export the file again")
    return length, checksum


def _damaged(error: FileFormatError) -> FileFormatError:
    return FileFormatError(f"the file is damaged, {error}: copy or export it again")
