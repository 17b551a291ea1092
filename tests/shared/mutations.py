"""Files that are almost .spq files: damaged anywhere, or changed in meaning with every length and checksum right.

``mutation(files, seed)`` is the same each time. Each kind of damage is a function of files and a random generator.
"""

import copy
import json
import random
import struct
import zlib

import numpy as np

from general_graphs import general_graph
from random_graphs import RARE, random_graph, with_gates
from residual_graphs import residual_graph
from spquant_snn.data.items import Items
from spquant_snn.integer.file import to_bytes

START = 20  # of the header

VALUES = [
    *(0, 1, -1, 2, 3, 7, 255, 65535, 2**31 - 1, 2**31, 2**63, 2**64, 10**12, 10**31),
    *(0.5, 1.58, 2.0, 1e308, -0.0, float("nan"), float("inf"), True, None),
    *("", "sum", "zero", "bits8", "int64", [], {}, [1, 1], [[]], [2**31 - 1, 1], [2**31 - 1] * 4),
]
EXTREMES = [0, 1, -1, 127, -128, 1 << 15, 1 << 30, -(1 << 30), (1 << 31) - 1, -(1 << 31)]


def _pool(kind, kernel, stride, padding=(0, 0, 0, 0), dilation=(1, 1)):
    sides = {"kernel": [*kernel], "stride": [*stride], "padding": [*padding], "dilation": [*dilation]}
    return {"type": "Pool", "kind": kind} | sides


HUGE = (1 << 31) - 1
POOLS = [_pool(kind, (k, k), (s, s)) for kind in ("sum", "max") for k in (1, 2, 3) for s in (1, 2)]
ODD_POOLS = [_pool(kind, (1, 3), (2, 1), (0, 1, 2, 0), (1, 2)) for kind in ("sum", "max")]
UPSAMPLES = [{"type": "Upsample", "factor": [a, b]} for a, b in ((1, 1), (2, 3), (HUGE, 1), (HUGE, HUGE))]
NUDGES = {
    "timesteps": [1, 2, 17, 64, 1024, 1 << 20],
    "shape": [[1, 1], [1, 1, 1, 1], [2, 3], [10**9, 1000], [1, 8, 8], [3, 5, 9], [1, 65535, 65535], [65535, 1, 1]],
    "signed": [False, True],
    "bits": [1.58, 2, 3, 4, 5, 6, 7, 8],
    "stride": [[1, 1], [1, 2], [3, 1], [65535, 65535], [HUGE, 1]],
    "padding": [[0, 0, 0, 0], [0, 3, 1, 0], [2, 1, 0, 2], [40] * 4, [65535] * 4, [HUGE, 0, 0, 0]],
    "dilation": [[1, 1], [2, 1], [1, 3], [HUGE, HUGE]],
    "spread": [[1, 1], [2, 1], [1, 3], [HUGE, HUGE]],
    "groups": [1, 2, 3, 65535],
    "pools": [[], *([pool] for pool in POOLS + ODD_POOLS + UPSAMPLES), POOLS[:2] * 8, [POOLS[2]] * 11],
    "sum_pool": [None, *POOLS, *ODD_POOLS, _pool("sum", (2896, 2896), (1, 1)), _pool("max", (HUGE, 1), (1, 1))],
    "factor": [[1, 1], [2, 2], [HUGE, HUGE]],
    "fraction": [0, 1, 6, 8],
    "reset": ["zero", "subtract", "none"],
    "decay_shift": [0, 1, 16],
    "shift": [0, 1, 16, 31, 32, 40],
    "source": [0, 1, 2, 5, 1023, HUGE],
    "delay": [0, 1],
    "multiplier": [None],
    "leak": [None],
    "leak_shift": [0, 3, 16],
    "over_time": ["last", "largest", "sum", "all"],
    "gate": [None],
    "current": [None],
    "scale": [1e-300, 1e300],
}


def seed_files():
    """The files that mutations start from: graphs of every kind, none of them large."""
    graphs = [random_graph(seed) for seed in (*range(16), *range(RARE, RARE + 30))]
    graphs += [with_gates(random_graph(seed), seed) for seed in range(RARE, RARE + 30, 2)]
    graphs += [residual_graph(seed) for seed in range(20)]
    graphs += [general_graph(seed) for seed in range(40)]
    files = list(map(to_bytes, graphs))
    files += [to_bytes(graph, sample_of(graph, seed)) for seed, graph in enumerate(graphs[:16])]
    return [data for data in files if len(data) < 10_000]


def sample_of(graph, seed):
    """A few items of noise, images or sequences, with and without labels, of a graph of one input."""
    rng, count = np.random.default_rng(seed), 1 + seed % 3
    steps = (1 + seed % 2,) if seed % 4 > 1 else ()
    images = rng.integers(0, 256, (count, *steps, *graph.input_shape)).astype(np.uint8)
    labels = (None, rng.integers(0, graph.classes, count), rng.normal(size=(count, 2)).astype(np.float32))[seed % 3]
    return Items("noise", images, labels, np.arange(count) * (1 + seed))


def mutation(files, seed):
    """A file made of ``files``, the same for a seed (text or a number) each time."""
    rng = random.Random(seed)
    kind = rng.choice((garbled, moved, forged, forged, nudged, nudged, nudged, spliced))
    return kind(rng.choice(files), rng, files)


def opened(data):
    """Header and blobs of a file."""
    length = struct.unpack("<I", data[12:16])[0]
    return json.loads(data[START : START + length]), data[START + length :]


def sealed(header, blobs, version=1):
    """A file of a header, JSON or bytes, with a length and a checksum that hold."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b"\x89SPQ\r\n\x1a\n" + struct.pack("<III", version, len(text), zlib.crc32(text)) + text + blobs


def descriptions(header):
    """The blobs of a header, in their order."""
    for inner, key in walk(header):
        if isinstance(inner[key], dict) and "crc32" in inner[key]:
            yield inner[key]


def garbled(data, rng, files=()):
    """Random damage, and no care for checksums."""
    data, kind = bytearray(data), rng.randrange(5)
    at = rng.randrange(len(data)) if rng.random() < 0.7 else rng.randrange(40)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:at] = rng.randbytes(rng.randrange(1, 99))
    else:
        del data[at : at + rng.randrange(1, 99)]
    return bytes(data)


def moved(data, rng, files):
    """Blocks of bytes doubled, swapped or taken from another file, in the whole file or behind a sound header."""
    header, blobs = opened(data)
    whole = rng.random() < 0.5
    part, other = (data, rng.choice(files)) if whole else (blobs, opened(rng.choice(files))[1])
    a, b, c = sorted(rng.randrange(len(part) + 1) for _ in range(3))
    part = rng.choice(
        [
            part[:b] + part[a:b] + part[b:],
            part[:a] + part[b:c] + part[a:b] + part[c:],
            part[:a] + other[a:b] + part[b:],
            part[:a] + other[a:],
        ]
    )
    if whole:
        return part
    _checksums(header, part)
    return sealed(header, part)


def forged(data, rng, files=()):
    """Some fields or bytes of blobs changed, and the checksums right."""
    header, blobs = opened(data)
    blobs = bytearray(blobs)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if rng.random() < 0.2:
            blobs[rng.randrange(len(blobs))] = rng.choice([0, 127, 128, 255, rng.randrange(256)])
        else:
            places = list(walk(header))
            inner, key = rng.choice(places)
            _change(inner, key, places, rng)
    if rng.random() < 0.95:
        _checksums(header, blobs)
    return sealed(header, bytes(blobs))


def nudged(data, rng, files=()):
    """Fields and numbers of arrays set to what they may be, if not here: lengths, places and checksums right."""
    header = _unpacked(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        if rng.random() < 0.4:
            _rewrite(rng.choice(list(descriptions(header))), rng)
        else:
            places = [(inner, key) for inner, key in walk(header) if isinstance(key, str) and key in NUDGES]
            key = rng.choice(sorted({key for _, key in places}))
            inner, _ = rng.choice([place for place in places if place[1] == key])
            inner[key] = copy.deepcopy(rng.choice(NUDGES[key]))
    return _packed(header)


def spliced(data, rng, files):
    """Whole layers, terms or readouts doubled, left out, swapped, or taken from another file."""
    header, other = _unpacked(data), _unpacked(rng.choice(files))
    parts, others = ([*x["layers"], *x["readouts"]] for x in (header, other))
    layers, kind = header["layers"], rng.randrange(8)
    part, at = rng.choice(parts), rng.randrange(len(layers)) if layers else 0
    if kind == 0:
        layers.insert(at, copy.deepcopy(rng.choice(layers or other["layers"])))
    elif kind == 1:
        del layers[at : at + 1]
    elif kind == 2:
        layers.reverse()
    elif kind == 3:
        layers[at : at + 1] = [rng.choice(other["layers"] or layers)]
    elif kind == 4:
        header["readouts"] = rng.choice([other["readouts"], header["readouts"] * 2])
    elif kind == 5:
        header |= {"inputs": other["inputs"], "layers": other["layers"][:at] + layers[at:]}
    elif kind == 6:
        part["terms"].append(copy.deepcopy(rng.choice(rng.choice(parts + others)["terms"])))
    else:
        term = rng.choice(part["terms"])
        term["delay"] = 1 - term["delay"]
        term["source"] = rng.randrange(len(layers) + 2)
    return _packed(header)


def _unpacked(data):
    """The header, with the bytes of each blob in its description, and connections in the terms that have them."""
    header, blobs = opened(data)
    for blob in descriptions(header):
        blob["bytes"] = blobs[blob["offset"] : blob["offset"] + blob["length"]].hex()
    connections = header.pop("connections")
    for part in (*header["layers"], *header["readouts"]):
        for term in part["terms"]:
            term["connection"] = connections[term["connection"]]
    return header


def _packed(header):
    """The file of such a header."""
    connections, places = [], {}
    header = copy.deepcopy(header)
    for part in (*header["layers"], *header["readouts"]):
        for term in part["terms"]:
            connection = term["connection"]
            if isinstance(connection, dict):  # else one term stands there twice
                if id(connection) not in places:
                    places[id(connection)] = len(connections)
                    connections.append(connection)
                term["connection"] = places[id(connection)]
    header, blobs = {"connections": connections} | header, b""
    for blob in descriptions(header):
        if "bytes" in blob:
            part = bytes.fromhex(blob.pop("bytes"))
            blob |= {"offset": len(blobs), "length": len(part), "crc32": zlib.crc32(part)}
            blobs += part
    return sealed(header, blobs)


def _rewrite(blob, rng):
    """Other numbers in an array: one of them or all extreme, or all in another order; other bytes in codes."""
    data, encoding = bytes.fromhex(blob["bytes"]), blob["encoding"]
    if not encoding.startswith("int"):
        most = 243 if encoding == "ternary" else 256
        fill = bytes([rng.randrange(most)])
        blob["bytes"] = (fill * len(data) if rng.random() < 0.5 else rng.randbytes(len(data))).hex()
        return
    numbers = np.frombuffer(data, np.dtype(encoding).newbyteorder("<")).astype(np.int64)
    kind = rng.randrange(3)
    if kind == 0:
        numbers[rng.randrange(len(numbers))] = rng.choice(EXTREMES)
    elif kind == 1:
        numbers[:] = rng.choice(EXTREMES)
    else:
        numbers = np.array(rng.sample(numbers.tolist(), len(numbers)))
    wide = "int64" if encoding == "int64" else "int32"
    blob |= {"encoding": wide, "bytes": numbers.astype(f"<i{np.dtype(wide).itemsize}").tobytes().hex()}


def _checksums(header, blobs):
    """Those of all blobs whose extent is within the file."""
    for blob in [inner[key] for inner, key in walk(header)]:
        if isinstance(blob, dict) and "crc32" in blob:
            extent = [blob.get("offset"), blob.get("length")]
            if all(type(x) is int and 0 <= x <= len(blobs) for x in extent):
                blob["crc32"] = zlib.crc32(blobs[extent[0] : extent[0] + extent[1]])


def walk(value, above=()):
    """Every place of a header, as a container and its key; what holds itself, as a damaged one may, is entered once."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        if inner is not value and not any(inner is outer for outer in above):
            yield from walk(inner, (*above, value))


def _change(inner, key, places, rng):
    kind = rng.randrange(8)
    if kind == 0:
        del inner[key]
    elif kind == 1 and isinstance(inner, dict):
        inner["unknown"] = 1
    elif kind == 2:
        other, place = rng.choice(places)
        inner[key] = copy.deepcopy(other[place])
    elif kind == 3 and isinstance(inner[key], int | float):
        inner[key] += rng.choice([-1, 1])
    elif kind == 4 and isinstance(inner, list):
        inner.append(copy.deepcopy(inner[key]))
    else:
        inner[key] = copy.deepcopy(rng.choice(VALUES))
