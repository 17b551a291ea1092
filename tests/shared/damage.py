"""Damage to files of any kind: to bytes anywhere, or to the values of a text that stays JSON or TOML around them.

Each kind is a function of a file's bytes and a random generator, and gives bytes.
"""

import gzip
import io
import json
import os
import signal
import warnings
import zipfile

import h5py
import numpy as np

from mutations import walk

_MARK = "@value@"
RAW = [  # what stands in place of a value, as text
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e999", "null", "true", "[]", "{}", '""', "0", "-1", "1.5", "nan"),
    *("1" * 400, "1" * 5000, "0x" + "f" * 5000, "1." + "0" * 5000, "-" + "9" * 31, "1e308", "1e-400", "5e-324", "inf"),
    *("[" * 20_000, "[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500, "[" * 40 + "]" * 40),
    *("{a = " * 40 + "}" * 40, '"' + "x" * 5000 + '"', '"\\ud800"', '"\\u0000"', '"\\u001b[31m"', "'\\x1b'"),
    *('"a\\nb"', "1979-05-27", "07:32:00", '"../.."', '"/"', '"custom"', '"' + "é" * 200 + '"', "[[[1]]]"),
    *('{"a": null}', "[1, [2, {}]]", "12 34", "\x00", '"'),
]
LINES = [  # of TOML
    ".".join("a" * 5000) + " = 1",
    "[" + ".".join("b" * 100) + "]",
    "\n".join(f"[c{i}.d.e.f.g.h]" for i in range(300)),
    "'" + "k" * 5000 + "' = 1",
    "[[point]]",
    "[cross]\nweight_bits = [2, 4]\nseed = [" + ", ".join(map(str, range(200))) + "]",
    'x = """' + '\\"""' * 2000,
    "seeds = " + str(list(range(11_000))),
]


def of_bytes(data, rng):
    """One to four times random damage, parts doubled or swapped, or the middle filled with one byte."""
    kind = rng.randrange(8)
    if not data or kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
        return rng.choice([data[:b] + data[a:b] + data[b:], data[:a] + data[b:c] + data[a:b] + data[c:]])
    if kind == 2:
        a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        return data[:a] + bytes([rng.choice([0, 1, 127, 128, 255])]) * (b - a) + data[b:]
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at, size, kind = rng.randrange(len(data) + 1), rng.randrange(1, 20), rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = rng.randbytes(size)
        else:
            del data[at : at + size]
    return bytes(data)


def of_json(data, rng):
    """A value of a JSON text replaced, left out or doubled; the text garbled where it has none."""
    if rng.random() < 0.2:
        return of_bytes(data, rng)
    whole = [json.loads(data)]
    for _ in range(rng.choice([1, 1, 2])):
        places = list(walk(whole))
        inner, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind == 0 and len(places) > 1 and inner is not whole:
            del inner[key]
        elif kind == 1:
            other, place = rng.choice(places)
            inner[key] = json.loads(json.dumps(other[place]))
        elif kind == 2 and isinstance(inner, dict):
            inner[rng.choice(["", "unknown", "x" * 5000, "\x1b"])] = 1
        elif kind == 3 and isinstance(inner[key], int | float):
            inner[key] += rng.choice([-1, 1, 0.5, 1 << 40])
        else:
            inner[key] = _MARK
    text = json.dumps(whole[0]) if whole else ""
    return text.replace(f'"{_MARK}"', rng.choice(RAW)).encode("utf-8", "surrogatepass")


def of_lines(data, rng):
    """The same for a JSON text a line."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.2 or not lines[at]:
        return of_bytes(data, rng)
    lines[at] = of_json(lines[at], rng)
    return b"\n".join(lines)


def of_toml(data, rng):
    """The value of a line of TOML replaced, or a line put in, left out or doubled."""
    if rng.random() < 0.2:
        return of_bytes(data, rng)
    lines = data.decode().splitlines()
    for _ in range(rng.choice([1, 1, 2])):
        at, kind = rng.randrange(len(lines)), rng.randrange(6)
        name, equals, _ = lines[at].partition(" = ")
        if kind == 0:
            lines.insert(at, rng.choice(LINES))
        elif kind == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == 2 and len(lines) > 1:
            del lines[at]
        elif equals:
            lines[at] = f"{name} = {rng.choice(RAW)}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def of_packed(damage):
    """Damage to what a gzip file holds, or, one time in four, to the file."""

    def change(data, rng):
        return (
            of_bytes(data, rng)
            if rng.random() < 0.25
            else gzip.compress(damage(gzip.decompress(data), rng), 1, mtime=0)
        )

    return change


def of_members(data, rng):
    """A member of a zip file damaged, renamed, left out or doubled; one time in four the file."""
    if rng.random() < 0.25:
        return of_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = [(name, old.read(name)) for name in old.namelist()]
    at, kind = rng.randrange(len(members)), rng.randrange(8)
    name, content = members[at]
    if kind == 0:
        members[at] = (rng.choice(["a", "../x.npy", "\x1b.npy", name + ".npy", name[:-1]]), content)
    elif kind == 1:
        del members[at]
    elif kind == 2:
        members.append(("more.npy", of_bytes(content, rng)))
    else:
        members[at] = (name, of_bytes(content, rng))
    packed, method = io.BytesIO(), rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, 12, 14])
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", method) as new:
        warnings.simplefilter("ignore")  # a name may stand there twice
        for name, content in members:
            new.writestr(name, content)
    return packed.getvalue()


def of_hdf5(data, rng):
    """An array of an HDF5 file of other numbers, another shape or dtype, renamed, left out or a folder; or its bytes,
    but for damage on which the library of HDF5 waits for ever."""
    if rng.random() < 0.4:
        damaged = of_bytes(data, rng)
        return damaged if _comes_back(damaged) else data
    packed = io.BytesIO(data)
    with h5py.File(packed, "r+") as file:
        for _ in range(rng.choice([1, 1, 2])):
            place = rng.choice(["spikes/times", "spikes/units", "labels", "extra/keys"])
            if file.get(place, getlink=True) is None:
                continue
            del file[place]
            kind, count = rng.randrange(8), 3
            if kind == 1:
                name = rng.choice(["x", place + "s", f"more/{place}", "a\x1bb"])
                if file.get(name, getlink=True) is None:
                    file[name] = np.arange(count)
            elif kind == 2:
                file.create_group(place)[rng.choice("ab")] = 1
            elif kind == 3:
                file[place] = h5py.SoftLink(rng.choice(["/nowhere", f"/{place}", "/labels"]))
            elif kind == 4:
                file[place] = h5py.Empty("f4") if rng.random() < 0.5 else rng.choice(["", "text", 7, 0.5])
            elif kind == 5:
                shape = rng.choice([(count, 2), (0,), (count + 1,), (), (1, 1, 1)])
                file.create_dataset(place, shape, rng.choice(["f4", "f8", "u2", "i8", "S3", "?", "c8"]))
            else:
                kind, numbers = rng.choice(
                    [("f4", [0, 0.02, -1, 1e30]), ("f8", [0, 1e300]), ("i4", [7, -1]), ("u2", [0, 8])]
                )
                rows = file.create_dataset(place, (count,), h5py.vlen_dtype(np.dtype(kind)))
                for number in range(count):
                    rows[number] = np.array([rng.choice(numbers) for _ in range(rng.randrange(6))], kind)
    return packed.getvalue()


def _comes_back(data):
    """Whether the library of HDF5 gives each entry of what is in a file, or an error, in a second."""

    def read(_, held):
        if isinstance(held, h5py.Dataset) and held.ndim == 1:
            for number in range(min(len(held), 9)):
                held[number]

    child = os.fork() if hasattr(os, "fork") else -1
    if child == 0:
        signal.alarm(1)
        try:
            with h5py.File(io.BytesIO(data)) as file:
                file.visititems(read)
        finally:
            os._exit(0)
    return child > 0 and os.waitpid(child, 0)[1] == 0
