"""Random rows of layers on still images, as the compact form of firmware takes them; a seed gives the same each."""

import math

import numpy as np

from random_graphs import plain, random_codes, random_neuron
from rows import Last, Part, row
from spquant_snn.errors import ModelError
from spquant_snn.integer.graph import PIXEL, Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.pool import Pool

_STATES = (1.58, 2, 3, 4)


def compact_graph(seed, pooled=False):
    """A graph of 1 to 3 convolutions, at most one linear layer, and a linear readout.

    Between them the seeds have strides, paddings, kernels and pools that differ in height and width, 1 to 40 channels,
    1 to 3 of pixels, weights of every width, states of 1.58 to 4 bits (a first layer's of all) and 1 to 5 steps.

    Args:
        pooled: with max-pools before layers and groups of channels besides.
    """
    rng = np.random.default_rng([seed, 20])
    while True:
        try:
            return _drawn(rng, pooled)
        except ModelError:
            continue


def _drawn(rng, pooled):
    bits = plain(rng.choice([1.58, 1.58, *WEIGHT_GRIDS]))
    state, reset = plain(rng.choice(_STATES)), str(rng.choice(["zero", "zero", "subtract", "none"]))
    first_state = plain(rng.choice(list(WEIGHT_GRIDS))) if rng.random() < 0.3 else state
    shape = (int(rng.choice([1, 1, 2, 3])), int(rng.integers(5, 15)), int(rng.integers(5, 15)))
    parts, given = [], shape
    for i in range(int(rng.integers(1, 4))):
        connection = _convolution(rng, given, bits, f"conv{i}", i == 0, pooled)
        neuron = random_neuron(rng, connection, state if i else first_state, reset, PIXEL if i == 0 else 1)
        parts.append(Part(connection, neuron))
        given = connection.output_shape(given)
    if rng.random() < 0.3:
        connection = Connection(
            "hidden", random_codes(rng, (int(rng.integers(1, 40)), int(np.prod(given))), bits), bits
        )
        parts.append(Part(connection, random_neuron(rng, connection, state, reset, 1)))
        given = connection.output_shape(given)
    outputs = int(rng.choice([1, 3, 10, 12, 15, 16, 17, 33]))
    pools = _max_pools(rng) if pooled and len(given) == 3 else ()
    for pool in pools:
        given = (given[0], *pool.size(*given[1:]))
    last = Connection("readout", random_codes(rng, (outputs, int(np.prod(given))), bits), bits, pools=pools)
    bias = rng.integers(-500, 500, outputs).astype(np.int32)
    return row(shape, int(rng.integers(1, 6)), tuple(parts), Last(last, int(rng.integers(0, 4)), bias, 0.01))


def _max_pools(rng):
    """None, or one whose windows do not overlap."""
    size = rng.integers(1, 4, 2)
    apart = size + rng.integers(0, 2, 2)
    return (Pool("max", tuple(map(int, size)), tuple(map(int, apart))),) if rng.random() < 0.7 else ()


def _convolution(rng, shape, bits, name, on_pixels, pooled):
    outputs = int(rng.choice([1, 3, 8, 16, 17, 32, 40]))
    kernel = rng.integers(1, 5, 2)
    stride = (int(rng.choice([1, 1, 2])),) * 2 if on_pixels else tuple(map(int, rng.choice([1, 1, 2, 3], 2)))
    pool = None
    if rng.random() < 0.5:
        size = rng.integers(1, 4, 2)
        pool = Pool("sum", tuple(map(int, size)), tuple(map(int, rng.integers(1, 4, 2))))
    groups = int(rng.choice([1, math.gcd(outputs, shape[0])])) if pooled else 1
    found = Connection(
        name,
        random_codes(rng, (outputs, shape[0] // groups, *kernel), bits),
        bits,
        stride=stride,
        padding=tuple(map(int, rng.integers(0, 3, 4))),
        sum_pool=pool,
        groups=groups,
        pools=_max_pools(rng) if pooled and not on_pixels else (),
    )
    if min(found.output_shape(shape)) < 1:
        raise ModelError("nothing is left")
    return found
