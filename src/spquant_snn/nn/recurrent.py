"""A network of recurrent layers."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from ..errors import ConfigError
from .feedback import Feedback
from .layers import SpikingSequential
from .lif import LIF
from .topology import Neuron, check_arguments, checked_shape, scaled


class RecurrentSNN(SpikingSequential):
    """Fully connected recurrent layers and a linear readout, as for spoken digits as spikes (700-128r-20 for the
    Spiking Heidelberg Digits, Cramer et al., 2020).

    Args:
        shape: of an input, whose values are all seen by every neuron.
        classes: number of outputs.
        width: factor on the neurons of all layers.
        neuron: makes each LIF layer; with a synaptic current, for one.
        hidden: neurons of each layer.

    Shape:
        input [T, N, *shape], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: the width is no factor, or there is no hidden layer.

    Example:
        >>> model = RecurrentSNN((700,), classes=20, hidden=(16,))
        >>> model(torch.zeros(5, 1, 700)).shape
        torch.Size([5, 1, 20])
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (700,),
        classes: int = 20,
        width: float = 1.0,
        neuron: Neuron = LIF,
        hidden: Sequence[int] = (128,),
    ) -> None:
        check_arguments("RecurrentSNN", classes, neuron, width)
        if not isinstance(hidden, Sequence) or not hidden or not all(isinstance(n, int) and n > 0 for n in hidden):
            raise ConfigError(f"RecurrentSNN needs the neurons of at least one hidden layer, as (128,), not {hidden!r}")
        features = math.prod(checked_shape("RecurrentSNN", shape))
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for i, size in enumerate((scaled(size, width) for size in hidden), 1):
            layers[f"fc{i}"], layers[f"bn{i}"] = nn.Linear(features, size, bias=False), nn.BatchNorm1d(size)
            layers[f"rec{i}"] = Feedback(neuron(), nn.Linear(size, size, bias=False))
            features = size
        layers[f"fc{len(hidden) + 1}"] = nn.Linear(features, classes)
        super().__init__(layers)
