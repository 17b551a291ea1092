"""The way in: whatever is wrong with a file, and whatever a parser raises, is one sentence that names the file."""

import os
import struct
import zipfile
import zlib

import pytest

from spquant_snn.errors import ConfigError, DataError, FileFormatError, RunError
from spquant_snn.io.reading import Flaw, guarded, open_file, read_bytes

RAISED = [
    RecursionError("maximum recursion depth exceeded"),
    ValueError("Exceeds the limit (4300 digits)\nfor integer string conversion"),
    OverflowError("int too large to convert to float"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    KeyError("epoch"),
    zipfile.BadZipFile("File is not a zip file"),
    zlib.error("Error -3"),
    struct.error("unpack requires a buffer of 4 bytes"),
    EOFError(),
    OSError("Failed to interpret file"),
    RuntimeError("a line with \x1b[31m and \udc80"),
    TypeError("x" * 1000),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_parser_raises_is_one_sentence(error):
    with (
        pytest.raises(DataError) as refused,
        guarded("a/b.npz", "save it again", wrong="is no array", unread=RunError, damaged=DataError),
    ):
        raise error
    said = str(refused.value)
    assert said.startswith("a/b.npz is no array (")
    assert said.endswith("): save it again")
    assert said.isprintable()
    assert len(said) < 200


def test_a_flaw_is_told_with_the_file_and_other_errors_of_the_package_as_they_are():
    with (
        pytest.raises(FileFormatError, match=r"^x is damaged \(it has no key 'a'\): copy it again$"),
        guarded("x", "copy it again"),
    ):
        raise Flaw("it has no key 'a'")
    with pytest.raises(ConfigError, match=r"^y: unknown$"), guarded("x", "copy it again"):
        raise ConfigError("y: unknown")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "No such file or directory"),
        (".", "it is not a file"),
        ("pipe", "it is not a file"),
        ("x" * 300, "File name too long"),
        ("a\0b", "embedded null byte"),
        ("a\ud800b", "surrogates not allowed"),
        ("file/below", "Not a directory"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_never_waits(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(RunError, match=rf"cannot be read \(.*{reason}.*\): give another$"),
        guarded(name, "give another", unread=RunError),
    ):
        open_file(name)


def test_no_more_is_read_than_there_may_be(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(Flaw, match="it has more than 4 bytes"):
        read_bytes(path, 4)


@pytest.mark.parametrize("error", [MemoryError(), type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")])
def test_a_lack_of_memory_is_not_called_damage(tmp_path, error):
    with (
        pytest.raises(RunError, match=r"there is not enough memory to read .*x: free some"),
        guarded(tmp_path / "x", "copy it again"),
    ):
        raise error
