"""Images that stop when they are decided: each as a network of so many steps alone would answer, in every build."""

import dataclasses
import pickle

import numpy as np
import pytest

from general_graphs import general_graph, general_inputs
from random_graphs import random_graph, random_images
from spquant_snn import ConfigError, Program, RunError
from spquant_snn.integer import reference
from spquant_snn.integer.early_stop import MOST_MARGIN, leads
from spquant_snn.integer.inputs import says_classes


def by_hand(graph, images, margin):
    """Logits and steps, of networks of 1, 2, 3 .. steps, each by itself."""
    still, logits, steps = images.ndim == 4, [], []
    most = graph.timesteps if still else len(images)
    for n in range(images.shape[-4]):
        for t in range(1, most + 1):
            own = images[n : n + 1] if still else images[:t, n : n + 1]
            said = reference.answers(dataclasses.replace(graph, timesteps=t), own)[0].reshape(-1)
            first, second = sorted(said.tolist())[:-3:-1]
            if first - second >= margin:
                break
        logits.append(said)
        steps.append(t)
    return np.stack(logits), np.array(steps)


def margins(graph, images):
    """Some that decide after one step, after all, and in between."""
    found = leads(reference.answers_by_step(graph, images)[0].reshape(-1, images.shape[-4], graph.classes))
    return [0, int(np.median(found[0])) + 1, int(found.max()), int(found.max()) + 1]


def agree(run, graph, images, *case):
    for margin in margins(graph, images):
        logits, steps = by_hand(graph, images, margin)
        for program in (Program(graph), Program(graph, run)):
            stopped = program.stop_early(images, margin)
            assert np.array_equal(stopped.logits, logits), (*case, margin, program)
            assert np.array_equal(stopped.steps, steps), (*case, margin, program)
            assert np.array_equal(stopped.classes, logits.argmax(1)), (*case, margin, program)


def test_random_graphs_stop_as_the_reference(program):
    stopped_between = 0
    for seed in range(15):
        graph = random_graph(seed)
        if graph.classes < 2:
            continue
        images = random_images(graph, 5, seed)
        agree(program(graph), graph, images, "seed", seed)
        frames = random_images(graph, 6, seed).reshape(3, 2, *graph.input_shape)
        agree(program(graph), graph, frames, "frames, seed", seed)
        steps = Program(graph).stop_early(images, margins(graph, images)[1]).steps
        stopped_between += len(set(steps.tolist())) > 1
    assert stopped_between > 3  # or nothing that differs by image is tested


def test_general_graphs_stop_as_the_reference(program):
    seen = 0
    for seed in range(40):
        graph = general_graph(seed)
        if len(graph.inputs) > 1 or not says_classes(graph) or graph.classes < 2:
            continue
        (images,) = general_inputs(graph, 3, seed)
        agree(program(graph), graph, images, "seed", seed)
        seen += 1
    assert seen > 5


def test_threads_share_a_batch_that_stops(program):
    graph = random_graph(3)
    images = random_images(graph, 37, 3)
    run = Program(graph, program(graph))
    for margin in margins(graph, images):
        one, four = (run.stop_early(images, margin, threads=threads) for threads in (1, 4))
        assert np.array_equal(one.logits, four.logits)
        assert np.array_equal(one.steps, four.steps)
        again = pickle.loads(pickle.dumps(run)).stop_early(images, margin)
        assert np.array_equal(one.logits, again.logits)


def test_the_reference_takes_its_batches_apart():
    graph = random_graph(3)
    images = random_images(graph, 7, 3)
    margin = margins(graph, images)[1]
    whole, parts = (Program(graph).stop_early(images, margin, batch_size=size) for size in (7, 2))
    assert np.array_equal(whole.logits, parts.logits)
    assert np.array_equal(whole.steps, parts.steps)


@pytest.mark.parametrize("margin", [-1, 1.5, None, True, "12", MOST_MARGIN + 1])
def test_what_is_no_margin_is_refused(margin):
    graph = random_graph(3)
    with pytest.raises(ConfigError, match="margin must be"):
        Program(graph).stop_early(random_images(graph, 1), margin)


def test_a_network_that_tells_no_classes_apart_is_refused():
    seeds = (seed for seed in range(300) if not says_classes(general_graph(seed)))
    graph = next(graph for graph in map(general_graph, seeds) if len(graph.inputs) == 1)
    with pytest.raises(ConfigError, match="answers no classes"):
        Program(graph).stop_early(general_inputs(graph, 1, 0)[0], 3)


def test_too_many_images_are_refused_in_a_sentence(monkeypatch):
    def none_left(*given):
        raise MemoryError

    graph = random_graph(3)
    monkeypatch.setattr("spquant_snn.integer.program.stop_early", none_left)
    with pytest.raises(RunError, match="there is no memory to run 4 images at once"):
        Program(graph).stop_early(random_images(graph, 4), 3)


def test_the_largest_lead_of_32_bits_is_no_overflow():
    said = np.array([[-(2**31), 2**31 - 1], [5, 5]], np.int32)
    assert leads(said).tolist() == [MOST_MARGIN, 0]
