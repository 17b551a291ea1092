"""What users write in a forward method, read as layers in a row."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF
from spquant_snn.quant.read_module import read_layers


class Net(nn.Module):
    def __init__(self, tail):
        super().__init__()
        self.conv, self.lif, self.head = nn.Conv2d(1, 4, 3, padding=1), LIF(), nn.Linear(4 * 8 * 6, 10)
        self.tail = tail

    def forward(self, x):
        return self.head(self.tail(self.lif(self.conv(x)), x))


FLAT = {
    "flatten(1)": lambda y, x: y.flatten(1),
    "flatten(start_dim=1)": lambda y, x: y.flatten(start_dim=1),
    "torch.flatten": lambda y, x: torch.flatten(y, 1),
    "view of its size": lambda y, x: y.view(y.size(0), -1),
    "view of the input's size": lambda y, x: y.view(x.size(0), -1),
    "reshape of its shape": lambda y, x: y.reshape(y.shape[0], -1),
    "reshape to a tuple": lambda y, x: y.reshape((y.shape[0], -1)),
    "torch.reshape": lambda y, x: torch.reshape(y, (y.size()[0], -1)),
    "view(-1, features)": lambda y, x: y.view(-1, 192),
}


@pytest.mark.parametrize("tail", FLAT.values(), ids=FLAT)
def test_every_usual_way_to_flatten_is_a_flatten(tail):
    layers = [layer for _, layer in read_layers(Net(tail))]
    assert [type(layer) for layer in layers] == [nn.Conv2d, LIF, nn.Flatten, nn.Linear]
    assert (layers[2].start_dim, layers[2].end_dim) == (1, -1)


@pytest.mark.parametrize(
    ("tail", "layer"),
    [
        (lambda y, x: F.max_pool2d(y, 2), nn.MaxPool2d(2)),
        (lambda y, x: F.avg_pool2d(y, kernel_size=3, stride=2), nn.AvgPool2d(3, stride=2)),
        (lambda y, x: F.dropout(y, 0.25), nn.Dropout(0.25)),
        (lambda y, x: F.dropout(y, p=0.25, training=False), nn.Dropout(0.25)),
    ],
)
def test_functions_of_torch_become_the_layers_that_they_stand_for(tail, layer):
    assert repr(read_layers(Net(tail))[2][1]) == repr(layer)


@pytest.mark.parametrize(
    "tail",
    [
        lambda y, x: y.view(4, -1),
        lambda y, x: y.view(-1, 4, 48),
        lambda y, x: y.view(y.size(1), -1),
        lambda y, x: y.view(y.size(0) * 2, -1),
        lambda y, x: y.flatten(0),
        lambda y, x: y.flatten(),
        lambda y, x: y[0],
        lambda y, x: y[:, 0],
        lambda y, x: y * 2,
        lambda y, x: y + x,
        lambda y, x: torch.cat([y, y]),
        lambda y, x: y.mean((2, 3)),
        lambda y, x: F.relu(y),
    ],
)
def test_anything_else_is_refused_with_the_call_it_is_in(tail):
    with pytest.raises(ModelError, match=r"call of '\w+' in the forward method"):
        read_layers(Net(tail))
