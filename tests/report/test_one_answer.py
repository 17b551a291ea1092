"""What a page says of one answer, by the task."""

import numpy as np
import pytest

from spquant_snn.data import Task
from spquant_snn.report.one_answer import answer_maps, answer_words

CLASSES = Task("classification", 3)
LABELS = Task("multilabel", 3, ("cat", "dog", "owl"))
METRES = Task("regression", 1, ("height",), "m")


@pytest.mark.parametrize(
    ("task", "values", "wanted", "said"),
    [
        (CLASSES, [1, 3, 2], None, "class 1 answered"),
        (CLASSES, [1, 3, 2], 1, "class 1, recognised"),
        (CLASSES, [1, 3, 2], 2, "class 2, taken for class 1"),
        (LABELS, [1, -1, 2], [0, 0, 1], "cat and owl answered, owl right"),
        (LABELS, [-1, -1, -1], None, "none answered"),
        (METRES, [1.23456], [1.5], "1.235 m answered, 1.5 m right"),
        (Task("regression", 6), [1, 2, 3, 4, 5, 6], None, "1, 2, 3, 4 ... answered"),
        (METRES, [[[1, 2], [3, 4]]], [[[1, 2], [3, 6]]], "a map answered, off by 1 m (RMSE)"),
        (METRES, [[[1, 2], [3, 4]]], None, "a map answered"),
        (Task("segmentation", 2), [[[0, 1]], [[1, 0]]], [[1, -1]], "100.0% of its pixels right"),
    ],
)
def test_an_answer_in_words(task, values, wanted, said):
    assert answer_words(task, np.array(values, float), None if wanted is None else np.array(wanted)) == said


def test_maps_share_one_range_of_grey():
    found = dict(answer_maps(METRES, np.array([[[0.0, 1], [2, 3]]]), np.array([[[0.0, 1], [2, 6]]])))
    assert found["answered"].tolist() == [[0, 42], [85, 128]]
    assert found["right"].tolist() == [[0, 42], [85, 255]]
    assert not dict(answer_maps(CLASSES, np.array([1.0, 2, 3]), None))
    level = dict(answer_maps(METRES, np.ones((1, 2, 2)), None))
    assert level["answered"].tolist() == [[0, 0], [0, 0]]
