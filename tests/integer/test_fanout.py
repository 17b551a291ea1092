"""Fan-out by brute force: every output of a connection, and which inputs lie under it."""

from dataclasses import replace

import numpy as np
import pytest

from general_graphs import general_graph
from random_graphs import RARE
from rows import around, square
from spquant_snn.integer import reference
from spquant_snn.integer.connection import Connection, image
from spquant_snn.integer.fanout import fanout
from spquant_snn.integer.pool import Pool

SEEDS = [*range(60), *range(RARE, RARE + 24)]


def under(size, kernel, stride, padding):
    """Along one axis: for each output the inputs under each offset of the kernel, None in the padding."""
    for start in range(-padding, size + padding - kernel + 1, stride):
        yield [i if 0 <= i < size else None for i in range(start, start + kernel)]


def brute(connection, shape):
    """``all``, ``nonzero`` and ``folded`` of a convolution, output by output."""
    (channels, height, width), codes = connection.pooled_shape(shape), connection.codes
    found = {name: np.zeros((channels, height, width), np.int64) for name in ("all", "nonzero", "folded")}
    inputs = codes.shape[1]
    rows = list(under(height, codes.shape[2], connection.stride[0], connection.padding[0]))
    columns = list(under(width, codes.shape[3], connection.stride[1], connection.padding[2]))
    for o in range(len(codes)):
        first = o // (len(codes) // connection.groups) * inputs
        for ys in rows:
            for xs in columns:
                for ky, y in enumerate(ys):
                    for kx, x in enumerate(xs):
                        if y is not None and x is not None:
                            found["all"][first : first + inputs, y, x] += 1
                            found["nonzero"][first : first + inputs, y, x] += codes[o, :, ky, kx] != 0
        if connection.sum_pool is not None:
            for ys in pooled(rows, connection.sum_pool, 0):
                for xs in pooled(columns, connection.sum_pool, 1):
                    for y in ys:
                        for x in xs:
                            found["folded"][first : first + inputs, y, x] += 1
    if connection.sum_pool is None:
        found["folded"] = found["all"]
    return found


def pooled(windows, pool, axis):
    """For each pooled output all inputs under it, each once."""
    kernel, stride = pool.kernel[axis], pool.stride[axis]
    for start in range(0, len(windows) - kernel + 1, stride):
        yield {i for window in windows[start : start + kernel] for i in window if i is not None}


@pytest.mark.parametrize("seeds", [SEEDS[i::6] for i in range(6)], ids=str)
def test_the_fan_out_of_random_graphs(random_graph, seeds):
    for seed in seeds:
        graph = random_graph(seed)
        for connection, shape in zip(graph.connections, (graph.input_shape, *graph.shapes), strict=True):
            found = fanout(connection, shape)
            if connection.convolves:
                if connection.codes.size > 3000:
                    continue
                for name, expected in brute(connection, shape).items():
                    assert np.array_equal(getattr(found, name), expected), (seed, connection.name, name)
            else:
                assert np.array_equal(found.nonzero.ravel(), np.count_nonzero(connection.codes, 0))
                assert (found.all == len(connection.codes)).all()


def test_the_seeds_cover_what_a_convolution_can_be(random_graph):
    convolutions = [c for seed in SEEDS for c in random_graph(seed).connections if c.convolves and c.codes.size <= 3000]
    assert any(c.groups > 1 for c in convolutions)
    assert any(c.stride != (1, 1) and any(c.padding) for c in convolutions)
    assert any(c.pools for c in convolutions)
    pools = [c.sum_pool for c in convolutions if c.sum_pool]
    assert {(p.kernel > p.stride) - (p.kernel < p.stride) for p in pools} == {-1, 0, 1}  # overlapping, gaps, neither


def test_a_convolution_of_5_by_5_and_a_pool_of_2_fold_into_6_by_6():
    connection = Connection("c", np.ones((1, 1, 5, 5), np.int8), 2, padding=around(2, 2), sum_pool=square("sum", 2, 2))
    found = fanout(connection, (1, 28, 28))
    assert found.all[0, 14, 14] == 25  # outputs before the pool
    assert found.folded[0, 14, 14] == 9  # pooled outputs: each takes 36 additions instead of 100
    assert found.all[0, 0, 0] == 9


def one_by_one(connection, shape):
    """``all`` and ``nonzero`` of a connection, an input behind the pools at a time."""
    inner = image(connection.pooled_shape(shape))
    bare = replace(connection, pools=(), sum_pool=None)
    places = int(np.prod(inner))
    alone = np.eye(places, dtype=np.int32).reshape(places, *inner)  # each input by itself
    return [
        reference.connect(replace(bare, codes=codes, bits=8), alone, 1).reshape(places, -1).sum(1).reshape(inner)
        for codes in (np.ones_like(connection.codes), (connection.codes != 0).astype(np.int8))
    ]


def test_the_fan_out_of_connections_of_any_geometry():
    kinds = set()
    for seed in range(60):
        graph = general_graph(seed)
        for term in graph.terms:
            connection, shape = term.connection, graph.sources[term.source]
            if connection.sums_of(shape) * np.prod(connection.pooled_shape(shape)) > 100_000:
                continue
            found, expected = fanout(connection, shape), one_by_one(connection, shape)
            for name, counts in zip(("all", "nonzero"), expected, strict=True):
                assert np.array_equal(image_of(getattr(found, name)), counts), (seed, connection.name, name)
            pool = connection.sum_pool
            if pool is None or pool.kind == "max":
                assert np.array_equal(found.folded, found.all)
            kinds |= {("spread", connection.spread != (1, 1)), ("dilation", connection.dilation != (1, 1))}
            kinds |= {("sides", connection.padding[0] != connection.padding[1]), ("pool", pool and pool.kind)}
            kinds |= {("groups", connection.groups > 1), ("linear", not connection.convolves)}
    assert {("spread", True), ("dilation", True), ("sides", True), ("groups", True), ("linear", True)} <= kinds
    assert {("pool", "max"), ("pool", "sum")} <= kinds


def image_of(counts):
    return counts.reshape(image(counts.shape))


def test_a_pool_of_any_rectangle_is_folded_where_it_can_be():
    codes = np.ones((1, 1, 2, 3), np.int8)
    connection = Connection("c", codes, 2, stride=(2, 1), dilation=(1, 2), sum_pool=Pool("sum", (1, 3), (2, 1)))
    found = fanout(connection, (1, 9, 12))
    counts = np.zeros((1, 9, 12), np.int64)
    rows, columns = connection.output_shape((1, 9, 12))[1:]
    for y in range(rows):
        for x in range(columns):  # each pooled output: all inputs under it, each once
            under = {(4 * y + i, x + j + 2 * k) for i in range(2) for j in range(3) for k in range(3)}
            for place in under:
                counts[(0, *place)] += 1
    assert np.array_equal(found.folded, counts)
