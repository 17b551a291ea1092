"""The fast ways to compute a training step against the plain one: the same losses where the arithmetic is exact, and
within rounding where it is not."""

import copy

import pytest
import torch
from torch import nn

from spquant_snn import QuantConfig, prepare
from spquant_snn.data import load
from spquant_snn.nn import sums
from spquant_snn.nn.models import build_model
from spquant_snn.nn.sums import no_int8
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.optimizer import make_optimizer


@pytest.fixture(scope="module")
def digits():
    data = load("digits", None).train
    return torch.from_numpy(data.images[:640]), torch.from_numpy(data.labels[:640])


def losses(network, digits, steps=20, low=False):
    images, labels = digits
    network.train()
    optimizer = make_optimizer(network, TrainConfig(dataset="digits", epochs=1))
    found = []
    for k in range(steps):
        part = slice(32 * k, 32 * (k + 1))
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits = network(images[part]).float().mean(0)
        loss = nn.functional.cross_entropy(logits, labels[part])
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def lenet(bits):
    torch.manual_seed(3)
    return prepare(build_model("lenet-snn:0.5", (1, 8, 8), 10), QuantConfig(bits, bits, 4), (1, 8, 8))


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("bits", [1.58, 2, 4])
@pytest.mark.parametrize("low", [False, True], ids=["fp32", "bf16"])
def test_int8_and_float32_sums_train_to_the_same_losses(monkeypatch, one_thread, digits, bits, low):
    if no_int8() is not None:
        pytest.skip(no_int8())
    network = lenet(bits)
    other = copy.deepcopy(network)
    fast = losses(network, digits, low=low)
    monkeypatch.setattr(sums, "no_int8", lambda: "not wanted")
    # Sums are equal; gradients are added up in another order, which turns a code sooner or later.
    assert fast[:10] == losses(other, digits, steps=10, low=low)
    assert fast[-1] < 0.9 * fast[0]


@pytest.mark.parametrize("bits", [1.58, 2, 8, 32])
def test_the_plain_path_takes_the_same_first_step(one_thread, digits, bits):
    network = lenet(bits)
    plain = copy.deepcopy(network).use_plain_path()
    assert losses(network, digits, 1) == pytest.approx(losses(plain, digits, 1), rel=1e-5)
    for (name, found), meant in zip(network.named_parameters(), plain.parameters(), strict=True):
        if meant.grad is not None:
            # where a potential lies at a threshold, rounding may turn a spike
            assert torch.cosine_similarity(found.grad.flatten(), meant.grad.flatten(), dim=0) > 0.999, name


def test_the_plain_path_trains_as_well(one_thread, digits):
    network = lenet(2)
    plain = losses(copy.deepcopy(network).use_plain_path(), digits)
    assert sum(losses(network, digits)[-5:]) == pytest.approx(sum(plain[-5:]), rel=0.15)
