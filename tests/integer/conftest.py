"""Random integer graphs, made with NumPy alone, and their comparison field by field."""

import dataclasses

import numpy as np
import pytest

from spquant_snn.errors import ModelError
from spquant_snn.integer.graph import PIXEL, Connection, Graph, Layer, Readout
from spquant_snn.quant.fold import fold_neuron
from spquant_snn.quant.grids import WEIGHT_GRIDS
from spquant_snn.quant.pool import Pool

WIDTHS = tuple(WEIGHT_GRIDS)  # of states too


@pytest.fixture(scope="session")
def random_graph():
    """``random_graph(seed, weight_bits=None, state_bits=None, reset=None)``: a small valid graph, the same each time.

    Between them the seeds cover every width, both resets, strides, paddings and kernels that differ in height and
    width, groups, pools on the input and on the sums, networks with and without convolutions, neurons that always or
    never fire, and 1 to 5 time steps. Gains suit the sums, so that most layers spike now and then.
    """

    def build(seed, weight_bits=None, state_bits=None, reset=None):
        rng = np.random.default_rng(seed)
        weight_bits = rng.choice(WIDTHS) if weight_bits is None else weight_bits
        state_bits = rng.choice(WIDTHS) if state_bits is None else state_bits
        bits = (_plain(weight_bits), _plain(state_bits))
        reset = str(rng.choice(["zero", "subtract"])) if reset is None else reset
        shape = input_shape = (int(rng.integers(1, 4)), int(rng.integers(5, 13)), int(rng.integers(5, 13)))
        layers = []
        convolutions, connected = int(rng.integers(0, 4)), int(rng.integers(0, 2))
        for i in range(max(1, convolutions + connected)):
            kind = _convolution if i < convolutions else _full
            connection = _fitting(kind, rng, shape, bits[0], f"layer{i}")
            neuron = _neuron(rng, connection, bits[1], reset, PIXEL if i == 0 else 1)
            layers.append(Layer(connection, neuron))
            shape = connection.output_shape(shape)
        last = _fitting(_full, rng, shape, bits[0], "readout")
        bias = rng.integers(-500, 500, len(last.codes)).astype(np.int32)
        readout = Readout(last, int(rng.integers(0, 9)), bias, float(rng.uniform(1e-4, 1)))
        return Graph(input_shape, int(rng.integers(1, 6)), tuple(layers), readout)

    return build


@pytest.fixture(scope="session")
def random_images():
    """``random_images(graph, count, seed=0)``: uint8 [N, C, H, W], half noise and half blank with a bright window."""

    def build(graph, count, seed=0):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (count, *graph.input_shape), dtype=np.uint8)
        images[1::2, :, 3:] = 0
        return images

    return build


@pytest.fixture(scope="session")
def difference():
    """``difference(a, b)``: where two graphs differ, or None; types, dtypes and shapes count too."""
    return _difference


def _difference(a, b, place="graph"):
    if type(a) is not type(b):
        return f"{place}: {type(a).__name__} and {type(b).__name__}"
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and (a == b).all()
        return None if same else place
    if dataclasses.is_dataclass(a):
        pairs = [(f"{place}.{f.name}", getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
    elif isinstance(a, tuple):
        if len(a) != len(b):
            return place
        pairs = [(f"{place}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return None if a == b else place
    return next((found for name, x, y in pairs if (found := _difference(x, y, name))), None)


def _plain(bits):
    return int(bits) if float(bits).is_integer() else float(bits)


def _fitting(kind, rng, shape, bits, name):
    """Draw until the connection fits; a pool or a kernel may be larger than what is left of the image."""
    while True:
        try:
            connection = kind(rng, shape, bits, name)
            sizes, inner = connection.output_shape(shape), shape
            for pool in connection.pools:
                inner = (inner[0], *pool.size(*inner[1:]))
        except ModelError:
            continue
        if min(*sizes, *inner) >= 1 and np.prod(sizes) <= 4000:
            return connection


def _pools(rng, shape):
    if len(shape) != 3:
        return ()
    count = rng.choice([0, 0, 1, 2])
    return tuple(
        Pool(str(rng.choice(["sum", "max"])), int(rng.integers(1, 4)), int(rng.integers(1, 4))) for _ in range(count)
    )


def _codes(rng, shape, bits):
    """Codes over the whole grid, many of them zero."""
    grid = WEIGHT_GRIDS[bits]
    codes = rng.integers(grid.low, grid.high + 1, shape)
    return np.where(rng.random(shape) < rng.uniform(0, 0.7), 0, codes).astype(np.int8)


def _full(rng, shape, bits, name):
    pools = _pools(rng, shape)
    inner = shape
    for pool in pools:
        inner = (inner[0], *pool.size(*inner[1:]))
    if min(inner) < 1:
        raise ModelError("nothing is left")
    return Connection(name, _codes(rng, (int(rng.integers(1, 12)), int(np.prod(inner))), bits), bits, pools=pools)


def _convolution(rng, shape, bits, name):
    channels = shape[0]
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    outputs = groups * int(rng.integers(1, 4))
    kernel = rng.integers(1, 6, 2)
    return Connection(
        name,
        _codes(rng, (outputs, channels // groups, *kernel), bits),
        bits,
        stride=tuple(map(int, rng.choice([1, 1, 2, 3], 2))),
        padding=tuple(map(int, rng.integers(0, 3, 2))),
        groups=groups,
        pools=_pools(rng, shape),
        sum_pool=Pool("sum", int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.random() < 0.4 else None,
    )


def _neuron(rng, connection, bits, reset, largest):
    channels = len(connection.codes)
    reach = connection.reach(largest)
    threshold = float(rng.uniform(0.5, 2))
    codes = connection.codes.reshape(channels, -1).astype(float)
    drive = connection.largest_input(largest) * (connection.sum_pool.area if connection.sum_pool else 1)
    gain = threshold / (np.sqrt(np.square(codes).sum(1) + 0.1) * drive * rng.uniform(0.1, 1, channels))
    gain[rng.random(channels) < 0.05] *= 1e-6  # no input can move this neuron
    offset = (
        rng.normal(0.2, 0.4, channels) * threshold - gain * codes.sum(1) * drive * 0.3
    )  # as batch normalisation centres
    neuron, _ = fold_neuron(bits, gain, offset, threshold, float(rng.choice([0.25, 0.5, 0.75])), reset, reach)
    stuck = rng.random(channels) < 0.05
    fire = np.where(stuck, rng.choice([-(1 << 30), 1 << 30], channels), neuron.fire).astype(np.int32)
    return dataclasses.replace(neuron, fire=fire)
