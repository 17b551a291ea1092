"""A task that is learnt in a moment, and networks for it."""

import pytest
import torch
from torch import nn

from spquant_snn import QuantConfig, prepare
from spquant_snn.nn import LIF
from spquant_snn.train.tensors import LabelledTensors
from toy_task import images


@pytest.fixture(scope="session")
def quadrants():
    """A function: ``count`` noisy 8x8 images, labelled by which of their quarters is bright."""

    return lambda count, seed=0: LabelledTensors(*images(count, seed))


@pytest.fixture(scope="session")
def tiny():
    """A function: an untrained network of two layers of neurons for these images."""

    def make(seed=0, bits=2, drop=0.0, timesteps=2):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            nn.AvgPool2d(2),
            nn.BatchNorm2d(4),
            LIF(),
            nn.Flatten(),
            nn.Dropout(drop),
            nn.Linear(64, 16, bias=False),
            nn.BatchNorm1d(16),
            LIF(),
            nn.Linear(16, 4),
        )
        return prepare(model, QuantConfig(bits, bits, timesteps), (1, 8, 8))

    return make
