"""The C source itself: clean, freestanding, and free of what sanitizers find."""

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sanitizers
from c_programs import C_FILES, CLEAN, MAIN, as_c, constants, executable
from spquant_snn.build import NATIVE, PORTABLE, compiler
from spquant_snn.integer import reference
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.library import library, sources
from spquant_snn.runtime.plan import Body

SHARED = Path(__file__).parents[1] / "shared"
GCC_ONLY = ("-fno-tree-loop-distribute-patterns",)
FREESTANDING = ("-ffreestanding", *GCC_ONLY, "-fno-builtin", "-fno-stack-protector")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gcc", "clang"])
@pytest.mark.parametrize(
    "options", [("-O3",), ("-O3", "-march=native"), ("-O2", "-DSPQ_NO_CTZ", "-DSPQ_PORTABLE"), ("-Os", *FREESTANDING)]
)
def test_no_compiler_has_a_word_to_say(name, options, tmp_path):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    for source in C_FILES:
        known = [option for option in options if name == "gcc" or option not in GCC_ONLY]
        command = [name, *CLEAN, *known, "-c", source, "-o", str(tmp_path / "x.o")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_nothing_is_needed_beside_the_source(tmp_path):
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    target = str(tmp_path / "spq.o")
    options = ["-std=c99", "-O2", *FREESTANDING, "-nostdlib", "-r"]
    subprocess.run([compiler(), *options, *C_FILES, "-o", target], check=True)
    found = subprocess.run(["nm", "-u", target], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in found if name not in ("U", "_GLOBAL_OFFSET_TABLE_")] == []


def test_the_source_includes_and_computes_nothing_but_integers():
    for path in sources():
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= (350 if path.name == "spq.h" else 300), path.name  # all data is declared in one place
        assert max(map(len, lines)) <= 120, path.name
        includes = {line.split()[1] for line in lines if line.startswith("#include")}
        assert includes <= {
            "<stdint.h>",
            '"spq.h"',
            '"events.h"',
            '"sums.h"',
            '"shortcut.h"',
            '"blocks.h"',
            '"neuron.h"',
            '"neuron_single.h"',
            '"compilers.h"',
            '"lanes.h"',
            '"lanes_avx2.h"',
            '"lanes_avx512.h"',
            '"lanes_neon.h"',
            '"lanes_plain.h"',
            '"packed.h"',
            '"packed_lanes.h"',
            '"packed_mve.h"',
            '"packed_words.h"',
            '"packed_simd32.h"',
            '"packed_plain.h"',
            '"scaled.h"',
            '"spq_config.h"',
            "<arm_acle.h>",
            "<arm_mve.h>",
            '"dense.h"',
            '"quads.h"',
            '"sliced.h"',
            '"sliced_layer.h"',
            '"windows.h"',
            '"current.h"',
            '"term_rows.h"',
            '"terms.h"',
            '"turn.h"',
            '"general.h"',
            '"run.h"',
            '"check_common.h"',
            "<arm_neon.h>",
            "<immintrin.h>",
        }, path.name
        code = re.sub(r"/\*.*?\*/", "", "\n".join(lines), flags=re.DOTALL)
        assert re.findall(r"[/%]|\b(?:float|double|malloc)\b", re.sub(r"#include.*", "", code)) == [], path.name


def order_of_files():
    """The names of the files in the order that spq.h draws."""
    text = next(path for path in sources() if path.name == "spq.h").read_text("utf-8")
    drawn = text.split("above it alone")[1].split("An export has")[0].splitlines()[2:-2]
    return [name for line in drawn for name in re.split(r" {2,}", line.strip("* "))[0].split(", ")]


def depends_on(defined):
    """By the name of a file, without its ending: the files that it includes or calls, as where functions are defined
    says; spq.h is what all of them share."""
    found = {}
    for path in sources():
        text = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
        included = {Path(name).stem for name in re.findall(r'#include "(\S+)"', text)}
        called = {defined[name] for name in re.findall(r"\b(spq_\w+)\(", text) if name in defined}
        stems = included | (called if path.suffix == ".c" else set())
        found.setdefault(path.stem, set()).update(stems - {path.stem})
    return found


def test_no_file_includes_or_calls_one_that_stands_below_it():
    defined = {
        name: path.stem
        for path in sources()
        if path.suffix == ".c"
        for name in re.findall(r"^(?!static)\w[\w *]*?\b(spq_\w+)\([^;{]*\) \{", path.read_text("utf-8"), re.MULTILINE)
    }
    assert defined["spq_sum"] == "sums"
    assert defined["spq_step"] == "run"
    order = order_of_files()
    assert sorted(order) == sorted({path.stem for path in sources()})
    upwards = {
        name: wrong
        for name, others in depends_on(defined).items()
        if (wrong := [other for other in others if order.index(other) > order.index(name)])
    }
    assert upwards == {}


SANITIZED = """
import sys
sys.path.insert(0, {shared!r})
from random_graphs import RARE, random_graph, random_images, with_gates
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.runtime.library import library
from spquant_snn.runtime.native import NativeProgram

built = library({flags!r})
for seed in (*range(20), *range(RARE, RARE + 12)):
    graph = random_graph(seed)
    if seed % 2:
        graph = with_gates(graph, seed)
    run = NativeProgram(graph, built)
    steps = min(2, graph.longest)
    frames = random_images(graph, 2 * steps, seed).reshape(steps, 2, *graph.input_shape)
    for batch in (random_images(graph, 3, seed), frames):
        difference = first_difference(reference_trace(graph, batch), run.trace(batch))
        assert difference is None, str(difference)
        run.logits(batch, threads=2)
    stream = run.stream()
    for frame in frames[:, 0]:
        stream.push(frame)
print("clean")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags", [sanitizers.FLAGS, (*sanitizers.ADDRESS, "-march=native")], ids=["portable", "native"]
)
def test_sanitizers_find_nothing(flags):
    environment = sanitizers.environment()
    if environment is None:
        pytest.skip("the compiler has no AddressSanitizer runtime to load into Python")
    program = SANITIZED.format(shared=str(SHARED), flags=flags)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "clean\n"), ended.stderr[-4000:]


@pytest.fixture
def alone(tmp_path):
    """``alone(graph, images, flags, linked, body)``: a program that checks the logits of a graph without Python."""

    def compile_it(graph, images, flags=("-O2",), linked=C_FILES, body=Body.PORTABLE):
        plan = plan_network(graph, body=body)
        code = as_c(plan) + constants(images=images, logits=reference.run(graph, images).astype(np.int32)) + MAIN
        sizes = {
            "ARENA": -(-plan.arena_size // 4),
            "COUNT": len(images),
            "IMAGE": images[0].size,
            "CLASSES": graph.classes,
        }
        return executable(tmp_path / "main", code, linked, (compiler(), *flags), sizes)

    return compile_it


@pytest.mark.slow
def test_a_plan_written_out_as_c_runs_alone(alone, random_graph, random_images):
    for flags in (NATIVE, PORTABLE):
        built = library(flags)
        for seed in (3, 12, 16):
            graph = random_graph(seed)
            images = random_images(graph, 4, seed)
            program = alone(graph, images, ("-O0",), [built._name], Body(built.spq_body()))
            assert subprocess.run([program], check=False).returncode == 0


INSTRUCTIONS = 18_060_000  # two images of the network below, the process in all; gcc 12 on x86-64, portable build


@pytest.mark.slow
def test_instructions_stay_within_their_bound(alone, wide, random_images, tmp_path):
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    version = subprocess.run([compiler(), "-dumpversion"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("12") or platform.machine() != "x86_64":
        pytest.skip(f"the bound holds for gcc 12 on x86-64, not for version {version.strip()} on {platform.machine()}")
    graph = wide(size=12)
    target = alone(graph, random_images(graph, 2), PORTABLE)
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={tmp_path / 'out'}", str(target)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    counted = int(re.search(r"Collected : (\d+)", ended.stderr).group(1))
    assert counted < 1.03 * INSTRUCTIONS
