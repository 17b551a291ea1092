"""The loop: what it trains on, in which order, at which rate, and when it stops."""

import copy
import io
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from rich.console import Console
from torch import nn

from spquant_snn import LIF, DivergedError, QuantConfig, prepare
from spquant_snn.train.augment import Augmentation
from spquant_snn.train.checkpoint import Best, Progress
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.console import Display
from spquant_snn.train.loop import Training, fit
from spquant_snn.train.optimizer import learning_rate
from spquant_snn.train.tensors import LabelledTensors

CONFIG = TrainConfig(
    model="custom",
    dataset="custom",
    epochs=2,
    batch_size=16,
    learning_rate=4e-3,
    precision="fp32",
    validation=1,
)


def run(network, train, validation, config=CONFIG, progress=Progress(), report=None, teacher=None):  # noqa: B008
    """Train, and what was reported of each epoch."""
    reports = []

    def keep(before, loss, accuracy, metrics):
        reports.append((before, loss, accuracy, metrics))
        return Progress(before.epochs + 1, Best(before.epochs + 1, metrics.score, metrics.loss))

    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad])
    display = Display(config.epochs, Console(file=io.StringIO()), quiet=True)
    training = Training(network, optimizer, config, Augmentation(), teacher)
    end = fit(training, train, validation, start=progress, keep=report or keep, display=display)
    return end, reports


def batches(network, monkeypatch, inside=True):
    """A list that receives the images that the network is given in training (``inside``) or in evaluation."""
    seen = []
    forward = type(network).forward

    def spy(self, x, *others, **named):
        if self.training is inside:
            seen.append(x.clone())
        return forward(self, x, *others, **named)

    monkeypatch.setattr(type(network), "forward", spy)
    return seen


def rows(images):
    return sorted(image.flatten().tolist() for image in images)


def test_every_image_is_seen_once_an_epoch_in_batches_of_nearly_one_size(tiny, quadrants, monkeypatch):
    train = quadrants(37)
    network = tiny()
    seen = batches(network, monkeypatch)
    run(network, train, quadrants(9, seed=1))
    assert [len(batch) for batch in seen] == [13, 12, 12] * 2
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert rows(first) == rows(second) == rows(train.images)
    assert not torch.equal(first, second)


def test_a_batch_in_parts_has_the_gradient_of_the_whole(quadrants, monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), LIF(), nn.Linear(16, 4))
    network, gradients = prepare(model, QuantConfig(4, 4, 2), (1, 8, 8)), []
    seen = batches(network, monkeypatch)
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        gradients.append([p.grad.clone() for group in self.param_groups for p in group["params"]])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    one_step = replace(CONFIG, epochs=1, batch_size=40)
    whole = run(copy.deepcopy(network), quadrants(40), quadrants(9, seed=1), one_step)[1][0]
    parts = run(network, quadrants(40), quadrants(9, seed=1), replace(one_step, accumulate=3))[1][0]
    assert [len(batch) for batch in seen] == [40, 14, 13, 13]
    assert len(gradients) == 2
    for found, right in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(found, right)
    assert parts[1] == pytest.approx(whole[1])
    assert parts[2] == whole[2]


def test_the_validation_images_are_only_looked_at(tiny, quadrants, monkeypatch):
    validation = quadrants(9, seed=1)
    network = tiny()
    seen = batches(network, monkeypatch, inside=False)
    train = quadrants(37)
    run(network, train, validation)
    held, known = rows(validation.images), rows(train.images)
    found = [rows(batch) for batch in seen]
    assert found.count(held) == 2
    assert all(row in known for batch in found if batch != held for row in batch)  # those give statistics


def test_an_epoch_that_is_run_again_gives_the_same(tiny, quadrants):
    train, validation = quadrants(40), quadrants(9, seed=1)
    first, second = tiny(drop=0.5), tiny(drop=0.5)
    run(first, train, validation)
    torch.rand(5)  # what else draws random numbers is no matter
    run(second, train, validation)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = tiny(drop=0.5)
    run(other, train, validation, replace(CONFIG, seed=1))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_reports_each_epoch_and_returns_the_last_progress(tiny, quadrants):
    end, reports = run(tiny(), quadrants(40), quadrants(9, seed=1))
    assert [before.epochs for before, *_ in reports] == [0, 1]
    assert end.epochs == 2
    assert reports[1][0].best == Best(1, reports[0][3].score, reports[0][3].loss)
    assert all(0 <= accuracy <= 100 and loss > 0 for _, loss, accuracy, _ in reports)


def test_goes_on_after_the_epochs_that_are_done(tiny, quadrants):
    _, reports = run(tiny(), quadrants(40), quadrants(9, seed=1), progress=Progress(1))
    assert [before.epochs for before, *_ in reports] == [1]
    end, reports = run(tiny(), quadrants(40), quadrants(9, seed=1), progress=Progress(2))
    assert (end, reports) == (Progress(2), [])


def test_a_loss_that_is_not_finite_changes_no_weight(tiny, quadrants):
    network = tiny()
    with torch.no_grad():
        network.readout.synapse.bias[1] = float("nan")
    before = [p.clone() for p in network.parameters()]
    reports = []
    with pytest.raises(DivergedError, match=r"the loss became nan in epoch 1: start anew with a lower .* clip_norm"):
        run(network, quadrants(40), quadrants(9, seed=1), report=lambda *_: reports.append(1))
    assert reports == []
    assert all(a.equal(b) or b.isnan().any() for a, b in zip(before, network.parameters(), strict=True))


def test_a_weight_that_is_not_finite_is_found_behind_silent_neurons(tiny, quadrants):
    network = tiny()
    with torch.no_grad():
        network.hidden[-1].norm.bias[0] = float("nan")  # this neuron never fires: the loss stays finite
    reports = []
    with pytest.raises(DivergedError, match="a weight is no longer a finite number in epoch 1"):
        run(network, quadrants(40), quadrants(9, seed=1), report=lambda *_: reports.append(1))
    assert reports == []


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_the_learning_rate_rises_then_falls_without_a_jump(schedule):
    config = TrainConfig(schedule=schedule, epochs=10, learning_rate=0.01)
    rates = [learning_rate(config, 0.01 * i) for i in range(1000)]
    top = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == pytest.approx(0.01)
    assert top == (200 if schedule == "onecycle" else 50)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(1e-5, rel=0.05)
    assert max(abs(a - b) for a, b in pairwise(rates)) < 0.0004


def test_fine_tuning_begins_at_a_hundredth():
    config = TrainConfig(epochs=10, finetune_epochs=4, learning_rate=0.01)
    assert learning_rate(config, 10) == pytest.approx(1e-4)
    assert learning_rate(config, 13.9) < 2e-6


def test_clipping_bounds_the_gradient(tiny, quadrants, monkeypatch):
    norms = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        grads = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.cat(grads).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(tiny(), quadrants(40), quadrants(9, seed=1), replace(CONFIG, clip_norm=0.01))
    assert max(norms) <= 0.0101
    norms.clear()
    run(tiny(), quadrants(40), quadrants(9, seed=1))
    assert max(norms) > 0.0101


def test_a_teacher_is_imitated_without_being_trained(tiny, quadrants):
    teacher = tiny(seed=1, bits=32).eval().requires_grad_(False)
    before = [p.clone() for p in teacher.parameters()]
    taught, alone = tiny(), tiny()
    train, validation = quadrants(40), quadrants(9, seed=1)
    run(taught, train, validation, teacher=teacher)
    run(alone, train, validation)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(taught.parameters(), alone.parameters(), strict=True))


@pytest.mark.parametrize("loss", ["mean", "tet"])
def test_learns_to_tell_quadrants(loss, tiny, quadrants):
    _, reports = run(tiny(), quadrants(160), quadrants(80, seed=1), replace(CONFIG, epochs=6, loss=loss))
    assert reports[-1][3].score > 90


def test_one_image_is_enough_to_validate_on(tiny, quadrants):
    one = quadrants(1)
    end, _ = run(tiny(), quadrants(20), LabelledTensors(one.images, one.labels))
    assert end.best.score in (0.0, 100.0)
