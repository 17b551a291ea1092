"""What a stream keeps between pushes: how long it may be, its logits, its latency, and what ends it."""

import copy
import dataclasses
import itertools
import pickle
import threading

import numpy as np
import pytest

from cases import case
from random_graphs import RARE, random_graph
from spquant_snn import DataError, RunError, Stream
from spquant_snn.integer import stream
from spquant_snn.integer.readout import LONGEST
from spquant_snn.integer.stepper import ReferenceStepper
from spquant_snn.runtime.native import NativeProgram
from stream_inputs import batch, random_frames


def test_a_stream_ends_before_its_logits_could_leave_32_bits(program):
    graph = random_graph(1)
    bias = np.full(graph.classes, (1 << 31) // 3, np.int32)
    graph = dataclasses.replace(graph, timesteps=1, readouts=(dataclasses.replace(graph.readout, bias=bias),))
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
        graph = random_graph(seed)
        readout, longest = graph.readout, graph.longest
        largest = ((graph.reach(readout.terms) << readout.fraction) + np.abs(readout.bias.astype(np.int64))).max()
        assert longest == LONGEST or longest * largest <= (1 << 31) - 1 < (longest + 1) * largest


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


COPIES = {"copied": copy.copy, "deep": copy.deepcopy, "pickled": lambda net: pickle.loads(pickle.dumps(net))}


def test_a_copy_of_a_stream_goes_on_from_the_same_state_by_itself(program):
    for seed, how in itertools.product((1, 2, 5, 9, RARE, RARE + 1), COPIES):
        with case(seed, how):
            graph = random_graph(seed)
            frames = random_frames(graph, 6, seed)
            net = program(graph).stream()
            for frame in frames[:3]:
                net.push(frame)
            other = COPIES[how](net)
            told = (3, net.predict(), net.latency, repr(net))
            assert (other.steps, other.predict(), other.latency, repr(other)) == told
            for stream_, rest in ((net, frames[3:5]), (other, frames[4:6]), (net, frames[5:6])):
                for frame in rest:
                    stream_.push(frame)
            assert np.array_equal(net.logits, batch(graph, frames))
            assert np.array_equal(other.logits, batch(graph, [*frames[:3], *frames[4:]]))
            other.reset()
            assert np.array_equal(other.push(frames[0]), batch(graph, frames[:1]))
            assert net.steps == 6


@pytest.mark.parametrize("how", COPIES)
def test_copies_of_what_is_closed(how):
    graph = random_graph(2)
    net = NativeProgram(graph).stream()
    net.push(random_frames(graph, 1, 2)[0])
    net.close()
    assert np.array_equal(COPIES[how](net).logits, net.logits)
    with NativeProgram(graph) as native:
        net = native.stream()
    for closed in (native, net):
        with pytest.raises(RunError, match="this program is closed"):
            COPIES[how](closed)
