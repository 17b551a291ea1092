"""Random integer graphs with shortcuts; a seed gives the same graph each time."""

import numpy as np

from random_graphs import WIDTHS, plain, random_codes, random_neuron, with_gates
from rows import Last, Part, Shortcut, around, row
from spquant_snn.integer.graph import PIXEL, Connection

# Those that exports are tried on, small enough for every board: few bits, a reset to zero, gates, wide states, 8 bits.
EXPORTED = ((0, 1.58, 1.58, "zero"), (50, 2, 2, "zero"), (9, 4, 4, "subtract"), (2, 8, 8), (11, 2, 2, "zero"), (7,))

_CHANNELS = (1, 3, 8, 16, 17, 31, 32, 33, 40, 64, 70)


def residual_graph(seed, weight_bits=None, state_bits=None, reset=None):
    """A graph of 2 to 6 convolutions and a readout, with one shortcut at least.

    Between them the seeds cover identities and convolutions of every kernel up to 3x3, strides, paddings, groups,
    shifts, shortcuts around one layer and around several, several from one layer, one from the layer before, and gates.
    """
    rng = np.random.default_rng(10_000 + seed)
    bits = plain(rng.choice(WIDTHS) if weight_bits is None else weight_bits)
    state = plain(rng.choice(WIDTHS) if state_bits is None else state_bits)
    reset = str(rng.choice(["zero", "subtract"])) if reset is None else reset
    shape = input_shape = (int(rng.integers(1, 4)), int(rng.integers(4, 10)), int(rng.integers(4, 10)))
    shapes, layers, count = [], [], int(rng.integers(2, 7))
    for i in range(count):
        connection = _convolution(rng, shape, bits, i)
        shape = connection.output_shape(shape)
        shortcut = _shortcut(rng, shapes, shape, bits, i, wanted=i == count - 1 and not any(x.shortcut for x in layers))
        neuron = random_neuron(rng, connection, state, reset, 1 if i else PIXEL, shortcut)
        layers.append(Part(connection, neuron, None, shortcut))
        shapes.append(shape)
    codes = random_codes(rng, (int(rng.integers(1, 12)), int(np.prod(shape))), bits)
    readout = Last(Connection("readout", codes, bits), 2, rng.integers(-50, 50, len(codes)).astype(np.int32), 0.1)
    graph = row(input_shape, int(rng.integers(1, 10)), tuple(layers), readout)
    return with_gates(graph, seed) if rng.random() < 0.25 else graph


def _convolution(rng, shape, bits, i):
    outputs = shape[0] if i and rng.random() < 0.5 else int(rng.choice(_CHANNELS))
    groups = outputs if i and outputs == shape[0] and rng.random() < 0.2 else 1
    small = min(shape[1:]) < 4
    kernel = int(rng.choice([1, 3]))
    stride = 1 if small else int(rng.choice([1, 1, 2]))
    codes = random_codes(rng, (outputs, shape[0] // groups, kernel, kernel), bits)
    return Connection(f"layer{i}", codes, bits, (stride, stride), around(kernel // 2, kernel // 2), groups)


def _shortcut(rng, shapes, shape, bits, i, wanted):
    """One that fits, or none."""
    if not shapes or not (wanted or rng.random() < 0.6):
        return None
    for source in rng.permutation(len(shapes)):
        start = shapes[source]
        if start == shape and rng.random() < 0.7:
            codes = rng.integers(-128, 128, (shape[0], 1, 1, 1)).astype(np.int8)
            return Shortcut(int(source), Connection(f"add{i}", codes, 8, groups=shape[0]), int(rng.integers(0, 4)))
        sides = [_side(rng, *pair) for pair in zip(start[1:], shape[1:], strict=True)]
        if None in sides:
            continue
        kernel, stride, padding = zip(*sides, strict=True)
        groups = start[0] if start[0] == shape[0] and rng.random() < 0.2 else 1
        codes = random_codes(rng, (shape[0], start[0] // groups, *kernel), bits)
        connection = Connection(f"shortcut{i}", codes, bits, stride, around(*padding), groups)
        return Shortcut(int(source), connection, int(rng.integers(0, 3)))
    return None


def _side(rng, before, after):
    """Kernel, stride and padding that make ``after`` of ``before``, at random; None where none do."""
    fitting = [
        (kernel, stride, padding)
        for kernel in (1, 2, 3)
        for stride in (1, 2, 3, 4)
        for padding in (0, 1)
        if before + 2 * padding >= kernel and (before + 2 * padding - kernel) // stride + 1 == after
    ]
    return fitting[rng.integers(len(fitting))] if fitting else None
