"""Random rows of layers on still images, as the compact form of firmware takes them; a seed gives the same each."""

import dataclasses
import math

import numpy as np

from random_graphs import plain, random_codes, random_neuron
from rows import Last, Part, row
from spquant_snn.errors import ModelError
from spquant_snn.integer.graph import PIXEL, Connection, Input
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


def rewritten_graph(seed):
    """A graph of what the compact form takes as something else, and of what answers over time.

    Between them the seeds have signed inputs, signals of one row, dilated kernels, linear layers on pixels, average
    pools before layers and max-pools with paddings whose windows overlap, states of 1.58 to 8 bits, readouts that
    convolve, and every way in which a readout answers.
    """
    rng = np.random.default_rng([seed, 21])
    while True:
        try:
            return _rewritten(rng)
        except ModelError:
            continue


def rewritten_images(graph, count, seed=0):
    """[N, C, H, W] of the graph's kind: noise, and one that is as large, and one as small, as can be."""
    rng, largest = np.random.default_rng(seed), graph.inputs[0].largest
    low, dtype = (-largest, np.int8) if graph.inputs[0].signed else (0, np.uint8)
    images = rng.integers(low, largest + 1, (count, *graph.input_shape)).astype(dtype)
    images[0], images[1] = largest, low
    return images


def _rewritten(rng):
    bits, state = plain(rng.choice([1.58, 1.58, 2, 4])), plain(rng.choice([*_STATES, 5, 8]))
    reset = str(rng.choice(["zero", "zero", "subtract"]))
    shape = (int(rng.integers(1, 4)), int(rng.choice([1, 6, 9, 12])), int(rng.integers(6, 20)))
    parts, given = [], shape
    for i in range(int(rng.integers(1, 4))):
        kind = _linear if len(given) < 3 or rng.random() < 0.2 else _kernel
        connection = kind(rng, given, bits, f"layer{i}", i == 0)
        parts.append(Part(connection, random_neuron(rng, connection, state, reset, 1 if i else PIXEL)))
        given = connection.output_shape(given)
    if rng.random() < 0.4 and len(given) == 3:
        outputs = int(rng.integers(1, 11))
        last = Connection("readout", random_codes(rng, (outputs, given[0], 1, 1), bits), bits,
                          sum_pool=Pool("sum", given[1:], given[1:]))  # fmt: skip
    else:
        last = _linear(rng, given, bits, "readout", False)
    outputs = len(last.codes)
    graph = row(shape, int(rng.integers(1, 5)), tuple(parts),
                Last(last, 0, rng.integers(-50, 50, outputs).astype(np.int32), 0.01))  # fmt: skip
    shift = int(rng.choice([0, 4, 15, 16]))
    leak = rng.integers(0, (1 << shift) + 1, outputs).astype(np.int32)
    readout = dataclasses.replace(
        graph.readout,
        leak=leak if rng.random() < 0.7 else None,
        leak_shift=shift,
        over_time=str(rng.choice(["last", "largest", "sum", "all"])),
    )
    inputs = (Input(shape, signed=bool(rng.random() < 0.6)),)
    return dataclasses.replace(graph, inputs=inputs, readouts=(readout,))


def _linear(rng, shape, bits, name, on_pixels):
    pools = _pools_before(rng, shape, False) if len(shape) == 3 and not on_pixels else ()
    inner = shape
    for pool in pools:
        inner = (inner[0], *pool.size(*inner[1:]))
    if min(inner) < 1:
        raise ModelError("nothing is left")
    codes = random_codes(rng, (int(rng.integers(1, 20)), int(np.prod(inner))), bits)
    found = Connection(name, codes, bits, pools=pools)
    found.output_shape(shape)
    return found


def _kernel(rng, shape, bits, name, on_pixels):
    """A convolution; of signals along their one row."""
    down, right = min(shape[1], int(rng.integers(1, 4))), int(rng.integers(1, 4))
    padding = tuple(map(int, rng.integers(0, 3, 4))) if rng.random() < 0.5 else (0, 0, 0, 0)
    if shape[1] == 1:
        padding = (0, 0, *padding[2:])
    pool = Pool("sum", tuple(map(int, rng.integers(1, 3, 2))), tuple(map(int, rng.integers(1, 3, 2))))
    found = Connection(
        name,
        random_codes(rng, (int(rng.choice([1, 3, 8, 17])), shape[0], down, right), bits),
        bits,
        stride=tuple(map(int, rng.choice([1, 1, 2], 2))),
        padding=padding,
        dilation=tuple(map(int, rng.choice([1, 1, 2, 3], 2))),
        pools=_pools_before(rng, shape, any(padding), on_pixels),
        sum_pool=pool if rng.random() < 0.3 else None,
    )
    found.output_shape(shape)
    return found


def _pools_before(rng, shape, fills, on_pixels=False):
    """None, a max-pool of any kind or an average, or one behind the other.

    Args:
        fills: an average has windows that fill the image.
        on_pixels: averages alone.
    """
    found, size = [], shape[1:]
    if rng.random() < 0.5 and not on_pixels:
        kernel = [min(side, int(k)) for side, k in zip(size, rng.integers(1, 4, 2), strict=True)]
        padding = [int(rng.integers(0, k // 2 + 1)) for k in np.repeat(kernel, 2)]
        found.append(Pool("max", tuple(kernel), tuple(map(int, rng.integers(1, 4, 2))), tuple(padding)))
        size = found[0].size(*size)
    if rng.random() < 0.4:
        kernel = tuple(int(rng.choice([k for k in (1, 2, 3) if not fills or side % k == 0])) for side in size)
        found.append(Pool("sum", kernel, kernel if fills else tuple(map(int, rng.integers(1, 4, 2)))))
    return tuple(found)
