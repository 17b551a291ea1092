"""Compiling, keeping and finding the runtime."""

import ctypes
import os
import stat
import subprocess
import sys

import pytest

from spquant_snn.errors import MissingDependencyError
from spquant_snn.integer import reference
from spquant_snn.runtime import build
from spquant_snn.runtime.native import NativeProgram

CHEAP = ("-O0",)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "spquant_snn"


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """``tools(script)``: the only compiler there is, a shell script."""

    def put(script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        if script is not None:
            (folder / "cc").write_text("#!/bin/sh\n" + script)
            (folder / "cc").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return put


def built(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_it_is_built_once(empty, monkeypatch):
    build.library(CHEAP)
    names = built(empty)
    assert len(names) == 1
    monkeypatch.setattr(build, "_compile", lambda *arguments: pytest.fail("compiled again"))
    build.library(CHEAP)
    assert built(empty) == names


def test_other_flags_and_another_source_are_built_anew(empty, tmp_path, monkeypatch):
    build.library(CHEAP)
    build.library((*CHEAP, "-DSPQ_NO_CTZ"))
    assert len(built(empty)) == 2
    copies = [tmp_path / path.name for path in build.sources()]
    for path, copy in zip(build.sources(), copies, strict=True):
        copy.write_bytes(path.read_bytes() + b"\n")
    monkeypatch.setattr(build, "sources", lambda: tuple(copies))
    build.library(CHEAP)
    assert len(built(empty)) == 3


def test_a_damaged_library_is_built_anew(empty, random_graph, random_images):
    empty.mkdir(parents=True)
    name = f"spq-{build._key(build.compiler(), CHEAP)}.so"
    (empty / name).write_bytes(b"\x7fELF of which nothing is left")
    graph = random_graph(0)
    images = random_images(graph, 2)
    assert (NativeProgram(graph, build.library(CHEAP)).logits(images) == reference.run(graph, images)).all()


def test_no_compiler_is_said_in_a_sentence(empty, tools, random_graph):
    tools(None)
    with pytest.raises(MissingDependencyError, match=r"there is no C compiler .*: install one"):
        NativeProgram(random_graph(0))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 1", "does not run"),
        ('[ "$1" = --version ] && echo 1 && exit; echo "x.c:1: error: no such header" >&2; exit 1', "no such header"),
        ('[ "$1" = --version ] && echo 1 && exit; echo "Illegal instruction" >&2; exit 132', "Illegal instruction"),
        ('[ "$1" = --version ] && echo 1 && exit; exit 0', "it says nothing"),
        ('[ "$1" = --version ] && echo 1 && exit; while [ "$1" != -o ]; do shift; done; echo x > "$2"', "be loaded"),
    ],
)
def test_a_broken_compiler_is_said_in_a_sentence(empty, tools, script, said):
    tools(script)
    with pytest.raises(MissingDependencyError, match=rf"{said}.*: repair.* or use the reference$") as error:
        build.library()
    assert "\n" not in str(error.value)


def test_a_compiler_that_does_not_know_this_cpu_builds_for_any(empty, tools):
    real = build.compiler()
    tools(f'case "$*" in *native*) echo "error: bad value (native)" >&2; exit 1;; esac; exec {real} -B/usr/bin "$@"')
    with pytest.warns(RuntimeWarning, match="cannot build for this very CPU"):
        assert build.library() is not None
    assert len(built(empty)) == 1


def test_a_compiler_without_the_flags_of_gcc_builds_for_this_cpu_all_the_same(empty, tools):
    real = build.compiler()
    tools(f'case "$*" in *jam*) echo "error: unknown argument" >&2; exit 1;; esac; exec {real} -B/usr/bin "$@"')
    assert build.library() is not None  # and nothing is warned of
    assert len(built(empty)) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_done_without(empty):
    empty.mkdir(parents=True)
    empty.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert build.library(CHEAP) is not None


def test_a_cache_that_is_no_folder_is_done_without(empty, random_graph, random_images):
    empty.parent.mkdir(parents=True)
    empty.write_text("a file")
    graph = random_graph(0)
    images = random_images(graph, 2)
    assert (NativeProgram(graph, build.library(CHEAP)).logits(images) == reference.run(graph, images)).all()


def test_a_cache_folder_must_be_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert build.cache_folder() == tmp_path / ".cache" / "spquant_snn"


def test_processes_that_build_at_once_do_not_meet(empty):
    program = "from spquant_snn.runtime import build; build.library(('-O1',)).spq_check; print('done')"
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert (process.returncode, out, error) == (0, "done\n", "")
    assert len(built(empty)) == 1


def test_it_imports_without_torch(empty):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from spquant_snn.runtime import build, native\n"
        "assert build.library(('-O0',)).spq_check"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_what_is_loaded_lets_other_threads_run():
    loaded = build.library()
    assert isinstance(loaded, ctypes.CDLL)
    assert not isinstance(loaded, ctypes.PyDLL)
