"""Networks written as the field writes them: 32C5-P2-64C5-P2-FC128-FC10.

32C5    a convolution of 32 channels, 5x5, padded so that the image keeps its size, with its neurons
32C5s2  the same at every second place of every second row
P2      behind a convolution: the mean over 2x2, between its sums and its neurons
FC128   a linear (fully connected) layer of 128 neurons; the last one is the readout, one output for each class
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import nn

from ..errors import ConfigError
from .layers import SpikingSequential
from .lif import LIF

Neuron = Callable[[], nn.Module]

_TOKEN = re.compile(r"(?:([1-9]\d{0,4})C([1-9]\d?)(?:s([2-9]))?|P([2-9])|FC([1-9]\d{0,5}))\Z")
_EXAMPLE = "write it as 32C5-P2-64C5-P2-FC10"


def is_topology(name: str) -> bool:
    """Whether a name is meant for a topology: it ends in a linear layer."""
    return re.search(r"(?:\A|-)FC\d+\Z", name) is not None


def topology(name: str, shape: tuple[int, int, int], classes: int, neuron: Neuron = LIF) -> SpikingSequential:
    """The network of a topology for images of ``shape`` (channels, height, width).

    Raises:
        ConfigError: it is none, it does not fit the images, or it has another number of outputs than ``classes``.
    """
    channels, height, width = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    index, sizes, unpooled = 0, [], False
    tokens = name.split("-")
    for token in tokens:
        found = _TOKEN.match(token)
        if found is None:
            raise ConfigError(f"{token!r} in {name!r} is no layer: {_EXAMPLE}")
        outputs, kernel, stride, pool, full = (int(group) if group else 0 for group in found.groups())
        if full:
            sizes.append(full)
        elif sizes:
            raise ConfigError(f"{token!r} in {name!r} comes behind a linear layer: {_EXAMPLE}")
        elif pool:
            if not unpooled:
                raise ConfigError(f"{token!r} in {name!r} does not stand behind a convolution: {_EXAMPLE}")
            height, width, unpooled = height // pool, width // pool, False
            layers |= neurons_of(index, channels, neuron, pool)
        else:
            if kernel % 2 == 0:
                raise ConfigError(f"{token!r} in {name!r} cannot be centred: choose a kernel of odd size")
            if unpooled:
                layers |= neurons_of(index, channels, neuron)
            index += 1
            stride = stride or 1
            layers |= convolution(index, channels, outputs, kernel, stride)
            height, width = -(-height // stride), -(-width // stride)
            channels, unpooled = outputs, True
    if unpooled:
        layers |= neurons_of(index, channels, neuron)
    if min(height, width) < 1:
        raise ConfigError(f"{name!r} needs larger images than {shape[1]}x{shape[2]}")
    if sizes[-1] != classes:
        raise ConfigError(f"{name!r} has {sizes[-1]} outputs, the data {classes} classes: end it with FC{classes}")
    return SpikingSequential(layers | head(index + 1, channels * height * width, sizes[:-1], classes, neuron))


def check_factor(name: str, width: float) -> None:
    """Raise ConfigError, if the factor on the channels of a model of that name is none."""
    if not 0 < width < math.inf:
        raise ConfigError(f"the width of {name} must be a positive factor, not {width!r}")


def scaled(count: int, width: float) -> int:
    """Channels of a layer under a factor, at least one."""
    return max(1, round(count * width))


def convolution(index: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> OrderedDict[str, nn.Module]:
    """The sums of a convolution that keeps the size of the image, but for its stride."""
    return OrderedDict({f"conv{index}": nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)})


def neurons_of(index: int, channels: int, neuron: Neuron, pool: int = 0) -> OrderedDict[str, nn.Module]:
    """What stands behind the sums of a convolution: pool, normalisation, neurons."""
    block: OrderedDict[str, nn.Module] = OrderedDict()
    if pool:
        block[f"pool{index}"] = nn.AvgPool2d(pool)
    block[f"bn{index}"] = nn.BatchNorm2d(channels)
    block[f"lif{index}"] = neuron()
    return block


def head(index: int, features: int, hidden: Sequence[int], classes: int, neuron: Neuron) -> OrderedDict[str, nn.Module]:
    """Linear layers with neurons, and the readout."""
    block: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for size in hidden:
        block[f"fc{index}"] = nn.Linear(features, size, bias=False)
        block[f"bn{index}"] = nn.BatchNorm1d(size)
        block[f"lif{index}"] = neuron()
        features = size
        index += 1
    block[f"fc{index}"] = nn.Linear(features, classes)
    return block
