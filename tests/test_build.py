"""Compiling C sources, keeping and finding what was built: the native runtime, mostly."""

import ctypes
import errno
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from spquant_snn import build
from spquant_snn.errors import MissingDependencyError, RunError
from spquant_snn.integer import reference
from spquant_snn.io import output
from spquant_snn.nn.fused import NEURON
from spquant_snn.runtime.library import RUNTIME, library
from spquant_snn.runtime.native import NativeProgram

CHEAP = ("-O0",)


@pytest.fixture(autouse=True)
def no_zig(monkeypatch):
    """As if the package ziglang were not installed."""
    monkeypatch.setattr(build, "find_spec", lambda name: None)


@pytest.fixture
def zig(tmp_path, monkeypatch):
    """``zig(script)``: a package ziglang that holds no more than a shell script, and must not be imported."""

    def put(script):
        folder = tmp_path / "packages" / "ziglang"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('imported')")
        if script is not None:
            (folder / "zig").write_text("#!/bin/sh\n" + script)
            (folder / "zig").chmod(0o755)
        monkeypatch.syspath_prepend(str(folder.parent))
        monkeypatch.setattr(build, "find_spec", find_spec)

    return put


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


@pytest.fixture(scope="module")
def sound():
    """The bytes of a good library."""
    return Path(library()._name).read_bytes()


@pytest.fixture
def quick(sound, monkeypatch):
    """A compiler that takes no time, and each of its calls."""
    calls = []

    def compiled(self, cc, flags, target):
        calls.append(flags)
        target.write_bytes(sound)

    monkeypatch.setattr(build.Library, "_compile", compiled)
    return calls


def built(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.slow
def test_it_is_built_once(empty, monkeypatch):
    library(CHEAP)
    names = built(empty)
    assert len(names) == 1
    monkeypatch.setattr(build.Library, "_compile", lambda *arguments: pytest.fail("compiled again"))
    library(CHEAP)
    assert built(empty) == names


@pytest.mark.slow
def test_other_flags_and_another_source_are_built_anew(empty, tmp_path):
    library(CHEAP)
    library((*CHEAP, "-DSPQ_NO_CTZ"))
    assert len(built(empty)) == 2
    for path in RUNTIME.sources():
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"\n")
    replace(RUNTIME, folder=tmp_path).load(CHEAP)
    assert len(built(empty)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"\x7fELF of which nothing is left",
        lambda data: b"",
        lambda data: data[: len(data) // 2],  # loads, and ends with a bus error
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:5000] + bytes(len(data) - 5000),
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    ],
    ids=["another", "empty", "half", "short", "long", "zeros", "bit"],
)
def test_a_damaged_library_is_built_anew(empty, sound, quick, damage, random_graph, random_images):
    library(CHEAP)
    (path,) = empty.iterdir()
    beside = path.with_suffix(".part")  # not what this process has loaded
    beside.write_bytes(damage(sound))
    beside.replace(path)
    graph = random_graph(0)
    images = random_images(graph, 2)
    assert (NativeProgram(graph, library(CHEAP)).logits(images) == reference.run(graph, images)).all()
    assert [kept.read_bytes() for kept in empty.iterdir()] == [sound]
    assert len(quick) == 2


@pytest.fixture
def compilations(monkeypatch):
    """The choices of flags that the compiler is asked to build with."""
    asked, run = [], build._run

    def asking(cc, call):
        flags = [flag for flag in call if flag.startswith(("-march", "-fno-loop"))]
        if "-c" in call and flags not in asked:
            asked.append(flags)
        return run(cc, call)

    monkeypatch.setattr(build, "_run", asking)
    return asked


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_cache_that_takes_nothing_is_done_without_after_one_compilation(empty, quick, monkeypatch, reason):
    def full(path, data):
        raise RunError(f"{path} cannot be written ({os.strerror(reason)}): make room")

    monkeypatch.setattr(build, "replace_file", full)
    said = rf"the native runtime is built again at every start, for it cannot be kept: .*{os.strerror(reason)}"
    with pytest.warns(RuntimeWarning, match=said):
        assert library().spq_check is not None
    assert len(quick) == 1
    assert built(empty) == []


def test_a_cache_that_nothing_can_be_loaded_from_is_done_without(empty, quick, monkeypatch):
    load = ctypes.CDLL

    def refusing(path):
        if str(empty) in path:
            raise OSError("failed to map segment from shared object")
        return load(path)

    monkeypatch.setattr(ctypes, "CDLL", refusing)
    with pytest.warns(RuntimeWarning, match=r"nothing can be loaded from .*: set XDG_CACHE_HOME"):
        assert library().spq_check is not None
    assert len(quick) == 1


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_compiler_without_room_is_asked_once(empty, tools, compilations, reason):
    said = f"/tmp/x.s: {os.strerror(reason)}"
    tools(f'[ "$1" = --version ] && echo 1 && exit; echo "fatal error: writing {said}" >&2; exit 1')
    with pytest.raises(MissingDependencyError, match=rf"there is no room to build .*{said}.*TMPDIR.* or use the ref"):
        library()
    assert len(compilations) == 1


@pytest.mark.slow
def test_what_is_built_is_said_where_a_person_sees_it(empty, monkeypatch, capsys):
    monkeypatch.setattr(output, "error_is_seen", lambda: True)
    NEURON.load(CHEAP)
    assert re.fullmatch(
        r"building the training kernels for this machine, once: 3 files of C, by \S+\n", capsys.readouterr().err
    )
    NEURON.load(CHEAP)
    assert capsys.readouterr().err == ""


def test_a_library_without_its_functions_is_told_in_a_sentence(empty, tools, tmp_path):
    real = build.compiler()
    (tmp_path / "other.c").write_text("int spq_body(void) { return 0; }")
    tools(f'[ "$1" = --version ] && echo 1 && exit; while [ "$1" != -o ]; do shift; done; '
          f'exec {real} -B/usr/bin -shared -o "$2" {tmp_path}/other.c')  # fmt: skip
    with pytest.raises(MissingDependencyError, match=r"built for the native runtime has no function spq_check: repair"):
        library()
    assert built(empty) == []


@pytest.mark.slow
def test_what_was_built_of_the_other_sources_has_its_functions(empty):
    assert all(hasattr(NEURON.load(CHEAP), name) for name in NEURON.functions)


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
        library()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_compiler_that_does_not_know_this_cpu_builds_for_any(empty, tools):
    real = build.compiler()
    tools(f'case "$*" in *native*) echo "error: bad value (native)" >&2; exit 1;; esac; exec {real} -B/usr/bin "$@"')
    with pytest.warns(RuntimeWarning, match="cannot build for this very CPU"):
        assert library() is not None
    assert len(built(empty)) == 1


@pytest.mark.slow
def test_a_compiler_without_the_flags_of_gcc_builds_for_this_cpu_all_the_same(empty, tools):
    real = build.compiler()
    tools(f'case "$*" in *jam*) echo "error: unknown argument" >&2; exit 1;; esac; exec {real} -B/usr/bin "$@"')
    assert library() is not None  # and nothing is warned of
    assert len(built(empty)) == 1


# Zig, where there is no other.


def acting(real, refused):
    """A script that does what the compiler does, called as clang is, and does not know some options."""
    return (
        f'[ "$1 $2" = "cc -fno-sanitize=undefined" ] || exit 3; shift 2; [ "$1" = --version ] && echo clang && exit\n'
        f'case "$*" in *{refused}*) echo "error: unknown option" >&2; exit 1;; esac\nexec {real} -B/usr/bin "$@"'
    )


@pytest.mark.slow
def test_the_package_ziglang_builds_where_there_is_no_compiler(empty, tools, zig, random_graph, random_images):
    zig(acting(build.compiler(), refused="jam"))
    tools(None)
    assert build.command()[0].endswith("zig")
    graph = random_graph(0)
    images = random_images(graph, 2)
    assert (NativeProgram(graph).logits(images) == reference.run(graph, images)).all()
    assert len(built(empty)) == 1


@pytest.mark.slow
def test_a_clang_is_not_asked_in_vain(empty, tools, zig, monkeypatch):
    zig(acting(build.compiler(), refused="jam"))
    tools(None)
    asked, run = [], build._run
    monkeypatch.setattr(build, "_run", lambda cc, call: asked.append(call) or run(cc, call))
    library()
    assert sum("-shared" in call for call in asked) == 1
    assert not any("jam" in option for call in asked for option in call)


def test_a_compiler_of_this_machine_goes_first(zig):
    zig("exit 1")
    assert build.command() == (build.compiler(),)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, r"there is no C compiler .*: install one, .* 'pip install ziglang', or use the reference$"),
        ("exit 1", r"zig does not run: repair it, or use the reference$"),
        ('[ "$3" = --version ] && echo clang && exit; echo "error: no cache" >&2; exit 1', r"zig failed .*no cache.*"),
    ],
)
def test_a_broken_ziglang_is_said_in_a_sentence(empty, tools, zig, script, said):
    zig(script)
    tools(None)
    with pytest.raises(MissingDependencyError, match=said) as error:
        library()
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_done_without(empty):
    empty.mkdir(parents=True)
    empty.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        assert library(CHEAP) is not None


@pytest.mark.slow
def test_a_cache_that_is_no_folder_is_done_without(empty, random_graph, random_images):
    empty.parent.mkdir(parents=True)
    empty.write_text("a file")
    graph = random_graph(0)
    images = random_images(graph, 2)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        found = library(CHEAP)
    assert (NativeProgram(graph, found).logits(images) == reference.run(graph, images)).all()


def test_a_cache_folder_must_be_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert build.cache_folder() == tmp_path / ".cache" / "spquant_snn"


@pytest.mark.slow
def test_processes_that_build_at_once_do_not_meet(empty):
    program = "from spquant_snn.runtime.library import library; library(('-O0',)).spq_check; print('done')"
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert (process.returncode, out, error) == (0, "done\n", "")
    assert len(built(empty)) == 1


@pytest.mark.slow
def test_it_imports_without_torch(empty):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from spquant_snn.runtime import native\n"
        "from spquant_snn.runtime.library import library\n"
        "assert library(('-O0',)).spq_check"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_what_is_loaded_lets_other_threads_run():
    loaded = library()
    assert isinstance(loaded, ctypes.CDLL)
    assert not isinstance(loaded, ctypes.PyDLL)
