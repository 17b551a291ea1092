"""Exported C that stops when an image is decided, as the reference does."""

import shutil
import subprocess

import numpy as np
import pytest

from compact_graphs import compact_graph
from general_graphs import general_graph, general_inputs
from random_graphs import random_graph, random_images, with_gates
from spquant_snn import ConfigError, Program
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import load_manifest, run_firmware
from spquant_snn.export.fit import Limits
from spquant_snn.integer import reference
from spquant_snn.integer.early_stop import MOST_MARGIN, leads
from spquant_snn.integer.inputs import says_classes
from toolchains import needs

MAIN = """
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
static uint32_t arena[MODEL_STEP_ARENA_SIZE / 4];
static uint8_t image[MODEL_INPUT_SIZE];
int main(int count, char **margins) {
    int32_t outputs[MODEL_OUTPUTS], again[MODEL_OUTPUTS], steps;
    model_context context;
    if (count < 2 || model_init(&context, arena, sizeof arena)) return 90;
    const uint32_t most = 0xFFFFFFFFu;
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        for (int i = 1; i < count; i++) {
            const uint32_t margin = (uint32_t)strtoul(margins[i], NULL, 10);
            if (model_run_until(&context, image, margin, outputs, &steps)) return 91;
            if (model_run_until(&context, image, margin, again, NULL)) return 92;
            printf("%ld", (long)steps);
            for (int k = 0; k < MODEL_CLASSES; k++) printf(" %ld", (long)outputs[k]);
            for (int k = 0; k < MODEL_OUTPUTS; k++)
                if (outputs[k] != again[k]) return 93;
            puts("");
        }
    }
    if (model_reset(&context) || model_step(&context, image, outputs)) return 94;
    if (model_run_until(&context, image, most, outputs, &steps) || steps != MODEL_TIMESTEPS) return 95;
    if (model_step(&context, image, outputs) != MODEL_ERROR_NOT_RESET) return 96; /* the sequence is forgotten */
    if (model_run_until(&context, NULL, most, outputs, &steps) != MODEL_ERROR_NULL) return 97;
    if (model_run_until(&context, image, most, NULL, &steps) != MODEL_ERROR_NULL) return 98;
    model_context small;
    if (sizeof arena <= MODEL_ARENA_SIZE || model_init(&small, arena, MODEL_ARENA_SIZE)) return 0;
    return model_run_until(&small, image, most, outputs, &steps) == MODEL_ERROR_ARENA ? 0 : 99;
}
"""


def stopping(graphs):
    """The first that tells classes apart, of one input, with six images and a margin at which some of them go on."""
    for graph, images in graphs:
        if graph.timesteps < 3 or len(images) > 1 or not says_classes(graph) or graph.classes < 2:
            continue
        margin = int(np.median(leads(reference.answers_by_step(graph, images[0])[0][0].reshape(6, -1)))) + 1
        if len(set(Program(graph).stop_early(images[0], margin).steps.tolist())) > 1:
            return graph, images[0], margin
    raise AssertionError("there is none")


def drawn(seeds, *widths):
    return ((graph, (random_images(graph, 6, seed),)) for seed in seeds for graph in [random_graph(seed, *widths)])


GRAPHS = {
    "row": lambda: stopping(drawn(range(200))),
    "8 bits": lambda: stopping(drawn(range(200), 8, 8)),
    "gates": lambda: stopping((with_gates(graph, 5), images) for graph, images in drawn(range(200))),
    "general": lambda: stopping((g, general_inputs(g, 6, 1)) for g in map(general_graph, range(200))),
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("name", GRAPHS)
def test_an_image_stops_where_the_reference_stops(name, tmp_path):
    graph, images, margin = GRAPHS[name]()
    margins = [0, margin, MOST_MARGIN]
    folder = tmp_path / "fw"
    export_c(graph, images[:1], folder, "until", small=name == "8 bits")
    (folder / "main.c").write_text(MAIN)
    sources = [*load_manifest(folder)["sources"], "main.c"]
    options = ["-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address"]
    subprocess.run(["gcc", *options, "-fno-sanitize-recover=all", *sources, "-o", "main"], cwd=folder, check=True)
    ended = subprocess.run(
        [folder / "main", *map(str, margins)], input=images.tobytes(), capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b""), ended.stdout
    stopped = [Program(graph).stop_early(images, margin) for margin in margins]
    expected = [" ".join(map(str, [s.steps[n], *s.logits[n]])) for n in range(len(images)) for s in stopped]
    assert ended.stdout.decode().splitlines() == expected


def test_what_tells_no_classes_apart_cannot_stop(tmp_path):
    graph = next(g for g in map(general_graph, range(300)) if not says_classes(g) and len(g.inputs) == 1)
    export_c(graph, general_inputs(graph, 1, 0)[0], tmp_path / "fw", "maps")
    assert "run_until" not in (tmp_path / "fw" / "model.h").read_text()


@pytest.mark.device
@pytest.mark.parametrize(("name", "board"), [("row", "cortex-m4"), ("row", "rv32"), ("general", "cortex-m0")])
def test_boards_stop_where_the_reference_stops(tmp_path, name, board):
    needs(board_of(board))
    graph, images, margin = GRAPHS[name]()
    export_c(graph, images[:1], tmp_path / "fw", "until")
    given = tmp_path / "fw", board_of(board), images
    first = run_firmware(*given, margin=0)
    found = run_firmware(*given, margin=margin, layers=True)
    assert (first.equal, found.equal) == (6, 6)
    assert (first.taken, found.taken) == (1.0, Program(graph).stop_early(images, margin).steps.mean())
    assert first.instructions < found.instructions
    assert found.bound is None
    assert sum(layer.mean for layer in found.layers) == pytest.approx(found.instructions, rel=0.01)
    assert min(layer.mean for layer in found.layers) > 0


def refused(tmp_path, graph, images, **given):
    export_c(graph, images[:1] if images.ndim == 4 else images[0, :1], tmp_path / "fw", "until", **given)
    with pytest.raises(ConfigError) as raised:
        run_firmware(tmp_path / "fw", board_of("cortex-m4"), images, margin=5)
    return str(raised.value)


def test_what_cannot_stop_is_refused(tmp_path):
    graph, images, _ = GRAPHS["row"]()
    assert "not at recordings" in refused(tmp_path / "a", graph, np.stack([images, images]))
    maps = next(g for g in map(general_graph, range(300)) if not says_classes(g) and len(g.inputs) == 1)
    assert "answers no classes" in refused(tmp_path / "b", maps, general_inputs(maps, 2, 0)[0])
    small, limits = compact_graph(0), Limits(None, 60_000, board_of("ch32v003"))
    said = refused(tmp_path / "c", small, random_images(small, 2), limits=limits)
    assert "the compact form of firmware computes all time steps of a row together" in said
