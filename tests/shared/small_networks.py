"""Networks for parts of 2 to 4 KB of RAM, as their users write them: signals, features of speech, small images.

``SMALL`` holds how each is made, the shape of its input, and what it is quantised to.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from spquant_snn.data.input_format import PIXELS, InputFormat
from spquant_snn.nn import LIF, LeakyIntegrator
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from whole_chain import settle, wake


@dataclass(frozen=True)
class Small:
    """A module, the shape that it takes, and what it is quantised to."""

    layers: tuple[nn.Module, ...]
    shape: tuple[int, ...]
    signed: bool = False
    timesteps: int = 2
    bits: float = 1.58


def small_network(name):
    """The graph of an untrained network whose neurons are awake, and a few inputs."""
    torch.manual_seed(0)
    small = SMALL[name]()
    given = InputFormat(True, 1 / 127) if small.signed else PIXELS
    config = QuantConfig(small.bits, small.bits, timesteps=small.timesteps, input_format=given)
    network = prepare(nn.Sequential(*small.layers), config, small.shape)
    rough = np.random.default_rng(0).random((6, *small.shape))
    smooth = (rough + np.roll(rough, 1, -1) + np.roll(rough, 2, -1)) / 3
    inputs = (254 * smooth - 127).astype(np.int8) if small.signed else (255 * smooth).astype(np.uint8)
    for _ in range(2):
        settle(network, torch.from_numpy(inputs))
        wake(network, torch.from_numpy(inputs))
    graph = lower(network.eval().freeze())
    return graph, inputs.reshape(-1, *graph.input_shape)


def _signal(inputs, outputs, kernel, **more):
    return nn.Conv1d(inputs, outputs, kernel, bias=False, **more), nn.BatchNorm1d(outputs), LIF()


def _image(inputs, outputs, kernel, **more):
    return nn.Conv2d(inputs, outputs, kernel, bias=False, **more), nn.BatchNorm2d(outputs), LIF()


def _dense(inputs, outputs):
    return nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), LIF()


def _ends(inputs, outputs):
    return nn.Flatten(), nn.Linear(inputs, outputs)


SMALL = {
    "accelerometer": lambda: Small(
        (*_signal(3, 8, 5, padding=2), nn.MaxPool1d(2), *_signal(8, 16, 5, padding=2), nn.MaxPool1d(2), *_ends(256, 6)),
        (3, 64),
        signed=True,
    ),
    "accelerometer, pools of 3 by 2": lambda: Small(
        (
            *_signal(3, 8, 5, padding=2),
            nn.MaxPool1d(3, 2, 1),
            *_signal(8, 16, 3, padding=1),
            nn.MaxPool1d(3, 2, 1),
            *_ends(256, 6),
        ),
        (3, 64),
        signed=True,
    ),
    "accelerometer, dilated": lambda: Small(
        (
            *_signal(3, 8, 3, padding=1),
            *_signal(8, 8, 3, padding=2, dilation=2),
            *_signal(8, 8, 3, padding=4, dilation=4),
            nn.AvgPool1d(8),
            *_ends(64, 6),
        ),
        (3, 64),
        signed=True,
    ),
    "accelerometer, depthwise": lambda: Small(
        (
            *_signal(3, 12, 9, padding=4, groups=3),
            *_signal(12, 12, 5, padding=2, stride=2, groups=12),
            *_signal(12, 16, 1),
            nn.MaxPool1d(4),
            *_ends(128, 5),
        ),
        (3, 64),
        signed=True,
    ),
    "accelerometer, linear": lambda: Small((nn.Flatten(), *_dense(96, 24), nn.Linear(24, 6)), (3, 32), signed=True),
    "vibration, 4 bits": lambda: Small(
        (*_signal(1, 8, 16, stride=8), *_signal(8, 16, 3), nn.MaxPool1d(2), *_ends(224, 3)),
        (1, 256),
        signed=True,
        bits=4,
    ),
    "accelerometer, 8 bits": lambda: Small(
        (*_signal(3, 8, 5, padding=2), nn.MaxPool1d(4), *_signal(8, 8, 3, padding=1), nn.MaxPool1d(4), *_ends(32, 6)),
        (3, 64),
        signed=True,
        bits=8,
    ),
    "keywords, stride 2 by 1": lambda: Small(
        (
            *_image(1, 8, (10, 4), stride=(2, 1), padding=(5, 1)),
            *_image(8, 16, 3, stride=2),
            nn.AvgPool2d((6, 2)),
            *_ends(64, 8),
        ),
        (1, 49, 10),
    ),
    "keywords, averaged over all": lambda: Small(
        (
            *_image(1, 8, 3, padding=1),
            nn.AvgPool2d(2),
            *_image(8, 16, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            *_ends(16, 8),
        ),
        (1, 24, 10),
    ),
    "keywords, linear": lambda: Small((*_dense(160, 32), nn.Linear(32, 10)), (160,)),
    "image, pools rounded up": lambda: Small(
        (
            *_image(1, 8, 4),
            nn.MaxPool2d(2, ceil_mode=True),
            *_image(8, 16, 3),
            nn.MaxPool2d(2, ceil_mode=True),
            *_ends(144, 10),
        ),
        (1, 16, 16),
    ),
    "image, ends in a convolution": lambda: Small(
        (
            *_image(1, 8, 3, padding=1, stride=2),
            *_image(8, 16, 3, padding=1, stride=2),
            nn.Conv2d(16, 10, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ),
        (1, 16, 16),
    ),
    "image, averaged before": lambda: Small(
        (nn.AvgPool2d(2), *_image(1, 8, 3, padding=1), nn.MaxPool2d(2), *_ends(128, 10)), (1, 16, 16)
    ),
    "image, spikes counted": lambda: Small((nn.Flatten(), *_dense(256, 24), *_dense(24, 10)), (1, 16, 16), timesteps=8),
    "numbers of a leaky readout": lambda: Small(
        (nn.Linear(16, 24), LIF(), nn.Linear(24, 2), LeakyIntegrator(0.9)), (16,), signed=True, timesteps=4
    ),
    "the largest of a leaky readout": lambda: Small(
        (
            *_signal(3, 8, 5, padding=2),
            nn.MaxPool1d(4),
            nn.Flatten(),
            nn.Linear(128, 1),
            LeakyIntegrator(0.9, over_time="largest"),
        ),
        (3, 64),
        signed=True,
        timesteps=4,
    ),
}
