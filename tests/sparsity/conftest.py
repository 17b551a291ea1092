"""Networks with gates."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, prepare
from spquant_snn.sparsity.gates import insert_gates


@pytest.fixture
def row():
    """A function: a network of two convolutions and a hidden linear layer over 8x8 images, with gates."""

    def make(bits=2, timesteps=2, seed=0, groups=1, gates=True):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(6), LIF()]
        layers += [nn.Conv2d(6, 8, 3, bias=False, groups=groups), nn.BatchNorm2d(8), LIF(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(8, 10, bias=False), nn.BatchNorm1d(10), LIF(), nn.Linear(10, 4)]
        network = prepare(nn.Sequential(*layers), QuantConfig(bits, bits, timesteps), (1, 8, 8))
        if gates:
            insert_gates(network)
        return network

    return make
