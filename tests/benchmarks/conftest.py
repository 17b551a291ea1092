"""The command ``python -m benchmarks``, a small network of noise, and an environment without other engines."""

import sys
from functools import partial

import pytest

from benchmarks.__main__ import main
from benchmarks.harness.random_networks import NetworkSpec, noise, random_network
from spquant_snn.nn.models import build_model

PEERS = ("onnx", "onnxruntime", "openvino", "nncf")


@pytest.fixture
def benchmark(answer_of):
    """A function: exit code, standard output and standard error of a benchmark, given its name and its arguments."""
    return partial(answer_of, main, "benchmarks")


@pytest.fixture(scope="session")
def small():
    """A function: a graph of VGG-9's shape with a tenth of its channels, and the images that its rates hold on."""

    def build(rate=0.1, weight_bits=1.58, state_bits=2, timesteps=4):
        images = noise((3, 8, 8), 16)
        model = build_model("vgg9-snn:0.1", (3, 8, 8), 10)
        return random_network(model, images, NetworkSpec(rate, weight_bits, state_bits, timesteps)), images

    return build


@pytest.fixture
def no_peers(monkeypatch):
    """No other engine is installed."""
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, None)
