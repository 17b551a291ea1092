"""A graph is checked when it is made: every field that contradicts another is refused, and no integer can overflow."""

from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.errors import ModelError
from spquant_snn.integer.graph import Connection, Graph, Layer, Readout
from spquant_snn.integer.neuron import ScaledStore, TableStore, fold_neuron
from spquant_snn.integer.pool import Pool


def int8(*shape, value=1):
    return np.full(shape, value, np.int8)


def int32(*shape, value=0):
    return np.full(shape, value, np.int32)


def neuron(channels=4, bits=2, reset="zero"):
    gain, offset, reach = np.full(channels, 0.1), np.zeros(channels), np.full(channels, 100, np.int64)
    return fold_neuron(bits, gain, offset, 1.0, 0.5, reset, reach)[0]


CONV = Connection("conv", int8(4, 1, 3, 3), 2)
FULL = Connection("full", int8(3, 64), 2)
LAYER = Layer(CONV, neuron())
READOUT = Readout(FULL, 4, int32(3), 0.5)
GRAPH = Graph((1, 6, 6), 2, (LAYER,), READOUT)


def test_sizes():
    assert GRAPH.shapes == ((4, 4, 4),)
    assert GRAPH.classes == 3
    assert GRAPH.connections == (CONV, FULL)
    assert GRAPH.weight_bytes == (36 + 192) * 2 / 8
    assert GRAPH.state_bytes == 64 * 2 / 8


@pytest.mark.parametrize(
    ("fields", "shape", "expected"),
    [
        ({}, (1, 6, 6), (4, 4, 4)),
        ({"padding": (1, 2), "stride": (2, 1)}, (1, 7, 6), (4, 4, 8)),
        ({"sum_pool": Pool("sum", 2, 2)}, (1, 7, 7), (4, 2, 2)),
        ({"pools": (Pool("max", 2, 2), Pool("sum", 2, 1))}, (1, 12, 13), (4, 3, 3)),
        ({"groups": 2}, (2, 5, 5), (4, 3, 3)),
    ],
)
def test_shapes_follow_the_fields(fields, shape, expected):
    assert replace(CONV, **fields).output_shape(shape) == expected


def test_reach_is_the_worse_of_both_signs():
    codes = np.array([[1, -2, -2, 1], [1, 1, 1, -2], [0, 0, 0, 0]], np.int8)
    assert Connection("full", codes, 2).reach(255).tolist() == [4 * 255, 3 * 255, 0]
    pooled = replace(CONV, pools=(Pool("sum", 2, 2),), sum_pool=Pool("sum", 3, 3))
    assert pooled.reach(1).tolist() == [9 * 4 * 9] * 4
    assert replace(CONV, pools=(Pool("max", 2, 2),)).reach(1).tolist() == [9] * 4


CONNECTIONS = {
    "unknown bits": ({"bits": 9}, "weights of 9 bits do not exist"),
    "wide codes": ({"codes": int8(4, 1, 3, 3, value=2)}, r"codes 2\.\.2 do not fit 2 bits"),
    "low codes": ({"codes": int8(4, 1, 3, 3, value=-2), "bits": 1.58}, r"codes -2\.\.-2 do not fit 1.58 bits"),
    "dtype": ({"codes": int32(4, 1, 3, 3)}, "codes are int32"),
    "dimensions": ({"codes": int8(4, 3, 3)}, r"codes are int8 \(4, 3, 3\)"),
    "empty": ({"codes": int8(0, 1, 3, 3)}, r"codes are int8 \(0, 1, 3, 3\)"),
    "stride": ({"stride": (0, 1)}, "stride, padding or groups is out of range"),
    "padding": ({"padding": (0, -1)}, "stride, padding or groups is out of range"),
    "no groups": ({"groups": 0}, "stride, padding or groups is out of range"),
    "odd groups": ({"groups": 3}, "4 outputs do not divide into 3 groups"),
    "pool kind": ({"pools": (Pool("mean", 2, 2),)}, "there is no Pool"),
    "pool kernel": ({"pools": (Pool("max", 0, 2),)}, "there is no Pool"),
    "pool stride": ({"sum_pool": Pool("sum", 2, 0)}, "there is no Pool"),
    "max of sums": ({"sum_pool": Pool("max", 2, 2)}, "sums can only be pooled by summing"),
    "full with stride": ({"codes": int8(4, 9), "stride": (2, 2)}, "a linear layer has no stride"),
    "full with groups": ({"codes": int8(4, 9), "groups": 2}, "a linear layer has no stride, padding, groups"),
    "full with pool": ({"codes": int8(4, 9), "sum_pool": Pool("sum", 2, 2)}, "a linear layer has no"),
}


@pytest.mark.parametrize("what", CONNECTIONS)
def test_a_connection_that_contradicts_itself_is_refused(what):
    fields, message = CONNECTIONS[what]
    with pytest.raises(ModelError, match="layer 'conv': " + message):
        replace(CONV, **fields)


INPUTS = {
    "channels": (CONV, (2, 6, 6), r"an input of shape \(2, 6, 6\) does not have 1 channels"),
    "flat": (CONV, (36,), r"an input of shape \(36,\) does not have 1 channels"),
    "too small": (CONV, (1, 2, 6), "nothing is left of an input of shape"),
    "pooled away": (replace(CONV, sum_pool=Pool("sum", 5, 5)), (1, 6, 6), "nothing is left of an input"),
    "elements": (FULL, (5, 5), r"an input of shape \(5, 5\) does not have 64 elements"),
    "pool on flat": (replace(FULL, pools=(Pool("max", 2, 2),)), (64,), "a pool cannot work on an input of shape"),
    "pool too large": (replace(CONV, pools=(Pool("max", 5, 1),), padding=(2, 2)), (1, 3, 3), "nothing is left"),
    "pools too large": (Connection("full", int8(1, 1), 2, pools=(Pool("max", 5, 1),)), (1, 3, 3), "nothing is left"),
}


@pytest.mark.parametrize("what", INPUTS)
def test_an_input_that_does_not_fit_is_refused(what):
    connection, shape, message = INPUTS[what]
    with pytest.raises(ModelError, match=message):
        connection.output_shape(shape)


TABLE, SCALED = neuron(bits=2), neuron(bits=8)
NEURONS = {
    "bits": (replace(TABLE, bits=9), "a state of 9 bits does not exist"),
    "reset": (replace(TABLE, reset="half"), "fraction or reset is out of range"),
    "fraction": (replace(TABLE, fraction=7), "fraction or reset is out of range"),
    "channels": (neuron(channels=5), r"fire is int32 \(5,\), not int32 \(4,\)"),
    "fire dtype": (replace(TABLE, fire=np.zeros(4)), "fire is float64"),
    "drop": (replace(TABLE, drop=int32(3)), r"drop is int32 \(3,\)"),
    "decay": (
        replace(TABLE, store=TableStore(int32(3, 4), TABLE.store.edges)),
        r"decay is int32 \(3, 4\), not int32 \(4, 4\)",
    ),
    "edges": (
        replace(TABLE, store=TableStore(TABLE.store.decay, int32(4, 4))),
        r"edges is int32 \(4, 4\), not int32 \(3, 4\)",
    ),
    "wide table": (
        replace(SCALED, store=TableStore(int32(256, 4), int32(255, 4))),
        "more than 4 bits is stored by a table",
    ),
    "shift": (replace(SCALED, store=replace(SCALED.store, shift=41)), "a shift of the neuron is out of range"),
    "decay shift": (
        replace(SCALED, store=replace(SCALED.store, decay_shift=-1)),
        "a shift of the neuron is out of range",
    ),
    "offset": (replace(SCALED, store=replace(SCALED.store, offset=int32(4))), "offset is int32"),
    "gain": (replace(SCALED, store=replace(SCALED.store, gain=int32(5))), r"gain is int32 \(5,\)"),
}


@pytest.mark.parametrize("what", NEURONS)
def test_a_neuron_that_contradicts_itself_is_refused(what):
    wrong, message = NEURONS[what]
    with pytest.raises(ModelError, match="layer 'conv': .*" + message):
        Layer(CONV, wrong)


READOUTS = {
    "convolution": ({"connection": CONV, "bias": int32(4)}, "the readout is a linear layer"),
    "bias": ({"bias": int32(4)}, r"the bias is int32 \(4,\), not int32 \(3,\)"),
    "bias dtype": ({"bias": np.zeros(3)}, "the bias is float64"),
    "fraction": ({"fraction": 9}, "a fraction of 9 bits is out of range"),
    "zero scale": ({"scale": 0.0}, "the scale must be a positive number, not 0.0"),
    "no scale": ({"scale": float("nan")}, "the scale must be a positive number, not nan"),
}


@pytest.mark.parametrize("what", READOUTS)
def test_a_readout_that_contradicts_itself_is_refused(what):
    fields, message = READOUTS[what]
    with pytest.raises(ModelError, match=message):
        replace(READOUT, **fields)


GRAPHS = {
    "empty image": ({"input_shape": (0, 6, 6)}, "an image of shape .* does not exist"),
    "flat image": ({"input_shape": (36,)}, "an image of shape .* does not exist"),
    "no steps": ({"timesteps": 0}, "0 time steps are out of range"),
    "too many steps": ({"timesteps": 1025}, "1025 time steps are out of range"),
    "no layers": ({"layers": ()}, "there is no layer of neurons"),
    "first layer": ({"input_shape": (2, 6, 6)}, r"layer 'conv': .* does not have 1 channels"),
    "second layer": ({"layers": (LAYER, LAYER)}, r"layer 'conv': .* does not have 1 channels"),
    "readout": ({"input_shape": (1, 7, 6)}, r"layer 'full': .* does not have 64 elements"),
}


@pytest.mark.parametrize("what", GRAPHS)
def test_parts_that_do_not_fit_are_refused(what):
    fields, message = GRAPHS[what]
    with pytest.raises(ModelError, match=message):
        replace(GRAPH, **fields)


def with_neuron(**fields):
    return Layer(CONV, replace(fields.pop("base", TABLE), **fields))


LARGE = (1 << 31) - 2000
OVERFLOWS = {
    "decay": (with_neuron(store=TableStore(int32(4, 4, value=LARGE), TABLE.store.edges)), "a potential leaves 32 bits"),
    "negative decay": (
        with_neuron(store=TableStore(int32(4, 4, value=-LARGE), TABLE.store.edges)),
        "a potential leaves",
    ),
    "drop": (with_neuron(drop=int32(4, value=LARGE)), "a potential leaves 32 bits"),
    "sums": (
        Layer(Connection("conv", int8(4, 1, 3, 3), 2, pools=(Pool("sum", 1000, 1),)), TABLE),
        "a potential leaves",
    ),
    "scaled decay": (
        with_neuron(base=SCALED, store=replace(SCALED.store, decay=int32(4, value=1 << 25))),
        "the decay of a stored code leaves 32 bits",
    ),
    "scaled store": (
        with_neuron(
            base=SCALED,
            store=replace(SCALED.store, gain=int32(4, value=LARGE), offset=np.full(4, (1 << 63) - 1, np.int64)),
        ),
        "a scaled potential leaves 64 bits",
    ),
}


@pytest.mark.parametrize("what", OVERFLOWS)
def test_what_could_overflow_is_refused(what):
    layer, message = OVERFLOWS[what]
    with pytest.raises(ModelError, match=message):
        layer.check_bounds(255)


def test_the_bound_is_tight():
    # 9 pixels of 255, and a decay: the largest that fits passes, one more is refused.
    room = (1 << 31) - 1 - (9 * 255 << TABLE.fraction) - 1
    for decay, fits in ((room, True), (room + 1, False)):
        layer = with_neuron(store=TableStore(int32(4, 4, value=decay), TABLE.store.edges))
        if fits:
            layer.check_bounds(255)
        else:
            with pytest.raises(ModelError, match="a potential leaves 32 bits"):
                layer.check_bounds(255)


def test_logits_that_could_overflow_are_refused():
    bias = int32(3, value=1 << 20)
    replace(GRAPH, readout=replace(READOUT, bias=bias), timesteps=1024)
    with pytest.raises(ModelError, match="the logits of 1024 time steps leave 32 bits"):
        replace(GRAPH, readout=replace(READOUT, bias=bias * 3), timesteps=1024)


def test_a_folded_neuron_always_passes():
    for bits in (1.58, 2, 3, 4, 5, 6, 7, 8):
        for reset in ("zero", "subtract"):
            made = fold_neuron(
                bits,
                np.array([1e-4, 3.0, 1e-8, 0.02]),
                np.array([0.5, -40.0, 0.0, 3.0]),
                0.7,
                1.0,
                reset,
                CONV.reach(255),
            )[0]
            Layer(CONV, made).check_bounds(255)
            assert isinstance(made.store, TableStore if bits <= 4 else ScaledStore)
