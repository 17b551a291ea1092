"""Firmware of networks that are no row: all of their answers, and a self-test of every layer and readout."""

import shutil
import subprocess

import numpy as np
import pytest

from general_graphs import general_graph, general_inputs
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import load_manifest
from spquant_snn.export.interface import layer_names
from spquant_snn.integer import reference

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

MAIN = """
#include <stdio.h>
#include "model.h"
static uint8_t image[MODEL_INPUT_SIZE];
static uint32_t arena[(MODEL_ARENA_SIZE > MODEL_STEP_ARENA_SIZE ? MODEL_ARENA_SIZE : MODEL_STEP_ARENA_SIZE) / 4];
static void show(const int32_t *answers) {
    for (int i = 0; i < MODEL_OUTPUTS; i++) printf(" %ld", (long)answers[i]);
    printf("\\n");
}
int main(void) {
    int32_t answers[MODEL_OUTPUTS];
    model_context context;
    int wrong = model_selftest();
    if (wrong) printf("%s\\n", model_layer(wrong - 1));
    if (model_init(&context, arena, sizeof arena)) return 90;
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        if (model_run(&context, image, answers)) return 91;
        show(answers);
        if (model_reset(&context)) return 92;
        for (int t = 0; t < MODEL_TIMESTEPS; t++)
            if (model_step(&context, image, answers)) return 93;
        show(answers);
    }
    return wrong;
}
"""


def answers_of(graph, given):
    """[N, answers] of all readouts, as C has them; of those that answer at every step, the last."""
    said = zip(graph.readouts, reference.answers(graph, *given), strict=True)
    last = [answer[-1] if readout.over_time == "all" else answer for readout, answer in said]
    return np.concatenate([np.moveaxis(answer, 1, -1).reshape(len(answer), -1) for answer in last], 1)


def built(folder, extra=()):
    (folder / "main.c").write_text(MAIN)
    sources = [*load_manifest(folder)["sources"], "main.c"]
    command = ["gcc", "-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined,address",
               "-fno-sanitize-recover=all", *extra, *sources, "-o", "program"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    return folder / "program"


@pytest.mark.parametrize("seed", [*range(8), 9])
def test_every_answer_is_the_reference_s(seed, tmp_path):
    graph = general_graph(seed)
    given = tuple(general_inputs(graph, 4, seed))
    folder = tmp_path / "firmware"
    manifest = export_c(graph, tuple(x[:2] for x in given), folder, f"general graph {seed}", small=seed % 2 == 1)
    assert manifest["layers"] == layer_names(graph)
    expected = answers_of(graph, given)
    assert manifest["answers"] == expected.shape[1]
    frames = b"".join(b"".join(np.ascontiguousarray(x[n]).tobytes() for x in given) for n in range(4))
    ended = subprocess.run([built(folder)], input=frames, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr.decode()) == (0, ""), ended.stdout.decode()
    lines = [list(map(int, line.split())) for line in ended.stdout.decode().splitlines()]
    assert lines[::2] == lines[1::2] == expected.tolist()
