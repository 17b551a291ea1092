"""Exports in other shapes: as one header and one source, and as a library of PlatformIO and the Arduino IDE."""

import json
import shutil
import subprocess

import pytest

from spquant_snn.export.boards import board_of
from spquant_snn.export.firmware import load_manifest
from spquant_snn.export.packaging import Packaging, amalgamated
from spquant_snn.export.toolchain import build

CLEAN = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-overlength-strings")
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
    lines = [line for line in found["model.c"].decode().splitlines() if line and not line.startswith("/*")]
    assert lines == ['#include "model.h"', '#include "elsewhere.h"', "int b;", "int a;", "int x;", "int y;"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-g++") is None, reason="arm-none-eabi-g++ is not installed")
@pytest.mark.parametrize("amalgamate", [False, True])
def test_a_library_compiles_with_its_sketch(firmware, tmp_path, amalgamate):
    folder, *_ = firmware(*DRAWN, shape=Packaging(amalgamate, "platformio"))
    assert json.loads((folder / "library.json").read_text())["headers"] == "model.h"
    assert "includes=model.h\n" in (folder / "library.properties").read_text()
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"src", "examples"}
    built = build(board_of("cortex-m4"), folder, load_manifest(folder)["sources"], "selftest", tmp_path, "gcc")
    assert built.path.is_file()
    stub = tmp_path / "Arduino.h"
    stub.write_text(ARDUINO)
    call = ["arm-none-eabi-g++", "-mcpu=cortex-m4", "-mthumb", "-Wall", "-Wextra", "-Werror", "-include", str(stub)]
    call += ["-I", str(folder / "src"), "-x", "c++", "-c", str(folder / "examples" / "classify" / "classify.ino")]
    ended = subprocess.run([*call, "-o", str(tmp_path / "x.o")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
