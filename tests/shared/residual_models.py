"""Random residual networks of torch; a seed gives the same one each time."""

import numpy as np
import torch
from torch import nn

from spquant_snn.nn import LIF


class Joined(nn.Module):
    """``lif(norm(conv(y) + shortcut(x)))`` around a row that makes y of x, for one instant."""

    def __init__(self, row, conv, shortcut, norm, lif):
        super().__init__()
        self.row, self.conv, self.shortcut, self.norm, self.lif = row, conv, shortcut, norm, lif

    def forward(self, x):
        aside = self.shortcut(x)  # called before the row, after it, in either order of the sum
        return self.lif(self.norm(aside + self.conv(self.row(x))))


def residual_model(seed):
    """Layers of a network, and the shape of its images."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    channels, size = int(rng.integers(1, 4)), int(rng.integers(6, 11))
    shape, width = (channels, size, size + int(rng.integers(0, 3))), int(rng.integers(2, 9))
    layers = [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), _neuron(rng)]
    sides = list(shape[1:])
    for _ in range(int(rng.integers(1, 4))):
        changes = rng.random() < 0.5
        out, stride = (int(rng.integers(2, 9)), int(rng.integers(1, 3))) if changes else (width, 1)
        row = []
        for i in range(int(rng.integers(1, 3))):
            first = (width, out, stride) if i == 0 else (out, out, 1)
            row += [_three(*first, bias=bool(rng.integers(2))), nn.BatchNorm2d(out), _neuron(rng)]
        shortcut = nn.Identity() if not changes else nn.Conv2d(width, out, 1, stride, bias=bool(rng.integers(2)))
        norm = nn.BatchNorm2d(out) if rng.random() < 0.8 else nn.Identity()
        layers.append(
            Joined(nn.Sequential(*row), _three(out, out, 1, bool(rng.integers(2))), shortcut, norm, _neuron(rng))
        )
        width, sides = out, [-(-side // stride) for side in sides]
    return [*layers, nn.Flatten(), nn.Linear(width * sides[0] * sides[1], 5)], shape


def _three(inputs, outputs, stride, bias):
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def _neuron(rng):
    return LIF(float(rng.choice([0.5, 1.0])), float(rng.choice([0.25, 0.5])), str(rng.choice(["zero", "subtract"])))
