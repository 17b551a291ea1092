"""The loss of each task against its definition, and weights of classes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spquant_snn import ConfigError
from spquant_snn.data import Task
from spquant_snn.data.task import OutputFormat, standardised
from spquant_snn.train.objective import Objective, as_text, read_class_weights

DRAW = torch.Generator().manual_seed(0)
CLASSES, LABELS = Task("classification", 3), Task("multilabel", 3)


def normal(*shape):
    return torch.randn(*shape, generator=DRAW)


def test_numbers_are_compared_in_units_in_which_they_deviate_by_one():
    labels = 100 + torch.tensor([1.0, 50]) * normal(40, 2)
    said = standardised(Task("regression", 2), labels.numpy())
    wanted = (labels - labels.mean(0)) / labels.std(0, correction=0)
    answers = normal(40, 2)
    assert Objective(said).loss(answers, labels).item() == pytest.approx(F.mse_loss(answers, wanted).item(), rel=1e-4)
    huber = Objective(said, "huber").loss(answers, labels).item()
    assert huber == pytest.approx(F.huber_loss(answers, wanted).item(), rel=1e-4)
    back = Objective(said).in_units(wanted)
    assert torch.allclose(back, labels, rtol=1e-4)
    np.testing.assert_allclose(said.in_units(wanted.numpy()), labels.numpy(), rtol=1e-4)


def test_numbers_that_never_vary_keep_their_unit():
    assert standardised(Task("regression", 1), np.full((5, 1), 0.1, np.float32)).gains == (1.0,)


def test_weights_count_images_pixels_and_true_labels():
    weights = (1.0, 3.0, 0.5)
    answers, labels = normal(8, 3), torch.tensor([0, 1, 2, 1, 1, 0, 2, 2])
    each = F.cross_entropy(answers, labels, reduction="none") * torch.tensor(weights)[labels]
    found = Objective(OutputFormat(CLASSES), class_weights=weights)
    assert found.loss(answers, labels).item() == pytest.approx(each.mean().item())
    assert found.total(answers, labels) == pytest.approx(each.sum().item(), rel=1e-6)

    maps, classes = normal(2, 3, 2, 2), torch.tensor([[[0, 1], [-1, 2]], [[-1, -1], [1, 1]]])
    each = (
        F.cross_entropy(maps, classes, reduction="none", ignore_index=-1) * torch.tensor(weights)[classes.clamp(min=0)]
    )
    pixels = Objective(OutputFormat(Task("segmentation", 3)), class_weights=weights)
    assert pixels.loss(maps, classes).item() == pytest.approx((each.sum() / 5).item())
    assert pixels.loss(maps, classes * 0 - 1).item() == 0  # where nothing counts

    true = (labels[:, None] == torch.arange(3)).float()
    expected = F.binary_cross_entropy_with_logits(answers, true, pos_weight=torch.tensor(weights))
    assert Objective(OutputFormat(LABELS), class_weights=weights).loss(answers, true).item() == pytest.approx(
        expected.item()
    )


def test_balanced_weights_let_every_class_count_the_same():
    labels = np.array([0, 0, 0, 0, 1, 2, 2, 2])
    weights = np.array(read_class_weights("balanced", CLASSES, labels))
    assert weights[labels].mean() == pytest.approx(1)
    assert np.bincount(labels) * weights == pytest.approx([8 / 3] * 3)
    true = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    assert read_class_weights("balanced", LABELS, true) == pytest.approx((1 / 3, 3, 3))
    assert read_class_weights(as_text(np.array([1, 2.5, 0])), CLASSES, labels) == (1, 2.5, 0)
    with pytest.raises(ConfigError, match="cannot be balanced, class b does not occur"):
        read_class_weights("balanced", Task("classification", 2, ("a", "b")), np.zeros(3, np.int64))
    for text in ("1,x,2", "1,-1,2", "nan,1,1", "inf,1,1"):
        with pytest.raises(ConfigError, match="class_weights must be balanced or numbers"):
            read_class_weights(text, CLASSES, labels)
