"""Programs of every build of the source; graphs of several tiles."""

from pathlib import Path

import numpy as np
import pytest

from rows import Last, Part, around, row
from spquant_snn.build import NATIVE, PORTABLE
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.runtime.library import library
from spquant_snn.runtime.native import NativeProgram

BUILDS = {"native": NATIVE, "portable": PORTABLE, "plain": ("-O1", "-DSPQ_PORTABLE", "-DSPQ_NO_CTZ", "-DSPQ_NO_INT64")}
_CPU = Path("/proc/cpuinfo")
if _CPU.is_file() and " avx2 " in _CPU.read_text():
    BUILDS["avx2"] = (*PORTABLE, "-mavx2")
if _CPU.is_file() and " avx512bw " in _CPU.read_text():
    BUILDS["avx512"] = (*PORTABLE, "-mavx512bw")


QUICK = ("native", "plain")  # the widest vectors that there are, and none


@pytest.fixture(
    scope="session", params=[pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BUILDS]
)
def program(request):
    """``program(graph, **options)``: a native program, in each build of the source."""
    built = library(BUILDS[request.param])
    return lambda graph, **options: NativeProgram(graph, built, **options)


@pytest.fixture(scope="session")
def wide():
    """``wide(channels, groups, bits, size, pool)``: convolutions of more than one tile."""
    return _wide


def _wide(channels=(3, 70, 130, 33), groups=1, bits=2, size=9, pool=None):
    rng, layers, shape = np.random.default_rng(5), [], (channels[0], size, size + 2)
    grid = WEIGHT_GRIDS[bits]
    input_shape = shape
    for i, out in enumerate(channels[1:]):
        codes = rng.integers(grid.low, grid.high + 1, (out, shape[0] // (groups if i else 1), 3, 3)).astype(np.int8)
        connection = Connection(f"conv{i}", codes, bits, padding=around(1, 1), groups=groups if i else 1, sum_pool=pool)
        reach = connection.reach(1 if i else 255)
        neuron, _ = fold_neuron(2, 5.0 / reach, -1.5 * codes.sum((1, 2, 3)) / reach, 1.0, 0.5, "zero", reach)
        layers.append(Part(connection, neuron))
        shape = connection.output_shape(shape)
    codes = rng.integers(grid.low, grid.high + 1, (40, int(np.prod(shape)))).astype(np.int8)
    return row(input_shape, 3, layers, Last(Connection("readout", codes, bits), 4, np.zeros(40, np.int32), 1.0))
