"""Streams, frame by frame: what the batch gives of the same frames; by the reference and by native code."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from random_graphs import RARE, WIDTHS, random_graph, random_images, with_gates
from rows import Last, Part, row
from spquant_snn import DataError
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from stream_inputs import batch, random_frames


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("bits", WIDTHS)
def test_each_push_gives_what_the_batch_gives_of_the_frames_so_far(program, bits, reset):
    for seed in (*range(5), RARE + 3, *range(RARE + 18, RARE + 24)):
        for graph in (random_graph(seed, None, bits, reset), with_gates(random_graph(seed, None, bits, reset), seed)):
            frames = random_frames(graph, 5, seed)
            with program(graph).stream() as net:
                for t, frame in enumerate(frames[: net.longest]):
                    assert np.array_equal(net.push(frame), batch(graph, frames[: t + 1]))


@pytest.mark.slow
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
    readout = Last(Connection("readout", np.eye(2, dtype=np.int8), 2), 0, np.zeros(2, np.int32), 1.0)
    net = program(row(frame.shape, 1, (Part(first, neuron),), readout)).stream()
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


def test_frames_may_be_anything_that_numpy_takes(program):
    graph = next(random_graph(seed) for seed in range(9) if random_graph(seed).input_shape[0] == 1)
    frame = random_frames(graph, 1, 0)[0]
    wanted, made = batch(graph, [frame]), program(graph)
    sealed = frame.copy()
    sealed.flags.writeable = False
    mirrored = np.ascontiguousarray(frame[:, ::-1])[:, ::-1]
    for given_as in (frame, frame[0], torch.from_numpy(frame), list(frame), list(frame[0]), sealed, mirrored):
        assert np.array_equal(made.stream().push(given_as), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame[None], r"a stream takes one frame \[\d+x\d+x\d+\] at a time, not \[1, \d+, "),
        (lambda frame: frame[:, 1:], r"one frame \[\d+x\d+x\d+\] at a time, not \["),
        (lambda frame: frame[0, 0], r"at a time, not \[\d+\]"),
        (lambda frame: frame / 255, r"frames must be uint8, 0 to 255, not float64: quantize\(frames\)"),
        (lambda frame: frame > 0, r"frames must be uint8, 0 to 255, not bool: quantize\(frames\)"),
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
