"""The native runtime on LeNet-SNN and real MNIST images."""

import pytest
import torch

from real_mnist import mnist_test_or_skip
from spquant_snn.integer.compare import compare_backends, reference_trace
from spquant_snn.nn import LIF, LeNetSNN
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.parametrize(
    ("weight_bits", "state_bits", "reset", "timesteps"),
    [(1.58, 1.58, "zero", 2), (2, 2, "zero", 4), (2, 3, "subtract", 2), (4, 4, "zero", 3), (8, 8, "subtract", 2)],
)
def test_the_lenet_on_mnist(program, calibrate, weight_bits, state_bits, reset, timesteps):
    images = torch.from_numpy(mnist_test_or_skip()[0][:300])
    torch.manual_seed(0)
    model = LeNetSNN(neuron=lambda: LIF(reset=reset))
    network = calibrate(prepare(model, QuantConfig(weight_bits, state_bits, timesteps), (1, 28, 28)), images[:128])
    graph = lower(network.freeze())
    verdict = compare_backends(lambda x: reference_trace(graph, x), program(graph).trace, images.numpy(), batch=100)
    assert verdict.equal, str(verdict)
    assert verdict.images == 300
