"""Residual networks of spiking neurons, whose shortcuts end in sums before the neurons."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import cast

from torch import Tensor, nn

from ..errors import ConfigError
from .layers import SpikingSequential, fold_time
from .lif import LIF
from .topology import Neuron, convolution, head, neurons_of

_PLANS: dict[int, tuple[int, tuple[int, ...]]] = {  # blocks of each stage, neurons of hidden linear layers
    11: (1, (256,)),
    18: (2, ()),
}
_STAGES = (64, 128, 256, 512)
_LARGE = 48  # pixels a side from which on the first convolution takes every other one


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input's spikes go to the sums of the second one:

        y = lif1(bn1(conv1(x)));  spikes = lif2(bn2(conv2(y) + shortcut(x)))

    All spikes stay zeros and ones, and both branches meet in one accumulator. A block that changes the shape has a 1x1
    convolution for a shortcut; elsewhere the spikes themselves are added.

    Args:
        inputs, outputs: channels.
        stride: of the first convolution.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output the same with other channels and, by the stride, another size.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, neuron: Neuron = LIF) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1, self.lif1 = nn.BatchNorm2d(outputs), neuron()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.bn2, self.lif2 = nn.BatchNorm2d(outputs), neuron()

    def forward(self, x: Tensor) -> Tensor:
        y = self.lif1(fold_time(self.bn1, fold_time(self.conv1, x)))
        sums = fold_time(self.conv2, y) + fold_time(self.shortcut, x)
        return cast(Tensor, self.lif2(fold_time(self.bn2, sums)))

    def instant(self, x: Tensor) -> Tensor:
        """The same for one instant: how ``prepare`` reads it."""
        y = self.lif1(self.bn1(self.conv1(x)))
        return cast(Tensor, self.lif2(self.bn2(self.conv2(y) + self.shortcut(x))))


class ResNetSNN(SpikingSequential):
    """ResNet-11 or ResNet-18 with spiking neurons: a 3x3 convolution, four stages of residual blocks, of which all but
    the first halve the image, the mean over what is left of it where that is square, and linear layers.

    Images of 48 pixels a side and more are halved by the first convolution too.

    Args:
        shape: (channels, height, width) of an image; height and width at least 8.
        classes: number of outputs.
        depth: 11 (a block a stage and a hidden linear layer) or 18 (two blocks a stage) layers with weights.
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
            raise ConfigError(f"ResNetSNN comes with depth {' or '.join(map(str, _PLANS))}, not {depth!r}")
        if not 0 < width < math.inf:
            raise ConfigError(f"the width of ResNetSNN must be a positive factor, not {width!r}")
        channels, *size = shape
        if min(size) < 8:
            raise ConfigError(f"ResNetSNN needs images of at least 8x8, not {size[0]}x{size[1]}")
        blocks, hidden = _PLANS[depth]
        widths = [max(1, round(channel * width)) for channel in _STAGES]
        first = 2 if min(size) >= _LARGE else 1
        layers: OrderedDict[str, nn.Module] = convolution(1, channels, widths[0], kernel=3, stride=first)
        layers |= neurons_of(1, widths[0], neuron)
        channels, size = widths[0], [-(-side // first) for side in size]
        for stage, out in enumerate(widths, 1):
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                layers[f"block{stage}" + "abc"[block] * (blocks > 1)] = ResidualBlock(channels, out, stride, neuron)
                channels, size = out, [-(-side // stride) for side in size]
        if size[0] == size[1] > 1:
            layers["pool"] = nn.AvgPool2d(size[0])
            size = [1, 1]
        sizes = [max(1, round(count * width)) for count in hidden]
        super().__init__(layers | head(2, channels * size[0] * size[1], sizes, classes, neuron))
