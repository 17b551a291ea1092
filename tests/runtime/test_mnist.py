"""The native runtime on LeNet-SNN and real MNIST images."""

from functools import cache

import numpy as np
import pytest
import torch

from real_mnist import mnist_test_or_skip
from spquant_snn.integer.compare import compare_backends, reference_trace
from spquant_snn.nn import LIF, LeNetSNN
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


@cache  # for all builds
def known(calibrate, images, weight_bits, state_bits, reset, timesteps):
    """An untrained network, and what the reference does with images, a hundred at a time."""
    images = np.frombuffer(images, np.uint8).reshape(-1, 1, 28, 28)
    torch.manual_seed(0)
    model = LeNetSNN(neuron=lambda: LIF(reset=reset))
    network = prepare(model, QuantConfig(weight_bits, state_bits, timesteps), (1, 28, 28))
    graph = lower(calibrate(network, torch.from_numpy(images[:128].copy())).freeze())
    return graph, [reference_trace(graph, images[i : i + 100]) for i in range(0, len(images), 100)]


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.parametrize(
    ("weight_bits", "state_bits", "reset", "timesteps"),
    [(1.58, 1.58, "zero", 2), (2, 2, "zero", 4), (2, 3, "subtract", 2), (4, 4, "zero", 3), (8, 8, "subtract", 2)],
)
def test_the_lenet_on_mnist(program, calibrate, weight_bits, state_bits, reset, timesteps):
    images = mnist_test_or_skip()[0][:300]
    graph, expected = known(calibrate, images.tobytes(), weight_bits, state_bits, reset, timesteps)
    parts = iter(expected)
    verdict = compare_backends(lambda _: next(parts), program(graph).trace, images, batch=100)
    assert verdict.equal, str(verdict)
    assert verdict.images == 300
