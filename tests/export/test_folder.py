"""A folder of an export: only what an export wrote is replaced, wherever the folder lies and wherever it ends."""

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from spquant_snn import FileFormatError, RunError
from spquant_snn.export.c import VERSION
from spquant_snn.export.firmware import load_manifest
from spquant_snn.export.folder import MANIFEST, write_folder

OLD = {"model.c": b"old", "README.md": b"old", "src/old.c": b"old", "src/deep/old.h": b"old"}
NEW = {"model.c": b"new", "src/new.c": b"new", "examples/one/one.ino": b"new"}


def export(out, files, force=False, mark=MANIFEST):
    listed = dict.fromkeys(files, "hash")
    manifest = {
        "version": VERSION,
        "form": "general",
        "name": "model",
        "dataset": None,
        "input_shape": [1, 4, 4],
        "classes": 2,
        "answers": 2,
        "timesteps": 2,
        "small": False,
        "layers": ["fc"],
        "sources": ["model.c"],
        "files": listed,
    }
    write_folder(out, {**files, mark: json.dumps(manifest).encode()}, force, mark)


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_manifest(folder):
    return {name: data for name, data in content(folder).items() if name != MANIFEST}


@pytest.fixture
def folder(tmp_path):
    """An earlier export."""
    export(tmp_path / "out", OLD)
    return tmp_path / "out"


def test_an_export_takes_the_place_of_an_earlier_one(folder):
    export(folder, NEW, force=True)
    assert without_manifest(folder) == NEW
    assert sorted(load_manifest(folder)["files"]) == sorted(NEW)
    assert {path.name for path in folder.rglob("*") if path.is_dir()} == {"src", "examples", "one"}
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def foreign_file(folder):
    (folder / "main.c").write_text("mine", "utf-8")
    return "main.c"


def foreign_repository(folder):
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("mine", "utf-8")
    return ".git"


def foreign_below(folder):
    (folder / "src" / "mine.c").write_text("mine", "utf-8")
    return "src/mine.c"


def foreign_empty_folder(folder):
    (folder / "build").mkdir()
    return "build"


def foreign_link(folder):
    (folder.parent / "mine").mkdir()
    (folder.parent / "mine" / "new.c").write_text("mine", "utf-8")
    shutil.rmtree(folder / "src")
    (folder / "src").symlink_to(folder.parent / "mine")
    return "src"


def foreign_link_to_a_file(folder):
    (folder.parent / "mine.c").write_text("mine", "utf-8")
    (folder / "model.c").unlink()
    (folder / "model.c").symlink_to(folder.parent / "mine.c")
    return "model.c"


def foreign_folder_of_a_listed_name(folder):
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()
    return "README.md"


FOREIGN = [value for name, value in list(globals().items()) if name.startswith("foreign_")]


@pytest.mark.parametrize("place", FOREIGN, ids=lambda f: f.__name__.removeprefix("foreign_"))
def test_what_is_foreign_is_named_and_nothing_is_touched(folder, place):
    name = place(folder)
    before = content(folder.parent)
    with pytest.raises(RunError, match=rf"holds {re.escape(name)}, which is not of the earlier export"):
        export(folder, NEW, force=True)
    assert content(folder.parent) == before


@pytest.mark.parametrize("name", ["../mine.c", "/mine.c", "..", ".", "a/../../mine.c", "..\\mine.c", ""])
def test_a_manifest_that_lists_what_is_elsewhere_deletes_nothing_there(folder, name):
    (folder.parent / "mine.c").write_text("mine", "utf-8")
    listed = dict.fromkeys([*OLD, name.replace("/mine.c", str(folder.parent / "mine.c"), 1)], "")
    (folder / MANIFEST).write_text(json.dumps({"files": listed}), "utf-8")
    export(folder, NEW, force=True)
    assert (folder.parent / "mine.c").read_text("utf-8") == "mine"
    assert without_manifest(folder) == NEW


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": 3}', '{"files": ["model.c"]}', "[" * 100_000, "\xff"])
def test_a_manifest_that_lists_nothing_lets_nothing_be_replaced(folder, text):
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    before = content(folder)
    with pytest.raises(FileFormatError, match="does not say which files are of the earlier export"):
        export(folder, NEW, force=True)
    assert content(folder) == before


def test_without_force_or_a_manifest_a_folder_must_be_empty(folder):
    before = content(folder)
    with pytest.raises(
        RunError, match=r"is not empty, it holds README.md: .* replace it with --force .in Python force=True"
    ):
        export(folder, NEW)
    with pytest.raises(RunError, match="holds no earlier export"):
        export(folder, NEW, force=True, mark="web.json")
    assert content(folder) == before


def test_the_current_folder_stays_the_one_it_is(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for files in (OLD, NEW):
        export(Path("."), files, force=True)
        assert without_manifest(Path(os.getcwd())) == files  # the very folder that a shell is in
        assert without_manifest(tmp_path / "here") == files


@pytest.mark.parametrize("out", ["..", "../..", "link", "up/x/.."])
def test_folders_that_hold_other_things_are_refused_by_any_name(tmp_path, monkeypatch, out):
    (tmp_path / "up" / "x").mkdir(parents=True)
    (tmp_path / "up" / "mine").write_text("mine", "utf-8")
    (tmp_path / "up" / "x" / "link").symlink_to(tmp_path / "up")
    (tmp_path / "up" / "x" / "up").symlink_to(tmp_path / "up")
    monkeypatch.chdir(tmp_path / "up" / "x")
    before = content(tmp_path)
    for force in (False, True):
        with pytest.raises(RunError, match="choose another folder"):
            export(Path(out), NEW, force)
    assert content(tmp_path) == before


def test_a_link_stays_a_link(folder):
    (folder.parent / "link").symlink_to(folder)
    export(folder.parent / "link", NEW, force=True)
    assert (folder.parent / "link").is_symlink()
    assert without_manifest(folder) == NEW


class Killed(BaseException):
    """Ends a program where it stands."""


OPERATIONS = ("write_bytes", "mkdir", "replace", "unlink", "rename", "rmdir")


def kill_at(patch, moment):
    """Let the program end at so manieth a change of the disk, and do nothing more; True, once it has."""
    done = []

    def dying(change):
        def act(*args, **options):
            done.append(1)
            if len(done) >= moment:
                raise Killed
            return change(*args, **options)

        return act

    for name in OPERATIONS:
        patch.setattr(Path, name, dying(getattr(Path, name)))
    patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
    return lambda: len(done) >= moment


@pytest.mark.parametrize("held", ["old", "empty", "absent"])
def test_ended_anywhere_it_is_the_old_export_or_the_new_or_can_be_made_the_new(tmp_path, monkeypatch, held):
    seen = set()
    for moment in range(1, 200):
        out = tmp_path / str(moment) / "out"
        out.parent.mkdir()
        if held == "old":
            export(out, OLD)
        elif held == "empty":
            out.mkdir()
        with monkeypatch.context() as patch:
            killed = kill_at(patch, moment)
            with suppress(Killed):
                export(out, NEW, force=True)
        found = without_manifest(out)
        whole = {name: data for name, data in found.items() if not name.startswith(".spquant.part/")}
        seen.add("old" if whole == OLD else "new" if whole == NEW else "nothing" if not whole else "mixed")
        if whole not in (OLD, NEW, {}):
            with pytest.raises(FileFormatError, match="was stopped: export the firmware again, with --force"):
                load_manifest(out)
        export(out, NEW, force=True)
        assert without_manifest(out) == NEW
        load_manifest(out)
        if not killed():
            break
    else:
        raise AssertionError("it never came to its end")
    assert (
        seen
        == {"old": {"old", "mixed", "new"}, "empty": {"nothing", "mixed", "new"}, "absent": {"nothing", "new"}}[held]
    )


def test_a_full_disk_leaves_the_earlier_export(folder, monkeypatch):
    before = content(folder)
    writes = Path.write_bytes

    def full(self, data):
        if self.name == "new.c":
            raise OSError(28, "No space left on device")
        return writes(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(RunError, match=r"cannot be written \(No space left on device\)"):
            export(folder, NEW, force=True)
    assert content(folder) == before
