"""The C sources of training under sanitizers, on numbers that are none, too large or too small, in any alignment."""

import os
import subprocess

import pytest

from spquant_snn.build import compiler
from spquant_snn.errors import MissingDependencyError
from spquant_snn.nn.fused import NEURON

MAIN = """
#include "lif.c"
#include "spikes.c"
enum { M = 1037, STEPS = 3, ALL = STEPS * M + 1 };
static float current[ALL], pull[ALL], spikes[ALL], gradient[ALL], again[100];
int main(void) {
    static const int32_t grids[][2] = {{0, 0}, {0, 1}, {-1, 1}, {-2, 1}, {-128, 127}};
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0.6f, -0.0f, 1e-40f, 1.0f, 255.5f};
    uint8_t bytes[100], bits[13];
    for (int i = 0; i < ALL; i++) current[i] = odd[i * 7 % 10], pull[i] = odd[(i * 3 + 1) % 10];
    for (int k = 0; k < 5 * 2 * 4 * 2 * 2; k++) {
        const int32_t *grid = grids[k % 5];
        const int off = k / 5 % 2;
        double threshold = 0.0;
        const neuron_t c = {1.0f, 0.5f, 0.5f, 0.5f, grid[0], grid[1], k / 10 % 2, k / 20 % 4, STEPS, k / 80};
        neuron_forward(&c, M, 0, M, current + off, spikes + off);
        if (neuron_backward(&c, M, 0, M, current + off, pull + off, gradient + off, off ? &threshold : NULL)) return 1;
    }
    if (spikes_narrow(100, current, bytes) != -1) return 2;
    for (int i = 0; i < 100; i++) bytes[i] = i % 3 == 0;
    for (size_t n = 0; n < 100; n++) {
        spikes_pack(n, bytes, bits);
        spikes_unpack(n, bits, again);
        for (size_t i = 0; i < n; i++)
            if (again[i] != bytes[i]) return 3;
    }
    return 0;
}
"""


@pytest.mark.slow
def test_nothing_is_undefined(tmp_path):
    try:
        cc = compiler()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    (tmp_path / "main.c").write_text(MAIN, encoding="utf-8")
    flags = ("-std=c99", "-O1", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")
    call = [cc, *flags, *NEURON.options, "-I", str(NEURON.folder), "main.c", "-o", "main", *NEURON.libraries]
    built = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "fsanitize" in built.stderr or "asan" in built.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    ran = subprocess.run([tmp_path / "main"], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
