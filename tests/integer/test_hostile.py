"""Small files of large networks: planned with work that their size bounds, or refused in a sentence."""

from dataclasses import replace

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.errors import FileFormatError, ModelError, RunError
from spquant_snn.integer import memory, reference
from spquant_snn.integer.fanout import fanout
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.integer.graph import Connection, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.neuron import Neuron, TableStore
from spquant_snn.integer.pool import Pool, Upsample, repeated_sums
from spquant_snn.integer.program import Program
from spquant_snn.integer.stepper import ReferenceStepper
from spquant_snn.runtime import native
from spquant_snn.runtime.layout import plan_connections, plan_network
from spquant_snn.runtime.plan import Body


def neuron_of(channels):
    """Two bits: a code of one is half a threshold."""
    table = np.repeat(np.array([[-1], [0], [0], [1]], np.int32), channels, 1)
    edges = np.repeat(np.array([[-2], [-1], [1]], np.int32), channels, 1)
    return Neuron(2, 0, "zero", np.full(channels, 2, np.int32), np.zeros(channels, np.int32), TableStore(table, edges))


def network(connections, shape, classes=2):
    """A graph of such connections, and a readout of whatever is left."""
    parts = tuple(Part(c, neuron_of(len(c.codes))) for c in connections)
    left = shape
    for connection in connections:
        left = connection.output_shape(left)
    readout = Connection("readout", np.ones((classes, int(np.prod(left))), np.int8), 2)
    return row(shape, 1, parts, Last(readout, 0, np.zeros(classes, np.int32), 1.0))


@pytest.mark.parametrize(("count", "stride"), [(1, 1), (1, 5), (2, 1), (3, 2), (4, 7), (9, 3)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_repeated_sums_are_those_of_copies_added_one_by_one(axis, count, stride):
    values = np.random.default_rng(count).integers(-9, 9, (3, 4, 5)).astype(np.int32)
    shape = list(values.shape)
    shape[axis] += (count - 1) * stride
    expected = np.zeros(shape, np.int32)
    for start in range(0, count * stride, stride):
        np.moveaxis(expected, axis, 0)[start : start + values.shape[axis]] += np.moveaxis(values, axis, 0)
    found = repeated_sums(values, axis, count, stride)
    assert found.dtype == values.dtype
    assert (found == expected).all()


class Counted:
    """How many numbers are made by sums, whose work is that."""

    def __init__(self, monkeypatch):
        self.made = 0
        real = repeated_sums

        def counting(*arguments):
            found = real(*arguments)
            self.made += found.size
            return found

        for module in ("spquant_snn.runtime.connection_plan", "spquant_snn.integer.fanout"):
            monkeypatch.setattr(f"{module}.repeated_sums", counting)


@pytest.mark.parametrize("body", [Body.PACKED, Body.PORTABLE, Body.AVX512_SLICED])
def test_a_large_kernel_before_a_large_pool_is_planned_at_once(monkeypatch, body):
    side = 300  # copies one by one: 8 GB of additions
    kernel = np.zeros((1, 1, side, side), np.int8)
    kernel[..., ::60, ::60] = 1  # few, for the sums to fit 31 bits
    graph = network([Connection("a", kernel, 2, sum_pool=square("sum", side, 1))], (1, 3 * side, 3 * side))
    counted = Counted(monkeypatch)
    assert plan_network(graph, body=body).layer_count == 2
    assert counted.made <= 8 * kernel.size


def test_a_kernel_that_would_leave_every_cache_is_not_folded(monkeypatch):
    monkeypatch.setattr("spquant_snn.runtime.connection_plan._FOLDED", 6 * 6 * 32)
    for channels, window in ((32, 1), (33, 2)):
        codes = np.ones((channels, 1, 5, 5), np.int8)
        graph = network([Connection("a", codes, 2, sum_pool=square("sum", 2, 2))], (1, 6, 6))
        assert plan_connections(graph, Body.PORTABLE)[0].connection.window == window


def test_steps_far_apart_make_no_empty_slices():
    """One column of codes is not spread over as many as lie between two outputs."""
    graph = network([Connection("a", np.ones((8, 1, 1, 1), np.int8), 2),
                     Connection("b", np.ones((32, 8, 1, 1), np.int8), 2, stride=(1, 2000))], (1, 1, 2001))  # fmt: skip
    assert all(part.connection.slices is None for part in plan_connections(graph, Body.AVX512_SLICED))


def test_the_fan_out_of_long_rows_takes_memory_of_a_row(monkeypatch):
    wide = Connection(
        "a", np.ones((1, 1, 1, 60_000), np.int8), 2, padding=around(0, 65_535), sum_pool=square("sum", 1, 1)
    )
    counted = Counted(monkeypatch)
    found = fanout(wide, (1, 1, 60_000))  # a table of inputs by offsets would hold 3.6 billion numbers
    assert (found.all == 60_000).all()
    assert (found.nonzero == 60_000).all()
    assert counted.made < 2_000_000


# Numbers that no longer fit: what is refused would come to another value modulo 2^32 or 2^64.

ONE = np.ones((1, 1, 1, 1), np.int8)


@pytest.mark.parametrize("shape", [(65_535, 65_535, 65_535), (65_535, 65_535, 1), (2, 32_768, 32_768)])
def test_an_image_of_more_than_31_bits_of_values_is_refused(shape):
    connection = Connection("a", np.ones((1, shape[0], 1, 1), np.int8), 2)
    with pytest.raises(ModelError, match=r"layer 'input': \d+x\d+x\d+ values are more than 31 bits can count"):
        row(shape, 1, (Part(connection, neuron_of(1)),), readout_of(1))


def readout_of(inputs):
    return Last(Connection("readout", np.ones((2, inputs), np.int8), 2), 0, np.zeros(2, np.int32), 1.0)


@pytest.mark.parametrize("last", [1, 2])
def test_layers_whose_sizes_wrap_around_are_refused(last):
    channels = 1 << 10  # 2^32 wide, 2^22 channels: 2^64 values, which wrap to none at all
    codes = np.ones((channels, 1, 1, 1), np.int8)
    layers = [Connection(f"layer{i}", ONE, 2, padding=around(0, 1 << 30)) for i in range(last)]
    layers.append(Connection("wide", codes, 2, padding=around(1 << 30, 1 << 30)))
    with pytest.raises(ModelError, match=r"layer '\w+': [\dx]+ values are more than 31 bits can count"):
        row((1, 1, 1), 1, tuple(Part(c, neuron_of(len(c.codes))) for c in layers), readout_of(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pools": (Upsample((1 << 31, 1 << 31)),) * 2}, "are more than 31 bits can count"),
        ({"pools": (Pool("sum", (1, 1), (1, 1), (1 << 31, 0, 1 << 31, 0)),)}, "are more than 31 bits can count"),
        ({"spread": (1 << 40, 1)}, "31 bits|nothing"),
        ({"dilation": (1 << 62, 1 << 62)}, "nothing is left"),
        ({"stride": (1 << 62, 1), "padding": (1 << 62, 0, 0, 0)}, "are more than 31 bits can count"),
    ],
)
def test_numbers_beyond_64_bits_do_not_wrap_around(options, message):
    codes = np.ones((1, 1, 2, 2), np.int8)
    with pytest.raises(ModelError, match=message):
        Connection("a", codes, 2, **options).output_shape((1, 3, 3))


def test_bounds_of_many_terms_do_not_wrap_around():
    """Four of 2^62 would come to nothing in 64 bits."""
    one = Connection("one", ONE, 2)
    least = np.full(1, -(1 << 31), np.int32)
    for count in (1, 4, 8):
        terms = (Term(one, 0, multiplier=least),) * count
        with pytest.raises(ModelError, match="layer 'one': a sum times its multiplier leaves 32 bits"):
            Graph((Input((1, 1, 1)),), 1, (Layer("a", terms, neuron_of(1)),), (readout(1),))
    wide = Connection(
        "wide", np.full((1, 1 << 20), 127, np.int8), 8, pools=(square("sum", 2000, 1), square("sum", 2000, 1))
    )
    with pytest.raises(ModelError, match="leaves 32 bits"):
        wide.reach(255)


def readout(source):
    last = Connection("last", np.ones((2, 1), np.int8), 2)
    return Readout("last", (Term(last, source),), 0, np.zeros(2, np.int32), 1.0)


def test_readouts_of_the_largest_numbers_do_not_wrap_around():
    for fraction, bias in ((8, 1 << 31), (8, 0), (0, 1 << 31)):
        constants = np.full(2, -bias, np.int32)
        answers = replace(readout(0), fraction=fraction, bias=constants)
        reach = np.full(2, (1 << 31) - 1, np.int64)
        assert answers.longest(reach) == (1 if (fraction, bias) == (0, 0) else 0)
        leaky = replace(answers, leak=np.full(2, 1 << 16, np.int32), leak_shift=16, over_time="sum")
        assert leaky.longest(reach) == 0


def test_a_file_of_such_layers_is_refused_in_a_sentence(monkeypatch):
    graph = network([Connection("a", ONE, 2)], (1, 1, 1))
    data = to_bytes(graph)
    assert from_bytes(data).input_shape == (1, 1, 1)
    monkeypatch.setattr("spquant_snn.integer.connection.INT32", 0)
    with pytest.raises(FileFormatError, match=r"a network that cannot be run .*more than 31 bits can count"):
        from_bytes(data)


# Memory: what does not fit is refused before it is taken.


@pytest.fixture
def small_machine(monkeypatch):
    """A machine of 1 MB."""
    for module in (memory, native):
        monkeypatch.setattr(module, "installed_memory", lambda: 1_000_000)


def roomy():
    """A network whose second layer needs more than 1 MB."""
    return network([Connection("thin", ONE, 2, stride=(2, 2)), Connection("fat", np.ones((40, 1, 9, 9), np.int8), 2)],
                   (1, 200, 200))  # fmt: skip


def test_the_reference_refuses_what_cannot_fit_and_names_the_layer(small_machine):
    graph = roomy()
    with pytest.raises(ModelError, match=r"layer 'fat' needs about .* GB of memory, this machine has 0.0 GB"):
        reference.run(graph, np.zeros((1, *graph.input_shape), np.uint8))
    with pytest.raises(ModelError, match=r"layer 'fat' needs about"):
        ReferenceStepper(graph)


@pytest.mark.parametrize("options", [{"pools": (Upsample((400, 400)), square("max", 1200, 1))}, {"spread": (400, 400)}])
def test_what_is_between_the_pools_counts(small_machine, options):
    """A few values in, a few out, and more than a million in between."""
    stride = {} if "pools" in options else {"stride": (800, 800)}
    graph = network([Connection("wide", ONE, 2, **options, **stride)], (1, 3, 3))
    with pytest.raises(ModelError, match="layer 'wide' needs about"):
        reference.run(graph, np.zeros((1, 1, 3, 3), np.uint8))


def test_the_native_runtime_refuses_what_cannot_fit_and_names_the_layer(monkeypatch):
    graph = roomy()
    monkeypatch.setattr(memory, "installed_memory", lambda: 10_000)
    with pytest.raises(ModelError, match=r"layer '\w+' needs about .* GB of memory"):
        native.NativeProgram(graph)


def test_threads_are_as_many_as_there_is_memory_for(monkeypatch):
    program = native.NativeProgram(roomy())
    images = np.zeros((4, *program.graph.input_shape), np.uint8)
    monkeypatch.setattr(native, "installed_memory", lambda: program.plan.arena_size)
    monkeypatch.setattr(program, "_submit", lambda work, threads: pytest.fail("more arenas than fit"))
    assert program.logits(images, 4).shape == (4, 2)


def test_a_batch_that_does_not_fit_is_told_in_a_sentence(monkeypatch):
    graph = roomy()

    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(reference, "integrate", full)
    with pytest.raises(RunError, match="there is no memory to run 2 images at once: give fewer, a smaller batch_size"):
        Program(graph).logits(np.zeros((2, *graph.input_shape), np.uint8))


def test_an_arena_beyond_31_bits_names_its_layer():
    layers = [
        Connection("small", ONE, 2),
        Connection("large", np.ones((600, 1, 1, 1), np.int8), 2),
        Connection("last", np.ones((1, 600, 1, 1), np.int8), 2, stride=(999, 999)),
    ]
    graph = replace(network(layers, (1, 1700, 1700)), timesteps=8)
    with pytest.raises(ModelError, match=r"layer 'la(rge|st)': what it needs of memory leaves 31 bits"):
        plan_network(graph)
