"""A program takes images in every usual shape, says so when it cannot, and runs where torch is not installed."""

import copy
import pickle
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from general_graphs import general_graph, general_inputs
from rows import Last, Part, row
from spquant_snn.errors import ConfigError, DataError, ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.file import load_graph, save
from spquant_snn.integer.graph import Connection, Graph, Input, Readout, Term
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.integer.program import Program


def network(channels, bias=0):
    """Weights and neurons of no meaning over images of ``channels`` x 6 x 5, 4 classes."""
    rng = np.random.default_rng(channels)
    first = Connection("first", rng.integers(-2, 2, (7, channels * 30)).astype(np.int8), 2)
    neuron, _ = fold_neuron(3, np.full(7, 1e-3), np.full(7, 0.6), 1.0, 0.5, "zero", first.reach(255))
    last = Connection("last", rng.integers(-2, 2, (4, 7)).astype(np.int8), 2)
    return row((channels, 6, 5), 3, [Part(first, neuron)], Last(last, 2, np.full(4, bias, np.int32), 0.1))


@pytest.fixture
def grey():
    return Program(network(1))


@pytest.fixture
def coloured():
    return Program(network(3))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_program_says_what_it_is(coloured):
    assert (coloured.input_shape, coloured.classes, coloured.timesteps) == ((3, 6, 5), 4, 3)
    assert repr(coloured) == "Program(3x6x5 -> 4, 2 layers, 658 weights, T = 3)"
    assert repr(coloured.graph) == "Graph(3x6x5 -> 4, 2 layers, 658 weights, T = 3)"


@pytest.mark.parametrize("batch_size", [1, 3, 256])
@pytest.mark.parametrize("seed", range(5))
def test_logits_are_those_of_the_reference_in_batches_of_any_size(random_graph, random_images, seed, batch_size):
    graph = random_graph(seed)
    images = random_images(graph, 7)
    program, expected = Program(graph), reference.run(graph, images)
    logits, classes = program.logits(images, batch_size), program.predict(images, batch_size)
    assert (logits.dtype, classes.dtype, classes.shape) == (np.int32, np.int64, (7,))
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(classes, expected.argmax(1))


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_a_sequence_that_repeats_an_image_is_that_image(coloured, batch_size):
    images = noise(5, 3, 6, 5)
    repeated = np.broadcast_to(images, (3, *images.shape))
    np.testing.assert_array_equal(coloured.logits(repeated, batch_size), coloured.logits(images))


def test_a_sequence_may_be_longer_than_a_still_image_is_shown(coloured):
    frames = noise(9, 2, 3, 6, 5)
    np.testing.assert_array_equal(coloured.logits(frames), reference.run(coloured.graph, frames))


def test_one_image_is_a_batch_of_one(coloured):
    images = noise(1, 3, 6, 5)
    assert coloured.predict(images[0]).shape == (1,)
    np.testing.assert_array_equal(coloured.logits(images[0]), coloured.logits(images))


@pytest.mark.parametrize("count", [1, 2, 6])
def test_grey_images_need_no_axis_for_their_channel(grey, count):
    images = noise(count, 6, 5)
    np.testing.assert_array_equal(grey.logits(images), grey.logits(images[:, None]))


def test_whatever_becomes_an_array_is_taken(grey):
    torch = pytest.importorskip("torch")
    images = noise(4, 1, 6, 5)
    np.testing.assert_array_equal(grey.logits(torch.from_numpy(images)), grey.logits(images))
    np.testing.assert_array_equal(grey.logits(list(images)), grey.logits(images))


def test_the_first_of_equal_logits_wins():
    silent = Connection("last", np.zeros((4, 7), np.int8), 2)
    readout = Readout("last", (Term(silent, 1),), 0, np.array([1, 5, 5, 2], np.int32), 1.0)
    assert Program(replace(network(1), readouts=(readout,))).predict(noise(2, 6, 5)).tolist() == [1, 1]


# Several inputs and readouts, inputs with signs, and readouts that do not predict.


def maps_of(graph, **options):
    """The network with a readout of maps in front."""
    ones = Connection("maps", np.ones((2, graph.input_shape[0], 1, 1), np.int8), 2)
    return replace(
        graph, readouts=(Readout("maps", (Term(ones, 0),), 0, np.zeros(2, np.int32), 1.0, **options), *graph.readouts)
    )


def signed(graph):
    return replace(graph, inputs=(Input(graph.input_shape, signed=True, scale=0.1),))


@pytest.mark.parametrize("batch_size", [1, 2, 256])
@pytest.mark.parametrize("steps", [None, 3])
def test_answers_are_those_of_the_reference_in_batches_of_any_size(batch_size, steps):
    kinds = set()
    for seed in range(40):
        graph = general_graph(seed)
        given = general_inputs(graph, 5, seed, steps)
        found = Program(graph).answers(*given, batch_size=batch_size)
        expected = reference.answers(graph, *given)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        kinds |= {(len(graph.inputs), len(found)), graph.readout.over_time}
    assert {(1, 1), (2, 1), (1, 2), "all", "largest", "sum"} <= kinds


def test_logits_are_the_answers_of_the_first_readout(coloured):
    images = noise(4, 3, 6, 5)
    program = Program(maps_of(coloured.graph))
    maps, logits = program.answers(images)
    assert maps.shape == (4, 2, 6, 5)
    np.testing.assert_array_equal(program.logits(images), maps)
    np.testing.assert_array_equal(coloured.logits(images), logits)


def test_a_readout_of_every_step_answers_so(coloured):
    graph = coloured.graph
    each = replace(graph, readouts=(replace(graph.readout, over_time="all"),))
    found = Program(each).logits(noise(5, 3, 6, 5), batch_size=2)
    assert found.shape == (3, 5, 4)
    np.testing.assert_array_equal(found[-1], coloured.logits(noise(5, 3, 6, 5)))


def test_where_there_is_no_one_prediction_none_is_given(coloured):
    images, graph = noise(2, 3, 6, 5), coloured.graph
    with pytest.raises(ConfigError, match="answers with maps of 2x6x5, there is no one prediction: use its logits"):
        Program(maps_of(graph)).predict(images)
    each = replace(graph, readouts=(replace(graph.readout, over_time="all"),))
    with pytest.raises(ConfigError, match="answers at every time step, there is no one prediction: use its logits"):
        Program(each).predict(images)


def test_an_input_with_signs_takes_int8(coloured):
    program = Program(signed(coloured.graph))
    images = (noise(4, 3, 6, 5) // 2).astype(np.int8) - np.int8(40)
    expected = reference.run(program.graph, images)
    np.testing.assert_array_equal(program.logits(images), expected)
    np.testing.assert_array_equal(program.logits(images[0]), expected[:1])
    with pytest.raises(DataError, match=r"images must be int8, -127 to 127, not uint8"):
        program.logits(images.astype(np.uint8))
    images[1, 0, 0, 0] = -128
    with pytest.raises(DataError, match="images must lie in -127 to 127, and there is a -128"):
        program.logits(images)


def test_several_inputs_are_given_together():
    graph = next(g for g in map(general_graph, range(99)) if len(g.inputs) == 2)
    given = general_inputs(graph, 3)
    program = Program(graph)
    with pytest.raises(DataError, match="takes 2 inputs, not 1: give an array for each"):
        program.answers(given[0])
    with pytest.raises(DataError, match="takes 2 inputs, not 1: give an array for each"):
        program.logits(given[0])
    with pytest.raises(ConfigError, match="a stream gives a network one input, this one takes 2"):
        program.stream()
    with pytest.raises(DataError, match="what is given for input 1 cannot be read as a NumPy array"):
        program.answers(given[0], [[1], [2, 3]])


def frame_by_frame(stream, frames):
    return [stream.push(frame) for frame in frames]


def test_a_stream_is_the_network_on_frames():
    """Of every kind of graph of one input: what a stream says behind each frame is what a sequence so long gives."""
    told = 0
    for seed in range(60):
        graph = general_graph(seed)
        if len(graph.inputs) > 1:
            continue
        (frames,) = general_inputs(graph, 1, seed, steps=4)
        with Program(graph).stream() as stream:
            for i, found in enumerate(frame_by_frame(stream, frames[:, 0])):
                expected = reference.run(graph, frames[: i + 1])
                np.testing.assert_array_equal(
                    found, expected[-1, 0] if graph.readout.over_time == "all" else expected[0]
                )
            stream.reset()
            np.testing.assert_array_equal(
                stream.push(frames[0, 0]), frame_by_frame(Program(graph).stream(), frames[:1, 0])[0]
            )
        told += 1
    assert told > 20


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_stream_goes_on_by_itself(copied):
    for seed in range(30):
        graph = general_graph(seed)
        if len(graph.inputs) > 1:
            continue
        (frames,) = general_inputs(graph, 1, seed, steps=5)
        stream = Program(graph).stream()
        frame_by_frame(stream, frames[:2, 0])
        other = copied(stream)
        frame_by_frame(other, frames[::-1, 0])  # what the copy sees is not seen by the first
        whole = frame_by_frame(Program(graph).stream(), frames[:, 0])
        for found, expected in zip(frame_by_frame(stream, frames[2:, 0]), whole[2:], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("images", "advice"),
    [
        (np.zeros((2, 3, 6, 5), np.float32), r"float32: quantize"),
        (np.zeros((2, 3, 6, 5), np.int64), r"int64: quantize"),
        (np.zeros((2, 3, 6, 5), bool), r"bool: quantize"),
        (np.array(["a"]), r"uint8, 0 to 255, not <U1"),
        (np.zeros((0, 3, 6, 5), np.uint8), r"no images .*\[0, 3, 6, 5\]"),
        (np.zeros((0, 2, 3, 6, 5), np.uint8), r"no images"),
        (np.zeros((4, 0, 3, 6, 5), np.uint8), r"no images"),
        (np.zeros((2, 3, 5, 6), np.uint8), r"\[N, 3x6x5\] or sequences .* not \[2, 3, 5, 6\]"),
        (np.zeros((2, 6, 5), np.uint8), r"not \[2, 6, 5\]"),
        (np.zeros((6, 5), np.uint8), r"not \[6, 5\]"),
        (np.uint8(3), r"not \[\]"),
        ([np.zeros((3, 6, 5), np.uint8), np.zeros((3, 6, 4), np.uint8)], r"cannot be read as a NumPy array"),
        (None, r"uint8, 0 to 255, not object"),
    ],
)
def test_other_images_are_refused_in_words(coloured, images, advice):
    for call in (coloured.predict, coloured.logits):
        with pytest.raises(DataError, match=advice):
            call(images)


@pytest.mark.parametrize("graph", [None, "model.spq", 3, {}])
def test_a_program_needs_a_graph(graph):
    with pytest.raises(ModelError, match=r"a Graph or a Program is needed, not a .*: lower.* load_graph"):
        Program(graph)


@pytest.mark.parametrize("engine", ["native", 3, object()])
def test_a_program_needs_an_engine_that_runs_graphs(coloured, engine):
    with pytest.raises(ConfigError, match="the engine of a program must run graphs, not be"):
        Program(coloured.graph, engine)


@pytest.mark.parametrize("index", [-1, 1, "0", None])
def test_an_input_that_is_not_there_has_no_scale(coloured, index):
    with pytest.raises(ConfigError, match="this network has 1 inputs, no input"):
        coloured.quantize([0.5], index)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "8", None])
def test_an_impossible_batch_size_is_refused(coloured, batch_size):
    with pytest.raises(ConfigError, match="batch_size must be a whole number above zero"):
        coloured.predict(noise(1, 3, 6, 5), batch_size)


def test_a_sequence_whose_logits_could_overflow_is_refused():
    program = Program(network(1, bias=1 << 29))
    with pytest.raises(DataError, match="4 frames is too long"):
        program.predict(noise(4, 1, 1, 6, 5))


def test_a_saved_program_runs_where_torch_cannot_be_imported(tmp_path, random_graph, random_images):
    graph = random_graph(11)
    images = random_images(graph, 5)
    save(graph, tmp_path / "model.spq")
    np.save(tmp_path / "images.npy", images)
    script = """
        import importlib, sys

        class NoTorch:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "torch":
                    raise ImportError(f"{name} is blocked")

        sys.meta_path.insert(0, NoTorch())
        import numpy as np
        for name in ("blobs", "decode", "encode", "file", "graph", "pack", "program", "reference", "compare"):
            importlib.import_module(f"spquant_snn.integer.{name}")
        from spquant_snn.integer.file import load_graph
        from spquant_snn.integer.program import Program
        print(Program(load_graph("model.spq")).logits(np.load("images.npy")).tolist())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(Program(load_graph(tmp_path / "model.spq")).logits(images).tolist())


@pytest.mark.parametrize(
    ("shape", "held"),
    [((7, 1, 1), (7,)), ((2, 1, 9), (2, 9)), ((1, 1, 9), (1, 9)), ((1, 1, 1), (1,)), ((5, 1, 1), (5, 1))],
)
def test_vectors_and_signals_are_taken_as_users_hold_them(shape, held):
    """Not mistaken for grey images, for sequences or for one another, even where numbers are the same."""
    rng = np.random.default_rng(0)
    codes = rng.integers(-2, 2, (3, int(np.prod(shape)))).astype(np.int8)
    readout = Readout("last", (Term(Connection("last", codes, 2), 0),), 0, np.zeros(3, np.int32), 1.0)
    program = Program(Graph((Input(shape),), 2, (), (readout,)))
    for lead in ((4,), (6, 4), (shape[0], 2)):
        values = rng.integers(0, 256, (*lead, *held), dtype=np.uint8)
        whole = values.reshape(*lead, *shape)
        if len(lead) == 2 and values.ndim == 4 and values.shape[1:] == shape:
            continue  # four dimensions are always images
        np.testing.assert_array_equal(program.logits(values), program.logits(whole))
        assert len(program.logits(values)) == lead[-1]


def test_a_notebook_shows_its_layers(coloured):
    graph, shown = coloured.graph, coloured._repr_html_()
    assert shown.count("<tr>") == 1 + len(graph.layers) + len(graph.readouts)
    assert all(f">{layer.name}</td>" in shown for layer in graph.layers)
    assert "the NumPy reference" in shown
