"""Networks from a topology string, such as 32C5-P2-64C5-P2-FC128-FC10, and the parts that all models share.

32C5    a 5x5 convolution of 32 channels, padded so that the image keeps its size, followed by LIF neurons
32C5s2  the same with stride 2
P2      after a convolution: 2x2 average pooling, between the convolution and its neurons
FC128   a linear (fully connected) layer of 128 neurons; the last one is the readout, one output for each class
"""

from __future__ import annotations

import math
import operator
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
    """Whether a name is a topology rather than the name of a model: it ends in a linear layer, as "FC10"."""
    return re.search(r"(?:\A|-)FC\d+\Z", name) is not None


def topology(name: str, shape: Sequence[int], classes: int, neuron: Neuron = LIF) -> SpikingSequential:
    """The network of a topology string for images of ``shape``, (channels, height, width).

    Raises:
        ConfigError: the string is malformed, the images are too small for it, or its last layer has another number of
            outputs than ``classes``.
    """
    check_arguments(repr(name), classes, neuron)
    channels, height, width = shape = image_of(repr(name), shape)
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


def check_arguments(name: str, classes: int, neuron: Neuron, width: float = 1.0) -> None:
    """Check what all models take; ``name`` is the model's, for the message.

    Raises:
        ConfigError: ``classes`` is not a positive whole number, ``neuron`` is no function that makes a layer, or
            ``width`` is not a positive number.
    """
    if not _is_count(classes):
        raise ConfigError(f"the classes of {name} must be a positive whole number, not {classes!r}")
    if isinstance(neuron, nn.Module) or not callable(neuron):
        raise ConfigError(
            f"the neuron of {name} must be called to make each layer: give LIF or functools.partial(LIF, leak=0.9), "
            f"not {neuron!r}"
        )
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width < math.inf:
        raise ConfigError(f"the width of {name} must be a positive factor, not {width!r}")


def image_of(name: str, shape: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    """The shape of an image as (channels, height, width); ``name`` is the model's, for the message.

    Args:
        least: smallest height and width that the model takes.

    Raises:
        ConfigError: it is no such shape, or the image is smaller.
    """
    if len(checked_shape(name, shape)) != 3:
        raise ConfigError(
            f"{name} takes images of the shape (channels, height, width), not {'x'.join(map(str, shape))}"
        )
    channels, height, width = shape
    if min(height, width) < least:
        raise ConfigError(f"{name} needs images of at least {least}x{least}, not {height}x{width}")
    return channels, height, width


def checked_shape(name: str, shape: Sequence[int]) -> Sequence[int]:
    """The shape of an input, as it is; ``name`` is the model's, for the message.

    Raises:
        ConfigError: it is no sequence of positive whole numbers.
    """
    if not isinstance(shape, Sequence) or not shape or not all(map(_is_count, shape)):
        raise ConfigError(f"the shape of the inputs of {name} must be positive whole numbers, not {shape!r}")
    return shape


def _is_count(value: object) -> bool:
    """Whether a value is a positive whole number, of Python or NumPy."""
    try:
        return not isinstance(value, bool) and operator.index(value) > 0  # type: ignore[arg-type]
    except TypeError:
        return False


def scaled(count: int, width: float) -> int:
    """A number of channels times the width factor of a model, rounded, at least one."""
    return max(1, round(count * width))


def convolution(index: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> OrderedDict[str, nn.Module]:
    """A square convolution without bias, padded so that only its stride changes the size of the image."""
    return OrderedDict({f"conv{index}": nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)})


def neurons_of(index: int, channels: int, neuron: Neuron, pool: int = 0) -> OrderedDict[str, nn.Module]:
    """What follows a convolution: average pooling if ``pool`` is not 0, batch normalisation, neurons."""
    block: OrderedDict[str, nn.Module] = OrderedDict()
    if pool:
        block[f"pool{index}"] = nn.AvgPool2d(pool)
    block[f"bn{index}"] = nn.BatchNorm2d(channels)
    block[f"lif{index}"] = neuron()
    return block


def head(index: int, features: int, hidden: Sequence[int], classes: int, neuron: Neuron) -> OrderedDict[str, nn.Module]:
    """The end of a network: ``Flatten``, a linear layer with batch normalisation and neurons for each of ``hidden``,
    and the linear readout; layers are numbered from ``index`` on."""
    block: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for size in hidden:
        block[f"fc{index}"] = nn.Linear(features, size, bias=False)
        block[f"bn{index}"] = nn.BatchNorm1d(size)
        block[f"lif{index}"] = neuron()
        features = size
        index += 1
    block[f"fc{index}"] = nn.Linear(features, classes)
    return block
