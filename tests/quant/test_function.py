"""What networks of few bits can learn, and what is left of networks that were trained in floating point."""

import copy

import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, prepare

WIDTHS = [8, 4, 2, "ternary"]


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def train(network, images, labels, steps, rate=1e-2):
    optimizer, draw = torch.optim.Adam(network.train().parameters(), rate), drawn(0)
    for _ in range(steps):
        chosen = torch.randint(0, len(images), (64,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[chosen]).mean(0), labels[chosen]).backward()
        optimizer.step()
    return network.eval()


def accuracy(network, images, labels):
    with torch.no_grad():
        return 100 * float((network(images).sum(0).argmax(1) == labels).float().mean())


def brightness(count, seed):
    """Pictures of noise, bright or dark as a whole."""
    labels = torch.randint(0, 2, (count,), generator=drawn(seed))
    noise = 40 * torch.randn(count, 1, 8, 8, generator=drawn(seed + 1))
    return (105 + 45 * labels.view(-1, 1, 1, 1) + noise).clamp(0, 255).to(torch.uint8), labels


def model(kind):
    if kind == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), LIF(), nn.Linear(32, 2))
    head = nn.Linear(72, 2)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), LIF(), nn.AvgPool2d(2), nn.Flatten(), head)


@pytest.mark.slow
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_what_all_inputs_have_in_common_is_learned(kind, bits):
    torch.manual_seed(0)
    network = prepare(model(kind), QuantConfig(bits, bits, 2), (1, 8, 8))
    train(network, *brightness(512, 0), steps=120)
    assert accuracy(network.freeze(), *brightness(512, 7)) > 97


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("bits", WIDTHS)
def test_the_sum_of_a_few_inputs_is_learned(count, bits):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (1024, count, 1, 1), generator=drawn(0), dtype=torch.uint8)
    labels = (images.float().flatten(1).mean(1) > 127.5).long()
    rows = nn.Sequential(nn.Flatten(), nn.Linear(count, 32), nn.BatchNorm1d(32), LIF(), nn.Linear(32, 2))
    network = train(prepare(rows, QuantConfig(bits, bits, 4), (count, 1, 1)), images[:768], labels[:768], steps=250)
    assert accuracy(network.freeze(), images[768:], labels[768:]) > (90 if count > 1 else 80)


@pytest.fixture(scope="module")
def trained():
    """A network in floating point that tells four kinds of gratings apart, its module, and images."""
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (600,), generator=drawn(3))
    across = torch.arange(8.0)
    waves = [
        across[:, None] + 0 * across,
        0 * across[:, None] + across,
        across[:, None] + across,
        across[:, None] - across,
    ]
    shift = 8 * torch.rand(600, 1, 1, generator=drawn(4))
    images = (
        128
        + 60 * torch.sin(0.9 * (torch.stack(waves)[labels] + shift))
        + 50 * torch.randn(600, 8, 8, generator=drawn(5))
    )
    images = images.clamp(0, 255).to(torch.uint8)[:, None]
    head = nn.Linear(256, 4)
    module = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), LIF(), nn.AvgPool2d(2), nn.Flatten(), head
    )
    network = train(
        prepare(module, QuantConfig(32, 32, 4), (1, 8, 8)), images[:400], labels[:400], steps=200, rate=5e-3
    )
    synapse, norm, last = network.stages[0].synapse, network.stages[0].norm, network.stages[1].synapse
    with torch.no_grad():
        for layer, parts in ((module[0], synapse), (module[1], norm), (module[5], last)):
            for name, value in layer.state_dict().items():
                if name != "num_batches_tracked":
                    value.copy_(getattr(parts, name))
    return module, network, images, labels


@pytest.mark.parametrize("quantizer", ["normalized", "learned"])
@pytest.mark.parametrize(("bits", "lost"), [(8, 1.0), (6, 1.0), (4, 2.0)])
def test_a_trained_network_keeps_its_function_without_training(trained, bits, lost, quantizer):
    module, network, images, labels = trained
    whole = accuracy(network, images, labels)
    assert whole > 90
    few = prepare(module, QuantConfig(bits, bits, 4, quantizer), (1, 8, 8)).eval().freeze()
    assert accuracy(few, images, labels) >= whole - lost


@pytest.mark.parametrize("bits", [8, 6, 4, 3, 2, "ternary"])
def test_weights_that_were_pruned_stay_pruned(trained, bits):
    module = copy.deepcopy(trained[0])
    with torch.no_grad():
        for layer in (module[0], module[5]):
            cut = layer.weight.abs().flatten().kthvalue(int(0.9 * layer.weight.numel())).values
            layer.weight.mul_(layer.weight.abs() > cut)
    network = prepare(module, QuantConfig(bits, bits, 4), (1, 8, 8)).freeze()
    for stage, layer in ((network.stages[0], module[0]), (network.stages[1], module[5])):
        codes = stage.synapse.codes()
        assert not codes[layer.weight == 0].any()
        assert float((codes == 0).float().mean()) >= 0.89
