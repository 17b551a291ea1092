"""What labels say is to be learned, and labels that say nothing, or two things."""

import numpy as np
import pytest
import torch

from spquant_snn.data import Labelled, Splits, Task, as_splits
from spquant_snn.data.task import read_labels
from spquant_snn.errors import ConfigError, DataError

IMAGES = np.zeros((4, 1, 3, 3), np.uint8)


def pair(labels):
    return (torch.from_numpy(IMAGES), labels)


def task_of(labels, **options):
    data = as_splits((pair(labels), pair(labels)), **options)
    return data.task, data.train.labels.dtype, data.train.labels.shape


@pytest.mark.parametrize(
    ("labels", "options", "kind", "outputs", "dtype", "shape"),
    [
        (np.array([0, 2, 1, 0], np.uint8), {}, "classification", 3, np.int64, (4,)),
        (np.array([0.5, -2, 1, 0]), {}, "regression", 1, np.float32, (4, 1)),
        (np.array([[0.5, 1]] * 4), {}, "regression", 2, np.float32, (4, 2)),
        (np.full((4, 2, 3, 3), 0.5, np.float16), {}, "regression", 2, np.float32, (4, 2, 3, 3)),
        (np.array([3.0, 1, 0, 1]), {"task": "regression"}, "regression", 1, np.float32, (4, 1)),
        (np.array([[1, 300]] * 4), {"task": "regression"}, "regression", 2, np.float32, (4, 2)),
        (np.eye(4, dtype=np.bool_), {"task": "multilabel"}, "multilabel", 4, np.float32, (4, 4)),
        (np.eye(4), {"task": "multilabel"}, "multilabel", 4, np.float32, (4, 4)),
        (np.full((4, 3, 3), 2, np.int32), {}, "segmentation", 3, np.int64, (4, 3, 3)),
        (np.full((4, 3, 3), -1), {}, "segmentation", 1, np.int64, (4, 3, 3)),
    ],
)
@pytest.mark.parametrize("form", ["array", "tensor", "items"])
def test_labels_say_their_task_or_fit_the_one_that_is_asked_for(labels, options, kind, outputs, dtype, shape, form):
    if form == "items":
        items = [(torch.from_numpy(IMAGES[0]), label) for label in labels]
        data = as_splits((items, items), **options)
        found = data.task, data.train.labels.dtype, data.train.labels.shape
    else:
        found = task_of(torch.from_numpy(labels) if form == "tensor" else labels, **options)
    assert found == (Task(kind, outputs), dtype, shape)


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        (np.array([3.0, 1, 0, 1]), {}, r"whole numbers: for classes give them as integers .* task=\"regression\""),
        (np.array([3.0, 1, 0, 1]), {"task": "classification"}, "for classification, give one class index per image"),
        (np.eye(4), {}, r'task="multilabel" .* task="regression" .* labels.argmax\(1\) for classes'),
        (np.ones((4, 2), np.bool_), {}, r'task="multilabel" .* task="regression" for numbers$'),
        (np.full((4, 2), 7), {}, 'say task="regression" if they are numbers'),
        (np.full((4, 3, 3), 0.5), {}, "for segmentation, a class index for each pixel"),
        (np.array([True] * 4), {}, "for classification, one class index per image"),
        (np.full((4, 2), 0.5), {"task": "multilabel"}, "0 or 1 for each label"),
        (np.array([0.5, np.nan, 1, 2]), {}, "not finite"),
        (np.array([0.5, 1e300, 1, 2]), {}, "larger unit"),
        (np.full((4, 3, 3), -2), {}, "hold -2: number the classes from 0"),
        (np.array([0, -1, 0, 0]), {}, "hold -1: number the classes from 0"),
        (np.array([0, 0, 0, 2**63], np.uint64), {}, "number the classes from 0"),
        (np.zeros((4, 1, 1, 1, 1)), {}, "for regression, numbers"),
    ],
)
def test_labels_that_say_nothing_or_two_things_are_refused_with_what_to_do(labels, options, says):
    with pytest.raises(DataError, match=f"^training labels .*{says}"):
        as_splits((pair(labels), pair(labels)), **options)


def test_a_task_may_name_its_outputs_and_their_unit_and_is_held_to_its_labels():
    speed = Task("regression", 2, ("x", "y"), "m/s")
    labels = np.full((4, 2), 0.5, np.float32)
    assert as_splits((pair(labels), pair(labels)), task=speed).task == speed
    known = Splits("mine", Labelled(IMAGES, labels), Labelled(IMAGES, labels), Task("regression", 2))
    assert as_splits(known, task=speed).task == speed
    with pytest.raises(DataError, match="have 2 columns, the task 3 outputs"):
        as_splits((pair(labels), pair(labels)), task=Task("regression", 3))
    with pytest.raises(ConfigError, match="mine is for regression, not for classification: leave task out"):
        as_splits(known, task="classification")
    with pytest.raises(ConfigError, match="of 2 outputs, not for regression of 3"):
        as_splits(known, task=Task("regression", 3))
    with pytest.raises(ConfigError, match=r"task must be one of classification, .* not 'ranking'"):
        as_splits(known, task="ranking")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ranking", 2), "task must be one of"),
        (("regression", 0), "above zero, not 0"),
        (("regression", True), "above zero, not True"),
        (("classification", 3, ("a", "b")), "3 outputs and 2 names"),
        (("classification", 2, ("a", "")), "not ''"),
        (("classification", 2, ("a", "b\n")), "printable"),
        (("classification", 2, (), "m"), "a unit is of numbers"),
    ],
)
def test_tasks_that_do_not_exist_are_refused(arguments, says):
    with pytest.raises(ConfigError, match=says):
        Task(*arguments)


def test_labels_in_memory_are_of_one_form_for_each_task():
    for labels in (np.zeros(4), np.zeros((4, 2), np.int64), np.zeros((4, 1), np.float64), np.zeros((4, 2, 3), "f4")):
        with pytest.raises(DataError, match=r"^labels must be int64 \[N\] or"):
            Labelled(IMAGES, labels)
    with pytest.raises(DataError, match="training labels are float32"):
        Splits("mine", *[Labelled(IMAGES, np.zeros((4, 1), np.float32))] * 2, Task("classification", 1))
    parts = [Labelled(IMAGES, np.zeros((4, 1, side, side), np.float32)) for side in (2, 3)]
    with pytest.raises(DataError, match=r"training labels are \[1, 2, 2\], test labels \[1, 3, 3\]"):
        Splits("mine", *parts, Task("regression", 1))


def test_labels_of_two_tasks_are_refused():
    with pytest.raises(DataError, match="training labels are for classification, the test labels for regression"):
        as_splits((pair(np.array([0, 1, 0, 1])), pair(np.array([0.5, 1, 0, 1]))))


def test_labels_are_copied_only_where_they_must_be():
    held = np.zeros((4, 2), np.float32) + 0.5
    assert np.shares_memory(read_labels(held, None, "labels")[1], held)
