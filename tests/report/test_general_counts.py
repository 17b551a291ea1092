"""Counts of graphs that are no row, against brute force: every term by itself, of any source, delay and geometry."""

from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.integer import reference
from spquant_snn.integer.connection import Connection
from spquant_snn.integer.fanout import fanout
from spquant_snn.integer.graph import Graph, Input, Layer, Readout, Term
from spquant_snn.integer.neuron import Current, Neuron, TableStore
from spquant_snn.integer.pool import Pool, Upsample
from spquant_snn.integer.term_names import term_names
from spquant_snn.report.counts import count
from spquant_snn.report.ledger import make_ledger
from spquant_snn.report.ledger_tables import ledger_json
from spquant_snn.report.sizes import sizes
from spquant_snn.report.work import work

STEPS = 4


def table(channels):
    """Codes of 2 bits that decay by half of 8."""
    decay = np.repeat(4 * np.arange(-2, 2, dtype=np.int32)[:, None], channels, 1)
    edges = np.repeat(np.array([-12, -4, 4], np.int32)[:, None], channels, 1)
    return TableStore(decay, edges)


def neurons(channels, threshold=3, current=False):
    """Neurons of 2 bits."""
    fire, drop = np.full(channels, threshold, np.int32), np.zeros(channels, np.int32)
    return Neuron(2, 0, "zero", fire, drop, table(channels), Current(2, table(channels)) if current else None)


def readout(name, terms, outputs, **kind):
    return Readout(name, terms, 0, np.zeros(outputs, np.int32), 1.0, **kind)


@pytest.fixture(scope="module")
def codes():
    rng = np.random.default_rng(8)
    return lambda *shape: rng.integers(-2, 2, shape).astype(np.int8)


@pytest.fixture(scope="module")
def general(codes):
    """Two inputs, one of them signed; a dilated convolution with a largest of sums; an up-sampling, a transposed
    convolution and a loop that add up; a multiplier; two readouts, one of which leaks."""
    first = Connection(
        "conv", codes(4, 1, 3, 2), 2, padding=(2, 0, 1, 1), groups=2, dilation=(2, 1),
        sum_pool=Pool("max", (2, 3), (2, 1), (0, 1, 1, 1)),
    )  # fmt: skip
    image, signal = (2, 8, 6), (5, 1, 1)
    rows, columns = first.output_shape(image)[1:]
    one = Layer("one", (Term(first, 0), ), neurons(4, 2))  # fmt: skip
    back = Connection("back", codes(3, 4, 2, 2), 2, padding=(1, 0, 1, 0), spread=(2, 2), stride=(1, 2))
    shape = back.output_shape((4, rows, columns))
    again = Connection("again", codes(3, 1, 3, 3), 2, padding=(1, 1, 1, 1), groups=3)
    same = Connection("same", np.ones((3, 1, 1, 1), np.int8), 2, groups=3)
    factor = np.array([3, -5, 0], np.int32)
    two = Layer("two", (Term(back, 1 + 1), Term(again, 3, 1, factor, 2), Term(same, 3, 1)), neurons(3, -2, True))
    flat = Connection("flat", codes(6, int(np.prod(shape))), 2)
    three = Layer("three", (Term(flat, 3), Term(Connection("tap", codes(6, 5), 2), 1, 1)), neurons(6, 1))
    grown = Connection("grown", codes(2, 4, 3, 3), 2, padding=(1, 1, 1, 1), pools=(Upsample((2, 1)),))
    leak = np.full(2, 3, np.int32)
    said = (
        Term(Connection("head", codes(5, 6), 2), 4),
        Term(Connection("skip", codes(5, 4 * rows * columns), 2), 2),
    )
    readouts = (
        readout("said", said, 5),
        readout("map", (Term(grown, 2),), 2, leak=leak, leak_shift=2, over_time="largest"),
    )
    return Graph((Input(image), Input(signal, signed=True)), STEPS, (one, two, three), readouts)


def given(graph, seed, still):
    """What comes in: the first input still or not, the second always frames."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, *graph.inputs[0].shape) if still else (STEPS, 3, *graph.inputs[0].shape))
    signal = rng.integers(-127, 128, (STEPS, 3, *graph.inputs[1].shape)) * (rng.random((STEPS, 3, 5, 1, 1)) < 0.5)
    return (image * (rng.random(image.shape) < 0.6)).astype(np.uint8), signal.astype(np.int8)


def bare(connection, nonzero):
    """The synapses of a connection as ones, before a pool over sums; inputs come pooled."""
    there = (connection.codes != 0) if nonzero else np.ones_like(connection.codes)
    return replace(connection, codes=there.astype(np.int8), bits=8, pools=(), sum_pool=None)


def operations(connection, frames):
    """Operations of dense, done and effective on frames [N, ...] of each pass."""
    found = np.zeros(3, np.int64)
    for x in frames:
        met = (reference.pooled(connection, x.astype(np.int32)) != 0).astype(np.int32)
        full, kept = bare(connection, False), bare(connection, True)
        found += [
            int(reference.connect(synapses, inputs, 1).sum(dtype=np.int64))
            for synapses, inputs in ((full, np.ones_like(met)), (full, met), (kept, met))
        ]
    return found


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("still", [True, False])
def test_operations_of_every_term(general, still):
    images = given(general, 5, still)
    spikes = []
    reference.answers(general, *images, probe=lambda _name, fired, _codes: spikes.append(fired))
    sources = [*(x if x.ndim == 5 else np.stack([x] * STEPS) for x in images), *spikes]
    found = count(general, images)
    rows = {row.name: row for row in found.rows}
    assert list(rows) == [
        "one", "two", "three", "said", "map", "two (from two, delayed)", "two (from two, delayed) 2",
        "three (from input 1, delayed)", "said (from one)",
    ]  # fmt: skip
    for name, term in zip(term_names(general), general.terms, strict=True):
        frames = sources[term.source]
        if term.delay:
            frames = [np.zeros_like(frames[0]), *frames[:-1]]
        if still and term.source == 0:
            frames = frames[:1]
        row = rows[name]
        expected = operations(term.connection, frames)
        assert np.allclose([3 * row.dense, 3 * row.done, 3 * row.effective], expected), name
        assert row.passes == len(frames)
        assert row.multiplies == (term.source < 2)
        assert row.static_input == (still and term.source == 0)
    assert all(row.done > 0 for row in found.rows)
    assert [row.updates for row in found.layers] == [STEPS * int(np.prod(shape)) for shape in general.shapes] + [0, 0]
    assert [row.neurons for row in found.others] == [0] * 4
    assert [row.codes for row in found.layers] == [1, 2, 1, 1, 1]


@pytest.mark.usefixtures("by_reference")
def test_whole_sums_cost_products_and_comparisons(general):
    found = count(general, given(general, 5, still=True))
    rows = {row.name: row for row in found.rows}
    neurons = int(np.prod(general.shapes[1]))
    assert rows["two (from two, delayed)"].products == STEPS * neurons
    assert rows["two (from two, delayed) 2"].products == 0
    assert rows["map"].products == 2 * STEPS
    assert rows["one"].comparisons == int(np.prod(general.shapes[0])) * (2 * 3 - 1)
    ledger = make_ledger(general, given(general, 5, still=True))
    ours, baseline = ledger.costs[0].network, ledger.float_baselines[0].network
    plain = replace(rows["two (from two, delayed)"], products=0)
    for network, more in ((ours, 2), (baseline, 0)):
        whole = work(rows["two (from two, delayed)"], network)
        assert len(whole.arithmetic) - len(work(plain, network).arithmetic) == more
    assert work(rows["two"], ours).state == 2 * work(replace(rows["two"], codes=1), ours).state


@pytest.mark.usefixtures("by_reference")
def test_a_power_of_two_multiplies_nothing(general):
    layers = list(general.layers)
    terms = [replace(term, multiplier=None, shift=0) for term in layers[1].terms]
    terms[1] = replace(terms[1], multiplier=np.full(3, 8, np.int32))
    layers[1] = replace(layers[1], terms=tuple(terms))
    found = count(replace(general, layers=tuple(layers)), given(general, 5, still=True))
    assert sum(row.products for row in found.rows) == 2 * STEPS  # the leak of a readout


@pytest.mark.usefixtures("by_reference")
def test_an_added_spike_is_one_addition(general):
    found = count(general, given(general, 3, still=False))
    row = next(row for row in found.rows if row.name == "two (from two, delayed) 2")
    assert row.done == row.effective == row.active
    assert not row.multiplies


def test_the_ledger_of_such_a_graph_can_be_written(general):
    ledger = make_ledger(general, given(general, 5, still=True), title="general")
    plain = ledger_json(ledger)
    assert len(plain["counts"]["layers"]) == 5
    assert len(plain["counts"]["others"]) == 4
    assert all(cost.layers for cost in ledger.costs)
    assert all(energy.total > 0 for cost in ledger.costs for energy in cost.energies)
    found = sizes(general)
    assert found.float_weights == 4 * sum(connection.codes.size for connection in general.connections)
    assert found.state >= found.largest_state > 0


def test_fan_out_input_by_input(general):
    shapes = general.sources
    for term in general.terms:
        connection = term.connection
        inner = connection.pooled_shape(shapes[term.source])
        found, each = fanout(connection, shapes[term.source]), np.eye(int(np.prod(inner)), dtype=np.int32)
        for part, nonzero in ((found.all, False), (found.nonzero, True)):
            sums = reference.connect(bare(connection, nonzero), each.reshape(-1, *inner), 1)
            assert np.array_equal(part.ravel(), sums.reshape(len(each), -1).sum(1)), connection.name
