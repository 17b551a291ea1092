"""Weights of batch normalisation at zero: their gradient is that of the positive side, in every form that trains."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, prepare
from spquant_snn.quant import stage as stages
from spquant_snn.quant.sharded_batch import BatchShard, assign

SHAPE = (1, 8, 8)


class Whole(BatchShard):
    """All of a batch, in one process."""

    def add(self, x):
        return x


def network_of(weight, bits=2, surrogate="triangle"):
    """Two layers; the weights of the second normalisation are all ``weight``, and its neurons near their threshold."""
    torch.manual_seed(0)
    second = nn.BatchNorm2d(4)
    nn.init.constant_(second.weight, weight)
    nn.init.constant_(second.bias, 0.6)
    neuron = [LIF(surrogate=surrogate) for _ in range(2)]
    convolutions = [nn.Conv2d(channels, 4, 3, padding=1, bias=False) for channels in (1, 4)]
    first = (convolutions[0], nn.BatchNorm2d(4), neuron[0])
    layers = nn.Sequential(*first, convolutions[1], second, neuron[1], nn.Flatten(), nn.Linear(4 * 64, 3))
    return prepare(layers, QuantConfig(bits, bits, 3), SHAPE)


def loss_of(network):
    images = torch.randint(0, 256, (8, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return nn.functional.cross_entropy(network(images).mean(0), torch.arange(8) % 3)


def gradients(network):
    network.zero_grad()
    loss_of(network).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}


def shared(network):
    assign(network, Whole(0, 8, 8))
    return network


def recomputing(network):
    network.recompute = True
    return network


def frozen(network):
    for norm in (stage.norm for stage in network.hidden):
        norm.momentum = 1.0
    with torch.no_grad():
        loss_of(network.train())  # statistics, so that neurons fire
    return network.freeze()


FORMS = {
    "fused": lambda network: network,
    "plain": lambda network: network.use_plain_path(),
    "shared": shared,
    "recomputed": recomputing,
    "frozen": frozen,
}


@pytest.mark.parametrize("surrogate", ["triangle", "atan"])
@pytest.mark.parametrize("form", FORMS)
def test_at_zero_the_gradient_is_that_of_the_positive_side(form, surrogate):
    found, meant = (gradients(FORMS[form](network_of(w, surrogate=surrogate))) for w in (0.0, 1e-20))
    slope = found["stages.1.norm.weight"]
    assert bool((slope != 0).all())
    torch.testing.assert_close(slope, meant["stages.1.norm.weight"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_layer_at_zero_trains(form):
    network = FORMS[form](network_of(0.0))
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(network).backward()
        optimizer.step()
    assert bool((network.hidden[1].norm.weight != 0).all())
    network.zero_grad()
    loss_of(network).backward()
    assert bool(network.hidden[1].synapse.weight.grad.any())  # which was zero while the gain was


@pytest.mark.parametrize("bits", [2, 32])
@pytest.mark.parametrize("weight", [0.7, -0.7])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "frozen"])
def test_elsewhere_nothing_changes(form, weight, bits, monkeypatch):
    def results():
        network = FORMS[form](network_of(1.0, bits))
        nn.init.constant_(network.hidden[1].norm.weight, weight)
        return gradients(network) | {"loss": loss_of(network).detach()}

    found = results()
    monkeypatch.setattr(stages, "magnitude", torch.abs)
    meant = results()
    assert found.keys() == meant.keys()
    for name, value in meant.items():
        assert torch.equal(found[name], value), name
