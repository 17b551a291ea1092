"""Stopping early, against the same decided one image at a time, and on the integer model."""

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

from spquant_snn import LIF, ConfigError, LeakyIntegrator, ModelError, Program, QuantConfig, prepare
from spquant_snn.quant.lower import lower
from spquant_snn.report.counts import count
from spquant_snn.report.early_exit import (
    AfterStep,
    AtMargin,
    EarlyExit,
    ExitCurve,
    Measured,
    choose_margin,
    follow,
    measure_early_exit,
    operations_until,
)
from spquant_snn.report.ledger_tables import with_caption
from spquant_snn.report.wording import early_exit_table
from spquant_snn.train.metrics import measure
from spquant_snn.train.tensors import LabelledTensors

INFINITY = float("inf")


@pytest.fixture(scope="module")
def network(tiny, quadrants, calibrate):
    """An untrained network over four steps, frozen, whose answers change on the way."""
    return calibrate(tiny(timesteps=4, seed=3), quadrants(60).images).freeze()


def leaky(over_time):
    """An untrained network whose readout integrates with a leak."""
    torch.manual_seed(3)
    layers = [nn.Flatten(), nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16), LIF(), nn.Linear(16, 4)]
    return prepare(nn.Sequential(*layers, LeakyIntegrator(0.5, over_time)), QuantConfig(2, 2, 4), (1, 8, 8))


@st.composite
def courses(draw):
    """Any course of up to 12 images over up to 5 steps."""
    steps, images = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    rows = st.lists(st.integers(0, 6), min_size=steps * images, max_size=steps * images)
    lead = torch.tensor(draw(rows)).view(steps, images).cummax(0).values
    return ExitCurve(torch.tensor(draw(rows)).view(steps, images) > 3, lead)


def by_hand(course, margin):
    """Mean steps and accuracy, deciding step by step for one image after another."""
    steps, right = [], []
    for n in range(course.right.shape[1]):
        t = 0
        while t < len(course.right) - 1 and course.lead[t, n] < margin:
            t += 1
        steps.append(t + 1)
        right.append(bool(course.right[t, n]))
    return sum(steps) / len(steps), 100 * sum(right) / len(right)


@given(courses(), st.integers(0, 8))
def test_an_image_stops_at_the_first_step_that_leads_by_the_margin(course, margin):
    found = course.measure(margin)
    assert (found.steps, found.accuracy) == pytest.approx(by_hand(course, margin))


@given(courses())
def test_the_ends_are_one_step_and_all_steps(course):
    assert course.measure(0) == course.after(1)
    assert course.measure(INFINITY) == course.after(len(course.right))


@given(courses())
def test_a_higher_margin_never_takes_fewer_steps(course):
    used = [course.measure(margin).steps for margin in (*range(9), INFINITY)]
    assert used == sorted(used)


@given(courses(), st.sampled_from([0.0, 10.0, 50.0, 100.0]))
def test_the_margin_chosen_is_the_lowest_that_holds_with_all_above_it(course, given_up):
    least = course.after(len(course.right)).accuracy - given_up - 1e-9
    holds = [all(course.measure(m).accuracy >= least for m in range(margin, 9)) for margin in range(9)]
    assert choose_margin(course, given_up) == holds.index(True)


@pytest.mark.parametrize("points", [-0.1, 100.1, float("nan")])
def test_points_that_cannot_be_given_up_are_refused(points):
    course = ExitCurve(torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.long))
    with pytest.raises(ConfigError, match=r"given_up must be .* not "):
        choose_margin(course, points)


@pytest.mark.parametrize("over_time", ["sum of all", "mean", "last", "largest"])
def test_a_course_is_that_of_the_integers_that_ship(network, quadrants, calibrate, over_time):
    if over_time != "sum of all":
        network = calibrate(leaky(over_time), quadrants(60).images).freeze()
    data, program = quadrants(30, seed=2), Program(lower(network))
    course = follow(network, data, batch_size=7)
    most = np.zeros(30, np.int64)
    for t in range(1, 5):
        shown = data.images.numpy()[None].repeat(t, 0)
        logits = program.logits(shown)
        ordered = np.sort(logits.astype(np.int64), 1)
        most = np.maximum(most, ordered[:, -1] - ordered[:, -2])
        assert np.array_equal(course.right[t - 1].numpy(), logits.argmax(1) == data.labels.numpy())
        assert np.array_equal(course.lead[t - 1].numpy(), most)
    assert len(torch.unique(course.lead)) > 20
    assert not torch.equal(course.right[0], course.right[-1])


def test_all_steps_give_the_plain_accuracy(network, quadrants):
    data = quadrants(60, seed=5)
    found = measure_early_exit(network, quadrants(40, seed=4), data)
    accuracy = measure(network, data).score
    assert found.after[-1].test.accuracy == accuracy
    assert follow(network, data).measure(INFINITY).accuracy == accuracy
    assert [row.step for row in found.after] == [1, 2, 3, 4]
    assert (found.validation, found.test) == (40, 60)


def test_an_image_that_stops_does_what_a_shorter_network_does(network, quadrants):
    data, graph = quadrants(20, seed=5), lower(network)
    found, course = measure_early_exit(network, quadrants(40, seed=4), data), follow(network, data)

    def done(steps):
        graphs = [replace(graph, timesteps=int(step)) for step in steps]
        counts = [count(part, data.images[n : n + 1].numpy()) for n, part in enumerate(graphs)]
        return sum(row.done for counted in counts for row in counted.rows) / 20

    for row in found.after:
        assert row.operations == pytest.approx(done([row.step] * 20))
    for row in found.at:
        assert row.operations == pytest.approx(done(course.steps(row.margin)))
    steps = course.steps(float(course.lead.double().median()))
    assert len(set(steps.tolist())) == 4
    assert operations_until(graph, data, [steps], batch_size=7) == [pytest.approx(done(steps))]


def test_frames_bring_their_pixels_anew_at_each_step(network, quadrants):
    still, graph, ways = quadrants(12), lower(network), [torch.tensor([1, 3] * 6)]
    frames = LabelledTensors(still.images[:, None].repeat(1, 4, 1, 1, 1), still.labels)
    (again,), (once,) = operations_until(graph, frames, ways), operations_until(graph, still, ways)
    pixels = count(graph, still.images[1::2].numpy()).layers[0].done  # of the half that takes two steps more
    assert again - once == pytest.approx(2 * pixels / 2)


def test_three_passes_are_told_of(network, quadrants):
    told = []
    measure_early_exit(network, quadrants(40, seed=4), quadrants(20, seed=5), progress=told.append)
    assert told == [40, 60, 80]


def test_a_row_of_large_numbers_is_one_line_of_80_columns():
    last = Measured(16.0, 100.0)
    rows = (AtMargin(9_999_999, 0.5, last, last, 1e9), AtMargin(0, 0.0, last, last, 1.0))
    out = StringIO()
    table = early_exit_table(EarlyExit(10_000, 10_000, 1e-5, (AfterStep(16, last, last, 1e9),), rows), recordings=True)
    Console(width=80, file=out).print(*with_caption(table), sep="\n")
    found = [line.split() for line in out.getvalue().splitlines()]
    assert ["margin", "9,999,999", "(0.5)", "16.00", "100.00", "16.00", "100.00", "1,000,000,000"] in found
    assert ["all", "after", "16", "16.00", "100.00", "16.00", "100.00", "1,000,000,000"] in found


def test_margins_do_not_depend_on_the_test_images(network, quadrants):
    known = quadrants(40, seed=4)
    found = [measure_early_exit(network, known, quadrants(20, seed=seed), (0.0, 5.0)) for seed in (6, 7)]
    assert [row.margin for row in found[0].at] == [row.margin for row in found[1].at]
    for row in found[0].at:
        assert row.validation.accuracy >= found[0].after[-1].validation.accuracy - row.given_up


def test_sequences_are_followed_frame_by_frame(network, quadrants):
    still = quadrants(12)
    frames = LabelledTensors(still.images[:, None].repeat(1, 3, 1, 1, 1), still.labels)
    course, whole = follow(network, frames, batch_size=8), follow(network, still)
    assert torch.equal(course.right, whole.right[:3])
    assert torch.equal(course.lead, whole.lead[:3])


def test_what_has_no_integer_margins_is_refused(tiny, quadrants):
    with pytest.raises(ModelError, match="freeze the network first"):
        follow(tiny(), quadrants(4))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), LIF(), nn.Linear(3, 1))
    with pytest.raises(ModelError, match="early exit needs two"):
        follow(prepare(model, QuantConfig(2, 2, 2), (1, 8, 8)).freeze(), quadrants(4))
