"""The models that have a name: LeNet and VGG, and the list of all.

Pooling stands before the neuron: what travels to the next layer stays binary, and the pool folds into the convolution.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from ..errors import ConfigError
from ..io.texts import did_you_mean
from .layers import SpikingSequential
from .lif import LIF
from .recurrent import RecurrentSNN
from .resnet import ResNetSNN, SEWResNetSNN
from .separable import DSCNN, MobileNetSNN
from .tc_resnet import TCResNetSNN
from .topology import Neuron, check_arguments, convolution, head, image_of, is_topology, neurons_of, scaled, topology
from .unet import UNetSNN


class LeNetSNN(SpikingSequential):
    """LeNet with spiking neurons: two 5x5 convolutions, each pooled by two, and two fully connected layers
    (32C5-P2-64C5-P2-FC128-FC10).

    Args:
        shape: (channels, height, width) of an image; height and width at least 4.
        classes: number of outputs.
        width: channels of the two convolutions.
        hidden: neurons of the fully connected layer.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: the images are too small.

    Example:
        >>> model = LeNetSNN((1, 8, 8), classes=10)
        >>> model(torch.zeros(4, 2, 1, 8, 8)).shape
        torch.Size([4, 2, 10])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (1, 28, 28),
        classes: int = 10,
        width: tuple[int, int] = (32, 64),
        hidden: int = 128,
        neuron: Neuron = LIF,
    ) -> None:
        check_arguments("LeNetSNN", classes, neuron)
        channels, height, breadth = image_of("LeNetSNN", shape, least=4)
        counts = (*width, hidden) if isinstance(width, Sequence) else ()
        if len(counts) != 3 or not all(isinstance(count, int) and count > 0 for count in counts):
            raise ConfigError(
                f"LeNetSNN takes two positive whole numbers as width and one as hidden, not {width!r} and {hidden!r}"
            )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for i, out in enumerate(width, 1):
            layers |= convolution(i, channels, out, kernel=5) | neurons_of(i, out, neuron, pool=2)
            channels = out
        features = channels * (height // 4) * (breadth // 4)
        super().__init__(layers | head(3, features, [hidden], classes, neuron))


_VGG_PLANS: dict[int, tuple[tuple[int | str, ...], tuple[int, ...]]] = {
    9: ((64, 64, "P", 128, 128, "P", 256, 256, 256, "P"), (1024,)),
    11: ((64, "P", 128, "P", 256, 256, "P", 512, 512, "P", 512, 512), (512, 512)),
    16: (
        (64, 64, "P", 128, 128, "P", 256, 256, 256, "P", 512, 512, 512, "P", 512, 512, 512, "P"),
        (512, 512),
    ),
}


class VGGSNN(SpikingSequential):
    """VGG-9, VGG-11 or VGG-16 with spiking neurons, for images of CIFAR's size.

    Args:
        shape: (channels, height, width) of an image; height and width at least 8 (VGG-9), 16 (VGG-11)
            or 32 (VGG-16).
        classes: number of outputs.
        depth: 9, 11 or 16 layers with weights.
        width: factor on all channel counts.
        neuron: makes each LIF layer.

    Shape:
        input [T, N, C, H, W], time first; output [T, N, classes], the logits of each step.

    Raises:
        ConfigError: there is no such depth or width, or the images are too small.

    Example:
        >>> model = VGGSNN((3, 32, 32), classes=10, depth=9, width=0.05)
        >>> model(torch.zeros(2, 1, 3, 32, 32)).shape
        torch.Size([2, 1, 10])
    """

    def __init__(
        self,
        shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        depth: int = 9,
        width: float = 1.0,
        neuron: Neuron = LIF,
    ) -> None:
        if depth not in _VGG_PLANS:
            raise ConfigError(f"VGGSNN comes with depth 9, 11 or 16, not {depth!r}")
        check_arguments("VGGSNN", classes, neuron, width)
        plan, hidden = _VGG_PLANS[depth]
        channels, height, breadth = image_of("VGGSNN", shape)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        index = 0
        for entry, after in zip(plan, (*plan[1:], None), strict=True):
            if isinstance(entry, str):
                height, breadth = height // 2, breadth // 2
                continue
            index += 1
            out = scaled(entry, width)
            layers |= convolution(index, channels, out, kernel=3)
            layers |= neurons_of(index, out, neuron, pool=2 if after == "P" else 0)
            channels = out
        if min(height, breadth) < 1:
            raise ConfigError(f"VGGSNN of depth {depth} needs larger images than {shape[1]}x{shape[2]}")
        sizes = [scaled(size, width) for size in hidden]
        super().__init__(layers | head(index + 1, channels * height * breadth, sizes, classes, neuron))


MODELS: dict[str, Callable[..., SpikingSequential]] = {
    "lenet-snn": LeNetSNN,
    "vgg9-snn": partial(VGGSNN, depth=9),
    "vgg11-snn": partial(VGGSNN, depth=11),
    "vgg16-snn": partial(VGGSNN, depth=16),
    "resnet11-snn": partial(ResNetSNN, depth=11),
    "resnet18-snn": partial(ResNetSNN, depth=18),
    "resnet19-snn": partial(ResNetSNN, depth=19),
    "sew-resnet18-snn": SEWResNetSNN,
    "mobilenet-snn": MobileNetSNN,
    "ds-cnn-snn": DSCNN,
    "tc-resnet8-snn": TCResNetSNN,
    "unet-snn": UNetSNN,
    "recurrent-snn": RecurrentSNN,
}


def build_model(name: str, shape: tuple[int, ...], classes: int, neuron: Neuron = LIF) -> SpikingSequential:
    """The model of a name for inputs of ``shape``, (channels, height, width) of images.

    A width factor may follow after a colon: "vgg9-snn:0.25" has a quarter of the channels. Or the name is a topology,
    as "32C5-P2-64C5-P2-FC10".

    Args:
        name: one of ``MODELS``, with a factor or without, or a topology.
        shape: of an input.
        classes: number of outputs.
        neuron: makes each LIF layer.

    Raises:
        ConfigError: no model has that name, or it does not fit the inputs.

    Example:
        >>> build_model("vgg9-snn:0.05", (3, 32, 32), 10)(torch.zeros(2, 1, 3, 32, 32)).shape
        torch.Size([2, 1, 10])
    """
    if not isinstance(name, str):
        raise ConfigError(f"model must be the name of one, not {name!r}")
    if is_topology(name):
        return topology(name, shape, classes, neuron)
    base, _, factor = name.partition(":")
    if base not in MODELS:
        raise ConfigError(
            f"model must be one of {', '.join(MODELS)}, or a topology as 32C5-P2-64C5-P2-FC10, not {name!r}"
            f"{did_you_mean(base, MODELS)}"
        )
    if not factor:
        return MODELS[base](shape=shape, classes=classes, neuron=neuron)
    try:
        width = float(factor)
    except ValueError:
        raise ConfigError(f"the width factor of a model is a number, as in '{base}:0.25', not {factor!r}") from None
    if not 0 < width <= 16:
        raise ConfigError(f"the width factor of a model lies in (0, 16], not {factor}")
    if base == "lenet-snn":
        sizes = [scaled(size, width) for size in (32, 64, 128)]
        return MODELS[base](shape=shape, classes=classes, width=(sizes[0], sizes[1]), hidden=sizes[2], neuron=neuron)
    return MODELS[base](shape=shape, classes=classes, width=width, neuron=neuron)


SIGNAL_MODELS = ("tc-resnet8-snn",)  # of (C, L)
VECTOR_MODELS = ("recurrent-snn",)  # of any shape
