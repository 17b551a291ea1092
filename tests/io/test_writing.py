"""Files are written whole or not at all, and nothing else stays behind."""

import errno
import os
import stat
from pathlib import Path

import pytest

from spquant_snn import ConfigError, RunError
from spquant_snn.io.writing import path_text, replace_file, write_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_text_and_bytes_into_folders_that_it_makes(tmp_path):
    replace_file(tmp_path / "a" / "b" / "text", "größe\n")
    replace_file(str(tmp_path / "bytes"), b"\x00\xff")
    assert (tmp_path / "a" / "b" / "text").read_bytes() == "größe\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["a", "bytes"]


def test_replaces_what_stood_there(tmp_path):
    for content in ("first, and longer", "second"):
        replace_file(tmp_path / "x", content)
    assert (tmp_path / "x").read_text("utf-8") == "second"
    assert names(tmp_path) == ["x"]


def test_others_may_read_it_as_any_file(tmp_path):
    (tmp_path / "plain").write_text("x", encoding="utf-8")
    replace_file(tmp_path / "x", "y")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (RuntimeError("PytorchStreamWriter failed\nenforce fail at inline_container.cc"), "PytorchStreamWriter failed"),
        (RuntimeError(), "failed"),
    ],
)
def test_a_writer_that_fails_leaves_what_stood_there(tmp_path, error, words):
    path = tmp_path / "x"
    replace_file(path, "old")

    def fail(beside):
        beside.write_bytes(b"half")
        raise error

    with pytest.raises(RunError, match=words) as refused:
        write_file(path, fail)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert path.read_text("utf-8") == "old"
    assert names(tmp_path) == ["x"]


def test_ctrl_c_leaves_what_stood_there(tmp_path):
    replace_file(tmp_path / "x", "old")

    def stop(beside):
        beside.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "x", stop)
    assert (tmp_path / "x").read_text("utf-8") == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("below", ["file/x", "file/deep/x"])
def test_a_path_below_a_file_is_refused_in_words(tmp_path, below):
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        replace_file(tmp_path / below, "x")
    assert (tmp_path / "file").read_text("utf-8") == "kept"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_cannot_be_is_refused_in_words(tmp_path, name):
    with pytest.raises(RunError, match="cannot be written"):
        replace_file(tmp_path / name, "x")
    assert names(tmp_path) == []


def test_the_content_of_a_file_is_no_path():
    for content in (b"\x89SPQ\0" * 3, b"x" * 20_000):
        with pytest.raises(
            ConfigError, match=r"^a path must be text or a pathlib\.Path, not the [\d,]+ bytes that a file"
        ):
            path_text(content)
    assert path_text(b"a/b") == "a/b"


def test_a_folder_is_not_replaced(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(RunError, match="it is not a file"):
        replace_file(tmp_path / "x", "y")


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replace_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text("utf-8") == "new"


def test_nobody_sees_half_a_file(tmp_path):
    path = tmp_path / "x"
    replace_file(path, "old")

    def write(beside):
        assert beside != path
        assert beside.parent == path.parent
        beside.write_bytes(b"ne")
        assert path.read_text("utf-8") == "old"
        beside.write_bytes(b"new")

    write_file(Path(path), write)
    assert path.read_text("utf-8") == "new"
