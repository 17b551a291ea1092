"""Networks of depthwise separable convolutions."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from .layers import SpikingSequential
from .lif import LIF
from .topology import Neuron, check_arguments, convolution, head, image_of, neurons_of, scaled

_LARGE = 48  # pixels a side from which on the first convolution takes every other one
_MOBILE = (64, (128, 2), 128, (256, 2), 256, (512, 2), 512, 512, 512, 512, 512, (1024, 2), 1024)


def separable(inputs: int, outputs: int, stride: int = 1, neuron: Neuron = LIF) -> nn.Sequential:
    """A depthwise separable convolution: 3x3 depthwise, then 1x1 pointwise, each followed by neurons."""
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False),
            bn1=nn.BatchNorm2d(inputs),
            lif1=neuron(),
            pointwise=nn.Conv2d(inputs, outputs, 1, bias=False),
            bn2=nn.BatchNorm2d(outputs),
            lif2=neuron(),
        )
    )


class MobileNetSNN(SpikingSequential):
    """MobileNet (Howard et al., 2017) with spiking neurons: a 3x3 convolution, thirteen depthwise separable ones, four
    of them with stride 2, global average pooling and a linear layer.

    Images of 48 pixels a side and more are halved by the first convolution too.

    Args:
        shape: (channels, height, width) of an image; height and width at least 8.
        classes: number of outputs.
        width: factor on all channel counts.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: the width is no factor, or the images are too small.

    Example:
        >>> model = MobileNetSNN((3, 16, 16), classes=2, width=0.1)
        >>> model(torch.zeros(2, 1, 3, 16, 16)).shape
        torch.Size([2, 1, 2])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        check_arguments("MobileNetSNN", classes, neuron, width)
        inputs, *size = image_of("MobileNetSNN", shape, least=8)
        channels = scaled(32, width)
        layers = convolution(1, inputs, channels, kernel=3, stride=2 if min(size) >= _LARGE else 1)
        layers |= neurons_of(1, channels, neuron)
        for i, entry in enumerate(_MOBILE, 1):
            count, stride = entry if isinstance(entry, tuple) else (entry, 1)
            layers[f"block{i}"] = separable(channels, scaled(count, width), stride, neuron)
            channels = scaled(count, width)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        super().__init__(layers | head(2, channels, [], classes, neuron))


class DSCNN(SpikingSequential):
    """DS-CNN (Zhang et al., 2017), the keyword spotting network of MLPerf Tiny, with spiking neurons: a 10x4
    convolution with stride 2, four depthwise separable ones, global average pooling and a linear layer.

    Args:
        shape: (channels, frames, features) of a spectrogram; frames and features at least 4.
        classes: number of outputs.
        width: factor on all channel counts.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: the width is no factor, or the spectrograms are too small.

    Example:
        >>> model = DSCNN((1, 49, 10), classes=12, width=0.1)
        >>> model(torch.zeros(2, 1, 1, 49, 10)).shape
        torch.Size([2, 1, 12])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (1, 49, 10),
        classes: int = 12,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        check_arguments("DSCNN", classes, neuron, width)
        inputs, _, _ = image_of("DSCNN", shape, least=4)
        channels = scaled(64, width)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(inputs, channels, (10, 4), 2, padding=(5, 1), bias=False)
        )
        layers |= neurons_of(1, channels, neuron)
        for i in range(1, 5):
            layers[f"block{i}"] = separable(channels, channels, neuron=neuron)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        super().__init__(layers | head(2, channels, [], classes, neuron))
