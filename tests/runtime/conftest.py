"""Programs of every build of the source; graphs of several tiles."""

from pathlib import Path

import numpy as np
import pytest

from spquant_snn.build import NATIVE, PORTABLE, compiler
from spquant_snn.errors import MissingDependencyError
from spquant_snn.integer.graph import Connection, Graph, Layer, Readout
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


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of the tests' own: what they build is built from the source as it stands."""
    try:
        compiler()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session", params=BUILDS)
def program(request, cache):
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
        connection = Connection(f"conv{i}", codes, bits, padding=(1, 1), groups=groups if i else 1, sum_pool=pool)
        reach = connection.reach(1 if i else 255)
        neuron, _ = fold_neuron(2, 5.0 / reach, -1.5 * codes.sum((1, 2, 3)) / reach, 1.0, 0.5, "zero", reach)
        layers.append(Layer(connection, neuron))
        shape = connection.output_shape(shape)
    codes = rng.integers(grid.low, grid.high + 1, (40, int(np.prod(shape)))).astype(np.int8)
    readout = Readout(Connection("readout", codes, bits), 4, np.zeros(40, np.int32), 1.0)
    return Graph(input_shape, 3, tuple(layers), readout)
