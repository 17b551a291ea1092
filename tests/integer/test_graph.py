"""A graph is checked when it is made: every field that contradicts another is refused, and no integer can overflow."""

from dataclasses import replace

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.errors import ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.graph import BlockGate, Connection, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.neuron import ScaledStore, TableStore, fold_neuron
from spquant_snn.integer.pool import Pool, Upsample

INT32 = (1 << 31) - 1


def int8(*shape, value=1):
    return np.full(shape, value, np.int8)


def int32(*shape, value=0):
    return np.full(shape, value, np.int32)


def neuron(channels=4, bits=2, reset="zero", **options):
    gain, offset, reach = np.full(channels, 0.1), np.zeros(channels), np.full(channels, 100, np.int64)
    return fold_neuron(bits, gain, offset, 1.0, 0.5, reset, reach, **options)[0]


CONV = Connection("conv", int8(4, 1, 3, 3), 2)
FULL = Connection("full", int8(3, 64), 2)
SAME = Connection("same", int8(4, 4, 3, 3), 2, padding=around(1, 1))
LAYER = Layer("conv", (Term(CONV, 0),), neuron())
READOUT = Readout("full", (Term(FULL, 1),), 4, int32(3), 0.5)
GRAPH = row((1, 6, 6), 2, [Part(CONV, neuron())], Last(FULL, 4, int32(3), 0.5))
RECURRENT = replace(GRAPH, layers=(replace(LAYER, terms=(Term(CONV, 0), Term(SAME, 1, delay=1))),))


def test_sizes():
    assert GRAPH.shapes == ((4, 4, 4),)
    assert GRAPH.outputs == ((3,),)
    assert GRAPH.sources == ((1, 6, 6), (4, 4, 4))
    assert GRAPH.classes == 3
    assert GRAPH.connections == (CONV, FULL)
    assert GRAPH.weight_bytes == (36 + 192) * 2 / 8
    assert GRAPH.state_bytes == 64 * 2 / 8


def test_a_current_is_stored_beside_each_potential():
    both = replace(GRAPH, layers=(replace(LAYER, neuron=neuron(synaptic_leak=0.8)),))
    assert both.state_bytes == 2 * GRAPH.state_bytes


def test_a_connection_of_several_terms_counts_once():
    twice = replace(GRAPH, layers=(replace(LAYER, terms=(Term(CONV, 0), Term(CONV, 0, delay=1))),))
    assert twice.connections == (CONV, FULL)
    assert len(twice.terms) == 3
    assert twice.weight_bytes == GRAPH.weight_bytes


@pytest.mark.parametrize(
    ("fields", "shape", "expected"),
    [
        ({}, (1, 6, 6), (4, 4, 4)),
        ({"padding": around(1, 2), "stride": (2, 1)}, (1, 7, 6), (4, 4, 8)),
        ({"padding": (1, 0, 0, 2)}, (1, 6, 6), (4, 5, 6)),
        ({"dilation": (2, 1)}, (1, 6, 6), (4, 2, 4)),
        ({"spread": (2, 3)}, (1, 6, 6), (4, 9, 14)),
        ({"sum_pool": square("sum", 2, 2)}, (1, 7, 7), (4, 2, 2)),
        ({"sum_pool": Pool("max", (3, 1), (1, 2), (1, 0, 0, 0))}, (1, 6, 6), (4, 3, 2)),
        ({"pools": (square("max", 2, 2), square("sum", 2, 1))}, (1, 12, 13), (4, 3, 3)),
        ({"pools": (Upsample((2, 3)),)}, (1, 4, 4), (4, 6, 10)),
        ({"groups": 2}, (2, 5, 5), (4, 3, 3)),
    ],
)
def test_shapes_follow_the_fields(fields, shape, expected):
    assert replace(CONV, **fields).output_shape(shape) == expected


def test_reach_is_the_worse_of_both_signs():
    codes = np.array([[1, -2, -2, 1], [1, 1, 1, -2], [0, 0, 0, 0]], np.int8)
    full = Connection("full", codes, 2)
    assert full.reach(255).tolist() == [4 * 255, 3 * 255, 0]
    assert full.reach(127, signed=True).tolist() == [6 * 127, 5 * 127, 0]
    pooled = replace(CONV, pools=(square("sum", 2, 2),), sum_pool=square("sum", 3, 3))
    assert pooled.reach(1).tolist() == [9 * 4 * 9] * 4
    assert replace(CONV, pools=(square("max", 2, 2),)).reach(1).tolist() == [9] * 4
    assert replace(CONV, pools=(Upsample((5, 5)),), sum_pool=square("max", 2, 2)).reach(1).tolist() == [9] * 4


def test_reach_of_a_term_is_that_of_what_it_adds():
    factor = np.array([3, -5, 0, 1], np.int32)
    assert Term(CONV, 0, multiplier=factor).reach(1).tolist() == [27, 45, 0, 9]
    assert Term(CONV, 0, multiplier=factor, shift=1).reach(1).tolist() == [14, 23, 1, 5]  # rounded down, both ways


CONNECTIONS = {
    "unknown bits": ({"bits": 9}, "weights of 9 bits do not exist"),
    "wide codes": ({"codes": int8(4, 1, 3, 3, value=2)}, r"codes 2\.\.2 do not fit 2 bits"),
    "low codes": ({"codes": int8(4, 1, 3, 3, value=-2), "bits": 1.58}, r"codes -2\.\.-2 do not fit 1.58 bits"),
    "dtype": ({"codes": int32(4, 1, 3, 3)}, "codes are int32"),
    "dimensions": ({"codes": int8(4, 3, 3)}, r"codes are int8 \(4, 3, 3\)"),
    "empty": ({"codes": int8(0, 1, 3, 3)}, r"codes are int8 \(0, 1, 3, 3\)"),
    "stride": ({"stride": (0, 1)}, "stride, padding, dilation, spread or groups is out of range"),
    "padding": ({"padding": (0, 0, 0, -1)}, "stride, padding, dilation, spread or groups is out of range"),
    "two paddings": ({"padding": (1, 1)}, "stride, padding, dilation, spread or groups is out of range"),
    "dilation": ({"dilation": (1, 0)}, "stride, padding, dilation, spread or groups is out of range"),
    "spread": ({"spread": (0, 1)}, "stride, padding, dilation, spread or groups is out of range"),
    "no groups": ({"groups": 0}, "stride, padding, dilation, spread or groups is out of range"),
    "odd groups": ({"groups": 3}, "4 outputs do not divide into 3 groups"),
    "pool kind": ({"pools": (square("mean", 2, 2),)}, "there is no Pool"),
    "pool kernel": ({"pools": (square("max", 0, 2),)}, "there is no Pool"),
    "pool stride": ({"sum_pool": square("sum", 2, 0)}, "there is no Pool"),
    "pool dilation": ({"sum_pool": Pool("sum", (2, 2), (1, 1), dilation=(0, 1))}, "there is no Pool"),
    "pool padding": ({"pools": (Pool("sum", (2, 2), (1, 1), (0, 0, -1, 0)),)}, "there is no Pool"),
    "factor": ({"pools": (Upsample((2, 0)),)}, "there is no Upsample"),
    "sums up-sampled": ({"sum_pool": Upsample((2, 2))}, "sums cannot be up-sampled"),
    "full with stride": ({"codes": int8(4, 9), "stride": (2, 2)}, "a linear layer has no stride"),
    "full with groups": ({"codes": int8(4, 9), "groups": 2}, "a linear layer has no stride, padding, dilation"),
    "full with pool": ({"codes": int8(4, 9), "sum_pool": square("sum", 2, 2)}, "a linear layer has no"),
}


@pytest.mark.parametrize("what", CONNECTIONS)
def test_a_connection_that_contradicts_itself_is_refused(what):
    fields, message = CONNECTIONS[what]
    with pytest.raises(ModelError, match="layer 'conv': " + message):
        replace(CONV, **fields)


NOTHING = Pool("max", (2, 2), (2, 2), (2, 0, 0, 0))
FITTING = {
    "channels": (CONV, (2, 6, 6), r"an input of shape \(2, 6, 6\) does not have 1 channels"),
    "flat": (CONV, (36,), r"an input of shape \(36,\) does not have 1 channels"),
    "too small": (CONV, (1, 2, 6), "nothing is left of an input of shape"),
    "dilated away": (replace(CONV, dilation=(3, 1)), (1, 6, 6), "nothing is left of an input of shape"),
    "pooled away": (replace(CONV, sum_pool=square("sum", 5, 5)), (1, 6, 6), "nothing is left of"),
    "elements": (FULL, (5, 5), r"an input of shape \(5, 5\) does not have 64 elements"),
    "pool on flat": (replace(FULL, pools=(square("max", 2, 2),)), (64,), "nothing is left of"),
    "pool too large": (replace(CONV, pools=(square("max", 5, 1),), padding=around(2, 2)), (1, 3, 3), "nothing is left"),
    "pools too large": (Connection("full", int8(1, 1), 2, pools=(square("max", 5, 1),)), (1, 3, 3), "nothing is left"),
    "blind before": (replace(CONV, pools=(NOTHING,)), (1, 6, 6), "a window of Pool.* sees nothing of an input of"),
    "blind behind": (replace(CONV, sum_pool=replace(NOTHING, padding=(0, 2, 0, 0))), (1, 6, 6), "sees nothing"),
    "too many": (replace(CONV, pools=(Upsample((1 << 16, 1 << 16)),)), (1, 6, 6), "are more than 31 bits can count"),
    "spread too far": (replace(CONV, spread=(1 << 20, 1 << 20)), (1, 6, 6), "are more than 31 bits can count"),
}


@pytest.mark.parametrize("what", FITTING)
def test_an_input_that_does_not_fit_is_refused(what):
    connection, shape, message = FITTING[what]
    with pytest.raises(ModelError, match=f"layer '{connection.name}': .*" + message):
        connection.output_shape(shape)


TERMS = {
    "delay": ({"delay": 2}, "a delay of 2 steps is out of range"),
    "shift": ({"shift": 32}, "a shift by 32 bits is out of range"),
    "no shift": ({"shift": -1}, "a shift by -1 bits is out of range"),
    "multiplier": ({"multiplier": int32(3)}, r"the multiplier is not int32 \(4,\)"),
    "dtype": ({"multiplier": np.ones(4)}, r"the multiplier is not int32 \(4,\)"),
    "zero behind a maximum": (
        {"multiplier": int32(4), "connection": replace(CONV, sum_pool=square("max", 2, 2))},
        "a multiplier of zero behind a largest value: make the codes zero",
    ),
}


@pytest.mark.parametrize("what", TERMS)
def test_a_term_that_contradicts_itself_is_refused(what):
    fields, message = TERMS[what]
    with pytest.raises(ModelError, match="layer 'conv': " + message):
        replace(Term(CONV, 0), **fields)


def test_a_shift_to_the_left_is_known_as_one():
    assert Term(CONV, 0).left_shift == 0
    assert Term(CONV, 0, multiplier=int32(4, value=8)).left_shift == 3
    for factor, shift in ((int32(4, value=6), 0), (int32(4, value=-8), 0), (np.array([1, 1, 1, 2], np.int32), 0)):
        assert Term(CONV, 0, multiplier=factor, shift=shift).left_shift is None
    assert Term(CONV, 0, shift=1).left_shift is None


TABLE, SCALED, CURRENT = neuron(bits=2), neuron(bits=8), neuron(synaptic_leak=0.5)
NEURONS = {
    "bits": (replace(TABLE, bits=9), "a state of 9 bits does not exist"),
    "reset": (replace(TABLE, reset="half"), "fraction or reset is out of range"),
    "fraction": (replace(TABLE, fraction=7), "fraction or reset is out of range"),
    "fire dtype": (replace(TABLE, fire=np.zeros(4)), "fire is float64"),
    "drop": (replace(TABLE, drop=int32(3)), r"drop is int32 \(3,\)"),
    "drop without a use": (replace(TABLE, drop=int32(4, value=1)), "a neuron with reset 'zero' subtracts something"),
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
    "current's bits": (
        replace(CURRENT, current=replace(CURRENT.current, bits=3)),
        "a current of 3 bits meets a state of 2",
    ),
    "current's decay": (
        replace(CURRENT, current=replace(CURRENT.current, store=TableStore(int32(9, 4), int32(3, 4)))),
        "current's decay is int32",
    ),
}


@pytest.mark.parametrize("what", NEURONS)
def test_a_neuron_that_contradicts_itself_is_refused(what):
    wrong, message = NEURONS[what]
    with pytest.raises(ModelError, match="layer 'conv': .*" + message):
        replace(LAYER, neuron=wrong)


READOUTS = {
    "no term": ({"terms": ()}, "it has no term"),
    "bias dtype": ({"bias": np.zeros(3)}, r"the bias is not int32 \(3,\)"),
    "fraction": ({"fraction": 9}, "a fraction of 9 bits is out of range"),
    "zero scale": ({"scale": 0.0}, "the scale must be a positive number, not 0.0"),
    "no scale": ({"scale": float("nan")}, "the scale must be a positive number, not nan"),
    "leak shape": ({"leak": int32(4)}, r"the leak is not int32 \(3,\)"),
    "leak above one": ({"leak": int32(3, value=5), "leak_shift": 2}, "a leak is not between zero and one"),
    "negative leak": ({"leak": int32(3, value=-1), "leak_shift": 2}, "a leak is not between zero and one"),
    "leak shift": ({"leak_shift": 17}, "a leak shifted by 17 bits is out of range"),
    "over time": ({"over_time": "first"}, "there is no 'first' over time"),
}


@pytest.mark.parametrize("what", READOUTS)
def test_a_readout_that_contradicts_itself_is_refused(what):
    fields, message = READOUTS[what]
    with pytest.raises(ModelError, match="layer 'full': " + message):
        replace(READOUT, **fields)


def second(*terms, **options):
    """A layer behind the first."""
    return Layer("second", terms, neuron(), **options)


GATE = BlockGate(*(int32(1, value=1) for _ in range(3)))
GRAPHS = {
    "no input": ({"inputs": ()}, "there is no input"),
    "no steps": ({"timesteps": 0}, "layer 'input': 0 time steps are out of range"),
    "too many steps": ({"timesteps": (1 << 20) + 1}, "1048577 time steps are out of range"),
    "no readout": ({"readouts": ()}, "there is no readout"),
    "first layer": ({"inputs": (Input((2, 6, 6)),)}, r"layer 'conv': .* does not have 1 channels"),
    "second layer": ({"layers": (LAYER, second(Term(CONV, 1)))}, r"layer 'conv': .* does not have 1 channels"),
    "readout": ({"inputs": (Input((1, 7, 6)),)}, r"layer 'full': .* does not have 64 elements"),
    "biases": ({"readouts": (replace(READOUT, bias=int32(4)),)}, r"layer 'full': 4 biases meet sums of shape \(3,\)"),
    "neurons": ({"layers": (replace(LAYER, neuron=neuron(5)),)}, r"layer 'conv': 5 neurons meet sums of shape \(4,"),
    "no source": ({"layers": (replace(LAYER, terms=(Term(CONV, 2),)),)}, "layer 'conv': there is no source 2"),
    "negative source": ({"layers": (replace(LAYER, terms=(Term(CONV, -1),)),)}, "there is no source -1"),
    "no source to read": ({"readouts": (replace(READOUT, terms=(Term(FULL, 2),)),)}, "'full': there is no source 2"),
    "a cycle without a delay": (
        {"layers": (replace(LAYER, terms=(Term(CONV, 0), Term(SAME, 2))), second(Term(SAME, 1)))},
        "layer 'conv': it takes, without a delay, what comes of 'second', .*: a cycle needs a delay",
    ),
    "itself without a delay": (
        {"layers": (replace(LAYER, terms=(Term(CONV, 0), Term(SAME, 1))),)},
        "layer 'conv': it takes, without a delay, what comes of 'conv', .*: a cycle needs a delay",
    ),
    "only delayed ones of later layers": (
        {"layers": (replace(LAYER, terms=(Term(SAME, 2, delay=1),)), second(Term(SAME, 1)))},
        "layer 'conv': all of its terms are delayed ones of later layers",
    ),
    "terms of two shapes": (
        {"layers": (replace(LAYER, terms=(Term(CONV, 0), Term(replace(CONV, name="wide", padding=around(1, 1)), 0))),)},
        r"layer 'conv': 'conv' gives it sums of shape \(4, 4, 4\), 'wide' of \(4, 6, 6\)",
    ),
    "terms of two shapes to read": (
        {"readouts": (replace(READOUT, terms=(Term(FULL, 1), Term(Connection("few", int8(2, 36), 2), 0))),)},
        r"layer 'full': 'full' gives it sums of shape \(3,\), 'few' of \(2,\)",
    ),
    "pixels with a gate": ({"layers": (replace(LAYER, gate=GATE),)}, "a layer that meets pixels cannot have a gate"),
}


@pytest.mark.parametrize("what", GRAPHS)
def test_parts_that_do_not_fit_are_refused(what):
    fields, message = GRAPHS[what]
    with pytest.raises(ModelError, match=message):
        replace(GRAPH, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (0, 6, 6)}, "an image of shape .* does not exist"),
        ({"shape": (36,)}, "an image of shape .* does not exist"),
        ({"shape": (1 << 16, 1 << 16, 1)}, "values are more than 31 bits can count"),
        ({"scale": -1.0}, "the scale must be a positive number, not -1.0"),
        ({"scale": float("inf")}, "the scale must be a positive number"),
    ],
)
def test_an_input_that_does_not_exist_is_refused(fields, message):
    with pytest.raises(ModelError, match="layer 'input': .*" + message):
        Input(**({"shape": (1, 6, 6)} | fields))


def test_a_layer_without_terms_is_refused():
    with pytest.raises(ModelError, match="layer 'none': it has no term"):
        Layer("none", (), neuron())


def test_delays_may_look_anywhere():
    assert RECURRENT.shapes == GRAPH.shapes
    back = replace(GRAPH, layers=(replace(LAYER, terms=(Term(CONV, 0), Term(SAME, 2, delay=1))), second(Term(SAME, 1))))
    assert back.shapes == ((4, 4, 4),) * 2
    first = replace(back, layers=(replace(back.layers[0], terms=back.layers[0].terms[::-1]), back.layers[1]))
    assert first.shapes == back.shapes  # the shape is that of the first term that is known


def test_a_graph_may_be_a_readout_alone():
    alone = Readout("full", (Term(Connection("full", int8(3, 36), 2), 0),), 0, int32(3), 1.0)
    assert Graph((Input((1, 6, 6)),), 2, (), (alone,)).outputs == ((3,),)


# No integer leaves its width.


def with_neuron(**fields):
    return replace(LAYER, neuron=replace(fields.pop("base", TABLE), **fields))


def with_term(**fields):
    return replace(LAYER, terms=(replace(Term(CONV, 0), **fields),))


LARGE = (1 << 31) - 2000
OVERFLOWS = {
    "decay": (with_neuron(store=TableStore(int32(4, 4, value=LARGE), TABLE.store.edges)), "a potential leaves 32 bits"),
    "negative decay": (
        with_neuron(store=TableStore(int32(4, 4, value=-LARGE), TABLE.store.edges)),
        "a potential leaves 32 bits",
    ),
    "drop": (with_neuron(reset="subtract", drop=int32(4, value=LARGE)), "a potential leaves 32 bits"),
    "sums": (with_term(connection=replace(CONV, pools=(square("sum", 1000, 1),))), "a sum leaves"),
    "pools": (with_term(connection=replace(CONV, pools=(square("sum", 4000, 1),))), "what its pools add up leaves 32"),
    "multiplier": (with_term(multiplier=int32(4, value=1 << 22)), "a sum times its multiplier leaves 32 bits"),
    "lowest multiplier": (with_term(multiplier=int32(4, value=-(1 << 31))), "a sum times its multiplier leaves 32"),
    "all terms": (replace(LAYER, terms=(Term(CONV, 0, multiplier=int32(4, value=1 << 19)),) * 4), "a potential leaves"),
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
def test_what_could_overflow_is_refused_by_its_layer(what):
    layer, message = OVERFLOWS[what]
    size = 4003 if layer.terms[0].connection.pools else 6
    with pytest.raises(ModelError, match="layer 'conv': .*" + message):
        Graph((Input((1, size, size)),), 2, (layer,), (READOUT,))


def test_the_bound_is_tight():
    # 9 pixels of 255, and a decay: the largest that fits passes, one more is refused.
    room = INT32 - (9 * 255 << TABLE.fraction) - 1
    for decay, fits in ((room, True), (room + 1, False)):
        layer = with_neuron(store=TableStore(int32(4, 4, value=decay), TABLE.store.edges))
        if fits:
            replace(GRAPH, layers=(layer,))
        else:
            with pytest.raises(ModelError, match="a potential leaves 32 bits"):
                replace(GRAPH, layers=(layer,))


def test_what_a_gate_adds_up_must_fit():
    layers = (LAYER, second(Term(SAME, 1), gate=GATE))
    replace(GRAPH, layers=layers)
    wrong = replace(GATE, count=int32(1, value=1 << 26))  # times 64 inputs
    with pytest.raises(ModelError, match="layer 'second': the gate leaves 32 bits"):
        replace(GRAPH, layers=(LAYER, replace(layers[1], gate=wrong)))


@pytest.mark.parametrize(
    ("term", "fields", "message"),
    [
        (Term(replace(SAME, codes=int8(4, 1, 3, 3), groups=4), 1), {}, "of a convolution in groups"),
        (Term(SAME, 1, delay=1), {}, "whose first term is delayed"),
        (Term(replace(SAME, dilation=(2, 2)), 1), {}, "of a dilated or a transposed convolution"),
        (Term(SAME, 1), {"neuron": CURRENT}, "of neurons with a synaptic current"),
    ],
)
def test_layers_whose_blocks_cannot_be_skipped_have_no_gate(term, fields, message):
    with pytest.raises(ModelError, match=f"layer 'second': blocks {message}|layer 'second': .*{message} cannot be"):
        replace(second(term), **fields, gate=GATE)


# The answers: a graph at the limit does not overflow, with one step more it is refused.


def at_the_limit(over_time, leak, leak_shift, bias, weight, fraction):
    """A readout of a pixel whose answers are the largest that there can be, for as many steps as it allows."""
    full = Connection("full", np.array([[weight], [-weight], [0]], np.int8), 8)
    constants = np.array([bias, -bias, 0], np.int32)
    readout = Readout("full", (Term(full, 0),), fraction, constants, 1.0, leak, leak_shift, over_time)
    return readout, Graph((Input((1, 1, 1)),), readout.longest(full.reach(255)), (), (readout,))


LEAKS = {
    "none": (None, 0),
    "one": (np.full(3, 8, np.int32), 3),
    "half": (np.full(3, 4, np.int32), 3),
    "high": (np.full(3, 65535, np.int32), 16),
    "zero": (np.zeros(3, np.int32), 1),
}


@pytest.mark.parametrize("over_time", ["last", "largest", "sum", "all"])
@pytest.mark.parametrize("leak", LEAKS)
def test_answers_fit_for_as_long_as_a_readout_allows(over_time, leak):
    for bias in (1 << 22, 1 << 26, 123_456_789, (1 << 30) - 40_000):
        readout, graph = at_the_limit(over_time, *LEAKS[leak], bias, 127, 3)
        steps = min(graph.timesteps, 700)
        assert steps >= 1
        white = np.full((steps, 1, 1, 1, 1), 255, np.uint8)
        found = reference.run(graph, white)
        z, kept, said = (255 * 127 << 3) + bias, 0, []
        factor = None if readout.leak is None else int(readout.leak[0])
        for _ in range(steps):
            half = (1 << readout.leak_shift) >> 1
            kept = (kept if factor is None else (kept * factor + half) >> readout.leak_shift) + z
            said.append(kept)
        answer = sum(said) if over_time == "sum" else max(said) if over_time == "largest" else kept
        last = found[-1] if over_time == "all" else found
        assert last[0, 0] == answer  # Python's whole numbers have no width
        assert answer <= INT32
        assert last[0, 2] == 0
        below = z if over_time == "largest" else answer
        assert abs(int(last[0, 1]) + below) <= steps * steps  # halves round up on either side


@pytest.mark.parametrize("over_time", ["last", "largest", "sum", "all"])
@pytest.mark.parametrize("leak", ["none", "one"])
def test_without_a_leak_the_limit_is_the_largest_that_there_is(over_time, leak):
    for bias in (1 << 22, 1 << 26, (1 << 30) - 40_000):
        _, graph = at_the_limit(over_time, *LEAKS[leak], bias, 127, 3)
        z, steps = (255 * 127 << 3) + bias, graph.timesteps + 1
        largest = z * steps * (steps + 1) // 2 if over_time == "sum" else z * steps
        assert largest > INT32 * 0.999
        longest = rf"layer 'full': the answers of {steps} time steps leave 32 bits, those of {steps - 1} do not"
        with pytest.raises(ModelError, match=longest):
            replace(graph, timesteps=steps)
        assert graph.longest == steps - 1


def test_a_leak_below_one_lets_a_network_run_for_ever():
    readout, graph = at_the_limit("last", *LEAKS["half"], 1 << 26, 127, 3)
    assert graph.timesteps == 1 << 20
    assert readout.longest(np.array([INT32] * 3)) == 0  # not even one step


def test_a_folded_neuron_always_passes():
    for bits in (1.58, 2, 3, 4, 5, 6, 7, 8):
        for reset in ("zero", "subtract", "none"):
            for slow in (None, 0.9):
                made = fold_neuron(
                    bits,
                    np.array([1e-4, 3.0, 1e-8, 0.02]),
                    np.array([0.5, -40.0, 0.0, 3.0]),
                    0.7,
                    1.0,
                    reset,
                    CONV.reach(255),
                    synaptic_leak=slow,
                )[0]
                replace(GRAPH, layers=(replace(LAYER, neuron=made),))
                assert isinstance(made.store, TableStore if bits <= 4 else ScaledStore)
