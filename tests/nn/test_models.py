"""The house's models: sizes, names, and that every image that is accepted also runs."""

import pytest
import torch
from torch import nn

from spquant_snn.errors import ConfigError
from spquant_snn.nn import LIF, VGGSNN, LeNetSNN, build_model
from spquant_snn.nn.models import MODELS


def weights(model):
    return [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_lenet_is_the_published_row():
    assert weights(LeNetSNN()) == [(32, 1, 5, 5), (64, 32, 5, 5), (128, 64 * 49), (10, 128)]


@pytest.mark.parametrize(("depth", "convolutions", "channels"), [(9, 7, 256), (11, 8, 512)])
def test_vgg_has_its_convolutions(depth, convolutions, channels):
    shapes = weights(VGGSNN(depth=depth, width=0.125))
    kernels = [shape for shape in shapes if len(shape) == 4]
    assert len(kernels) == convolutions
    assert {shape[2:] for shape in kernels} == {(3, 3)}
    assert max(shape[0] for shape in kernels) == channels // 8
    assert shapes[-1][0] == 10


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 24, 40), (1, 17, 23)])
def test_every_model_runs_on_the_images_it_was_built_for(name, shape):
    model = build_model(name + ":0.05", shape, 7)
    assert model(torch.rand(2, 3, *shape)).shape == (2, 3, 7)


@pytest.mark.parametrize("name", MODELS)
def test_a_width_of_one_is_the_plain_model(name):
    assert weights(build_model(name + ":1.0", (3, 32, 32), 10)) == weights(build_model(name, (3, 32, 32), 10))


def test_a_width_scales_all_hidden_channels():
    assert weights(build_model("lenet-snn:0.25", (1, 28, 28), 10)) == [
        (8, 1, 5, 5),
        (16, 8, 5, 5),
        (32, 16 * 49),
        (10, 32),
    ]


def test_the_neuron_asked_for_is_in_every_place():
    model = build_model("vgg9-snn:0.05", (3, 32, 32), 10, neuron=lambda: LIF(leak=0.75, reset="subtract"))
    neurons = [m for m in model.modules() if isinstance(m, LIF)]
    assert len(neurons) == 8
    assert all(n.leak == 0.75 and n.reset == "subtract" for n in neurons)
    assert len({id(n) for n in neurons}) == 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build_model("resnet", (3, 32, 32), 10), "model must be one of lenet-snn, .* not 'resnet'"),
        (lambda: build_model("lenet-snn:wide", (1, 28, 28), 10), "width factor of a model is a number.* not 'wide'"),
        (lambda: build_model("lenet-snn:0", (1, 28, 28), 10), r"lies in \(0, 16\], not 0"),
        (lambda: build_model("lenet-snn:nan", (1, 28, 28), 10), "not nan"),
        (lambda: build_model("vgg9-snn:-1", (3, 32, 32), 10), r"lies in \(0, 16\], not -1"),
        (lambda: build_model("vgg9-snn:inf", (3, 32, 32), 10), r"lies in \(0, 16\], not inf"),
        (lambda: LeNetSNN((1, 3, 28)), "at least 4x4, not 3x28"),
        (lambda: VGGSNN((3, 4, 32)), "needs larger images than 4x32"),
        (lambda: VGGSNN(depth=16), "depth 9 or 11, not 16"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
