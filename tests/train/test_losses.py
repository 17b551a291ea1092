"""What is minimised: each loss against its definition, and what one of steps has to do with one of their mean."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.train.config import TrainConfig
from spquant_snn.train.step import objective


def drawn(steps, seed=0, images=6, classes=4):
    """Logits [T, N, classes], labels [N] and a teacher's logits [N, classes]."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(steps, images, classes, generator=draw)
    return logits, torch.randint(classes, (images,), generator=draw), torch.randn(images, classes, generator=draw)


def test_the_mean_loss_smooths_labels_and_mixes_in_a_teacher():
    logits, labels = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    steps = torch.stack([logits + 0.5, logits - 0.5])
    p = logits.softmax(1)
    hard, spread = -p[0, 0].log(), -p.log().mean()
    assert objective(steps, labels, TrainConfig(), None).item() == pytest.approx(hard.item())
    smooth = objective(steps, labels, TrainConfig(label_smoothing=0.2), None)
    assert smooth.item() == pytest.approx((0.8 * hard + 0.2 * spread).item())

    teacher = torch.tensor([[0.0, 1.0, 0.0]])
    config = TrainConfig(distill_weight=0.25, distill_temperature=3.0)
    q, s = (teacher / 3).softmax(1), (logits / 3).softmax(1)
    divergence = (q * (q / s).log()).sum()
    expected = 0.75 * hard + 0.25 * 9 * divergence
    assert objective(steps, labels, config, teacher).item() == pytest.approx(expected.item(), rel=1e-5)
    same = objective(steps, labels, TrainConfig(distill_weight=1.0), logits)
    assert same.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5])
def test_tet_is_the_cross_entropy_of_each_step_averaged_and_the_distance_to_one(weight, smoothing):
    logits, labels, _ = drawn(5)
    config = TrainConfig(loss="tet", tet_weight=weight, label_smoothing=smoothing)
    entropy = sum(F.cross_entropy(step, labels, label_smoothing=smoothing) for step in logits) / 5
    distance = sum(((step - 1.0) ** 2).mean() for step in logits) / 5
    expected = (1 - weight) * entropy + weight * distance
    assert objective(logits, labels, config, None).item() == pytest.approx(expected.item(), rel=1e-5)


def test_with_tet_each_step_imitates_the_mean_of_the_teacher():
    logits, labels, teacher = drawn(3)
    config = TrainConfig(loss="tet", tet_weight=0.1, distill_weight=0.25, distill_temperature=3.0)
    alone = objective(logits, labels, config, None)
    q = (teacher / 3).softmax(1)
    divergence = sum((q * (q / (step / 3).softmax(1)).log()).sum(1).mean() for step in logits) / 3
    expected = 0.75 * alone + 0.25 * 9 * divergence
    assert objective(logits, labels, config, teacher).item() == pytest.approx(expected.item(), rel=1e-5)
    right_at_each = teacher.expand(3, -1, -1)
    same = objective(right_at_each, labels, TrainConfig(loss="tet", distill_weight=1.0), teacher)
    assert same.item() == pytest.approx(0, abs=1e-6)


@given(seed=st.integers(0, 10_000), smoothing=st.sampled_from([0.0, 0.3]), taught=st.booleans())
def test_of_one_step_both_losses_are_the_same(seed, smoothing, taught):
    logits, labels, teacher = drawn(1, seed)
    mean, tet = (
        objective(logits, labels, TrainConfig(loss=loss, tet_weight=0.0, label_smoothing=smoothing), teacher)
        if taught
        else objective(logits, labels, TrainConfig(loss=loss, tet_weight=0.0, label_smoothing=smoothing), None)
        for loss in ("mean", "tet")
    )
    assert mean.item() == pytest.approx(tet.item(), rel=1e-6)


@given(seed=st.integers(0, 10_000), steps=st.integers(2, 6), taught=st.booleans())
def test_the_loss_of_steps_is_never_below_that_of_their_mean(seed, steps, taught):
    logits, labels, teacher = drawn(steps, seed)
    mean, tet = (
        objective(logits, labels, TrainConfig(loss=loss, tet_weight=0.0), teacher if taught else None)
        for loss in ("mean", "tet")
    )
    assert tet.item() >= mean.item() - 1e-5


def test_with_tet_a_step_is_pulled_by_its_own_answer():
    logits, labels, _ = drawn(3)
    logits[1] += 50 * F.one_hot(labels, 4)  # answers rightly, beyond doubt
    grads = {}
    for loss in ("mean", "tet"):
        given_logits = logits.clone().requires_grad_()
        objective(given_logits, labels, TrainConfig(loss=loss, tet_weight=0.0), None).backward()
        grads[loss] = given_logits.grad.abs().sum((1, 2))
    assert grads["mean"].max() < 1e-3  # the mean is right, so no step learns
    assert grads["tet"][1] < 1e-6
    assert grads["tet"][[0, 2]].min() > 0.01


def test_the_regulariser_pulls_every_logit_to_one():
    logits, labels, _ = drawn(2)
    given_logits = logits.clone().requires_grad_()
    plain, pulled = (TrainConfig(loss="tet", tet_weight=weight, distill_weight=0.0) for weight in (0.0, 0.5))
    objective(given_logits, labels, plain, None).backward()
    entropy, given_logits.grad = given_logits.grad, None
    objective(given_logits, labels, pulled, None).backward()
    assert torch.allclose(given_logits.grad, 0.5 * entropy + 0.5 * 2 * (logits - 1) / logits.numel(), atol=1e-6)
