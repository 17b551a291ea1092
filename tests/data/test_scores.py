"""The metric of each task against its definition, and that counts add up over batches."""

import numpy as np
import pytest

from spquant_snn.data import Task
from spquant_snn.data.scores import Metric, add, count, decide, details, metric_of, score

RNG = np.random.default_rng(0)
CLASSES = Task("classification", 3)
LABELS = Task("multilabel", 4)
NUMBERS = Task("regression", 2, unit="m")
MAPS = Task("regression", 2)
PIXELS = Task("segmentation", 3)


def drawn(task, items=12):
    """What a network says, and labels of a task."""
    if task is CLASSES:
        return RNG.normal(size=(items, 4)), RNG.integers(0, 3, items)
    if task is LABELS:
        return RNG.normal(size=(items, 4)), RNG.integers(0, 2, (items, 4)).astype(np.float32)
    if task is PIXELS:
        return RNG.normal(size=(items, 4, 3, 3)), RNG.integers(-1, 3, (items, 3, 3))
    shape = (items, 2) if task is NUMBERS else (items, 2, 3, 3)
    return RNG.normal(5, size=shape), RNG.normal(5, size=shape).astype(np.float32)


@pytest.mark.parametrize("task", [CLASSES, LABELS, NUMBERS, MAPS, PIXELS], ids=lambda task: task.kind)
def test_counts_add_up_to_those_of_all(task):
    values, labels = drawn(task)
    parts = {}
    for start in range(0, 12, 5):
        parts = add(parts, count(task, values[start : start + 5], labels[start : start + 5]))
    whole = count(task, values, labels)
    assert score(task, parts) == pytest.approx(score(task, whole), rel=1e-12)
    assert details(task, parts).keys() == details(task, whole).keys()


def test_accuracy_and_that_of_each_class():
    values, labels = np.eye(4)[[0, 1, 1, 3]], np.array([0, 1, 0, 2])
    found = count(CLASSES, values, labels)
    assert score(CLASSES, found) == 50
    assert details(CLASSES, found) == {"accuracy_of_each": [50, 100, 0]}
    assert found["confusion"].tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


def test_f1_is_the_mean_over_labels_that_occur():
    values = np.array([[1, -1, -1, 1], [1, 1, -1, -1.0]])
    labels = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    found = count(LABELS, values, labels)
    # tp 1, fp 1; tp 1; never; fp 1
    assert details(LABELS, found)["f1_of_each"] == [pytest.approx(200 / 3), 100, None, 0]
    assert score(LABELS, found) == pytest.approx((200 / 3 + 100 + 0) / 3)


def test_rmse_mae_and_r2():
    values, labels = drawn(NUMBERS)
    found, error = count(NUMBERS, values, labels), values - labels
    assert score(NUMBERS, found) == pytest.approx(np.sqrt((error**2).mean()))
    r2 = 1 - (error**2).sum(0) / ((labels - labels.mean(0)) ** 2).sum(0)
    more = details(NUMBERS, found)
    assert (more["mae"], more["r2"]) == pytest.approx((np.abs(error).mean(), r2.mean()), rel=1e-5)
    assert more["r2_of_each"] == pytest.approx(r2.tolist(), rel=1e-5)
    always = count(Task("regression", 1), np.zeros((3, 1)), np.ones((3, 1), np.float32))
    assert details(Task("regression", 1), always)["r2"] is None  # of what does not vary


def test_iou_does_not_count_pixels_that_are_of_no_class():
    values = np.zeros((1, 4, 1, 4))
    values[0, [0, 1, 1, 3], 0, range(4)] = 1
    labels = np.array([[[0, 1, 0, -1]]])
    found = count(PIXELS, values, labels)
    assert details(PIXELS, found)["iou_of_each"] == [50, 50, None]
    assert score(PIXELS, found) == 50
    assert np.isnan(score(PIXELS, count(PIXELS, values, labels * 0 - 1)))


def test_decisions_are_classes_labels_numbers_and_classes_of_pixels():
    assert decide(CLASSES, np.array([[0, 2, 2.0]])).tolist() == [1]
    assert decide(LABELS, np.array([[0, -1, 0.5, 2]])).tolist() == [[0, 0, 1, 1]]
    assert decide(NUMBERS, np.array([[0.5, -1]])).tolist() == [[0.5, -1]]
    assert decide(PIXELS, np.array([[[[1, 0]], [[0, 3]], [[0, 0]]]])).tolist() == [[[0, 1]]]


def test_metrics_are_shown_with_their_unit_and_know_what_is_better():
    accuracy, rmse = metric_of(CLASSES), metric_of(NUMBERS)
    assert (accuracy.shown(97.5), rmse.shown(0.25), metric_of(MAPS).shown(12345.6)) == (
        "97.50%",
        "0.25 m",
        "1.235e+04",
    )
    assert accuracy.better(2, 1)
    assert rmse.better(1, 2)
    assert all(metric.better(5, metric.worst) for metric in (accuracy, rmse))
    assert not Metric("x", "x").better(float("nan"), 0)


def test_a_set_of_very_many_classes_is_counted_without_a_matrix():
    many = Task("classification", 2000)
    found = count(many, np.eye(2000)[[3, 4]], np.array([3, 5]))
    assert (score(many, found), details(many, found)) == (50, {})


def test_counts_of_nothing_take_nothing_away():
    task = Task("classification", 2)
    found = count(task, np.eye(2), np.array([0, 1]))
    for both in (add(found, {}), add({}, found)):
        assert score(task, both) == 100.0
