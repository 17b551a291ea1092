"""A network that answers with a map: U-Net, down to a coarse image and up again."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .layers import Run, SpikingBlock, SpikingSequential
from .lif import LIF
from .topology import Neuron, check_arguments, convolution, image_of, neurons_of, scaled

_CHANNELS = (16, 32, 64)  # of each level, the finest first


class UNetLevel(SpikingBlock):
    """A level of a U-Net: ``inside`` runs on images of half the size; its spikes, up-sampled, are concatenated with
    those of this level:

        y = before(x);  spikes = after(cat(up(inside(pool(y))), y))

    Args:
        inputs, outputs: channels.
        inside: a layer of as many channels in as ``outputs``.
        channels: that it gives.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first, height and width even; output the same with other channels.
    """

    def __init__(self, inputs: int, outputs: int, inside: nn.Module, channels: int, neuron: Neuron = LIF) -> None:
        super().__init__()
        self.before, self.pool = _two_convolutions(inputs, outputs, neuron), nn.MaxPool2d(2)
        self.inside, self.up = inside, nn.Upsample(scale_factor=2, mode="nearest")
        self.after = _two_convolutions(channels + outputs, outputs, neuron)

    def compute(self, run: Run, x: Tensor) -> Tensor:
        y = run(self.before, x)
        coarse = run(self.up, run(self.inside, run(self.pool, y)))
        return run(self.after, torch.cat([coarse, y], -3))


class UNetSNN(SpikingSequential):
    """A small U-Net (Ronneberger et al., 2015) with spiking neurons: two levels around two convolutions, and a 1x1
    convolution that gives a map for each class.

    Args:
        shape: (channels, height, width) of an image; height and width multiples of 4.
        classes: number of maps.
        width: factor on all channel counts.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output [T, N, classes, H, W], the logits of each place and step.

    Raises:
        ConfigError: the width is no factor, or the images cannot be halved twice.

    Example:
        >>> model = UNetSNN((3, 16, 16), classes=2, width=0.25)
        >>> model(torch.zeros(2, 1, 3, 16, 16)).shape
        torch.Size([2, 1, 2, 16, 16])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 2,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        check_arguments("UNetSNN", classes, neuron, width)
        inputs, height, breadth = image_of("UNetSNN", shape)
        if height % 4 or breadth % 4:
            raise ConfigError(f"UNetSNN needs images whose height and width are multiples of 4, not {height}x{breadth}")
        fine, middle, coarse = (scaled(count, width) for count in _CHANNELS)
        bottom = _two_convolutions(middle, coarse, neuron)
        levels = UNetLevel(inputs, fine, UNetLevel(fine, middle, bottom, coarse, neuron), middle, neuron)
        super().__init__(OrderedDict[str, nn.Module](levels=levels, readout=nn.Conv2d(fine, classes, 1)))


def _two_convolutions(inputs: int, outputs: int, neuron: Neuron) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, before in enumerate((inputs, outputs), 1):
        layers |= convolution(i, before, outputs, kernel=3) | neurons_of(i, outputs, neuron)
    return nn.Sequential(layers)
