"""Streams: frame by frame, or from events as they come, what the batch gives; by the reference and by native code."""

import dataclasses
import itertools
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import RARE, WIDTHS, random_graph, random_images, with_gates
from spquant_snn import ConfigError, DataError, ModelError, RunError, Stream
from spquant_snn.data.events import Events
from spquant_snn.data.frames import Framing, to_frames
from spquant_snn.integer import reference, stream
from spquant_snn.integer.file import save
from spquant_snn.integer.graph import Connection, Graph, Layer, Readout
from spquant_snn.integer.program import Program
from spquant_snn.integer.stepper import ReferenceStepper
from spquant_snn.quant.fold import fold_neuron
from spquant_snn.runtime.native import NativeProgram

EVENT = [("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.uint8)]
OF_EVENTS = [seed for seed in range(90) if random_graph(seed).input_shape[0] == 2][:12]


@pytest.fixture(scope="module", params=["reference", "native"])
def program(request):
    """``program(graph)``: run by either."""
    return lambda graph: Program(graph, NativeProgram(graph) if request.param == "native" else None)


def batch(graph, frames):
    """The logits of a sequence of frames, by the reference's batch."""
    return reference.run(graph, np.stack(frames)[:, None])[0]


def random_frames(graph, count, seed):
    """Frames of which no two are alike, half of them with little in them; the third has the largest sums."""
    frames = random_images(graph, count, seed)
    frames[2:3] = 255
    return list(frames)


def recording(seed, sensor, count=400):
    """Events anywhere on a sensor, within 10 milliseconds."""
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(0, 10_000, count)).astype(np.int64)
    x, y = (draw.integers(0, side, count).astype(np.uint16) for side in sensor[::-1])
    return Events(t, x, y, draw.integers(0, 2, count).astype(np.uint8), sensor)


def pushed(*rows):
    return np.array(list(rows), EVENT)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("bits", WIDTHS)
def test_each_push_gives_what_the_batch_gives_of_the_frames_so_far(program, bits, reset):
    for seed in (*range(5), RARE + 3, *range(RARE + 18, RARE + 24)):
        for graph in (random_graph(seed, None, bits, reset), with_gates(random_graph(seed, None, bits, reset), seed)):
            frames = random_frames(graph, 5, seed)
            with program(graph).stream() as net:
                for t, frame in enumerate(frames[: net.longest]):
                    assert np.array_equal(net.push(frame), batch(graph, frames[: t + 1]))


@given(
    seed=st.integers(0, RARE + 40),
    gated=st.booleans(),
    doings=st.lists(st.tuples(st.booleans(), st.integers(-1, 4)), min_size=1, max_size=14),
)
@settings(max_examples=60)
def test_streams_of_one_program_do_not_meet_and_reset_forgets(program, seed, gated, doings):
    graph = with_gates(random_graph(seed), seed) if gated else random_graph(seed)
    made, frames = program(graph), random_frames(graph, 5, seed)
    nets, seen = (made.stream(), made.stream()), ([], [])
    for which, number in doings:  # a frame for one of the two, or none: it is reset
        net, so_far = nets[which], seen[which]
        if number < 0:
            net.reset()
            so_far.clear()
        elif len(so_far) < net.longest:
            so_far.append(frames[number])
            assert np.array_equal(net.push(frames[number]), batch(graph, so_far))
        for net, so_far in zip(nets, seen, strict=True):
            logits = batch(graph, so_far) if so_far else np.zeros(graph.classes, np.int32)
            assert (net.steps, net.logits.dtype) == (len(so_far), np.int32)
            assert np.array_equal(net.logits, logits)
            if so_far:
                assert net.predict() == logits.argmax()


def test_sums_of_more_than_24_bits_are_exact(program):
    first = Connection("first", np.full((2, 1, 24, 24), 127, np.int8), 8)
    frame = np.full((1, 24, 24), 255, np.uint8)
    frame[0, 0, 0] = 254
    total = 127 * int(frame.sum())
    assert total > 1 << 24
    assert total % 2  # no float32
    neuron, _ = fold_neuron(2, np.full(2, 1 / 16), np.zeros(2), 1.0, 0.5, "zero", first.reach(255))
    assert neuron.fraction == 0  # potentials are counts
    neuron = dataclasses.replace(neuron, fire=np.array([total, total + 1], np.int32))
    readout = Readout(Connection("readout", np.eye(2, dtype=np.int8), 2), 0, np.zeros(2, np.int32), 1.0)
    net = program(Graph(frame.shape, 1, (Layer(first, neuron),), readout)).stream()
    assert net.push(frame).tolist() == [1, 0]


def test_a_still_image_is_its_frame_pushed_at_every_step(program):
    for seed in range(30):
        graph = random_graph(seed)
        made, image = program(graph), random_images(graph, 1, seed)[0]
        with made.stream() as net:
            for _ in range(graph.timesteps):
                logits = net.push(image)
        assert np.array_equal(logits, made.logits(image)[0])
        assert net.predict() == made.predict(image)[0]


@pytest.mark.parametrize("left_over", [0, 1])
@pytest.mark.parametrize("shrink", [1, 2, 3])
def test_events_of_a_stretch_of_time_are_one_frame_as_in_training(program, shrink, left_over):
    for seed in OF_EVENTS:
        graph = random_graph(seed)
        sensor = tuple(side * shrink - left_over * (shrink > 1) for side in graph.input_shape[1:])
        events = recording(seed, sensor)
        first = int(events.t[0])
        frames = to_frames(events, Framing(window=1000, shrink=shrink)).counts
        made = program(graph)
        with made.stream(sensor) as as_events, made.stream(list(sensor)) as as_arrays, made.stream() as as_frames:
            for t, frame in enumerate(frames[: as_events.longest]):
                part = events.between(first + 1000 * t, first + 1000 * (t + 1))
                wanted = as_frames.push(frame)
                assert np.array_equal(as_events.push(part), wanted)
                assert np.array_equal(as_arrays.push(part.structured()), wanted)
        assert np.array_equal(wanted, batch(graph, list(frames[: t + 1])))


def two_channels(program):
    """A program that takes events, and the sensor of twice its size."""
    graph = random_graph(OF_EVENTS[0])
    return program(graph), tuple(2 * side for side in graph.input_shape[1:])


def test_no_events_are_a_frame_of_zeros_and_a_step(program):
    made, sensor = two_channels(program)
    blank = np.zeros(made.input_shape, np.uint8)
    for empty in (pushed(), recording(0, sensor, count=0)):
        net = made.stream(sensor)
        for t in range(3):
            assert np.array_equal(net.push(empty), batch(made.graph, [blank] * (t + 1)))
        assert net.steps == 3


def test_events_that_a_count_cannot_hold_are_told_until_reset(program):
    made, sensor = two_channels(program)
    full = np.zeros(made.input_shape, np.uint8)
    full[1, 1, 0] = 255
    net = made.stream(sensor)
    many = pushed(*[(t, t % 2, 2 + t // 150, 1) for t in range(300)])  # four pixels that are one in the frame
    assert np.array_equal(net.push(many), batch(made.graph, [full]))
    assert net.lost == 45
    net.push(many)
    assert net.lost == 90
    net.reset()
    assert (net.lost, net.steps) == (0, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            pushed((5, 60, 1, 1)),
            r"what was pushed: event 0 lies at column 60, row 1, outside the sensor of \d+x\d+ pix",
        ),
        (pushed((5, 1, 1, 2)), r"what was pushed: p holds \[2\]: give 1 for brighter"),
        (pushed((5000, 1, 1, 1), (1, 1, 1, 1)), "what was pushed: times run backwards, by 4999 microseconds"),
        (pushed((5, 1, 1, 1))[["t", "x", "y"]], "what was pushed has the fields t, x, y: give a structured array with"),
        (pushed((5, 1, 1, 1)).reshape(1, 1), r"what was pushed: t is int64 \[1, 1\]: give whole numbers"),
        (pushed((5, 1, 1, 1))[0], "what was pushed has"),
        (recording(0, (3, 3)), r"events of a sensor of 3x3 pixels, for a stream of \d+x\d+: check what camera"),
        (np.zeros((2, 2), np.uint8), r"a stream takes one frame \[2x\d+x\d+\] at a time, not \[2, 2\]"),
    ],
)
def test_other_events_are_refused_and_change_nothing(program, wrong, message):
    made, sensor = two_channels(program)
    net, events = made.stream(sensor), recording(1, sensor)
    first = net.push(events)
    with pytest.raises(DataError, match=message):
        net.push(wrong)
    assert (net.steps, net.latency.count) == (1, 1)
    assert np.array_equal(net.logits, first)
    again = made.stream(sensor)
    again.push(events)
    assert np.array_equal(net.push(events), again.push(events))


def test_unchecked_events_are_checked(program):
    made, sensor = two_channels(program)
    events = recording(0, sensor, count=3)
    outside = dataclasses.replace(events, y=np.full(3, sensor[0], np.uint16))
    with pytest.raises(DataError, match="outside the sensor"):
        made.stream(sensor).push(outside)


def test_events_need_a_sensor_that_fits(program):
    made, sensor = two_channels(program)
    with pytest.raises(DataError, match=r"knows no sensor for events: open it with stream\(sensor=\(rows, columns\)\)"):
        made.stream().push(recording(0, sensor))
    for wrong in (34, (34,), (0, 5), (5.0, 5), (True, 5), "ab", (1, 2, 3)):
        with pytest.raises(ConfigError, match=r"a sensor is \(rows, columns\), two whole numbers above zero, not "):
            made.stream(wrong)
    rows, columns = made.input_shape[1:]
    for none in ((rows - 1, columns), (2 * rows, columns), (100 * rows, 300 * columns)):
        with pytest.raises(ConfigError, match=f"to frames of {columns}x{rows} in no way: check the sensor"):
            made.stream(none)
    one = program(next(random_graph(seed) for seed in range(9) if random_graph(seed).input_shape[0] == 1))
    with pytest.raises(ConfigError, match="takes frames of 1 channels, events make 2"):
        one.stream(one.input_shape[1:])


def test_frames_may_be_anything_that_numpy_takes(program):
    graph = next(random_graph(seed) for seed in range(9) if random_graph(seed).input_shape[0] == 1)
    frame = random_frames(graph, 1, 0)[0]
    wanted, made = batch(graph, [frame]), program(graph)
    sealed = frame.copy()
    sealed.flags.writeable = False
    turned = np.ascontiguousarray(frame[:, ::-1])[:, ::-1]
    for given_as in (frame, frame[0], torch.from_numpy(frame), list(frame), list(frame[0]), sealed, turned):
        assert np.array_equal(made.stream().push(given_as), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame[None], r"a stream takes one frame \[\d+x\d+x\d+\] at a time, not \[1, \d+, "),
        (lambda frame: frame[:, 1:], r"one frame \[\d+x\d+x\d+\] at a time, not \["),
        (lambda frame: frame[0, 0], r"at a time, not \[\d+\]"),
        (lambda frame: frame / 255, r"frames must be uint8, 0 to 255, not float64: pixels .* \(frames \* 255\)"),
        (lambda frame: frame > 0, r"frames must be uint8, 0 to 255, not bool: convert them with frames\.astype"),
        (lambda frame: [frame[0], frame[0, 1:]], "frames cannot be read as a NumPy array"),
        (lambda frame: None, "frames must be uint8, 0 to 255, not object"),
        (lambda frame: frame[..., :0], r"at a time, not \["),
    ],
)
def test_other_frames_are_refused_and_change_nothing(program, change, message):
    graph = random_graph(3)
    net, frames = program(graph).stream(), random_frames(graph, 2, 3)
    net.push(frames[0])
    with pytest.raises(DataError, match=message):
        net.push(change(frames[0]))
    assert net.steps == 1
    assert np.array_equal(net.push(frames[1]), batch(graph, frames))


def test_a_stream_ends_before_its_logits_could_leave_32_bits(program):
    graph = random_graph(1)
    bias = np.full(graph.classes, (1 << 31) // 3, np.int32)
    graph = dataclasses.replace(graph, timesteps=1, readout=dataclasses.replace(graph.readout, bias=bias))
    frames = random_frames(graph, 3, 1)
    net = program(graph).stream()
    assert net.longest == 2
    for _ in range(2):
        for t in range(2):
            last = net.push(frames[t])
        with pytest.raises(
            DataError, match="has taken 2 frames, its logits could leave 32 bits with another: reset it"
        ):
            net.push(frames[2])
        assert np.array_equal(net.logits, last)
        assert np.array_equal(last, batch(graph, frames[:2]))
        net.reset()


def test_a_closed_stream_takes_nothing_and_still_tells_what_it_found(program):
    graph = random_graph(2)
    frame = random_frames(graph, 1, 2)[0]
    with program(graph).stream() as net:
        logits = net.push(frame)
    net.close()
    for call in (lambda: net.push(frame), net.reset):
        with pytest.raises(RunError, match=r"this stream is closed: open another with stream\(\)"):
            call()
    assert (net.steps, net.predict(), net.latency.count) == (1, logits.argmax(), 1)
    assert np.array_equal(net.logits, logits)


def test_a_native_stream_ends_with_its_program():
    graph = random_graph(2)
    frame = random_frames(graph, 1, 2)[0]
    with NativeProgram(graph) as native:
        net = native.stream()
        net.push(frame)
    for call in (lambda: net.push(frame), net.reset, native.stream):
        with pytest.raises(RunError, match="this program is closed"):
            call()
    assert net.steps == 1


def test_what_a_stream_hands_out_is_not_its_state(program):
    graph = random_graph(3)
    net, frames = program(graph).stream(), random_frames(graph, 2, 3)
    for change in (net.push(frames[0]), net.logits):
        change += 7
        assert np.array_equal(net.logits, batch(graph, frames[:1]))
    assert np.array_equal(net.push(frames[1]), batch(graph, frames))


def test_logits_of_a_native_or_reference_stepper_stay_as_they_are():
    graph = random_graph(3)
    frames = random_frames(graph, 2, 3)
    for stepper in (ReferenceStepper(graph), NativeProgram(graph).stepper()):
        first = stepper.step(frames[0])
        assert np.array_equal(stepper.step(frames[1]), batch(graph, frames))
        stepper.reset()
        assert np.array_equal(first, batch(graph, frames[:1]))


def test_the_longest_stream_is_proven_and_one_frame_more_is_not():
    for seed in (*range(40), *range(RARE, RARE + 24)):
        readout = random_graph(seed).readout
        most = stream.longest(random_graph(seed))
        readout.check_bounds(1, most)
        with pytest.raises(ModelError, match=f"the logits of {most + 1} time steps leave 32 bits"):
            readout.check_bounds(1, most + 1)


def test_there_is_no_prediction_before_the_first_frame(program):
    graph = random_graph(3)
    net = program(graph).stream()
    for _ in range(2):
        with pytest.raises(RunError, match="this stream has seen no frame since its start or reset: push one first"):
            net.predict()
        net.push(random_frames(graph, 1, 3)[0])
        net.predict()
        net.reset()


def test_latency_is_of_the_last_pushes_and_outlives_reset(program, monkeypatch):
    graph = random_graph(4)
    monkeypatch.setattr(stream, "_TIMED", 4)
    ticks = itertools.accumulate(itertools.chain.from_iterable((1.0, took) for took in (9, 0.5, 0.25, 2, 0.125, 1)))
    monkeypatch.setattr(stream, "perf_counter", lambda: next(ticks))
    net, frame = program(graph).stream(), random_frames(graph, 1, 4)[0]
    assert net.latency.count == 0
    assert np.isnan([net.latency.median, net.latency.worst]).all()
    net.push(frame)
    assert dataclasses.astuple(net.latency) == (1, 9, 9)
    net.reset()
    for _ in range(5):
        net.push(frame)
    assert dataclasses.astuple(net.latency) == (4, 0.625, 2)
    assert str(net.latency) == "4 pushes: median 625000.0 us, worst 2000000.0 us"


def test_threads_push_one_after_the_other(program):
    graph = random_graph(6)
    net, frame = program(graph).stream(), random_frames(graph, 1, 6)[0]

    def push():
        for _ in range(50):
            net.push(frame)

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert net.steps == 200
    assert np.array_equal(net.logits, batch(graph, [frame] * 200))


def test_a_stream_says_what_it_is(program):
    graph = random_graph(3)
    net = program(graph).stream()
    net.push(random_frames(graph, 1, 3)[0])
    assert isinstance(net, Stream)
    shape = "x".join(map(str, graph.input_shape))
    assert repr(net) == f"Stream({shape} -> {graph.classes}, 1 of at most {net.longest:,} frames)"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_events_are_streamed_where_torch_cannot_be_imported(tmp_path):
    graph = random_graph(OF_EVENTS[0])
    sensor = tuple(2 * side for side in graph.input_shape[1:])
    events = recording(3, sensor)
    save(graph, tmp_path / "model.spq")
    np.save(tmp_path / "events.npy", events.structured())
    script = f"""
        import sys
        sys.modules["torch"] = None
        import numpy as np, spquant_snn
        net = spquant_snn.load("model.spq").stream(sensor={sensor})
        print(net.push(np.load("events.npy")).tolist())
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(Program(graph).stream(sensor).push(events).tolist())
