"""Exported C: clean, complete in itself, equal to the reference, and able to tell when it is not."""

import dataclasses
import itertools
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from random_graphs import EXPORTED, GATED
from residual_graphs import EXPORTED as RESIDUAL
from residual_graphs import residual_graph
from spquant_snn.errors import DataError, RunError
from spquant_snn.export.c import Plans, export_c
from spquant_snn.export.feature_flags import SOURCES
from spquant_snn.export.firmware import load_manifest
from spquant_snn.export.folder import write_folder
from spquant_snn.export.interface import layer_names
from spquant_snn.export.naming import Names
from spquant_snn.export.packaging import PLAIN, Packaging
from spquant_snn.export.render import identifiers
from spquant_snn.export.vectors import Vector
from spquant_snn.integer import reference
from spquant_snn.integer.file import load_graph, to_bytes

CLEAN = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wundef", "-Wshadow", "-Wno-overlength-strings")
C_FILES = (*map(Names().runtime_file, SOURCES), "model.c", "model_selftest.c")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ALONE = ("-ffreestanding", "-fno-tree-loop-distribute-patterns", "-fno-jump-tables")
POOLED = (21, 1.58, 1.58, "zero")  # a sum-pool behind its second convolution

SEQUENCE = 4  # frames, then another sequence begins

MAIN = """
#include "model.h"
#include <stdio.h>
/* Arenas need not lie at more than a word. */
#define BEHIND_A_LINE static uint32_t __attribute__((aligned(64)))
BEHIND_A_LINE arena[1 + MODEL_ARENA_SIZE / 4];
BEHIND_A_LINE frame_arena[1 + MODEL_STEP_ARENA_SIZE / 4];
int main(void) {
    int wrong = model_selftest();
    if (wrong) return puts(model_layer(wrong - 1)), 1;
    uint8_t image[MODEL_INPUT_SIZE];
    int32_t outputs[MODEL_OUTPUTS];
    model_context still, moving;
    if (model_init(&still, arena + 1, MODEL_ARENA_SIZE)) return 2;
    if (model_init(&moving, frame_arena + 1, MODEL_STEP_ARENA_SIZE)) return 2;
    if (model_reset(&moving)) return 3;
    for (int count = 1; fread(image, 1, sizeof image, stdin) == sizeof image; count++) {
        if (model_run(&still, image, outputs)) return 4;
        printf("%d", model_largest(outputs));
        for (int i = 0; i < MODEL_OUTPUTS; i++) printf(" %ld", (long)outputs[i]);
        if (model_step(&moving, image, outputs)) return 5;
        printf(" so far");
        for (int i = 0; i < MODEL_OUTPUTS; i++) printf(" %ld", (long)outputs[i]);
        puts("");
        if (count == SEQUENCE) model_reset(&moving);
    }
    return 0;
}
"""


def compiled(folder, target, *flags, program=MAIN):
    (folder / "main_of_test.c").write_text(program)
    files = [str(folder / name) for name in (*C_FILES, "main_of_test.c")]
    ended = subprocess.run(
        ["gcc", *CLEAN, *flags, f"-DSEQUENCE={SEQUENCE}", *files, "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return target


def said(target, images):
    ended = subprocess.run([target], input=images.tobytes(), capture_output=True, check=False)
    return ended.returncode, ended.stdout.decode().split("\n")[:-1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize(
    ("drawn", "gated"), [*((drawn, False) for drawn in EXPORTED), *((drawn, True) for drawn in GATED)], ids=str
)
def test_exported_source_runs_as_the_reference(firmware, tmp_path, drawn, gated):
    check_runs(firmware(*drawn, gated=gated), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("drawn", RESIDUAL, ids=str)
def test_residual_networks_run_as_the_reference(firmware, tmp_path, drawn):
    check_runs(firmware(*drawn, residual=True), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_layer_may_be_called_like_the_shortcut_of_another(tmp_path, random_images):
    graph = residual_graph(*RESIDUAL[1])
    index = next(i for i, layer in enumerate(graph.layers) if len(layer.terms) > 1)
    layers = list(graph.layers)
    for i, name in ((index, "b"), (index - 1, "b_shortcut")):
        layers[i] = dataclasses.replace(layers[i], name=name)
    graph = dataclasses.replace(graph, layers=tuple(layers))
    images = random_images(graph, 4)
    export_c(graph, images[:2], tmp_path / "fw", "names")
    check_runs((tmp_path / "fw", graph, images, None), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_little_flash_runs_as_the_reference(firmware, tmp_path):
    made = firmware(*POOLED, small=True)
    check_runs(made, tmp_path)
    quick, small = (Plans.of(made[1], small).images.layers[1].connection for small in (False, True))
    assert (quick.packed.bits, quick.window) == (4, 1)
    assert (small.packed.bits, small.window) == (2, 2)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize(
    ("bits", "fits"), [((2, 2, "subtract"), True), ((4, 4, "zero"), True), ((8, 4, "zero"), False)]
)
def test_little_flash_has_constants_of_16_bits_where_they_fit(random_graph, random_images, tmp_path, bits, fits):
    graph = random_graph(0, *bits)
    images, sizes = random_images(graph, 6), {}
    for small in (False, True):
        folder = tmp_path / f"small-{small}"
        export_c(graph, images[:2], folder, "constants", small=small)
        tables = re.findall(r"const (int\d+)_t \w+_(drop|decay|edges)\[", (folder / "model.c").read_text())
        sizes[small] = {size for size, _ in tables}
    assert sizes == {False: {"int32"}, True: {"int16" if fits else "int32"}}
    check_runs((folder, graph, images, None), tmp_path)


def check_runs(made, tmp_path):
    folder, graph, images, _ = made
    code, lines = said(compiled(folder, tmp_path / "main", "-O0", *SANITIZED), images)
    expected = []
    for t, row in enumerate(reference.run(graph, images)):
        sequence = images[SEQUENCE * (t // SEQUENCE) : t + 1, None]  # the images since the last reset, as frames
        expected.append(" ".join(map(str, [row.argmax(), *row, "so far", *reference.run(graph, sequence)[0]])))
    assert code == 0, lines
    assert lines == expected


MISUSED = """
#include "model.h"
#include <stdio.h>
#define SIZE(a, b) ((a) > (b) ? (a) : (b))
static uint8_t image[MODEL_INPUT_SIZE];
static uint32_t arena[SIZE(MODEL_ARENA_SIZE, MODEL_EVENTS_ARENA_SIZE) / 4 + 1];
static int check(int right, int line) {
    if (!right) printf("line %d\\n", line);
    return right;
}
#define IS(call, status) if (!check((call) == (status), __LINE__)) return 1
int main(void) {
    int32_t outputs[MODEL_OUTPUTS];
    const int wrong[] = {-1, MODEL_LAYERS, MODEL_LAYERS + 1, -2147483647 - 1, 2147483647};
    const model_event outside[] = {
        {MODEL_WIDTH, 0, 0}, {0, MODEL_HEIGHT, 0}, {0, 0, MODEL_CHANNELS}, {65535, 65535, 65535}};
    const model_event inside = {0, 0, 0};
    model_context context = {0}, small;
    for (int i = 0; i < 5; i++) IS(model_layer(wrong[i]), 0);
    for (int i = 0; i < MODEL_LAYERS; i++) IS(!model_layer(i), 0);
    IS(model_arena_size(), MODEL_ARENA_SIZE);
    IS(model_step_arena_size(), MODEL_STEP_ARENA_SIZE);
    IS(model_largest(0), -1);

    IS(model_run(&context, image, outputs), MODEL_ERROR_CONTEXT); /* before it is prepared */
    IS(model_reset(&context), MODEL_ERROR_CONTEXT);
    IS(model_step(&context, image, outputs), MODEL_ERROR_CONTEXT);
    IS(model_step_events(&context, outputs), MODEL_ERROR_CONTEXT);
    IS(model_push_events(&context, &inside, 1), MODEL_ERROR_CONTEXT);
    IS(model_selftest_in(&context), -1);
    IS(model_init(0, arena, sizeof arena), MODEL_ERROR_NULL);
    IS(model_init(&context, 0, sizeof arena), MODEL_ERROR_NULL);
    for (int by = 1; by < MODEL_ARENA_ALIGN; by++)
        IS(model_init(&context, (uint8_t *)arena + by, sizeof arena - 4), MODEL_ERROR_ALIGNMENT);
    IS(model_init(&context, arena, 0), MODEL_ERROR_ARENA);
    IS(model_run(&context, image, outputs), MODEL_ERROR_CONTEXT); /* nor by a call that failed */

    IS(model_init(&context, arena, sizeof arena), MODEL_OK);
    IS(model_run(0, image, outputs), MODEL_ERROR_NULL);
    IS(model_run(&context, 0, outputs), MODEL_ERROR_NULL);
    IS(model_run(&context, image, 0), MODEL_ERROR_NULL);
    IS(model_step(&context, image, outputs), MODEL_ERROR_NOT_RESET);
    IS(model_run(&context, image, outputs), MODEL_OK);
    IS(model_step(&context, image, outputs), MODEL_ERROR_NOT_RESET); /* which model_run is not */
    IS(model_push_events(&context, &inside, 1), MODEL_ERROR_NOT_RESET);
    IS(model_reset(0), MODEL_ERROR_NULL);
    IS(model_reset(&context), MODEL_OK);
    IS(model_step(0, image, outputs), MODEL_ERROR_NULL);
    IS(model_step(&context, 0, outputs), MODEL_ERROR_NULL);
    IS(model_step(&context, image, 0), MODEL_ERROR_NULL);
    int32_t taken = 0; /* what failed was no step */
    while (taken < 9 && model_step(&context, image, outputs) == MODEL_OK) taken++;
    IS(taken, MODEL_MOST_STEPS < 9 ? MODEL_MOST_STEPS : 9);
    if (MODEL_MOST_STEPS < 9) IS(model_step(&context, image, outputs), MODEL_ERROR_STEPS);
    IS(model_reset(&context), MODEL_OK);
    IS(model_step(&context, image, outputs), MODEL_OK);
    IS(model_run(&context, image, outputs), MODEL_OK); /* in the same memory */
    IS(model_step(&context, image, outputs), MODEL_ERROR_NOT_RESET);

    IS(model_reset(&context), MODEL_OK);
    for (int i = 0; i < 4; i++) IS(model_push_events(&context, &outside[i], 1), MODEL_ERROR_RANGE);
    IS(model_push_events(&context, 0, 1), MODEL_ERROR_NULL);
    IS(model_push_events(&context, 0, 0), MODEL_OK);
    IS(model_push_events(0, &inside, 1), MODEL_ERROR_NULL);
    IS(model_step_events(&context, 0), MODEL_ERROR_NULL);

    IS(model_init(&small, arena, -SIZE(-MODEL_ARENA_SIZE, -MODEL_STEP_ARENA_SIZE) - 4), MODEL_ERROR_ARENA);
    IS(model_init(&small, arena, MODEL_STEP_ARENA_SIZE), MODEL_OK);
    if (MODEL_STEP_ARENA_SIZE < MODEL_ARENA_SIZE) IS(model_run(&small, image, outputs), MODEL_ERROR_ARENA);
    IS(model_reset(&small), MODEL_OK);
    IS(model_push_events(&small, &inside, 1), MODEL_ERROR_ARENA);
    IS(model_step_events(&small, outputs), MODEL_ERROR_ARENA);
    return model_selftest() ? 2 : 0;
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("most", [None, 1, 4])
def test_misuse_is_answered_as_the_header_says(tmp_path, random_graph, random_images, most):
    graph = random_graph(12)
    if most is not None:
        bias = np.full(graph.classes, ((1 << 31) - 1) // (most + 1) + 1, np.int32)
        graph = dataclasses.replace(graph, timesteps=1, readouts=(dataclasses.replace(graph.readout, bias=bias),))
    export_c(graph, random_images(graph, 2), tmp_path / "fw", "misused")
    target = compiled(tmp_path / "fw", tmp_path / "main", "-O0", *SANITIZED, program=MISUSED)
    ended = subprocess.run([target], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


APART = """
#include "model.h"
#include <stdio.h>
static uint32_t arenas[3][MODEL_EVENTS_ARENA_SIZE / 4];
static uint8_t images[2][MODEL_INPUT_SIZE], frame[MODEL_INPUT_SIZE];
static model_event many[300];
static int differ(const int32_t *a, const int32_t *b) {
    for (int i = 0; i < MODEL_OUTPUTS; i++)
        if (a[i] != b[i]) return 1;
    return 0;
}
int main(void) {
    int32_t alone[2][3][MODEL_OUTPUTS], found[MODEL_OUTPUTS], expected[MODEL_OUTPUTS];
    model_context contexts[3];
    if (fread(images, 1, sizeof images, stdin) != sizeof images) return 1;
    for (int n = 0; n < 3; n++)
        if (model_init(&contexts[n], arenas[n], sizeof arenas[n])) return 2;
    for (int n = 0; n < 2; n++) { /* one sequence after the other */
        if (model_reset(&contexts[2])) return 3;
        for (int t = 0; t < 3; t++)
            if (model_step(&contexts[2], images[n], alone[n][t])) return 4;
    }
    if (model_reset(&contexts[0]) || model_reset(&contexts[1])) return 5;
    for (int t = 0; t < 3; t++) /* both at once */
        for (int n = 0; n < 2; n++) {
            if (model_step(&contexts[n], images[n], found)) return 6;
            if (differ(found, alone[n][t])) return 7;
        }

    for (int i = 0; i < 300; i++) many[i].x = MODEL_WIDTH - 1, many[i].y = 1, many[i].channel = 0; /* beyond 255 */
    frame[MODEL_WIDTH + MODEL_WIDTH - 1] = 255, frame[0] = 2;
    const model_event twice[] = {{0, 0, 0}, {0, 0, 0}};
    if (model_reset(&contexts[0]) || model_reset(&contexts[1])) return 8;
    for (int t = 0; t < 2; t++) { /* the second frame has what came after the first alone */
        if (model_push_events(&contexts[0], many, 300) || model_push_events(&contexts[0], twice, 2)) return 9;
        if (model_step_events(&contexts[0], found) || model_step(&contexts[1], frame, expected)) return 10;
        if (differ(found, expected)) return 11;
    }
    if (model_push_events(&contexts[0], many, 300) || model_reset(&contexts[0]) || model_reset(&contexts[1])) return 12;
    for (int i = 0; i < MODEL_INPUT_SIZE; i++) frame[i] = 0;
    if (model_step_events(&contexts[0], found) || model_step(&contexts[1], frame, expected)) return 13;
    return differ(found, expected) ? 14 : 0;
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_instances_are_apart_and_events_become_frames(firmware, tmp_path):
    folder, _, images, _ = firmware(16, 1.58, 1.58, "zero")
    target = compiled(folder, tmp_path / "main", "-O0", *SANITIZED, program=APART)
    assert subprocess.run([target], input=images[:2].tobytes(), check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_only_the_self_test_has_a_state(firmware, tmp_path):
    """Tables are in sections that are not written; so two calls at once share nothing."""
    folder, *_ = firmware(16, 1.58, 1.58, "zero")
    files = [str(folder / name) for name in C_FILES if name != "model_selftest.c"]
    subprocess.run(["gcc", "-O1", "-nostdlib", "-r", "-fno-pie", *files, "-o", str(tmp_path / "x.o")], check=True)
    listed = subprocess.run(["nm", str(tmp_path / "x.o")], capture_output=True, text=True, check=True).stdout
    assert " T model_run" in listed
    assert re.findall(r" [bBdDcC] \S+", listed) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("define", [("-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"), ("-D__ARMEB__",)])
@pytest.mark.parametrize("shape", [PLAIN, Packaging(amalgamate=True)])
def test_a_big_endian_processor_is_refused_when_it_is_compiled(firmware, define, shape):
    folder, *_ = firmware(12, shape=shape)
    for source in folder.glob("*.c"):
        call = ["gcc", "-std=c99", "-w", *define, "-fsyntax-only", str(source)]
        ended = subprocess.run(call, capture_output=True, text=True, check=False)
        assert ended.returncode != 0
        assert '#error "spq runs on little-endian processors alone' in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_one_wrong_bit_of_any_table_fails_the_self_test_by_name(firmware, tmp_path):
    folder, graph, images, _ = firmware(16, 1.58, 1.58, "zero")
    source = (folder / "model.c").read_text()
    tables = list(re.finditer(r"const \w+ (\w+)\[(\d+)\] = \{\n(.*?)\};", source, re.DOTALL))
    names = identifiers(layer_names(graph))
    assert len(tables) > 4
    for table in tables:
        numbers = list(re.finditer(r"-?(?:0x)?[0-9A-F]+", table[3]))
        number = numbers[len(numbers) // 2]
        flipped = str(int(number[0], 0) ^ 1)
        at = table.start(3) + number.start()
        (folder / "model.c").write_text(source[:at] + flipped + source[at + len(number[0]) :])
        code, lines = said(compiled(folder, tmp_path / "main", "-O0"), images[:0])
        layer = next(i for i, name in enumerate(names) if table[1].startswith(f"model_{name}_"))
        assert (code, lines) == (1, [layer_names(graph)[layer]])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_wrong_computation_fails_the_self_test_by_name(firmware, tmp_path):
    folder, graph, images, _ = firmware(16, 1.58, 1.58, "zero")
    source = (folder / "model_packed_plain.h").read_text()
    assert "if (v >= constant_of(" in source
    (folder / "model_packed_plain.h").write_text(source.replace("if (v >= constant_of(", "if (v > 1 + constant_of("))
    code, lines = said(compiled(folder, tmp_path / "main", "-O0"), images[:0])
    assert code == 1
    assert lines[0] in layer_names(graph)


CORES = {
    "m0": ("-mcpu=cortex-m0", "-mthumb"),
    "m4": ("-mcpu=cortex-m4", "-mthumb"),
    "m55": ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize(
    ("core", "level"),
    [*(("m0", level) for level in ("-O0", "-O1", "-O2", "-Os")), *itertools.product(("m4", "m55"), ("-O2", "-Os"))],
)
def test_devices_need_nothing_beside_the_source(firmware, tmp_path, core, level):
    everything = firmware(9, 8, 8, shape=Packaging(share_runtime=True))[0]  # with the code that any network needs
    for folder in (firmware(16, 1.58, 1.58, "zero")[0], everything):
        target = str(tmp_path / "model.o")
        files = [str(folder / name) for name in load_manifest(folder)["sources"]]
        flags = [*CLEAN, *ALONE, *CORES[core], level, "-nostdlib", "-r", "-I", str(folder / "spq")]
        ended = subprocess.run(
            ["arm-none-eabi-gcc", *flags, *files, "-o", target], capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        undefined = subprocess.run(["arm-none-eabi-nm", "-u", target], capture_output=True, text=True, check=True)
        assert undefined.stdout == "", folder


def test_a_folder_tells_what_it_is(firmware):
    folder, graph, *_ = firmware(12)
    manifest = json.loads((folder / "firmware.json").read_text())
    assert manifest["layers"] == layer_names(graph)
    assert set(manifest["files"]) | {"firmware.json"} == {path.name for path in folder.iterdir()}
    assert to_bytes(load_graph(folder / "model.spq")) == to_bytes(graph)
    assert f"#define MODEL_CLASSES {graph.classes} /" in (folder / "model.h").read_text()
    arena = Plans.of(graph).images.arena_size
    assert (
        f"| the arena of `model_run`, `MODEL_ARENA_SIZE` | RAM | {-(-arena // 4) * 4} |"
        in (folder / "README.md").read_text()
    )


def test_an_export_is_the_same_each_time(firmware, tmp_path):
    folder, graph, images, _ = firmware(12)
    again = tmp_path / "again"
    export_c(graph, images[:2], again, "random graph 12")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}


def test_only_an_earlier_export_is_replaced(firmware, random_images, tmp_path):
    folder, graph, images, _ = firmware(12)
    with pytest.raises(
        RunError, match=r"is not empty, it holds CMakeLists\.txt: choose another folder, or replace it with --fo"
    ):
        export_c(graph, images[:1], folder, "x")
    (folder / "old").write_text("mine")
    with pytest.raises(RunError, match="holds old, which is not of the earlier export"):
        export_c(graph, images[:1], folder, "x", force=True)
    (folder / "old").unlink()
    export_c(graph, images[:1], folder, "x", force=True, shape=Packaging(True, "plain"))
    assert set(load_manifest(folder)["files"]) | {"firmware.json"} == {path.name for path in folder.iterdir()}
    export_c(graph, images[:1], folder, "x", force=True)
    other = tmp_path / "other"
    other.mkdir()
    export_c(graph, images[:1], other, "x")
    (other / "firmware.json").unlink()
    with pytest.raises(RunError, match="holds no earlier export, and --force replaces nothing else"):
        export_c(graph, images[:1], other, "x", force=True)
    with pytest.raises(RunError, match="is no folder: choose another name"):
        export_c(graph, images[:1], other / "model.h", "x")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "pathlib.Path.write_bytes", lambda self, data: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(RunError, match="cannot be written \\(No space left\\): make room"):
        write_folder(tmp_path / "out", {"a": b"", "firmware.json": b"{}"}, False)
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_are_refused(random_graph, tmp_path):
    with pytest.raises(DataError, match="this network takes images"):
        export_c(random_graph(12), np.zeros((1, 1, 2, 2), np.uint8), tmp_path / "x", "x")


@pytest.mark.parametrize("fill", [0, 1, 2])
def test_pixels_of_vectors_come_back_from_their_runs(fill):
    rng = np.random.default_rng(fill)
    for size in (1, 2, 255, 256, 511, 784, 1000):
        pixels = np.where(rng.random(size) < fill / 2, rng.integers(1, 256, size), 0).astype(np.uint8)
        left, found = list(Vector(pixels, (), (), np.zeros(1, np.int32)).runs), []
        while len(found) < size:
            found += [0] * left.pop(0)
            others = left.pop(0)
            found, left = found + left[:others], left[others:]
        assert (found, left) == (pixels.tolist(), [])


def test_names_become_identifiers():
    assert identifiers(["conv.1", "conv-1", "2nd", "ü", "Conv"]) == ("conv_1", "conv_1_1", "layer_2nd", "layer", "conv")


def test_a_title_ends_no_comment(random_graph, random_images, tmp_path):
    graph = random_graph(12)
    export_c(graph, random_images(graph, 1), tmp_path / "x", "a */ #error\nb")
    assert "a * / #error b:" in (tmp_path / "x" / "model.c").read_text()
