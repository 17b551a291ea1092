"""Random parameters at which neurons fire."""

import torch
from torch import nn


def randomize(layers, spread):
    """Give layers random parameters and statistics; with a large ``spread`` of the biases some neurons fire without any
    input."""
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.weight.uniform_(-2.0, 2.0)
                layer.bias.normal_(0.2, spread)
            elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
                layer.weight.mul_(4.0)
