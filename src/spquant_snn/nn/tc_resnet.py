"""A residual network of one-dimensional convolutions, for signals such as log-mel spectrograms."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn

from ..errors import ConfigError
from .layers import Run, SpikingBlock, SpikingSequential
from .lif import LIF
from .topology import Neuron, check_arguments, checked_shape, head, scaled

_CHANNELS = (16, 24, 32, 48)


class TCBlock(SpikingBlock):
    """A residual block of two convolutions of kernel 9, the first with stride 2, and a convolution of kernel 1 around
    them:

        y = lif1(bn1(conv1(x)));  spikes = lif2(bn2(conv2(y)) + bn3(shortcut(x)))

    Args:
        inputs, outputs: channels.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, L], time first; output the same with other channels and half the length.
    """

    def __init__(self, inputs: int, outputs: int, neuron: Neuron = LIF) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, 9, 2, padding=4, bias=False)
        self.bn1, self.lif1 = nn.BatchNorm1d(outputs), neuron()
        self.conv2, self.bn2 = nn.Conv1d(outputs, outputs, 9, padding=4, bias=False), nn.BatchNorm1d(outputs)
        self.shortcut, self.bn3 = nn.Conv1d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm1d(outputs)
        self.lif2 = neuron()

    def compute(self, run: Run, x: Tensor) -> Tensor:
        y = run(self.lif1, run(self.bn1, run(self.conv1, x)))
        return run(self.lif2, run(self.bn2, run(self.conv2, y)) + run(self.bn3, run(self.shortcut, x)))


class TCResNetSNN(SpikingSequential):
    """TC-ResNet8 (Choi et al., Interspeech 2019) with spiking neurons: a convolution of kernel 3, three residual blocks
    with stride 2, global average pooling and a linear layer.

    Args:
        shape: (channels, length) of a signal, or (channels, 1, length); at least 4 long.
        classes: number of outputs.
        width: factor on all channel counts.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, *shape], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: the width is no factor, or the signals are images, or too short.

    Example:
        >>> model = TCResNetSNN((40, 49), classes=12, width=0.5)
        >>> model(torch.zeros(2, 1, 40, 49)).shape
        torch.Size([2, 1, 12])
    """

    def __init__(
        self,
        shape: tuple[int, int] | tuple[int, int, int] = (40, 98),
        classes: int = 12,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        check_arguments("TCResNetSNN", classes, neuron, width)
        inputs, *rest = checked_shape("TCResNetSNN", shape)
        if rest[:-1] not in ([], [1]) or rest[-1:] < [4]:
            found = "x".join(map(str, shape))
            raise ConfigError(f"TCResNetSNN needs signals of (channels, 1, length), at least 4 long, not {found}")
        widths = [scaled(count, width) for count in _CHANNELS]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if len(rest) == 2:
            layers["signal"] = nn.Flatten(2)
        layers["conv1"] = nn.Conv1d(inputs, widths[0], 3, padding=1, bias=False)
        layers["bn1"], layers["lif1"] = nn.BatchNorm1d(widths[0]), neuron()
        for i, (before, after) in enumerate(pairwise(widths), 1):
            layers[f"block{i}"] = TCBlock(before, after, neuron)
        layers["pool"] = nn.AdaptiveAvgPool1d(1)
        super().__init__(layers | head(2, widths[-1], [], classes, neuron))
