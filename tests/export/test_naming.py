"""Names in exported C: those that C takes, and two networks, their runtimes included, in one program."""

import re
import shutil
import subprocess

import pytest

from spquant_snn.errors import ConfigError
from spquant_snn.export.c import export_c
from spquant_snn.export.naming import Names, check_name
from spquant_snn.export.packaging import Packaging


@pytest.mark.parametrize("name", ["kws", "a", "KwsNet_2", "x" * 31])
def test_an_identifier_is_a_name(name):
    assert re.fullmatch(r"[A-Za-z]\w*", name)
    check_name(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "not ''"),
        ("2nd", "a letter first, not '2nd'"),
        ("a-b", "letters, digits and single underscores"),
        ("_a", "a letter first"),
        ("a_", "single underscores"),
        ("a__b", "single underscores"),
        ("ü", "letters, digits"),
        ("kws\n", "letters, digits"),
        ("x" * 32, "up to 31 letters"),
        ("spq", "is one of the runtime"),
        ("my_spq", "is one of the runtime"),
        ("all", "all is a target of every CMake project: take another name, like all_net"),
        ("kws_events", "kws_events.h would be a file of a network kws too, its events: take another name"),
        ("a_packed_simd32", "a network a too, its packed_simd32"),
        ("kws_selftest", "a network kws too, its selftest"),
        ("string", "string.h is a header of the C library: take another name, like string_net"),
    ],
)
def test_what_c_would_not_take_is_refused(name, why):
    with pytest.raises(ConfigError, match=re.escape(why)):
        Packaging(name=name)


def test_every_name_of_the_runtime_has_the_prefix():
    files = {
        "run.c": '#include "spq.h"\n/* see neuron.py and run.c */ spq_run SPQ_LANES x_spq_y',
        "spq.h": "#define SPQ_H",
    }
    assert Names("kws").runtime_files(files) == {
        "kws_run.c": '#include "kws_spq.h"\n/* see neuron.py and kws_run.c */ kws_spq_run KWS_SPQ_LANES x_spq_y',
        "kws_spq.h": "#define KWS_SPQ_H",
    }
    assert set(Names("kws", shared=True).runtime_files(files)) == {"spq/spq_run.c", "spq/spq.h"}


BOTH = """
#include "small.h"
#include "large.h"
int main(void) { return small_selftest() ? 1 : large_selftest() ? 2 : 0; }
"""


@pytest.fixture
def both(tmp_path, random_graph, random_images):
    """``both(**packaging)``: folders of two networks in C, and a program with both."""

    def make(**packaging):
        for name, drawn in (("small", (12,)), ("large", (16, 1.58, 1.58, "zero"))):
            graph = random_graph(*drawn)
            export_c(graph, random_images(graph, 1), tmp_path / name, name, shape=Packaging(name=name, **packaging))
        (tmp_path / "main.c").write_text(BOTH)
        return tmp_path

    return make


def links(folder, *more, compiler=("gcc", "-O1")):
    files = [*folder.glob("small/*.c"), *folder.glob("large/*.c"), folder / "main.c"]
    call = [
        *compiler,
        f"-I{folder / 'small'}",
        f"-I{folder / 'large'}",
        *more,
        *map(str, files),
        "-o",
        str(folder / "x"),
    ]
    ended = subprocess.run(call, capture_output=True, text=True, check=False)
    return ended.stderr if ended.returncode else subprocess.run([folder / "x"], check=False).returncode


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize("compiler", [("gcc", "-O1", "-march=native"), ("g++", "-x", "c++", "-O1")], ids=" ".join)
def test_two_networks_link_into_one_program(both, compiler):
    folder = both()
    assert links(folder, compiler=compiler) == 0
    listed = subprocess.run(
        ["nm", "-g", "--defined-only", str(folder / "x")], capture_output=True, text=True, check=True
    )
    assert "small_spq_image" in listed.stdout
    for name in ("small", "large"):
        foreign = [
            path.name for path in (folder / name).glob("*.[ch]") if not path.name.startswith((f"{name}.", f"{name}_"))
        ]
        assert foreign == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_networks_of_one_version_share_a_runtime_and_others_are_refused(both):
    folder = both(share_runtime=True)
    runtime = [f"-I{folder / 'small/spq'}", *map(str, folder.glob("small/spq/*.c"))]
    assert links(folder, *runtime) == 0
    tables = folder / "large" / "large_tables.h"
    tables.write_text(re.sub(r"!= 0x\w+u", "!= 0x12345678u", tables.read_text()))
    assert "large was exported for another version of the shared runtime" in links(folder, *runtime)
