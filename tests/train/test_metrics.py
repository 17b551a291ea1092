"""What is measured of a network, against the same counted one image at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.nn import LIF
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.train.metrics import LayerActivity, measure


def counted(network, data):
    """Accuracy, loss, and per layer (rate, saturated, dead), from one image at a time."""
    network.eval()
    seen = {}
    logits = []
    with torch.no_grad():
        for image in data.images:
            probe = lambda name, spikes, stored: seen.setdefault(name, []).append((spikes, stored))  # noqa: E731
            logits.append(network(image[None], probe).mean(0))
    logits = torch.cat(logits)
    layers = []
    for stage in network.hidden:
        spikes = torch.cat([s for s, _ in seen[stage.name]], 1).double()  # [T, N, ...]
        stored = torch.cat([u for _, u in seen[stage.name]], 1).round()
        levels = stage.lif.levels
        ends = (stored == levels.low) | (stored == levels.high) if levels else torch.zeros(1)
        layers.append((spikes.mean(), ends.double().mean(), (spikes.amax((0, 1)) == 0).double().mean()))
    return 100 * (logits.argmax(1) == data.labels).double().mean(), F.cross_entropy(logits, data.labels), layers


@pytest.mark.parametrize("bits", [1.58, 2, 5, 32])
@pytest.mark.parametrize("frozen", [False, True])
def test_measures_what_one_counts_by_hand(tiny, quadrants, calibrate, bits, frozen):
    data = quadrants(23)
    network = calibrate(tiny(bits=bits), data.images)
    if frozen and bits != 32:
        network.freeze()
    accuracy, loss, layers = counted(network, data)
    found = measure(network, data, batch_size=5)
    assert found.score == pytest.approx(accuracy.item())
    assert found.loss == pytest.approx(loss.item(), rel=1e-4)
    assert any(layer.rate > 0 for layer in found.layers)
    slack = 1e-6 if network.frozen else 0.01  # in floating point, another batch size rounds a tie another way
    for layer, expected in zip(found.layers, layers, strict=True):
        assert (layer.rate, layer.saturated, layer.dead) == pytest.approx([float(x) for x in expected], abs=slack)


def test_leaves_the_network_as_it_was(tiny, quadrants):
    network = tiny(drop=0.5).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure(network, quadrants(9))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network.eval()
    measure(network, quadrants(9))
    assert not network.training


def test_the_activity_is_that_of_the_first_images(tiny, quadrants, calibrate):
    data = quadrants(40)
    network = calibrate(tiny(), data.images)
    first = measure(network, quadrants(40), batch_size=10, sample=10).layers
    alone = measure(network, type(data)(data.images[:10], data.labels[:10])).layers
    assert first == alone
    assert measure(network, data, sample=0).layers == ()


@pytest.mark.parametrize(
    ("rate", "saturated", "words"),
    [
        (0.0, 0.2, "is silent"),
        (0.0009, 0.2, "is silent"),
        (0.99, 0.2, "fires almost always (99%)"),
        (0.2, 0.99, "is saturated"),
    ],
)
def test_a_layer_in_trouble_is_named_in_words(rate, saturated, words):
    warning = LayerActivity("conv1", rate, saturated, 0.1).warning()
    assert warning.startswith(f"layer 'conv1' {words}")


def test_a_layer_that_is_well_is_not_mentioned():
    assert LayerActivity("conv1", 0.2, 0.5, 0.9).warning() is None


def test_a_tie_of_integers_stays_a_tie_in_the_frozen_form():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), LIF(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(6, 4))
    network = prepare(model, QuantConfig("ternary", 2, 5), (1, 5, 5))
    with torch.no_grad():
        network.readout.synapse.bias.zero_()
        for _ in range(60):
            network.train()(torch.randint(0, 256, (32, 1, 5, 5), dtype=torch.uint8))
    network.eval().freeze()
    images = torch.randint(0, 256, (400, 1, 5, 5), dtype=torch.uint8)
    integers, logits = network.integer_logits(images), network.mean_logits(images)
    ties = integers[:, :, None] == integers[:, None, :]
    assert ties.sum() > 4 * len(images)  # more than each with itself
    assert torch.equal(logits[:, :, None] == logits[:, None, :], ties)
    assert torch.equal(logits.argmax(1), integers.argmax(1))
