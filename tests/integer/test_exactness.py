"""The contract: frozen torch network and reference are equal in every spike, every stored code and every logit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from random_params import randomize
from random_pools import draw_pool
from real_mnist import mnist_test_or_skip
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.nn import LIF, LeNetSNN
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.quant.torch_terms import connect

BITS = (1.58, 2, 3, 4, 5, 6, 7, 8)


def check_equal(network, images):
    """Compare all that both compute; returns the rate of each layer."""
    expected, found = reference_trace(lower(network), images), frozen_trace(network, images)
    assert first_difference(expected, found) is None
    return [float(spikes.mean()) for _, spikes, _ in found.layers]


@st.composite
def layers_and_shape(draw):
    """Layers in a row and the shape of their images: one or two convolutions, perhaps a hidden linear layer."""
    channels, height, width = (draw(st.integers(a, b)) for a, b in ((1, 5), (4, 10), (4, 10)))
    shape, layers = (channels, height, width), []

    def neuron():
        leak = draw(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
        threshold = draw(st.sampled_from([0.4, 0.73, 1.0, 1.31]))
        return LIF(threshold, leak, draw(st.sampled_from(["zero", "subtract"])), learn_threshold=draw(st.booleans()))

    def pool(kinds):
        nonlocal height, width
        layer, (height, width) = draw_pool(draw, kinds, (height, width))
        return layer

    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            layers.append(pool([nn.AvgPool2d, nn.MaxPool2d]))
        groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
        out = groups * draw(st.integers(1, 3))
        kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
        stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
        padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        height, width = (
            (s + 2 * p - k) // d + 1 for s, p, k, d in zip((height, width), padding, kernel, stride, strict=True)
        )
        assume(min(height, width) >= 1)
        normalised = draw(st.booleans())
        layers.append(nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=draw(st.booleans())))
        if draw(st.booleans()):
            layers.append(pool([nn.AvgPool2d]))
        layers += [nn.BatchNorm2d(out)] * normalised + [neuron()]
        channels = out
    if draw(st.booleans()):
        layers.append(pool([nn.AvgPool2d, nn.MaxPool2d]))
    layers.append(nn.Flatten())
    features = channels * height * width
    if draw(st.booleans()):
        layers += [nn.Linear(features, 6, bias=draw(st.booleans())), nn.BatchNorm1d(6), neuron()]
        features = 6
    return [*layers, nn.Linear(features, 3, bias=draw(st.booleans()))], shape


@pytest.mark.slow
@settings(max_examples=250)
@given(
    drawn=layers_and_shape(),
    bits=st.tuples(st.sampled_from(BITS), st.sampled_from(BITS)),
    quantizer=st.sampled_from(["normalized", "learned"]),
    steps=st.integers(1, 8),
    batch=st.integers(1, 3),
    moving=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_random_networks(calibrate, drawn, bits, quantizer, steps, batch, moving, seed):
    layers, shape = drawn
    torch.manual_seed(seed)
    randomize(layers, 0.5)
    network = prepare(nn.Sequential(*layers), QuantConfig(*bits, steps, quantizer), shape)
    images = torch.randint(0, 256, ((steps, batch) if moving else (batch,)) + shape, dtype=torch.uint8)
    calibrate(network, torch.randint(0, 256, (8, *shape), dtype=torch.uint8))
    check_equal(network.freeze(), images.numpy())


@pytest.mark.parametrize("bits", [1.58, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_small_lenet_at_every_width(calibrate, noise, bits, reset):
    torch.manual_seed(0)
    images = noise(16, 1, 12, 12)
    for leak, steps in ((0.5, 1), (0.75, 2), (0.5, 4), (0.75, 8)):
        model = LeNetSNN((1, 12, 12), width=(4, 6), hidden=16, neuron=lambda leak=leak: LIF(leak=leak, reset=reset))
        network = calibrate(prepare(model, QuantConfig(bits, bits, steps), (1, 12, 12)), images).freeze()
        rates = check_equal(network, images.numpy())
        assert all(0.05 < rate < 0.6 for rate in rates), rates


def test_equality_would_not_survive_another_rounding(calibrate, noise, monkeypatch):
    # The comparison sees a single boundary that rounds the other way: exactness is not for want of cases.
    images = noise(16, 1, 12, 12)
    torch.manual_seed(0)
    model = LeNetSNN((1, 12, 12), width=(4, 6), hidden=16)
    network = calibrate(prepare(model, QuantConfig(2, 2, 4), (1, 12, 12)), images).freeze()
    expected = reference_trace(lower(network), images.numpy())

    def strict(neuron, potential):
        shape = (-1, *[1] * (potential.ndim - 2))
        return np.sum([potential > edge.reshape(shape) for edge in neuron.store.edges], 0, dtype=np.int32) + neuron.low

    monkeypatch.setattr(reference, "stored", strict)
    assert first_difference(expected, reference_trace(lower(network), images.numpy())) is not None


def test_sums_beyond_float32_stay_exact():
    # 255 * 127 * 1200 inputs need 26 bits.
    torch.manual_seed(0)
    row = [nn.Flatten(), nn.Linear(1200, 5), nn.BatchNorm1d(5), LIF(), nn.Linear(5, 2)]
    network = prepare(nn.Sequential(*row), QuantConfig(8, 8, 3, "learned"), (3, 20, 20))
    with torch.no_grad():
        network.hidden[0].synapse.weight.copy_(torch.rand(5, 1200).add(3.0))
        network.hidden[0].synapse.quantizer.scale.fill_(0.025)
        network.hidden[0].norm.running_var.fill_(1e4)
    network.freeze().eval()
    graph = lower(network)
    images = np.full((2, 3, 20, 20), 255, np.uint8)
    images[1] = np.random.default_rng(0).integers(0, 256, (3, 20, 20))
    connection = graph.layers[0].terms[0].connection
    assert connection.reach(255).max() > 1 << 24
    check_equal(network, images)
    exact = connection.codes.astype(np.int64) @ images.reshape(2, -1).astype(np.int64).T
    assert np.array_equal(reference.connect(connection, images.astype(np.int32), 255), exact.T)
    assert np.array_equal(connect(connection, torch.from_numpy(images), 255).numpy(), exact.T)


def test_pools_beyond_float32_stay_exact():
    # 255 * 300 * 300 needs 25 bits before any weight has been met.
    torch.manual_seed(0)
    row = [nn.AvgPool2d(300), nn.Conv2d(1, 4, 1), LIF(), nn.Flatten(), nn.Linear(4, 2)]
    network = prepare(nn.Sequential(*row), QuantConfig(2, 2, 2), (1, 300, 300)).freeze().eval()
    images = np.full((3, 1, 300, 300), 255, np.uint8)
    images[1:, 0, 0, 0] = 0, 2  # odd sums
    connection = lower(network).layers[0].terms[0].connection
    ones = replace(connection, codes=np.ones((4, 1, 1, 1), np.int8))
    sums = connect(ones, torch.from_numpy(images), 255)
    assert (sums.numpy().reshape(3, 4) == images.sum((1, 2, 3), dtype=np.int64)[:, None]).all()
    check_equal(network, images)


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.parametrize(
    ("weight_bits", "state_bits", "reset", "timesteps"),
    [
        (1.58, 1.58, "zero", 2),
        (2, 2, "zero", 1),
        (2, 4, "subtract", 4),
        (4, 3, "zero", 2),
        (8, 8, "zero", 2),
        (8, 5, "subtract", 2),
    ],
)
def test_the_lenet_on_mnist(calibrate, weight_bits, state_bits, reset, timesteps):
    torch.manual_seed(0)
    images = torch.from_numpy(mnist_test_or_skip()[0][:500])
    model = LeNetSNN(neuron=lambda: LIF(reset=reset))
    network = prepare(model, QuantConfig(weight_bits, state_bits, timesteps), (1, 28, 28))
    calibrate(network, images[:200]).freeze()
    rates = check_equal(network, images.numpy())
    assert all(0.03 < rate < 0.6 for rate in rates), rates
