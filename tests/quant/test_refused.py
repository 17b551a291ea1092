"""Reading a user's module: what has no integer form is refused by name."""

import pytest
import torch
from torch import nn

from spquant_snn.errors import ModelError
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
    "no LIF": (
        seq(conv(), nn.Flatten(), nn.Linear(64, 2)),
        "layer '2': no LIF layer between it and '0'|Flatten between weights",
    ),
    "no LIF at all": (nn.Linear(36, 2), "the model has no LIF layer: put spquant_snn.LIF"),
    "nothing": (seq(), "the model has no LIF layer|must return the output of its last layer"),
    "only LIF": (LIF(), "LIF behind the input has no integer form"),
    "ends with LIF": (seq(conv(), LIF(), *TAIL, LIF()), "the model ends with '4': the last layer must be a Linear"),
    "ends with ReLU": (
        seq(conv(), LIF(), *TAIL, nn.ReLU()),
        "layer '4': ReLU has no integer form; LIF is the activation",
    ),
    "ends with softmax": (seq(conv(), LIF(), *TAIL, nn.Softmax(1)), "layer '4': Softmax has no integer form"),
    "ReLU inside": (seq(conv(), nn.ReLU(), LIF(), *TAIL), "layer '1': ReLU has no integer form"),
    "ReLU behind LIF": (seq(conv(), LIF(), nn.ReLU(), *TAIL), "layer '2': ReLU behind a LIF layer has no integer form"),
    "BatchNorm behind LIF": (
        seq(conv(), LIF(), nn.BatchNorm2d(4), *TAIL),
        "layer '2': BatchNorm2d behind a LIF layer has no integer",
    ),
    "BatchNorm on pixels": (
        seq(nn.BatchNorm2d(1), conv(), LIF(), *TAIL),
        "layer '0': BatchNorm2d behind the input has no integer",
    ),
    "MaxPool before LIF": (
        seq(conv(), nn.MaxPool2d(2), LIF(), *TAIL),
        "layer '1': MaxPool2d works on spikes; move it behind",
    ),
    "dilation": (seq(conv(dilation=2), LIF(), *TAIL), r"layer '0': dilation \(2, 2\) is not supported"),
    "padding mode": (
        seq(conv(padding_mode="reflect", padding=1), LIF(), *TAIL),
        "layer '0': padding_mode 'reflect' is not supported",
    ),
    "even same": (seq(nn.Conv2d(1, 4, 4, padding="same"), LIF(), *TAIL), "padding='same' needs an odd kernel, not 4x4"),
    "two norms": (
        seq(conv(), nn.BatchNorm2d(4), nn.BatchNorm2d(4), LIF(), *TAIL),
        "layer '2': a second batch normalisation",
    ),
    "two pools": (
        seq(conv(), nn.AvgPool2d(2), nn.AvgPool2d(2), LIF(), *TAIL),
        "layer '2': a second pool behind the same weights",
    ),
    "two convolutions": (seq(conv(), nn.Conv2d(4, 4, 3), LIF(), *TAIL), "layer '1': no LIF layer between it and '0'"),
    "Flatten before LIF": (
        seq(conv(), nn.Flatten(), LIF(), nn.Linear(64, 2)),
        "layer '1': Flatten between weights and their LIF",
    ),
    "Conv after Flatten": (seq(nn.Flatten(), conv(), LIF(), *TAIL), "layer '1': Conv2d after Flatten has no image"),
    "pool after Flatten": (
        seq(conv(), LIF(), nn.Flatten(), nn.MaxPool2d(2), nn.Linear(64, 2)),
        "layer '3': MaxPool2d after Flatten",
    ),
    "pool behind Linear": (
        seq(nn.Flatten(), nn.Linear(36, 8), nn.AvgPool2d(2), LIF(), nn.Linear(8, 2)),
        "layer '2': AvgPool2d behind a Linear",
    ),
    "Conv behind Linear": (
        seq(nn.Flatten(), nn.Linear(36, 8), LIF(), conv(), LIF(), *TAIL),
        "layer '3' with weights 4x1x3x3 does not fit its input of 8",
    ),
    "odd Flatten": (
        seq(conv(), LIF(), nn.Flatten(2), nn.Linear(64, 2)),
        r"layer '2': Flatten\(2, -1\) is not supported",
    ),
    "Linear too large": (
        seq(conv(), LIF(), nn.Flatten(), nn.Linear(65, 2)),
        "layer '3' with weights 2x65 does not fit its input of 4x4x4",
    ),
    "channels": (
        seq(nn.Conv2d(3, 4, 3), LIF(), *TAIL),
        "layer '0' with weights 4x3x3x3 does not fit its input of 1x6x6",
    ),
    "norm channels": (
        seq(conv(), nn.BatchNorm2d(5), LIF(), *TAIL),
        "layer '0': batch normalisation of 5 channels does not fit its 4 outputs",
    ),
    "kernel too large": (
        seq(nn.Conv2d(1, 4, 9), LIF(), *TAIL),
        "layer '0' with weights 4x1x9x9 does not fit its input of 1x6x6",
    ),
    "no statistics": (
        seq(conv(), nn.BatchNorm2d(4, track_running_stats=False), LIF(), *TAIL),
        "layer '1': batch normalisation without running",
    ),
    "last is a convolution": (seq(conv(), LIF(), nn.Conv2d(4, 2, 4)), "the last layer must be a Linear .* found '2'"),
    "last is normalised": (
        seq(conv(), LIF(), *TAIL, nn.BatchNorm1d(2)),
        "the last layer must be a Linear with nothing but Dropout",
    ),
    "momentum": (
        seq(conv(), nn.BatchNorm2d(4, momentum=None), LIF(), *TAIL),
        "layer '1': batch normalisation with momentum=None",
    ),
    "whole channels dropped": (
        seq(conv(), LIF(), nn.Dropout2d(0.2), *TAIL),
        "layer '2': Dropout2d behind a LIF layer has no integer form",
    ),
    "pool stride": (
        seq(conv(), nn.AvgPool2d(2, stride=(1, 2)), LIF(), *TAIL),
        r"layer '1': stride \(1, 2\) is not square",
    ),
    "pool padding": (
        seq(conv(), LIF(), nn.MaxPool2d(2, padding=1), *TAIL),
        "layer '2': pooling with padding, ceil_mode",
    ),
    "pool ceil": (
        seq(conv(), LIF(), nn.MaxPool2d(2, ceil_mode=True), *TAIL),
        "layer '2': pooling with padding, ceil_mode",
    ),
    "pool dilation": (seq(conv(), LIF(), nn.MaxPool2d(2, dilation=2), *TAIL), "layer '2': pooling with dilation"),
    "pool divisor": (
        seq(conv(), nn.AvgPool2d(2, divisor_override=3), LIF(), *TAIL),
        "layer '1': pooling with .* divisor_override",
    ),
    "transposed": (
        seq(nn.ConvTranspose2d(1, 4, 3), LIF(), *TAIL),
        "layer '0': ConvTranspose2d behind the input has no integer",
    ),
    "own convolution": (seq(OwnConv(1, 4, 3), LIF(), *TAIL), "the use of '0.weight' in the forward method"),
    "shared weights": (
        seq(nn.Flatten(), nn.Linear(36, 9), LIF(), SHARED, LIF(), SHARED, LIF(), nn.Linear(9, 2)),
        "layer '3' is called twice",
    ),
    "residual": (
        Residual(lambda n, x: n.fc((n.lif(n.conv(x)) + x).flatten(1))),
        "a shortcut must start at the spikes of a LIF layer, but the call of .add. .* adds what comes from the input",
    ),
    "function": (
        Residual(lambda n, x: n.fc(torch.relu(n.lif(n.conv(x))).flatten(1))),
        "the call of 'relu' in the forward method has no",
    ),
    "method": (
        Residual(lambda n, x: n.fc(n.lif(n.conv(x)).clamp(0, 1).flatten(1))),
        "the call of 'clamp' in the forward method has no",
    ),
    "flatten of the batch": (
        Residual(lambda n, x: n.fc(n.lif(n.conv(x)).flatten(end_dim=1))),
        "the call of 'flatten' .* has no integer form",
    ),
    "view": (Residual(lambda n, x: n.fc(n.lif(n.conv(x)).view(4, 9, -1))), "the call of 'view' in the forward method"),
    "two outputs": (
        Residual(lambda n, x: (n.fc(n.lif(n.conv(x)).flatten(1)), x)),
        "must return the output of its last layer alone",
    ),
    "two inputs": (WithMask(None), "must take one argument, the image, but also takes 'mask'"),
    "branch on values": (Residual(by_values), "the forward method of Residual cannot be traced"),
    "unused branch": (
        Residual(lambda n, x: (n.lif(n.conv(x)), n.fc(x.flatten(1)))[1]),
        "does not take the output of the layer before it and nothing else",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_integer_form_is_refused_by_name(what):
    model, message = REFUSED[what]
    with pytest.raises(ModelError, match=message):
        prepare(model, QuantConfig(2, 2), (1, 6, 6))
