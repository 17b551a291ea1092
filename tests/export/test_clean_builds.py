"""Exported C in every language and at every level that its users compile it in: not a warning; and right in C++. What
it does against MISRA C is listed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from general_graphs import general_graph, general_inputs
from spquant_snn.export.c import export_c
from spquant_snn.export.packaging import Packaging
from spquant_snn.export.toolchain import zig

pytestmark = pytest.mark.slow
STRICT = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wcast-align",
    "-Werror",
)  # fmt: skip
LEVELS = (("-O0",), ("-O2",), ("-O3", "-march=native"), ("-Os",))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A source that includes all that any network may have, and one network; and where its headers lie."""
    graph = general_graph(1)
    given = tuple(x[:1] for x in general_inputs(graph, 1, 1))
    folder = tmp_path_factory.mktemp("c")
    export_c(graph, given, folder / "kws", "any", shape=Packaging(name="kws", share_runtime=True))
    sources = [*sorted((folder / "kws" / "spq").glob("*.c")), folder / "kws/kws.c", folder / "kws/kws_selftest.c"]
    (folder / "all.c").write_text("".join(f'#include "{source.name}"\n' for source in sources))
    (folder / "main.c").write_text('#include "kws.h"\nint main(void) { return kws_selftest(); }\n')
    return folder


def compiled(folder, *compiler, source="all.c", out="/dev/null"):
    headers = [f"-I{folder / 'kws'}", f"-I{folder / 'kws/spq'}"]
    call = [*compiler, *headers, "-c", str(folder / source), "-o", out]
    return subprocess.run(call, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("standard", ["c99", "c11", "c17", "c2x"])
def test_gcc_has_no_remark_in_any_c(whole, standard):
    found = compiled(whole, "gcc", f"-std={standard}", *STRICT, "-fsyntax-only")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("level", LEVELS, ids=" ".join)
def test_gcc_has_no_remark_at_any_level_and_the_self_test_passes(whole, tmp_path, level):
    found = compiled(whole, "gcc", "-std=c99", *STRICT, *level, out=str(tmp_path / "all.o"))
    assert (found.returncode, found.stderr) == (0, "")
    assert compiled(whole, "gcc", source="main.c", out=str(tmp_path / "main.o")).returncode == 0
    subprocess.run(["gcc", "main.o", "all.o", "-o", "x"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "x"], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m33", "cortex-m55"])
def test_gcc_has_no_remark_on_any_core(whole, tmp_path, core):
    call = "arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-mfloat-abi=soft", "-ffreestanding", "-std=c99", "-O2"
    found = compiled(whole, *call, *STRICT, out=str(tmp_path / "all.o"))
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_it_is_c_plus_plus_too(whole, tmp_path):
    found = compiled(whole, "g++", "-x", "c++", "-std=c++17", *STRICT, out=str(tmp_path / "all.o"))
    assert (found.returncode, found.stderr) == (0, "")
    assert compiled(whole, "g++", "-x", "c++", source="main.c", out=str(tmp_path / "main.o")).returncode == 0
    subprocess.run(["g++", "main.o", "all.o", "-o", "x"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "x"], check=False).returncode == 0


@pytest.mark.skipif(zig() is None, reason="ziglang is not installed")
@pytest.mark.parametrize(
    "language", [("cc", "-std=c99"), ("cc", "-std=c23"), ("c++", "-xc++", "-std=c++17")], ids=" ".join
)
def test_clang_has_no_remark(whole, tmp_path, language):
    found = compiled(whole, zig(), *language, *STRICT, out=str(tmp_path / "all.o"))
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(zig() is None, reason="ziglang is not installed")
@pytest.mark.parametrize(
    "target", ["powerpc-linux-musl", "mips-linux-musl", "s390x-linux-musl", "armeb-linux-musleabi"]
)
def test_processors_of_the_other_byte_order_are_refused(whole, tmp_path, target):
    found = compiled(whole, zig(), "cc", "-target", target, out=str(tmp_path / "all.o"))
    assert found.returncode != 0
    assert '#error "spq runs on little-endian processors alone' in found.stderr


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="cppcheck is not installed")
@pytest.mark.parametrize("source", ["kws.c", "kws_selftest.c", "spq/spq_events.c"])
def test_deviations_from_misra_are_listed(whole, source):
    listed = (Path(__file__).parents[2] / "docs/reference/misra.md").read_text()
    rules = {rule for row in re.findall(r"^\| ([\d., ]+) \|", listed, re.MULTILINE) for rule in row.split(", ")}
    call = ["cppcheck", "--addon=misra", "--std=c99", "--platform=unix32", "--quiet", "--enable=style"]
    headers = [f"-I{whole / 'kws'}", f"-I{whole / 'kws/spq'}"]
    ended = subprocess.run([*call, *headers, whole / "kws" / source], capture_output=True, text=True, check=True)
    found = set(re.findall(r"misra-c2012-([\d.]+)", ended.stderr))
    assert len(found) > 5
    assert found - rules == set()
