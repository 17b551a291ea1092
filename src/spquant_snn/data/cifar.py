"""The files of CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009), in both versions.

Six batches of 10,000 images of 3x32x32, planar red, green, blue. The python version is pickled: the unpickler
finds nothing but records that stand for arrays, so nothing in it is run.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileFormatError
from ..io.output import visible
from ..io.reading import Flaw, guarded, open_file, read_up_to
from .arrays import Labelled

RECORDS = 10_000

_PIXELS = 3 * 32 * 32
_MOST_PYTHON = 64 << 20  # bytes; the official batches have 31 MB
_MOST_OPCODES, _MOST_TUPLES = 200_000, 1_000  # a batch has about 30,000 and a dozen
_OPCODES = """PROTO FRAME MARK STOP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 SHORT_BINSTRING BINSTRING
    SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 BINPUT LONG_BINPUT BINGET LONG_BINGET MEMOIZE GLOBAL STACK_GLOBAL REDUCE
    BUILD"""  # of plain data and arrays


def read_binary(path: Path, records: int = RECORDS) -> Labelled:
    """Read one batch of the binary version: per image one byte of label and 3,072 of pixels.

    Raises:
        DataError: the file cannot be read.
        FileFormatError: the file does not have the size of ``records`` images.
    """
    size = records * (1 + _PIXELS)
    content = _read(path, size)
    if len(content) != size:
        raise FileFormatError(f"{path} does not have the {size} bytes of {records} CIFAR-10 images: fetch it again")
    rows = np.frombuffer(content, np.uint8).reshape(records, 1 + _PIXELS)
    return Labelled(rows[:, 1:].reshape(records, 3, 32, 32), rows[:, 0].astype(np.int64))


def read_python(path: Path, records: int = RECORDS) -> Labelled:
    """Read one batch of the python version: a pickled dict, "data" uint8 [records, 3072] and "labels" a list.

    Raises:
        DataError: the file cannot be read.
        FileFormatError: the pickle is damaged, is no such dict, or holds another number of images.
    """
    content = _read(path, _MOST_PYTHON)
    if len(content) > _MOST_PYTHON:
        raise FileFormatError(
            f"{path} has more than {_MOST_PYTHON} bytes, too many for CIFAR-10: use the official file"
        )
    with guarded(path, "fetch it again", wrong="is a damaged pickle"):
        entries = _entries(content)
        pixels, labels = _pixels(entries.get("data"), records), entries.get("labels")
    if pixels is None:
        raise FileFormatError(f"{path} has no 'data' of {records} x {_PIXELS} unsigned bytes: use the official file")
    if not isinstance(labels, list) or len(labels) != records:
        raise FileFormatError(f"{path} has no list of {records} 'labels': use the official file")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise FileFormatError(f"{path} has labels that are not 0 to 9: use the official file")
    return Labelled(np.frombuffer(pixels, np.uint8).reshape(records, 3, 32, 32), np.array(labels, np.int64))


@dataclass(frozen=True)
class Version:
    """One of the two official versions: its archive, the folder in it, the names of its batches and their reader."""

    archive: str
    folder: str
    suffix: str
    read: Callable[[Path, int], Labelled]

    @property
    def batches(self) -> tuple[str, ...]:
        """File names: five of training, one of test."""
        return (*(f"data_batch_{i}{self.suffix}" for i in range(1, 6)), f"test_batch{self.suffix}")


VERSIONS = (
    Version("cifar-10-binary.tar.gz", "cifar-10-batches-bin", ".bin", read_binary),
    Version("cifar-10-python.tar.gz", "cifar-10-batches-py", "", read_python),
)


def _read(path: Path, most: int) -> bytearray:
    """The file, or its first ``most`` + 1 bytes where it is longer."""
    with guarded(path, "check the file", unread=DataError), open_file(path) as file:
        return read_up_to(file, most + 1)


class _Pickled:
    """What stands for an array or its type: the arguments of its making and its state, for a reader to judge. NumPy
    itself would make room for whatever these claim."""

    def __init__(self, *arguments: object) -> None:
        self.arguments, self.state = arguments, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Pickled):
    pass


class _ElementType(_Pickled):
    pass


class _Bytes(bytes):
    """What stands for ``_codecs.encode``, by which Python 3 writes bytes in protocol 2."""

    def __new__(cls, text: str, encoding: str) -> _Bytes:
        if encoding != "latin1":
            raise Flaw(f"it holds bytes in the encoding {encoding!r}")
        return super().__new__(cls, text, encoding)

    def __setstate__(self, state: object) -> None:
        raise Flaw("it sets a state on bytes")


class _Unpickler(pickle.Unpickler):
    """Finds what NumPy's arrays name, in these forms, and nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        found = {
            "numpy.core.multiarray._reconstruct": _Array,
            "numpy._core.multiarray._reconstruct": _Array,
            "numpy.ndarray": _Array,
            "numpy.dtype": _ElementType,
            "_codecs.encode": _Bytes,
        }.get(f"{module}.{name}")
        if found is None:
            raise Flaw(f"it names {visible(module)}.{visible(name)}, which no array needs")
        return found


def _entries(content: bytes | bytearray) -> dict[object, object]:
    """The pickled dict, keys of bytes as text; empty where the pickle is of something else."""
    _check_opcodes(content)
    batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    pairs = batch.items() if isinstance(batch, dict) else ()
    return {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in pairs}


def _check_opcodes(content: bytes | bytearray) -> None:
    """Refuse a pickle for which the unpickler would make room that its bytes do not fill, or nest without end."""
    known, tuples = frozenset(_OPCODES.split()), 0
    for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        tuples += opcode.name.startswith("TUPLE")
        if opcode.name not in known:
            raise Flaw(f"plain data have no opcode {opcode.name}")
        if number >= _MOST_OPCODES or tuples > _MOST_TUPLES:
            raise Flaw("it has more parts than a batch of images")
        if opcode.name == "LONG_BINPUT" and isinstance(argument, int) and argument >= _MOST_OPCODES:
            raise Flaw(f"it keeps a part at the place {argument}")


def _pixels(data: object, records: int) -> bytes | None:
    """The bytes of a pickled C-ordered uint8 array [records, 3072], or None where ``data`` is anything else."""
    if not isinstance(data, _Array) or not isinstance(data.state, tuple) or len(data.state) != 5:
        return None
    _, shape, kind, fortran, raw = data.state
    unsigned = isinstance(kind, _ElementType) and kind.arguments[:1] in (("u1",), (b"u1",))
    if shape != (records, _PIXELS) or not unsigned or fortran is not False:
        return None
    return raw if isinstance(raw, bytes) and len(raw) == records * _PIXELS else None
