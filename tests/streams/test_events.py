"""Streams of events as they come: each stretch of time is the frame that training makes of it."""

import dataclasses
import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from cases import case
from random_graphs import random_graph
from spquant_snn import ConfigError, DataError
from spquant_snn.data.frames import Framing, to_frames
from spquant_snn.integer.file import save
from spquant_snn.integer.program import Program
from stream_inputs import OF_EVENTS, batch, pushed, recording


def test_events_of_a_stretch_of_time_are_one_frame_as_in_training(program):
    for shrink, left_over in itertools.product((1, 2, 3), (0, 1)):
        with case(shrink, left_over):
            for seed in OF_EVENTS:
                graph = random_graph(seed)
                sensor = tuple(side * shrink - left_over * (shrink > 1) for side in graph.input_shape[1:])
                events = recording(seed, sensor)
                first = int(events.t[0])
                frames = to_frames(events, Framing(window=1000, shrink=shrink)).counts
                made = program(graph)
                with (
                    made.stream(sensor) as as_events,
                    made.stream(list(sensor)) as as_arrays,
                    made.stream() as as_frames,
                ):
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
