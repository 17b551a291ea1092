"""The NEON body, on 64-bit Arm: built by a cross compiler and run by an emulator, it gives every spike, stored code and
logit of the reference."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from c_programs import C_FILES, CLEAN, as_c, constants, executable
from random_graphs import RARE
from rows import square
from spquant_snn.integer.compare import Trace, first_difference, reference_trace
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.native import plain
from spquant_snn.runtime.plan import ADD8, ADD16, DENSE, GROUPED, LANES, MULTIPLY, MULTIPLY16, Body

COMPILER = "aarch64-linux-gnu-gcc"
SEEDS = (2, 22, 30, 56, *(RARE + turn for turn in (5, 6, 10, 34, 37, 39, 46, 50)))

MAIN = """
#include <stdio.h>
static uint32_t arena[ARENA], spikes[WORDS];
static int32_t logits[COUNT * CLASSES];
static int8_t codes[SPQ_LANES * WORDS];
int main(void) {
    uint32_t *layer_spikes[LAYERS];
    int8_t *layer_codes[LAYERS];
    const spq_trace trace = {layer_spikes, layer_codes};
    for (int i = 0; i < LAYERS; i++) {
        layer_spikes[i] = spikes + starts[i];
        layer_codes[i] = codes + SPQ_LANES * starts[i];
    }
    if (spq_body() != SPQ_NEON) return 99;
    const int code = spq_batch(&network, arena, sizeof arena, images, COUNT, STEPS, FRAME, IMAGE, logits, 0, 0, &trace);
    fwrite(logits, sizeof logits, 1, stdout);
    fwrite(spikes, sizeof spikes, 1, stdout);
    fwrite(codes, sizeof codes, 1, stdout);
    return code;
}
"""


@pytest.fixture(scope="module")
def emulator():
    """The path of an emulator of 64-bit Arm."""
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if shutil.which(COMPILER) is None or found is None:
        pytest.skip(f"{COMPILER} or qemu-aarch64 is not installed")
    return found


@pytest.fixture(scope="module", params=["-O2", "-O3"])
def objects(request, emulator, tmp_path_factory):
    """The runtime, compiled without a word of warning."""
    folder = tmp_path_factory.mktemp("arm")
    for path in C_FILES:
        target = str(folder / f"{Path(path).stem}.o")
        ended = subprocess.run(
            [COMPILER, *CLEAN, request.param, "-c", path, "-o", target], capture_output=True, text=True
        )
        assert (ended.returncode, ended.stderr) == (0, "")
    return [str(path) for path in folder.glob("*.o")]


@pytest.fixture
def emulated(objects, emulator, tmp_path):
    """``emulated(graph, images)``: the trace of images, or of sequences of frames, on 64-bit Arm."""

    def run(graph, images):
        still, count, size = images.ndim == 4, images.shape[-4], int(np.prod(graph.input_shape))
        plan = plan_network(graph, body=Body.NEON, streams=not still)
        steps = graph.timesteps if still else len(images)
        words = [layer.connection.words for layer in plan.layers[:-1]]
        starts = count * steps * np.cumsum([0, *words])
        sizes = {
            "ARENA": -(-plan.arena_size // 4),
            "WORDS": starts[-1],
            "COUNT": count,
            "CLASSES": graph.classes,
            "LAYERS": len(words),
            "STEPS": 0 if still else steps,
            "FRAME": 0 if still else count * size,
            "IMAGE": size,
        }
        code = as_c(plan) + constants(images=images, starts=starts.astype(np.int32)) + MAIN
        target = executable(tmp_path / "main", code, objects, (COMPILER, "-static"), sizes)
        said = subprocess.run([emulator, str(target)], capture_output=True, check=True).stdout
        logits, spikes, codes = np.split(
            np.frombuffer(said, np.uint8), 4 * np.cumsum([count * graph.classes, starts[-1]])
        )
        trace = Trace(answers=[logits.view(np.int32).reshape(count, -1)])
        spikes, codes = spikes.view(np.uint32), codes.view(np.int8)
        for i, layer in enumerate(graph.layers):
            part = slice(starts[i], starts[i + 1])
            arrays = spikes[part], codes.reshape(-1, LANES)[part]
            arrays = (array.reshape(count, steps, -1) for array in arrays)
            trace.add(layer.connection.name, *plain(plan.layers[i].connection, graph.shapes[i], *arrays))
        return trace

    return run


def test_random_graphs_on_arm(emulated, random_graph, random_images):
    forms, neurons = set(), set()
    for seed in SEEDS:
        graph = random_graph(seed)
        images = random_images(graph, 3, seed)
        difference = first_difference(reference_trace(graph, images), emulated(graph, images))
        assert difference is None, f"seed {seed}: {difference}"
        for layer in plan_network(graph, body=Body.NEON).layers[:-1]:
            forms.add(layer.connection.form)
            neurons.add((layer.connection.wide, layer.neuron.levels, layer.neuron.subtract))
    assert forms == {ADD8, ADD16, MULTIPLY, MULTIPLY16, GROUPED, DENSE}
    assert {levels for wide, levels, _ in neurons if not wide} == {3, 4, 8, 16}
    assert {subtract for wide, _, subtract in neurons if not wide} == {0, 1}


def test_sequences_and_layers_of_several_tiles_on_arm(emulated, wide, random_graph, random_images):
    sequence = random_graph(4)
    frames = random_images(sequence, 6, 4).reshape(3, 2, *sequence.input_shape)
    pooled = wide((2, 70, 33), pool=square("sum", 2, 2))
    for graph, images in ((sequence, frames), (pooled, random_images(pooled, 2))):
        difference = first_difference(reference_trace(graph, images), emulated(graph, images))
        assert difference is None, str(difference)
