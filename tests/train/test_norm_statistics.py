"""Statistics of batch normalisation, measured anew at the end of an epoch."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, prepare
from spquant_snn.quant.stage import Norm
from spquant_snn.train.augment import Augmentation
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.distributed import ALONE
from spquant_snn.train.norm_statistics import measure_norm_statistics
from spquant_snn.train.tensors import LabelledTensors


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), LIF(), nn.Dropout(0.5))
    more = (nn.Conv2d(4, 3, 3, bias=False), nn.BatchNorm2d(3), LIF(), nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    return prepare(nn.Sequential(*layers, *more), QuantConfig(2, 2, 2), (1, 8, 8))


@pytest.fixture
def data():
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=draw)
    return LabelledTensors(images, torch.zeros(50, dtype=torch.int64))


def measured(network, data, seed=2, **options):
    config = TrainConfig(dataset="digits", **{"batch_size": 16, **options})
    draw = torch.Generator().manual_seed(seed)
    measure_norm_statistics(network, data, Augmentation(), config, draw, ALONE)
    return [(m.running_mean.clone(), m.running_var.clone()) for m in network.modules() if isinstance(m, Norm)]


def test_they_are_means_over_batches_without_dropout(network, data):
    network.train()
    before = torch.get_rng_state()
    found = measured(network, data)
    assert torch.equal(torch.get_rng_state(), before)  # nothing is dropped
    rows = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    stage, sums = network.hidden[0], []
    for part in rows.tensor_split(4):
        x = data.images[part].float() / 255
        sums.append(stage.synapse.sums(x, stage.synapse.codes().detach(), stage.synapse.scale().detach()))
    means = torch.stack([y.mean((0, 2, 3)) for y in sums]).mean(0)
    variances = torch.stack([y.var((0, 2, 3)) for y in sums]).mean(0)
    assert torch.allclose(found[0][0], means, atol=1e-5)
    assert torch.allclose(found[0][1], variances, rtol=1e-4)
    assert found[1][1].min() > 0


def test_what_was_there_before_and_the_momentum_do_not_matter_and_stay(network, data):
    network.train()
    first = measured(network, data)
    for module in network.modules():
        if isinstance(module, Norm):
            module.running_mean.fill_(7.0)
            assert module.momentum == 0.1
    again = measured(network, data)
    for (mean, variance), (other, another) in zip(first, again, strict=True):
        assert torch.equal(mean, other)
        assert torch.equal(variance, another)
    assert network.training
    assert all(stage.training for stage in network.hidden)


def test_no_more_than_some_batches_are_looked_at(network, data, monkeypatch):
    monkeypatch.setattr("spquant_snn.train.norm_statistics._BATCHES", 2)
    seen = []
    network.register_forward_hook(lambda module, given, made: seen.append(len(given[0])))
    measured(network, data, batch_size=8)
    assert seen == [8, 8]


def test_a_frozen_network_keeps_its_own(network, data):
    network.freeze()
    before = [module.running_mean.clone() for module in network.modules() if isinstance(module, Norm)]
    for mean, (after, _) in zip(before, measured(network, data), strict=True):
        assert torch.equal(mean, after)


def test_a_network_without_normalisation_has_none(data):
    network = prepare(
        nn.Sequential(nn.Conv2d(1, 2, 3), LIF(), nn.Flatten(), nn.Linear(72, 2)), QuantConfig(), (1, 8, 8)
    )
    assert measured(network, data) == []
