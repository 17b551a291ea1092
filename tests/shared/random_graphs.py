"""Random integer graphs and images, made with NumPy alone; a seed gives the same graph each time.

Seeds below ``RARE`` give small graphs of every kind. Those from ``RARE`` on go in turn through what chance seldom
makes: many channels, weights that are all alike, layers that never or always spike (here), and sums that lie at the
ends of the integers that hold them (``extremes``).
"""

import dataclasses
import itertools

import numpy as np

from extremes import extreme_graph
from rows import Last, Part, around, row, square
from spquant_snn.errors import ModelError
from spquant_snn.integer.graph import BLOCK, PIXEL, BlockGate, Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import fold_neuron

WIDTHS = tuple(WEIGHT_GRIDS)  # of states too
RARE = 320

# The graphs every export is tried on, as arguments of ``random_graph``: each width, both resets, and the rare kinds;
# and those that are given gates.
EXPORTED = (
    (3,),
    (12,),
    (16, 1.58, 1.58, "zero"),
    (17, 2, 2, "zero"),
    (5, 4, 4, "subtract"),
    (9, 8, 8),
    (RARE + 1, 2, 1.58),
)
GATED = ((5, 4, 4, "subtract"), (7, 2, 2, "zero"), (24, 8, 8))

_MANY = (31, 32, 33, 37, 61, 64, 67, 96, 97, 127, 128, 129)
_WORK = 2_000_000  # additions of a step, at most, in a connection of many channels
_INT32 = (1 << 31) - 1
_EXTREMES = 6  # of the graphs in a turn
_STYLES = tuple(itertools.product((True, False), (None, "zero", "largest", "least"), (None, "never", "always")))


def random_graph(seed, weight_bits=None, state_bits=None, reset=None):
    """A valid graph.

    Between them the seeds cover every width, both resets, strides, paddings and kernels that differ in height and
    width, groups, pools on the input and on the sums, networks with and without convolutions, neurons that always or
    never fire, and 1 to 5 time steps; from ``RARE`` on 1 to 9. Gains suit the sums, so that most layers spike now and
    then.
    """
    rng = np.random.default_rng(seed)
    weight_bits = rng.choice(WIDTHS) if weight_bits is None else weight_bits
    state_bits = rng.choice(WIDTHS) if state_bits is None else state_bits
    bits = (plain(weight_bits), plain(state_bits))
    reset = str(rng.choice(["zero", "subtract"])) if reset is None else reset
    if seed < RARE:
        return _drawn(rng, bits, reset)
    turn = (seed - RARE) % (len(_STYLES) + _EXTREMES)
    return _drawn(rng, bits, reset, *_STYLES[turn], 9) if turn < len(_STYLES) else extreme_graph(rng, *bits, reset)


def with_gates(graph, seed):
    """The graph with a random gate on most of the layers that can have one; some that always or never compute."""
    rng = np.random.default_rng(seed)
    shapes, layers = (graph.input_shape, *graph.shapes), [graph.layers[0]]
    for layer, shape in zip(graph.layers[1:], shapes[1:], strict=False):
        if layer.terms[0].connection.groups > 1 or rng.random() < 0.2:
            layers.append(layer)
            continue
        blocks, inputs = -(-layer.channels // BLOCK), np.prod(layer.terms[0].connection.pooled_shape(shape))
        count, code = rng.integers(-20, 60, blocks), rng.integers(-90, 91, blocks)
        least = count * rng.uniform(0, 0.5, blocks) * inputs + rng.normal(0, 100, blocks)
        least[rng.random(blocks) < 0.1] = rng.choice([-_INT32, _INT32])
        layers.append(dataclasses.replace(layer, gate=BlockGate(*(x.astype(np.int32) for x in (count, code, least)))))
    return dataclasses.replace(graph, layers=tuple(layers))


def random_images(graph, count, seed=0):
    """uint8 [N, C, H, W], half noise and half blank with a bright window."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *graph.input_shape), dtype=np.uint8)
    images[1::2, :, 3:] = 0
    return images


def _drawn(rng, bits, reset, many=False, weights=None, spikes=None, longest=5):
    """A graph of random layers.

    Args:
        many: channels, tens of them on few pixels.
        weights: what all the codes of most layers are: "zero", "largest" or "least" of their grid.
        spikes: "never" or "always", in most layers.
        longest: time.
    """
    smallest, largest = (3, 9) if many else (5, 13)
    shape = input_shape = (
        int(rng.integers(1, 4)),
        int(rng.integers(smallest, largest)),
        int(rng.integers(smallest, largest)),
    )
    layers = []
    convolutions, connected = int(rng.integers(0, 4)), int(rng.integers(0, 2))
    for i in range(max(1, convolutions + connected)):
        kind = (_many if many else _convolution) if i < convolutions else _full
        connection = _alike(rng, _fitting(kind, rng, shape, bits[0], f"layer{i}"), weights)
        neuron = random_neuron(rng, connection, bits[1], reset, PIXEL if i == 0 else 1)
        layers.append(Part(connection, _stuck(rng, neuron, spikes)))
        shape = connection.output_shape(shape)
    last = _alike(rng, _fitting(_full, rng, shape, bits[0], "readout"), weights)
    bias = rng.integers(-500, 500, len(last.codes)).astype(np.int32)
    fraction, scale, timesteps = int(rng.integers(0, 9)), float(rng.uniform(1e-4, 1)), int(rng.integers(1, longest + 1))
    while timesteps * ((int(last.reach(1).max()) << fraction) + 500) > _INT32:
        fraction -= 1
    return row(input_shape, timesteps, tuple(layers), Last(last, fraction, bias, scale))


def plain(bits):
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
        work = connection.codes.size * np.prod(sizes[1:])
        if min(*sizes, *inner) >= 1 and np.prod(sizes) <= 4000 and work <= _WORK:
            return connection


def _pools(rng, shape):
    if len(shape) != 3:
        return ()
    count = rng.choice([0, 0, 1, 2])
    return tuple(
        square(str(rng.choice(["sum", "max"])), int(rng.integers(1, 4)), int(rng.integers(1, 4))) for _ in range(count)
    )


def random_codes(rng, shape, bits):
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
    return Connection(name, random_codes(rng, (int(rng.integers(1, 12)), int(np.prod(inner))), bits), bits, pools=pools)


def _convolution(rng, shape, bits, name):
    channels = shape[0]
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    outputs = groups * int(rng.integers(1, 4))
    kernel = rng.integers(1, 6, 2)
    return Connection(
        name,
        random_codes(rng, (outputs, channels // groups, *kernel), bits),
        bits,
        stride=tuple(map(int, rng.choice([1, 1, 2, 3], 2))),
        padding=around(*map(int, rng.integers(0, 3, 2))),
        groups=groups,
        pools=_pools(rng, shape),
        sum_pool=square("sum", int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.random() < 0.4 else None,
    )


def _many(rng, shape, bits, name):
    """A convolution of many channels, all together or each by itself."""
    channels = shape[0]
    groups = channels if rng.random() < 0.2 else 1
    outputs = channels if groups > 1 else int(rng.choice(_MANY))
    return Connection(
        name,
        random_codes(rng, (outputs, channels // groups, *rng.choice([1, 1, 2, 3, 5, 7], 2)), bits),
        bits,
        stride=tuple(map(int, rng.integers(1, 4, 2))),
        padding=around(*map(int, rng.integers(0, 4, 2))),
        groups=groups,
        sum_pool=square("sum", int(rng.integers(2, 4)), int(rng.integers(1, 4))) if rng.random() < 0.3 else None,
    )


def _alike(rng, connection, weights):
    """Three connections of four get one and the same code everywhere."""
    if weights is None or rng.random() < 0.25:
        return connection
    grid = WEIGHT_GRIDS[connection.bits]
    code = {"zero": 0, "largest": grid.high, "least": grid.low}[weights]
    return dataclasses.replace(connection, codes=np.full_like(connection.codes, code))


def _stuck(rng, neuron, spikes):
    """The neurons of three layers of four never or always spike."""
    if spikes is None or rng.random() < 0.25:
        return neuron
    return dataclasses.replace(neuron, fire=np.full_like(neuron.fire, _INT32 if spikes == "never" else -_INT32 - 1))


def random_neuron(rng, connection, bits, reset, largest, shortcut=None):
    """Neurons that spike now and then."""
    channels = len(connection.codes)
    reach = connection.reach(largest) if shortcut is None else connection.reach(largest) + shortcut.reach()
    threshold = float(rng.uniform(0.5, 2))
    codes = connection.codes.reshape(channels, -1).astype(float)
    if shortcut is not None:
        codes = np.concatenate([codes, shortcut.connection.codes.reshape(channels, -1) * 2.0**shortcut.shift], 1)
    drive = connection.largest_input(largest) * (connection.sum_pool.area if connection.sum_pool else 1)
    gain = threshold / (np.sqrt(np.square(codes).sum(1) + 0.1) * drive * rng.uniform(0.1, 1, channels))
    gain[rng.random(channels) < 0.05] *= 1e-6  # no input can move this neuron
    offset = (
        rng.normal(0.2, 0.4, channels) * threshold - gain * codes.sum(1) * drive * 0.3
    )  # as batch normalisation centres
    leak = float(rng.choice([0.25, 0.5, 0.75]))
    resolution = 16 if int(reach.sum()) % 3 == 0 else 1  # one layer of three
    neuron, _ = fold_neuron(bits, gain, offset, threshold, leak, reset, reach, resolution)
    stuck = rng.random(channels) < 0.05
    fire = np.where(stuck, rng.choice([-(1 << 30), 1 << 30], channels), neuron.fire).astype(np.int32)
    return dataclasses.replace(neuron, fire=fire)
