"""Residual blocks of three kinds: those that add sums before one batch normalisation, that add normalised currents, and
that add spikes."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import Run, SpikingBlock
from .lif import LIF
from .topology import Neuron


class ResidualBlock(SpikingBlock):
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
            self.shortcut = self._projection(nn.Conv2d(inputs, outputs, 1, stride, bias=False), neuron)
        self.bn2, self.lif2 = nn.BatchNorm2d(outputs), neuron()

    def _projection(self, conv: nn.Conv2d, neuron: Neuron) -> nn.Module:
        """The shortcut of a block that changes the shape."""
        return conv

    def compute(self, run: Run, x: Tensor) -> Tensor:
        y = run(self.lif1, run(self.bn1, run(self.conv1, x)))
        return run(self.lif2, run(self.bn2, run(self.conv2, y) + run(self.shortcut, x)))


class NormalizedResidualBlock(ResidualBlock):
    """The same with a batch normalisation in each branch, so that currents are added (tdBN, Zheng et al., AAAI 2021):

    y = lif1(bn1(conv1(x)));  spikes = lif2(bn2(conv2(y)) + shortcut(x))
    """

    def _projection(self, conv: nn.Conv2d, neuron: Neuron) -> nn.Module:
        return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels))

    def compute(self, run: Run, x: Tensor) -> Tensor:
        y = run(self.lif1, run(self.bn1, run(self.conv1, x)))
        return run(self.lif2, run(self.bn2, run(self.conv2, y)) + run(self.shortcut, x))


class SEWBlock(ResidualBlock):
    """The same with the input's spikes added to those of the block (spike-element-wise, Fang et al., NeurIPS 2021), so
    that small whole numbers come out; a shortcut that changes the shape has neurons of its own:

        y = lif1(bn1(conv1(x)));  z = lif2(bn2(conv2(y))) + shortcut(x)
    """

    def _projection(self, conv: nn.Conv2d, neuron: Neuron) -> nn.Module:
        return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), neuron())

    def compute(self, run: Run, x: Tensor) -> Tensor:
        y = run(self.lif1, run(self.bn1, run(self.conv1, x)))
        return run(self.lif2, run(self.bn2, run(self.conv2, y))) + run(self.shortcut, x)
