"""The compact form of firmware, run by hosts: every spike and output of the reference, by images and by rows."""

import re
import subprocess
from collections import Counter

import numpy as np
import pytest

from compact_graphs import compact_graph, rewritten_graph, rewritten_images
from random_graphs import random_codes, random_images, random_neuron
from rows import Last, Part, row, square
from sanitizers import FLAGS
from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import compact_firmware, export_c
from spquant_snn.export.compact.code_rows import code_rows, tap_lists
from spquant_snn.export.compact.compact_plan import plan_compact
from spquant_snn.export.compact.planned_rows import CompactForm
from spquant_snn.export.compact.still_levels import still_levels
from spquant_snn.export.fit import Limits
from spquant_snn.export.packaging import Packaging
from spquant_snn.export.targets import ExportOptions
from spquant_snn.integer import reference
from spquant_snn.integer.connection import Connection
from spquant_snn.integer.neuron import fold_neuron

SEEDS = range(12)
POOLED = (0, 4, 194, 240, 259)
REWRITTEN = (*range(9), 11, 12, 14, 16, 21, 28, 32, 35)
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-Wconversion", "-Wsign-conversion", "-Wundef", "-Wshadow")
MAIN = """
#include <stdio.h>
#include "kws.h"
static uint32_t arena[KWS_ROWS_ARENA_SIZE / 4];
static uint8_t image[KWS_INPUT_SIZE], row[KWS_ROW_SIZE];
static int32_t outputs[KWS_OUTPUTS];
int main(void) {
    kws_context context;
    const int wrong = kws_selftest();
    if (wrong) return 50 + wrong;
    if (kws_init(&context, arena, sizeof arena) != KWS_OK) return 2;
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        if (kws_run(&context, image, outputs) != KWS_OK) return 3;
        fwrite(outputs, 4, KWS_OUTPUTS, stdout);
        for (int y = 0; y < KWS_HEIGHT; y++) {
            for (int c = 0; c < KWS_CHANNELS; c++)
                for (int x = 0; x < KWS_WIDTH; x++)
                    row[c * KWS_WIDTH + x] = image[(c * KWS_HEIGHT + y) * KWS_WIDTH + x];
            if (kws_outputs(&context, outputs) != KWS_ERROR_ROWS) return 4;
            if (kws_feed_row(&context, row) != KWS_OK) return 5;
        }
        if (kws_feed_row(&context, row) != KWS_ERROR_ROWS) return 6;
        if (kws_outputs(&context, outputs) != KWS_OK) return 7;
        fwrite(outputs, 4, KWS_OUTPUTS, stdout);
    }
    return 0;
}
"""


def form_of(seed):
    """Between them seeds have every choice."""
    load = ("words", "bytes", "fives")[seed % 3]
    bodies = ("one", "each", "planes")[seed // 2 % 3]
    return CompactForm(not seed & 8, bool(seed & 1), load, bodies, (16, 48)[seed % 2], bool(seed & 4))


def built(folder, graph, images, form, flags=("-O0", *FLAGS[1:])):
    """A program of the host: answers of images, by the two ways that there are."""
    folder.mkdir()
    plan = plan_compact(graph, form)
    files = compact_firmware(graph, images[:2], "random", plan, Packaging(name="kws"))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "main.c").write_text(MAIN)
    sources = [str(folder / name) for name in ("main.c", "kws.c", "kws_selftest.c")]
    subprocess.run(["gcc", "-std=c99", *flags, *WARNINGS, "-o", str(folder / "run"), *sources], check=True)
    return folder / "run"


def answers(program, images, outputs):
    ended = subprocess.run([str(program)], input=images.tobytes(), capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    return np.frombuffer(ended.stdout, "<i4").reshape(len(images), 2, outputs)


@pytest.mark.parametrize(("seed", "pooled"), [*((s, False) for s in SEEDS), *((s, True) for s in POOLED)])
def test_random_graphs_run_as_the_reference(tmp_path, seed, pooled):
    graph = compact_graph(seed, pooled)
    images = random_images(graph, 4, seed)
    images[0], images[1] = 255, 0
    wanted = reference.run(graph, images).reshape(len(images), 1, -1)
    found = answers(built(tmp_path / "c", graph, images, form_of(seed)), images, wanted.shape[2])
    assert (found == wanted).all()


@pytest.mark.parametrize(
    ("channels", "kernels", "pooled"),
    [
        ((32, 32, 32), (3, 3, 3), (1, 1, 2)),  # alike but for pools and sizes
        ((40, 20, 17, 32), (2, 3, 1, 2), (1, 2, 1, 1)),  # in nothing
        ((48, 48), (3, 3), (1, 1)),  # in all but sizes
    ],
)
def test_layers_on_planes_may_have_one_body(tmp_path, channels, kernels, pooled):
    graph = on_planes(channels, kernels, pooled)
    images = random_images(graph, 4, 0)
    wanted = reference.run(graph, images).reshape(len(images), 1, -1)
    forms = [CompactForm(folded=False, bodies=bodies) for bodies in ("each", "planes")]
    programs = [built(tmp_path / form.bodies, graph, images, form) for form in forms]
    for form, program in zip(forms, programs, strict=True):
        assert sum(layer.shares for layer in plan_compact(graph, form).layers[1:]) == len(channels)
        assert (answers(program, images, 3) == wanted).all()
    bodies = [set(re.findall(r"advance\w*(?=\()", (program.parent / "kws_core.h").read_text())) for program in programs]
    assert "advance_any_planes" in bodies[1] - bodies[0]


def on_planes(channels, kernels, pooled):
    """A row of ternary convolutions on spikes, of more than 16 channels each."""
    rng = np.random.default_rng(len(channels))
    parts, given = [], (1, 14, 13)
    for i, (count, side, pool) in enumerate(zip((16, *channels), (3, *kernels), (1, *pooled), strict=True)):
        codes = random_codes(rng, (count, given[0], side, side), 1.58)
        connection = Connection(
            f"conv{i}", codes, 1.58, padding=(1, 1, 1, 1), sum_pool=square("sum", pool, pool) if pool > 1 else None
        )
        parts.append(Part(connection, random_neuron(rng, connection, 1.58, "zero", 255 if i == 0 else 1)))
        given = connection.output_shape(given)
    last = Connection("fc", random_codes(rng, (3, int(np.prod(given))), 1.58), 1.58)
    return row((1, 14, 13), 2, tuple(parts), Last(last, 0, np.zeros(3, np.int32), 0.1))


@pytest.mark.parametrize("seed", REWRITTEN)
def test_what_is_rewritten_runs_as_the_reference(tmp_path, seed):
    graph = rewritten_graph(seed)
    images = rewritten_images(graph, 6, seed)
    wanted = reference.answers(graph, images)[0]
    wanted = (wanted[-1] if graph.readout.over_time == "all" else wanted).reshape(len(images), 1, -1)
    found = answers(built(tmp_path / "c", graph, images, form_of(seed)), images, wanted.shape[2])
    assert (found == wanted).all()


def test_the_graphs_use_every_way_in_which_codes_lie():
    found = Counter()
    for seed in SEEDS:
        for layer in plan_compact(compact_graph(seed), form_of(seed)).layers:
            found.update([layer.fields.get("bits"), layer.fields.get("load"), layer.fields.get("linear"), layer.kind])
            found["pooled"] += layer.fields.get("pool_rows", 1) * layer.fields.get("pool_columns", 1) > 1
    assert {2, 4, 8, 0, 1, "spq_pixels", "spq_spiking", "pooled"} <= {key for key, count in found.items() if count}


def test_a_changed_number_fails_the_self_test_by_its_layer(tmp_path):
    graph = compact_graph(3)
    images = random_images(graph, 2, 3)
    program = built(tmp_path / "c", graph, images, form_of(3))
    source = tmp_path / "c" / "kws.c"
    text = source.read_text()
    for place, layer in (("kws_conv0_taps", 1), ("kws_readout_codes", len(graph.layers) + 1)):
        start = text.index("{\n    ", text.index("const ", text.index(f" {place}[") - 20)) + 6
        end = text.index(",", start)
        number = text[start:end]
        other = "0x00000001u" if number.startswith("0x") else str(int(number) ^ 1)
        source.write_text(text[:start] + other + text[end:])
        sources = [str(tmp_path / "c" / name) for name in ("main.c", "kws.c", "kws_selftest.c")]
        subprocess.run(["gcc", "-std=c99", "-O1", "-o", str(program), *sources], check=True)
        assert subprocess.run([str(program)], input=b"", check=False).returncode == 50 + layer


@pytest.mark.parametrize("bits", [1.58, 3, 4, 6, 8])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_levels_are_what_neurons_do_with_every_sum(bits, reset):
    gain, offset = np.array([0.01, 0.003, 0.05]), np.array([0.1, -0.2, 1.4])
    reach = np.full(3, 300)
    neuron, _ = fold_neuron(bits, gain, offset, 1.0, 0.5, reset, reach)
    levels = still_levels(neuron, -reach, reach, 5)
    sums = np.arange(-300, 301, dtype=np.int32)
    sums = np.broadcast_to(sums[:, None], (601, 3)).copy()
    code, wanted = np.zeros_like(sums), np.zeros_like(sums)
    for t in range(5):
        spikes, code = reference.step(neuron, sums, code)
        wanted |= spikes.astype(np.int32) << t
    reached = (sums[:, :, None] >= levels.reached).sum(2)
    assert (np.array([0, *levels.spikes])[reached] == wanted).all()
    assert (np.diff(levels.reached, axis=1) >= 0).all()


def test_five_codes_lie_in_a_byte():
    codes = np.random.default_rng(0).integers(-1, 2, (12, 7, 1, 2)).astype(np.int32)
    rows = code_rows(codes, "fives").rows
    assert rows.shape == (1, 2, 7, 3)
    rest, found = rows.astype(int), []
    for _ in range(5):
        rest = rest * 3
        found.append(rest >> 8)
        rest = rest & 255
    found = np.stack(found, -1).reshape(1, 2, 7, 15)[..., :12] - 1
    assert (found == codes.transpose(2, 3, 1, 0)).all()


def test_lists_of_places_stand_for_codes():
    codes = np.array([[0, 3, -4, 1], [0, 0, 0, 0]], np.int32)
    taps, planes = tap_lists(codes, np.array([5, 6, 7, 8], np.int32))
    assert planes == 3
    assert taps.tolist() == [1, 7, 0, 0, 1, 6, 0, 2, 6, 8, *[0] * 6]


def test_memory_is_what_was_planned():
    """The shipped topology: rows of 28 pixels, 16 maps of 14 columns in two steps, ten sums."""
    graph = compact_graph(0)
    plan = plan_compact(graph, CompactForm())
    ends = [at + size for _, at, size in plan.regions]
    assert all(end <= start for end, (_, start, _) in zip(ends, plan.regions[1:], strict=False))
    assert plan.rows_arena == -(-ends[-1] // 4) * 4


@pytest.mark.usefixtures("_no_compiler")
def test_what_does_not_fit_is_refused_by_how_much_and_for_which_layer(tmp_path):
    graph = compact_graph(0)
    images = random_images(graph, 2)
    limits = Limits(2048, 300, board_of("ch32v003"))
    with pytest.raises(ModelError, match=r"takes [\d,]+ bytes of flash more than the 300 .* layer '\w+' has"):
        export_c(graph, images, tmp_path / "out", "none", limits=limits)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_no_compiler")
def test_long_signals_are_refused_with_what_would_help(tmp_path):
    conv, shape = Connection("conv", np.ones((1, 1, 1, 3), np.int8), 2), (1, 1, 400)
    neuron = random_neuron(np.random.default_rng(0), conv, 2, "zero", 255)
    last = Connection("fc", np.ones((1, 398), np.int8), 2)
    graph = row(shape, 1, (Part(conv, neuron),), Last(last, 0, np.zeros(1, np.int32), 0.1))
    limits = Limits(1500, 60_000, board_of("ch32v003"))
    with pytest.raises(
        ModelError, match=r"sums of layer 'conv' at work take [\d,]+ bytes: give the input shorter rows"
    ):
        export_c(graph, random_images(graph, 2), tmp_path / "out", "none", limits=limits)


@pytest.mark.usefixtures("_no_compiler")
def test_sequences_have_no_compact_form(tmp_path):
    graph = compact_graph(0)
    limits = Limits(4096, 60_000, board_of("ch32v002"))
    with pytest.raises(ModelError, match="takes sequences of 20 frames, and that form still images alone, and the gen"):
        export_c(graph, random_images(graph, 2), tmp_path / "out", "none", steps=20, limits=limits)


@pytest.mark.usefixtures("_no_compiler")
def test_sizes_are_estimated_where_there_is_no_compiler(tmp_path):
    graph = compact_graph(0)
    manifest = export_c(
        graph, random_images(graph, 2), tmp_path / "out", "some", limits=Limits(None, 60_000, board_of("ch32v003"))
    )
    assert manifest["form"] == "compact"
    assert "estimated" in manifest["chosen"][-1]


@pytest.fixture
def _no_compiler(monkeypatch):
    monkeypatch.setattr("spquant_snn.export.fit.shutil.which", lambda name: None)


@pytest.mark.usefixtures("_no_compiler")
@pytest.mark.parametrize("memory", ["ram", "flash"])
def test_the_smallest_form_takes_the_least(tmp_path, memory):
    graph, board = compact_graph(1), board_of("ch32v003")
    images = random_images(graph, 2)

    def took(limits):
        said = export_c(graph, images, tmp_path / "out", "some", limits=limits, force=True)["chosen"][-1]
        flash, ram = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?:bytes|of RAM)", said))
        return {"flash": flash, "ram": ram}

    small = Limits.of(**{"ram": None, "flash": None} | {memory: "smallest"}, board=board)
    assert took(small)[memory] < took(Limits(60_000, 60_000, board))[memory]


def test_options_of_size_are_of_firmware():
    assert ExportOptions("c", ram="smallest").limits() == Limits(None, None, board_of("cortex-m4"), "RAM")
    with pytest.raises(ConfigError, match="not both the smallest"):
        ExportOptions("c", ram="smallest", flash="smallest")
    with pytest.raises(ConfigError, match="a number of bytes or smallest, not 'least'"):
        ExportOptions("c", ram="least")
    with pytest.raises(ConfigError, match="above zero"):
        ExportOptions("c", ram=0)
    assert ExportOptions("c", board="ch32v003").limits() == Limits(2048, 16384, board_of("ch32v003"))
    assert ExportOptions("c", ram=100).limits() == Limits(100, None, board_of("cortex-m4"))
    assert ExportOptions("c", board="cortex-m4").limits() is None
    with pytest.raises(ConfigError, match="ram is for firmware"):
        ExportOptions("spq", ram=2048)
    with pytest.raises(ConfigError, match="above zero"):
        ExportOptions("c", flash=-1)
    with pytest.raises(ConfigError, match="amalgamate is not for"):
        export_c(
            compact_graph(0),
            random_images(compact_graph(0), 2),
            None,
            "one",
            shape=Packaging(amalgamate=True),
            limits=Limits(2048, None, board_of("ch32v003")),
        )
