"""Reading a user's module: what has no integer form is refused by name."""

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.nn import LIF
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


class Residual(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.conv, self.lif, self.fc = nn.Conv2d(1, 1, 3, padding=1), LIF(), nn.Linear(36, 2)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


class WithMask(Residual):
    def forward(self, x, mask):
        return self.fc(self.lif(self.conv(x)).flatten(1))


class OwnConv(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) * 2


def by_values(net, x):
    if x.sum() > 0:
        x = net.conv(x)
    return net.fc(net.lif(x).flatten(1))


def conv(**options):
    return nn.Conv2d(1, 4, 3, **options)


def seq(*layers):
    return nn.Sequential(*layers)


TAIL = (nn.Flatten(), nn.Linear(64, 2))
SHARED = nn.Linear(9, 9)
REFUSED = {
    "no LIF": (seq(conv(), nn.Flatten(), nn.Linear(64, 2)), "layer '2' takes the currents of '0', and no LIF layer"),
    "no LIF at all": (seq(conv()), "the model has no LIF layer that its output depends on: put spquant_snn.LIF"),
    "nothing": (seq(), "the model has no LIF layer"),
    "ends with ReLU": (
        seq(conv(), LIF(), *TAIL, nn.ReLU()),
        "layer '4': ReLU has no integer form; LIF is the activation",
    ),
    "ends with softmax": (seq(conv(), LIF(), *TAIL, nn.Softmax(1)), "layer '4': Softmax .* leave it to the loss"),
    "ReLU inside": (seq(conv(), nn.ReLU(), LIF(), *TAIL), "layer '1': ReLU has no integer form"),
    "BatchNorm behind LIF": (
        seq(conv(), LIF(), nn.BatchNorm2d(4), *TAIL),
        "layer '4' takes what batch normalisation makes of spikes or pixels",
    ),
    "BatchNorm on pixels": (
        seq(nn.BatchNorm2d(1), conv(), LIF(), *TAIL),
        "layer '1' takes what batch normalisation makes of spikes or pixels",
    ),
    "padding mode": (
        seq(conv(padding_mode="reflect", padding=1), LIF(), nn.Flatten(), nn.Linear(144, 2)),
        "layer '0': padding_mode 'reflect' is not supported",
    ),
    "two convolutions": (
        seq(conv(), nn.Conv2d(4, 4, 1), LIF(), *TAIL),
        "layer '1' takes the currents of '0', and no LIF layer is between them",
    ),
    "normalised when flat": (
        seq(conv(), nn.Flatten(), nn.BatchNorm1d(64), LIF(), nn.Linear(64, 2)),
        "layer '2' takes flattened currents of 4x4x4: flatten behind the LIF layer",
    ),
    "Conv after Flatten": (
        seq(nn.Flatten(), conv(), LIF(), *TAIL),
        r"layer '1' does not fit what comes in, 36 of layer '0': it takes images \(C, H, W\)",
    ),
    "pool after Flatten": (
        seq(conv(), LIF(), nn.Flatten(), nn.MaxPool2d(2), nn.Linear(64, 2)),
        "layer '3' does not fit what comes in, 64 of layer '2': it takes images",
    ),
    "pool behind Linear": (
        seq(nn.Flatten(), nn.Linear(36, 8), nn.AvgPool2d(2), LIF(), nn.Linear(8, 2)),
        "layer '2' does not fit what comes in, 8 of layer '1': it takes images",
    ),
    "odd Flatten": (
        seq(conv(), LIF(), nn.Flatten(2), nn.Linear(64, 2)),
        "layer '3' does not fit what comes in, 4x16 of layer '2': it takes 64 features",
    ),
    "Linear on rows": (
        seq(conv(), LIF(), nn.Linear(4, 2)),
        "layer '2', a Linear, takes 4x4x4 row by row: flatten it first, or use a convolution of kernel 1",
    ),
    "Linear too large": (
        seq(conv(), LIF(), nn.Flatten(), nn.Linear(65, 2)),
        "layer '3' does not fit what comes in, 64 of layer '2': it takes 65 features",
    ),
    "channels": (
        seq(nn.Conv2d(3, 4, 3), LIF(), *TAIL),
        "layer '0' does not fit what comes in, 1x6x6 of the input 'input': it takes 3 channels",
    ),
    "norm channels": (
        seq(conv(), nn.BatchNorm2d(5), LIF(), *TAIL),
        "layer '1' does not fit what comes in, 4x4x4 of layer '0': it takes 5 channels",
    ),
    "kernel too large": (
        seq(nn.Conv2d(1, 4, 9), LIF(), *TAIL),
        "layer '0' does not fit what comes in, 1x6x6 of the input 'input': .* Kernel size",
    ),
    "no statistics": (
        seq(conv(), nn.BatchNorm2d(4, track_running_stats=False), LIF(), *TAIL),
        "layer '1': batch normalisation without running",
    ),
    "momentum": (
        seq(conv(), nn.BatchNorm2d(4, momentum=None), LIF(), *TAIL),
        "layer '1': batch normalisation with momentum=None",
    ),
    "own convolution": (
        seq(OwnConv(1, 4, 3), LIF(), *TAIL),
        "the call of 'mul' in the forward method of '0' multiplies with 2, which has no integer form of its own",
    ),
    "shared weights": (
        seq(nn.Flatten(), nn.Linear(36, 9), LIF(), SHARED, LIF(), SHARED, LIF(), nn.Linear(9, 2)),
        "layer '3' is called twice",
    ),
    "function": (
        Residual(lambda n, x: n.fc(torch.relu(n.lif(n.conv(x))).flatten(1))),
        "the call of 'relu' in the forward method has no",
    ),
    "method": (
        Residual(lambda n, x: n.fc(n.lif(n.conv(x)).clamp(0, 1).flatten(1))),
        "the call of 'clamp' in the forward method has no",
    ),
    "two inputs": (WithMask(None), r"the forward method takes 2 inputs \(x, mask\), and input_shape is that of 1"),
    "branch on values": (Residual(by_values), "the forward method of Residual cannot be traced"),
    "unused branch": (
        Residual(lambda n, x: (n.lif(n.conv(x)), n.fc(x.flatten(1)))[1]),
        "the model has no LIF layer that its output depends on",
    ),
    "recurrent layer of torch": (
        seq(nn.Flatten(), nn.LSTM(36, 4)),
        r"layer '1': LSTM has no integer form; a recurrent layer of spikes is spquant_snn.Feedback\(LIF\(\), Linear",
    ),
    "GroupNorm": (
        seq(conv(), nn.GroupNorm(2, 4), LIF(), *TAIL),
        "layer '1': GroupNorm has no integer form, for its statistics are those of each input; use BatchNorm",
    ),
    "uneven averages": (
        seq(conv(), LIF(), nn.AvgPool2d(3, ceil_mode=True), nn.Flatten(), nn.Linear(16, 2)),
        "layer '2' divides windows at the border by other numbers than those inside, .* or divisor_override",
    ),
    "uneven adaptive pool": (
        seq(nn.Conv2d(1, 4, 2), LIF(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 2)),
        "layer '2' pools 5 places to 3 in windows of several sizes, .*: outputs of 1, 2, 4, 5 have windows of one size",
    ),
    "bilinear": (
        seq(nn.Upsample(scale_factor=2, mode="bilinear"), conv(), LIF(), nn.Flatten(), nn.Linear(400, 2)),
        "layer '0' up-samples with mode 'bilinear', which has no integer form: use mode='nearest'",
    ),
    "two pools of sums": (
        seq(conv(), nn.AvgPool2d(2), nn.AvgPool2d(2), LIF(), nn.Flatten(), nn.Linear(4, 2)),
        "layer '0': two pools over its sums have no integer form; make them one",
    ),
    "average of padded sums with a bias": (
        seq(conv(), nn.AvgPool2d(2, padding=1), LIF(), nn.Flatten(), nn.Linear(36, 2)),
        "layer '0': an average with padding over sums with a bias .* use padding 0, or normalise behind the pool",
    ),
    "largest of a sum": (
        Residual(lambda n, x: n.fc(n.lif(torch.max_pool2d(n.conv(x) + x, 3, 1, 1)).flatten(1))),
        "the call of 'max_pool2d' .* takes the largest values of a sum of several branches, .*: pool each branch, or",
    ),
    "a row as an image": (
        seq(nn.Flatten(), nn.Linear(36, 36), LIF(), nn.Unflatten(1, (4, 3, 3)), nn.Conv2d(4, 2, 3)),
        "layer '4' takes 36 neurons of their own as an image of 4x3x3, .* ConvTranspose2d",
    ),
    "places moved": (
        seq(conv(), LIF(), nn.Flatten(2), nn.Conv1d(4, 2, 3), LIF(), nn.Flatten(), nn.Linear(28, 2)),
        "layer '3' takes 4x4x4 as 4x16, with other channels or places, .*: keep channels, height and width apart",
    ),
    "currents reshaped": (
        seq(conv(), nn.Flatten(2), nn.BatchNorm1d(4), LIF(), nn.Flatten(), nn.Linear(64, 2)),
        "layer '2' takes 4x4x4 as 4x16, with other channels or places, .*: keep channels, height and width apart",
    ),
    "product of activations": (
        Residual(lambda n, x: n.fc((lambda a: a * a)(n.lif(n.conv(x))).flatten(1))),
        "the call of 'mul' in the forward method multiplies activations, which has no integer form; add them",
    ),
    "places change": (
        Residual(lambda n, x: n.fc(n.lif(n.conv(x)).transpose(2, 3).flatten(1))),
        "the call of 'transpose' in the forward method makes .* keep the batch in front",
    ),
    "currents put together": (
        Residual(lambda n, x: n.fc(nn.functional.max_pool2d(n.lif(torch.cat((n.conv(x), x), 1)), (1, 2)).flatten(1))),
        "the call of 'cat' in the forward method puts together the currents of 'conv': give each part its LIF layer",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_integer_form_is_refused_by_name(what):
    model, message = REFUSED[what]
    with pytest.raises(ModelError, match=message):
        prepare(model, QuantConfig(2, 2), (1, 6, 6))


@pytest.mark.parametrize(
    "shape",
    [None, 64, (), [], (1, 6.0, 6), (1, 6, 0), (True, 6, 6), ("1", "6", "6"), "166", {1: 6}, (1, 1, 6, 6), [(36,), 6]],
)
def test_a_shape_that_no_input_has_is_refused(shape):
    with pytest.raises(
        ModelError, match=r"input_shape is \(F,\), \(C, L\) or \(C, H, W\) in positive whole numbers, or a list"
    ):
        prepare(seq(nn.Flatten(), *TAIL), QuantConfig(2, 2), shape)


def test_sizes_may_come_from_numpy():
    network = prepare(seq(nn.Flatten(), nn.Linear(36, 4), LIF(), nn.Linear(4, 2)), QuantConfig(2, 2), (np.int64(36),))
    assert network.input_shapes == ((36,),)


@pytest.mark.parametrize("model", [None, "lenet-snn", nn.Linear, [nn.Linear(2, 2)]])
def test_what_is_no_module_is_refused(model):
    with pytest.raises(ModelError, match=r"a torch\.nn\.Module is needed, not .*: build_model makes one"):
        prepare(model, QuantConfig(2, 2), (1, 6, 6))


@pytest.mark.parametrize("config", [None, 2, {"weight_bits": 2}, QuantConfig])
def test_what_is_no_configuration_is_refused(config):
    with pytest.raises(ConfigError, match="a QuantConfig is needed, not "):
        prepare(seq(nn.Flatten(), *TAIL), config, (1, 6, 6))


def test_a_vector_that_is_seen_as_an_image_is_given_as_one():
    model = seq(nn.Unflatten(1, (1, 6, 6)), conv(), LIF(), *TAIL)
    with pytest.raises(
        ModelError, match="layer '1' takes an input of 36 as 1x6x6: give it in that shape, with input_shape"
    ):
        prepare(model, QuantConfig(2, 2), (36,))
