"""Exports in other shapes: as one header and one source, and as libraries of build systems."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pytest

from one_layer import CLASSES, one_layer
from spquant_snn.data.task import OutputFormat, Task
from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import load_manifest
from spquant_snn.export.fit import Limits
from spquant_snn.export.microcontrollers import families_for
from spquant_snn.export.packaging import Layout, Packaging, amalgamated
from spquant_snn.export.toolchain import build, zig

CLEAN = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-overlength-strings")
REPOSITORY = Path(__file__).parents[2]
DRAWN = (16, 1.58, 1.58, "zero")

SELF_TEST = """
#include "model.h"
int main(void) { return model_selftest(); }
"""

# What a sketch takes of the Arduino IDE.
ARDUINO = """
#include <stdint.h>
struct Port {
    void begin(long) {}
    template <typename T> void print(T) {}
    template <typename T> void println(T) {}
    int available() { return 1; }
    int read() { return 0; }
} Serial;
"""


def passes(folder, target, *sources):
    main = target.with_suffix(".c")
    main.write_text(SELF_TEST)
    call = ["gcc", *CLEAN, "-O1", "-I", str(folder), *map(str, (*sources, main)), "-o", str(target)]
    ended = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return subprocess.run([target], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("drawn", [DRAWN, (9, 8, 8)], ids=str)
def test_one_header_and_one_source_test_themselves(firmware, tmp_path, drawn):
    folder, *_ = firmware(*drawn, shape=Packaging(amalgamate=True))
    assert sorted(path.name for path in folder.glob("*.[ch]")) == ["model.c", "model.h"]
    assert passes(folder, tmp_path / "main", folder / "model.c")
    source = (folder / "model.c").read_text()
    assert source.count("0xEDB88320u") == 1  # the self-test is in it, with the sums of each table
    (folder / "model.c").write_text(source.replace("0xEDB88320u", "0xEDB88321u"))
    assert not passes(folder, tmp_path / "main", folder / "model.c")


@pytest.mark.skipif(shutil.which("make") is None or shutil.which("gcc") is None, reason="make is not installed")
def test_its_makefile_makes_the_one_source(firmware):
    folder, *_ = firmware(*DRAWN, shape=Packaging(amalgamate=True))
    ended = subprocess.run(["make", "-C", str(folder)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (folder / "model_all.o").is_file()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None or zig() is None, reason="make or ziglang is not installed")
def test_its_makefile_takes_clang(firmware):
    folder, *_ = firmware(*DRAWN, shape=Packaging(amalgamate=True))
    ended = subprocess.run(["make", "-C", str(folder), f"CC={zig()} cc"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (folder / "model_all.o").is_file()


def test_what_holds_its_own_runtime_does_not_share_one():
    with pytest.raises(ConfigError, match="one source holds its own runtime"):
        Packaging(amalgamate=True, share_runtime=True)
    with pytest.raises(ConfigError, match="layout zephyr holds its own runtime: share it in layout plain or cmake"):
        Packaging(layout="zephyr", share_runtime=True)


def test_a_header_is_taken_once_and_a_missing_one_is_left():
    files = {
        "model.h": b"int f(void);\n",
        "a.h": b'#include "b.h"\nint a;\n',
        "b.h": b'#include "elsewhere.h"\nint b;\n',
        "x.c": b'#include "model.h"\n#include "a.h"\nint x;\n',
        "y.c": b'#include "b.h"\nint y;\n',
        "README.md": b"",
    }
    found = amalgamated(files, ["x.c", "y.c"], "model")
    assert set(found) == {"model.h", "model.c", "README.md"}
    lines = [
        line
        for line in found["model.c"].decode().splitlines()
        if line and not line.startswith(("/*", "#if", "#pragma", "#endif"))
    ]
    assert lines == ['#include "model.h"', '#include "elsewhere.h"', "int b;", "int a;", "int x;", "int y;"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-g++") is None, reason="arm-none-eabi-g++ is not installed")
@pytest.mark.parametrize(("layout", "amalgamate"), [("platformio", False), ("arduino", True)])
def test_a_library_compiles_with_its_sketch(firmware, tmp_path, layout, amalgamate):
    folder, *_ = firmware(*DRAWN, shape=Packaging(amalgamate, layout))
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"src", "examples"}
    built = build(board_of("cortex-m4"), folder, load_manifest(folder)["sources"], "selftest", tmp_path, "gcc")
    assert built.path.is_file()
    stub = tmp_path / "Arduino.h"
    stub.write_text(ARDUINO)
    call = ["arm-none-eabi-g++", "-mcpu=cortex-m4", "-mthumb", "-Wall", "-Wextra", "-Werror", "-include", str(stub)]
    call += ["-I", str(folder / "src"), "-x", "c++", "-c", str(folder / "examples" / "classify" / "classify.ino")]
    ended = subprocess.run([*call, "-o", str(tmp_path / "x.o")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def regression():
    graph = one_layer((2, 5, 4))
    said = OutputFormat(Task("regression", len(graph.readout.bias), unit="mV"), (2.0,) * CLASSES, (1.0,) * CLASSES)
    return replace(graph, readouts=(replace(graph.readout, output_format=said),))


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
@pytest.mark.parametrize(
    ("graph", "steps", "calls"),
    [
        (one_layer((2, 5, 4)), None, ("kws_run(&context, image, outputs)", "kws_largest(outputs)")),
        (one_layer((2, 5, 4)), 8, ("for (int t = 0; t < 8; t++)", "kws_step(&context, frame, outputs)")),
        (regression(), None, ("scale[i % KWS_NUMBERS] + offset[i % KWS_NUMBERS]", "// mV")),
    ],
    ids=["images", "recordings", "numbers"],
)
@pytest.mark.parametrize(
    "limits", [None, Limits(None, None, board_of("cortex-m0plus"), least="RAM")], ids=["general", "compact"]
)
def test_the_sketch_does_what_the_network_is_for(tmp_path, graph, steps, calls, limits):
    if limits is not None and steps is not None:
        return  # the compact form is for still images
    image = np.zeros((1, *graph.input_shape), np.uint8)
    for layout in get_args(Layout):
        folder, shape = tmp_path / layout, Packaging(layout=layout, name="kws")
        made = export_c(graph, image, folder, "any", shape=shape, steps=steps, limits=limits)
        assert made["form"] == ("general" if limits is None else "compact")
        kconfig, sketch = folder / "zephyr" / "Kconfig", folder / "examples" / "classify" / "classify.ino"
        if kconfig.exists():
            assert re.search(r"takes \d+ bytes for images, or \d+ for (rows|frames)", kconfig.read_text())
        if not sketch.exists():
            continue
        assert [call for call in calls if call not in sketch.read_text()] == []
        stub = tmp_path / "Arduino.h"
        stub.write_text(ARDUINO)
        call = ["g++", "-Wall", "-Wextra", "-Werror", "-include", str(stub), "-I", str(folder / "src"), "-x", "c++"]
        ended = subprocess.run([*call, "-fsyntax-only", str(sketch)], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_every_layout_lists_its_sources_and_its_licence(firmware):
    for layout in get_args(Layout):
        folder, *_ = firmware(*DRAWN, shape=Packaging(layout=layout, name="kws"), fresh=True)
        sources = load_manifest(folder)["sources"]
        listing = {
            "plain": "CMakeLists.txt", "cmake": "CMakeLists.txt", "zephyr": "zephyr/CMakeLists.txt",
            "esp-idf": "CMakeLists.txt", "cmsis-pack": "spquant-snn.kws.pdsc",
        }.get(layout)  # fmt: skip
        if listing is not None:
            text = (folder / listing).read_text()
            assert [source for source in sources if not re.search(rf"[\s\"/]{source}[\s\"]", text)] == []
        assert "Apache License" in (folder / "LICENSE").read_text()
        for path in folder.rglob("*"):
            if path.suffix in {".c", ".h", ".txt", ".ino", ".yml", ".pdsc"} or path.name in {"Makefile", "Kconfig"}:
                assert "SPDX-License-Identifier: Apache-2.0" in path.read_text()[:200], path
    assert (REPOSITORY / "LICENSE").read_bytes() == (folder / "LICENSE").read_bytes()


def test_descriptions_are_of_the_form_that_their_readers_take(firmware):
    folders = {
        layout: firmware(*DRAWN, shape=Packaging(layout=layout, name="kws"), fresh=True)[0]
        for layout in get_args(Layout)
    }
    library = json.loads((folders["platformio"] / "library.json").read_text())
    assert (library["name"], library["headers"], library["license"]) == ("kws", "kws.h", "Apache-2.0")
    assert "espressif32" in library["platforms"]
    assert "atmelavr" not in library["platforms"]
    properties = dict(
        line.split("=", 1) for line in (folders["arduino"] / "library.properties").read_text().splitlines()
    )
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"} < set(properties)
    assert {"samd", "esp32"} < set(properties["architectures"].split(","))
    pack = ElementTree.parse(folders["cmsis-pack"] / "spquant-snn.kws.pdsc").getroot()
    assert [part.tag for part in pack] == [
        "vendor", "name", "description", "url", "license", "releases", "conditions", "components",
    ]  # fmt: skip
    for file in pack.iter("file"):
        assert (folders["cmsis-pack"] / file.attrib["name"]).is_file()
    assert "kconfig: zephyr/Kconfig" in (folders["zephyr"] / "zephyr/module.yml").read_text()


def test_libraries_name_what_can_hold_the_network():
    everything, few = families_for(1000, 1000), families_for(300 << 10, 40 << 10)
    assert {family.arduino for family in everything} > {family.arduino for family in few}
    assert "samd" not in {family.arduino for family in few}
    with pytest.raises(
        ModelError, match=r"no board of such a library holds .* --prefer flash, or train one with fewer"
    ):
        families_for(1 << 30, 1000)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("gcc") is None, reason="cmake is not installed")
@pytest.mark.parametrize("shape", [Packaging(name="kws"), Packaging(layout="cmake", name="kws", share_runtime=True)])
def test_its_target_links_into_a_program_of_cmake(firmware, tmp_path, shape):
    folder, *_ = firmware(*DRAWN, shape=shape)
    (tmp_path / "main.c").write_text('#include "kws.h"\nint main(void) { return kws_selftest(); }\n')
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.13)\nproject(x C)\nadd_subdirectory({folder} kws)\n"
        "add_executable(x main.c)\ntarget_link_libraries(x PRIVATE kws)\n"
    )
    for call in (["cmake", "-S", ".", "-B", "b"], ["cmake", "--build", "b"], ["b/x"]):
        ended = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.skipif(shutil.which("doxygen") is None, reason="doxygen is not installed")
def test_the_header_is_documented_whole(firmware, tmp_path):
    folder, *_ = firmware(*DRAWN)
    settings = {
        "INPUT": folder / "model.h", "OUTPUT_DIRECTORY": tmp_path, "GENERATE_LATEX": "NO", "WARN_NO_PARAMDOC": "YES",
        "QUIET": "YES", "HAVE_DOT": "NO", "OPTIMIZE_OUTPUT_FOR_C": "YES",
    }  # fmt: skip
    (tmp_path / "Doxyfile").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    ended = subprocess.run(["doxygen", "Doxyfile"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
