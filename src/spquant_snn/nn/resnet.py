"""Residual networks of spiking neurons, for images of CIFAR's size and larger."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from ..errors import ConfigError
from .layers import SpikingBlock, SpikingSequential
from .lif import LIF
from .residual_blocks import NormalizedResidualBlock, ResidualBlock, SEWBlock
from .topology import Neuron, check_arguments, convolution, head, image_of, neurons_of, scaled

_LARGE = 48  # pixels a side from which on the first convolution takes every other one


@dataclass(frozen=True)
class _Plan:
    """Blocks and channels of each stage, neurons of hidden linear layers, and the kind of block."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    block: type[SpikingBlock] = ResidualBlock


_PLANS = {
    11: _Plan((1, 1, 1, 1), (64, 128, 256, 512), (256,)),
    18: _Plan((2, 2, 2, 2), (64, 128, 256, 512)),
    19: _Plan((3, 3, 2), (128, 256, 512), (256,), NormalizedResidualBlock),
}
_SEW_PLAN = _Plan((2, 2, 2, 2), (64, 128, 256, 512), block=SEWBlock)


class ResNetSNN(SpikingSequential):
    """ResNet-11, ResNet-18 or ResNet-19 with spiking neurons: a 3x3 convolution, stages of residual blocks (all but the
    first with stride 2), global average pooling where the last image is square, and linear layers.

    ResNet-11 and 18 are of ``ResidualBlock``; ResNet-19 is that of tdBN, of ``NormalizedResidualBlock``. Images of 48
    pixels a side and more are halved by the first convolution too.

    Args:
        shape: (channels, height, width) of an image; height and width at least 8.
        classes: number of outputs.
        depth: 11 (a block a stage and a hidden linear layer), 18 (two blocks a stage) or 19 (3, 3 and 2 blocks in
            three stages of twice the channels, and a hidden linear layer) layers with weights.
        width: factor on all channel counts.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: there is no such depth or width, or the images are too small.

    Example:
        >>> model = ResNetSNN((2, 16, 16), classes=11, depth=11, width=0.1)
        >>> model(torch.zeros(2, 1, 2, 16, 16)).shape
        torch.Size([2, 1, 11])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (2, 64, 64),
        classes: int = 11,
        depth: int = 18,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        if depth not in _PLANS:
            raise ConfigError(f"ResNetSNN comes with depth 11, 18 or 19, not {depth!r}")
        super().__init__(_layers("ResNetSNN", _PLANS[depth], shape, classes, width, neuron))


class SEWResNetSNN(SpikingSequential):
    """ResNet-18 of ``SEWBlock``, whose shortcuts add spikes to spikes. Arguments, shape and errors are those of
    ``ResNetSNN``.

    Example:
        >>> model = SEWResNetSNN((3, 16, 16), classes=10, width=0.1)
        >>> model(torch.zeros(2, 1, 3, 16, 16)).shape
        torch.Size([2, 1, 10])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        super().__init__(_layers("SEWResNetSNN", _SEW_PLAN, shape, classes, width, neuron))


def _layers(
    name: str, plan: _Plan, shape: tuple[int, int, int], classes: int, width: float, neuron: Neuron
) -> OrderedDict[str, nn.Module]:
    check_arguments(name, classes, neuron, width)
    channels, *size = image_of(name, shape, least=8)
    widths = [scaled(count, width) for count in plan.channels]
    first = 2 if min(size) >= _LARGE else 1
    layers: OrderedDict[str, nn.Module] = convolution(1, channels, widths[0], kernel=3, stride=first)
    layers |= neurons_of(1, widths[0], neuron)
    channels, size = widths[0], [-(-side // first) for side in size]
    for stage, (out, blocks) in enumerate(zip(widths, plan.blocks, strict=True), 1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            layers[f"block{stage}" + "abc"[block] * (blocks > 1)] = plan.block(channels, out, stride, neuron)
            channels, size = out, [-(-side // stride) for side in size]
    if size[0] == size[1] > 1:
        layers["pool"] = nn.AvgPool2d(size[0])
        size = [1, 1]
    sizes = [scaled(count, width) for count in plan.hidden]
    return layers | head(2, channels * size[0] * size[1], sizes, classes, neuron)
