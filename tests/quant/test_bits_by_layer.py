"""Weights of different widths in the layers of one network."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, QuantConfig, lower, prepare, verify
from spquant_snn.nn import build_model


class Forked(nn.Module):
    """A convolution, then two of which each has a batch normalisation, added."""

    def __init__(self):
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 4, 3), LIF()
        self.left, self.left_norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.right, self.right_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.lif2, self.fc = LIF(), nn.Linear(144, 3)

    def forward(self, x):
        s = self.lif1(self.conv1(x))
        s = self.lif2(self.left_norm(self.left(s)) + self.right_norm(self.right(s)))
        return self.fc(s.flatten(1))


def widths(graph):
    terms = [term for part in (*graph.layers, *graph.readouts) for term in part.terms]
    return {term.connection.name: term.connection.bits for term in terms}


def images(count=6):
    return torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_each_layer_has_the_width_of_the_first_name_that_fits_it():
    torch.manual_seed(0)
    config = QuantConfig({"conv1": 8, "left": "ternary", "*": 4}, 3, 3)
    network = prepare(Forked(), config, (1, 8, 8)).eval().freeze()
    graph = lower(network)
    assert widths(graph) == {"conv1": 8, "left": 1.58, "right": 4, "fc": 4}
    assert verify(network, graph, images().numpy())
    assert network.weight_bytes == (36 * 8 + 144 * 1.58 + 16 * 4 + 432 * 4) / 8


def test_a_shortcut_has_the_width_of_the_branch_that_it_is_added_to():
    torch.manual_seed(0)
    model = build_model("resnet11-snn:0.0625", (1, 8, 8), 3)
    network = prepare(model, QuantConfig({"fc*": 8, "*": 2}, 2, 2), (1, 8, 8)).eval().freeze()
    graph = lower(network)
    assert {term.connection.bits for term in graph.readouts[0].terms} == {8}
    assert {layer.terms[0].connection.bits for layer in graph.layers[:-1]} == {2}
    assert verify(network, graph, images().numpy())


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        ({"conv1": 8}, "no width for layer 'left'"),
        ({"conv9": 8, "*": 2}, "'conv9', which no layer is called: the layers are 'conv1', 'left'"),
        ({"conv1": 32, "*": 2}, "in all or in none"),
        ({"conv1": 9, "*": 2}, "weight bits of 'conv1' must be 1.58"),
        ({}, "names of layers"),
        ({3: 2}, "names of layers"),
    ],
)
def test_widths_that_cannot_be_are_refused(bits, said):
    with pytest.raises(ConfigError, match=said):
        prepare(Forked(), QuantConfig(bits, 2, 2), (1, 8, 8))
