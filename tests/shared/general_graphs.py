"""Random integer graphs of the general kind, made with NumPy alone; a seed gives the same graph each time.

Layers sum one to three terms of any source, now or one step ago, their own layer and later ones too; through pools of
any rectangle and up-sampling; by convolutions, dilated, transposed or in groups, full connections and identities;
pooled by sums or by the largest; weighed by multipliers of either sign. There are one or two inputs, some with signs,
and one to three readouts of every kind.

A graph is found by trial: what does not fit is drawn again, until ``Graph`` takes it.
"""

import dataclasses
import math

import numpy as np

from spquant_snn.errors import ModelError
from spquant_snn.integer.connection import Connection, image
from spquant_snn.integer.graph import BLOCK, BlockGate, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.integer.pool import Pool, Upsample

WIDTHS = tuple(WEIGHT_GRIDS)  # of states too
_INT32 = (1 << 31) - 1
_MOST = 1500  # sums of a term, or values of a layer
_TRIES = 400


def general_graph(seed):
    """A valid graph whose layers spike now and then."""
    rng = np.random.default_rng([seed, 17])
    while True:
        try:
            return _drawn(rng)
        except ModelError:
            continue


def general_inputs(graph, count, seed=0, steps=None):
    """What each input is given: images [N, C, H, W] where there are no ``steps``, else frames [T, N, C, H, W], or of
    some inputs images too."""
    rng = np.random.default_rng(seed)
    found = []
    for i, given in enumerate(graph.inputs):
        still = steps is None or (i > 0 and rng.random() < 0.3)
        shape = (count, *given.shape) if still else (steps, count, *given.shape)
        values = rng.integers(-127, 128, shape) if given.signed else rng.integers(0, 256, shape)
        values = np.where(rng.random(shape) < rng.choice([0.1, 0.5, 1.0]), values, 0)
        values[..., -1:, :, :, :] = -127 if given.signed and rng.random() < 0.5 else given.largest
        found.append(values.astype(np.int8 if given.signed else np.uint8))
    return found


def _drawn(rng):
    inputs = tuple(_input(rng) for _ in range(int(rng.choice([1, 1, 1, 2]))))
    count = int(rng.integers(1, 5))
    bits = (_plain(rng.choice(WIDTHS)), _plain(rng.choice(WIDTHS)))
    shapes, layers = [given.shape for given in inputs], []
    later = _Later(rng, len(inputs), count)
    for i in range(count):
        terms, shape = _terms(rng, inputs, shapes, bits[0], f"layer{i}", later.before(i))
        layers.append([terms, shape])
        shapes.append(shape)
    for i, layer in enumerate(layers):
        for source in later.of(i):
            layer[0] += _matching(rng, inputs, shapes, source, layer[1], bits[0], f"layer{i}", delay=1)
    made = tuple(_layer(rng, inputs, shapes, tuple(terms), bits[1], f"layer{i}") for i, (terms, _) in enumerate(layers))
    timesteps = int(rng.integers(1, 6))
    readouts = tuple(
        _readout(rng, inputs, shapes, bits[0], f"readout{i}", timesteps) for i in range(int(rng.choice([1, 1, 2, 3])))
    )
    return Graph(inputs, timesteps, made, readouts)


class _Later:
    """Which layers are taken, one step later, by earlier ones or by themselves."""

    def __init__(self, rng, inputs, count):
        looped = rng.random() < 0.5
        self._sources = [
            [inputs + j for j in range(i, count) if looped and rng.random() < (0.5 if i == j else 0.2)][:2]
            for i in range(count)
        ]
        self._rng = rng

    def of(self, index):
        return self._sources[index]

    def before(self, index):
        """The delay of a term that looks back."""
        return lambda: int(self._rng.random() < 0.15)


def _input(rng):
    kind = rng.random()
    if kind < 0.15:
        shape = (int(rng.integers(3, 30)), 1, 1)
    elif kind < 0.35:
        shape = (int(rng.integers(1, 4)), 1, int(rng.integers(5, 20)))
    else:
        shape = (int(rng.integers(1, 4)), int(rng.integers(3, 10)), int(rng.integers(3, 10)))
    return Input(shape, signed=bool(rng.random() < 0.25))


def _terms(rng, inputs, shapes, bits, name, delay):
    """One to three terms of sources that are known, and the shape of their sums."""
    newest = len(shapes) - 1
    source = newest if rng.random() < 0.75 else int(rng.integers(0, len(shapes)))
    connection = _fitting(rng, lambda: _connection(rng, shapes[source], bits, f"{name}.0"), shapes[source])
    shape = connection.output_shape(shapes[source])
    terms = [_term(rng, inputs, connection, source, delay() if len(shapes) > len(inputs) else 0)]
    for _ in range(int(rng.choice([0, 0, 1, 1, 2]))):
        source = int(rng.integers(0, len(shapes)))
        terms += _matching(rng, inputs, shapes, source, shape, bits, name, delay())
    return terms, shape


def _matching(rng, inputs, shapes, source, shape, bits, name, delay):
    """A term of a source whose sums have the shape; none where chance finds none."""
    wanted = image(shape)
    for _ in range(_TRIES // 10):
        try:
            connection = _beside(rng, shapes[source], wanted, bits, f"{name}.{source}")
            if image(connection.output_shape(shapes[source])) == wanted:
                return [_term(rng, inputs, connection, source, delay)]
        except ModelError:
            continue
    return []


def _beside(rng, shape, wanted, bits, name):
    """A connection that may give so many sums."""
    channels, height, width = image(shape)
    outputs, rows, columns = wanted
    if (rows, columns) == (1, 1) and rng.random() < 0.7:
        pools = _pools(rng, shape) if rng.random() < 0.3 else ()
        inner = _behind(shape, pools)
        return Connection(name, _codes(rng, (outputs, math.prod(inner)), bits), bits, pools=pools)
    if wanted == image(shape) and rng.random() < 0.4:
        return Connection(name, _codes(rng, (outputs, 1, 1, 1), bits), bits, groups=outputs)
    if rng.random() < 0.6:  # a convolution of that size, by stride or by up-sampling
        steps = []
        if rows > height or columns > width:
            steps = [Upsample((max(1, -(-rows // height)), max(1, -(-columns // width))))]
        _, height, width = _behind(shape, steps)
        kernel, dilation = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
        stride = [max(1, size // out) for size, out in zip((height, width), (rows, columns), strict=True)]
        sides = []
        for size, k, d, s, out in zip((height, width), kernel, dilation, stride, (rows, columns), strict=True):
            missing = (out - 1) * s + (k - 1) * d + 1 - size
            if missing < 0:
                raise ModelError("too large")
            before = int(rng.integers(0, missing + 1))
            sides += [before, int(missing) - before]
        groups = _groups(rng, channels, outputs)
        return Connection(
            name,
            _codes(rng, (outputs, channels // groups, *kernel), bits),
            bits,
            stride=_pair(stride),
            padding=tuple(map(int, sides)),
            groups=groups,
            dilation=_pair(dilation),
            pools=tuple(steps),
        )
    connection = _connection(rng, shape, bits, name)
    if not connection.convolves:
        return dataclasses.replace(connection, codes=_codes(rng, (outputs, connection.codes.shape[1]), bits))
    groups = _groups(rng, connection.codes.shape[1] * connection.groups, outputs)
    inner = connection.codes.shape[1] * connection.groups // groups
    codes = _codes(rng, (outputs, inner, *connection.codes.shape[2:]), bits)
    return dataclasses.replace(connection, codes=codes, groups=groups)


def _term(rng, inputs, connection, source, delay):
    outputs, factor, shift = len(connection.codes), None, 0
    kind = rng.random()
    if kind < 0.15:
        factor = np.full(outputs, 1 << int(rng.integers(0, 4)), np.int32)
    elif kind < 0.45:
        largest = (2 if source < len(inputs) else 200) if rng.random() < 0.8 else 1
        factor = rng.integers(-largest, largest + 1, outputs).astype(np.int32)
        factor[rng.random(outputs) < 0.5] = largest
        shift = int(rng.integers(0, 9)) if largest > 2 else int(rng.integers(0, 2))
        if connection.sum_pool is not None:
            factor[factor == 0] = 1
    elif kind < 0.5:
        shift = int(rng.integers(1, 3))
    return Term(connection, source, delay, factor, shift)


def _connection(rng, shape, bits, name):
    pools = _pools(rng, shape) if rng.random() < 0.5 else ()
    inner = _behind(shape, pools)
    channels, height, width = inner
    kind = rng.random()
    if kind < 0.2 or (height == width == 1 and kind < 0.7):
        return Connection(name, _codes(rng, (int(rng.integers(1, 12)), math.prod(inner)), bits), bits, pools=pools)
    if kind < 0.3:
        return Connection(name, _codes(rng, (channels, 1, 1, 1), bits), bits, groups=channels, pools=pools)
    outputs = int(rng.choice([1, 2, 3, 4, 6, 8, 12, 17, 33]))
    groups = _groups(rng, channels, outputs)
    kernel = (int(rng.integers(1, 4)) if height > 1 else 1, int(rng.integers(1, 5)))
    spread = _pair(rng.choice([1, 1, 2, 3], 2)) if rng.random() < 0.25 else (1, 1)
    return Connection(
        name,
        _codes(rng, (outputs, channels // groups, *kernel), bits),
        bits,
        stride=(1, 1) if spread != (1, 1) and rng.random() < 0.7 else _pair(rng.choice([1, 1, 1, 2, 3], 2)),
        padding=_sides(rng, 3),
        groups=groups,
        dilation=_pair(rng.choice([1, 2, 3], 2)) if rng.random() < 0.3 else (1, 1),
        spread=spread,
        pools=pools,
        sum_pool=_pool(rng) if rng.random() < 0.35 else None,
    )


def _pools(rng, shape):
    steps = []
    for _ in range(int(rng.choice([1, 1, 2]))):
        steps.append(Upsample(_pair(rng.integers(1, 3, 2))) if rng.random() < 0.25 else _pool(rng))
    _behind(shape, steps)
    return tuple(steps)


def _pool(rng):
    kernel = _pair(rng.integers(1, 4, 2))
    dilation = _pair(rng.integers(1, 3, 2)) if rng.random() < 0.2 else (1, 1)
    kind = str(rng.choice(["sum", "max"]))
    if rng.random() < 0.4:
        size, stride = (int(x) for x in rng.integers(1, 4, 2))
        return Pool(kind, (size, size), (stride, stride))
    return Pool(kind, kernel, _pair(rng.integers(1, 4, 2)), _sides(rng, min(kernel)), dilation)


def _behind(shape, steps):
    channels, height, width = image(shape)
    for step in steps:
        height, width = step.size(height, width)
        if min(height, width) < 1 or channels * height * width > _MOST:
            raise ModelError("nothing is left, or too much")
    return channels, height, width


def _fitting(rng, draw, shape):
    """Draw until a connection fits."""
    for _ in range(_TRIES):
        try:
            connection = draw()
            found = connection.output_shape(shape)
        except ModelError:
            continue
        if connection.sums_of(shape) <= _MOST and math.prod(found) <= _MOST:
            return connection
    raise ModelError("nothing fits")


def _layer(rng, inputs, shapes, terms, bits, name):
    neuron = _neuron(rng, inputs, terms, bits)
    gate, first = None, terms[0]
    dense = first.connection.dilation == first.connection.spread == (1, 1)
    if first.source >= len(inputs) and not first.delay and first.connection.groups == 1 and dense:
        gate = _gate(rng, neuron, first.connection.pooled_shape(shapes[first.source]))
    try:
        return Layer(name, terms, neuron, gate)
    except ModelError:
        return Layer(name, terms, neuron)


def _gate(rng, neuron, shape):
    if rng.random() < 0.75:
        return None
    blocks, inputs = -(-len(neuron.fire) // BLOCK), math.prod(shape)
    count, code = rng.integers(-20, 60, blocks), rng.integers(-90, 91, blocks)
    least = count * rng.uniform(0, 0.5, blocks) * inputs * 0.2 + rng.normal(0, 100, blocks)
    return BlockGate(*(x.astype(np.int32) for x in (count, code, least)))


def _neuron(rng, inputs, terms, bits):
    """Neurons that spike now and then, of every reset, some with a synaptic current."""
    channels = len(terms[0].connection.codes)
    total, square, middle = np.zeros(channels, np.int64), np.zeros(channels), np.zeros(channels)
    for term in terms:
        given = inputs[term.source] if term.source < len(inputs) else None
        largest, signed = (1, False) if given is None else (given.largest, given.signed)
        total += term.reach(largest, signed)
        weight = 2.0**-term.shift * (1 if term.multiplier is None else term.multiplier.astype(float))
        pool = term.connection.sum_pool
        drive = term.connection.largest_input(largest) * (math.sqrt(pool.area) if pool else 1) * weight
        codes = term.connection.codes.reshape(channels, -1).astype(float)
        square += np.square(codes).sum(1) * drive**2
        middle += codes.sum(1) * drive * (0 if signed else 0.3)
    threshold = rng.uniform(0.5, 2, channels) if rng.random() < 0.3 else float(rng.uniform(0.5, 2))
    leak = rng.uniform(0.2, 1, channels) if rng.random() < 0.3 else float(rng.choice([0.25, 0.5, 0.9, 1.0]))
    gain = threshold / (np.sqrt(square + 0.1) * rng.uniform(0.1, 1, channels))
    offset = rng.normal(0.3, 0.4, channels) * threshold - gain * middle
    reset = str(rng.choice(["zero", "zero", "subtract", "none"]))
    more = {}
    if reset == "subtract" and rng.random() < 0.4:
        more["reset_by"] = rng.uniform(0.2, 1.5, channels)
    if rng.random() < 0.2:
        more["synaptic_leak"] = float(rng.uniform(0.2, 0.9))
    resolution = int(rng.choice([1, 16]))
    neuron, _ = fold_neuron(bits, gain, offset, threshold, leak, reset, total, resolution, **more)
    stuck = rng.random(channels) < 0.05
    fire = np.where(stuck, rng.choice([-(1 << 30), 1 << 30], channels), neuron.fire).astype(np.int32)
    return dataclasses.replace(neuron, fire=fire)


def _readout(rng, inputs, shapes, bits, name, timesteps):
    source = int(rng.integers(len(inputs), len(shapes)))
    shape = shapes[source]
    kind = rng.random()
    if kind < 0.15:  # the spikes of a population are counted
        outputs = image(shape)[0]
        connection = Connection(name, np.ones((outputs, 1, 1, 1), np.int8), 2, groups=outputs)
    elif kind < 0.65:
        codes = _codes(rng, (int(rng.integers(1, 12)), math.prod(shape)), bits)
        connection = Connection(name, codes, bits)
    else:
        connection = _fitting(rng, lambda: _connection(rng, shape, bits, name), shape)
    terms = [_term(rng, inputs, connection, source, int(rng.random() < 0.1))]
    if rng.random() < 0.4:
        found = connection.output_shape(shape)
        other = int(rng.integers(0, len(shapes)))
        terms += _matching(rng, inputs, shapes, other, found, bits, name, int(rng.random() < 0.2))
    outputs = len(connection.codes)
    leak, leak_shift = None, 0
    if rng.random() < 0.4:
        leak_shift = int(rng.choice([0, 4, 8, 16]))
        leak = rng.integers(0, (1 << leak_shift) + 1, outputs).astype(np.int32)
    over_time = str(rng.choice(["last", "last", "largest", "sum", "all"]))
    bias = rng.integers(-500, 500, outputs).astype(np.int32)
    reach = sum(
        term.reach(*((1, False) if term.source >= len(inputs) else (inputs[term.source].largest, True)))
        for term in terms
    )
    for fraction in range(int(rng.integers(0, 9)), -1, -1):
        readout = Readout(name, tuple(terms), fraction, bias, float(rng.uniform(1e-4, 1)), leak, leak_shift, over_time)
        if int(reach.max()) < _INT32 and readout.longest(reach) >= timesteps:
            return readout
    raise ModelError("answers leave 32 bits")


def _codes(rng, shape, bits):
    """Codes over the whole grid, many of them zero."""
    grid = WEIGHT_GRIDS[bits]
    codes = rng.integers(grid.low, grid.high + 1, shape)
    return np.where(rng.random(shape) < rng.uniform(0, 0.7), 0, codes).astype(np.int8)


def _groups(rng, channels, outputs):
    both = [g for g in range(1, channels + 1) if channels % g == 0 and outputs % g == 0]
    return int(rng.choice(both)) if rng.random() < 0.4 else 1


def _sides(rng, most):
    return tuple(int(x) for x in rng.integers(0, most, 4)) if rng.random() < 0.5 else (0, 0, 0, 0)


def _pair(numbers):
    return int(numbers[0]), int(numbers[1])


def _plain(bits):
    return int(bits) if float(bits).is_integer() else float(bits)
