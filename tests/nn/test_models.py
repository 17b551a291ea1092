"""The house's models: sizes, names, and that every image that is accepted also runs."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cases import case
from spquant_snn.errors import ConfigError
from spquant_snn.nn import (
    DSCNN,
    LIF,
    VGGSNN,
    LeNetSNN,
    MobileNetSNN,
    RecurrentSNN,
    ResNetSNN,
    SEWResNetSNN,
    TCResNetSNN,
    UNetSNN,
    build_model,
)
from spquant_snn.nn.models import MODELS
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.train.config import TrainOptions
from whole_chain import alike, answers, brought_up, check_exact, pixels, train

# Inputs that a model is built for, where they are not images of any size.
SHAPES = {
    "vgg16-snn": (2, 32, 32),
    "ds-cnn-snn": (1, 49, 10),
    "tc-resnet8-snn": (12, 1, 49),
    "unet-snn": (3, 16, 16),
    "recurrent-snn": (1, 1, 70),
}


def weights(model):
    return [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_lenet_is_the_published_row():
    assert weights(LeNetSNN()) == [(32, 1, 5, 5), (64, 32, 5, 5), (128, 64 * 49), (10, 128)]


@pytest.mark.parametrize(("depth", "convolutions", "channels"), [(9, 7, 256), (11, 8, 512), (16, 13, 512)])
def test_vgg_has_its_convolutions(depth, convolutions, channels):
    shapes = weights(VGGSNN(depth=depth, width=0.125))
    kernels = [shape for shape in shapes if len(shape) == 4]
    assert len(kernels) == convolutions
    assert {shape[2:] for shape in kernels} == {(3, 3)}
    assert max(shape[0] for shape in kernels) == channels // 8
    assert shapes[-1][0] == 10


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 24, 40), (1, 17, 23)])
def test_every_model_of_images_runs_on_those_that_it_was_built_for(name, shape):
    if name == "tc-resnet8-snn" or (name == "vgg16-snn" and min(shape[1:]) < 32):
        with pytest.raises(ConfigError, match="needs"):
            build_model(name, shape, 7)
    elif name == "unet-snn":
        shape = (shape[0], shape[1] // 4 * 4, shape[2] // 4 * 4)
        assert build_model(name + ":0.05", shape, 7)(torch.rand(2, 3, *shape)).shape == (2, 3, 7, *shape[1:])
    else:
        assert build_model(name + ":0.05", shape, 7)(torch.rand(2, 3, *shape)).shape == (2, 3, 7)


@pytest.mark.parametrize("name", MODELS)
def test_a_width_of_one_is_the_plain_model(name):
    shape = SHAPES.get(name, (3, 32, 32))
    assert weights(build_model(name + ":1.0", shape, 10)) == weights(build_model(name, shape, 10))


@pytest.mark.parametrize(
    ("bits", "agreement"),  # untrained layers double what few spikes differ by
    [pytest.param(2, 0.4, id="2-bits"), pytest.param(8, 0.7, id="8-bits", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_and_its_integers_are_exact(name, bits, agreement):
    shape = SHAPES.get(name, (2, 16, 16))
    network, x = brought_up(build_model(name + ":0.06", shape, 5), shape, bits)
    free = answers(network, x)
    _, rates = check_exact(network, x)
    assert min(rates) > 0.01, rates
    assert alike(free[0], answers(network, x)[0]) > agreement


@pytest.mark.parametrize("name", MODELS)
def test_the_float_baseline_of_every_model_trains(name):
    shape = SHAPES.get(name, (2, 16, 16))
    torch.manual_seed(0)
    train(prepare(build_model(name + ":0.06", shape, 5), QuantConfig(32, 32, 3), shape), pixels(shape))


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("unet-snn", "tc-resnet8-snn")])
def test_a_model_is_what_prepare_makes_of_it(name):
    shape = SHAPES.get(name, (2, 16, 16))
    torch.manual_seed(0)
    model = build_model(name + ":0.06", shape, 5).eval()
    x = pixels(shape, steps=3)
    with torch.no_grad():
        expected, found = model(x / 255), prepare(model, QuantConfig(32, 32, 3), shape).eval()(x)
    assert torch.allclose(expected, found, atol=1e-4)


def test_signals_come_with_a_row_or_without():
    one, two = TCResNetSNN((6, 20), 3, width=0.25), TCResNetSNN((6, 1, 20), 3, width=0.25)
    two.load_state_dict(one.state_dict())
    x = torch.rand(2, 4, 6, 20)
    assert torch.equal(one.eval()(x), two.eval()(x.unsqueeze(3)))


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


def test_documents_and_help_list_every_name():
    root = Path(__file__).parents[2]
    listed = re.search(
        r"## Networks by name\n.*?\n## ", (root / "docs/reference/networks.md").read_text("utf-8"), re.DOTALL
    )
    rows = [line.split("|")[1] for line in listed[0].splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([\w-]+)`", "".join(rows))) == sorted(MODELS)
    help_text = inspect.getdoc(TrainOptions)
    assert [name for name in MODELS if name not in help_text] == ["unet-snn"]  # which answers with maps


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
        (lambda: VGGSNN(depth=13), "depth 9, 11 or 16, not 13"),
        (lambda: ResNetSNN(depth=50), "depth 11, 18 or 19, not 50"),
        (lambda: ResNetSNN((3, 32, 32), width=0.0), "the width of ResNetSNN must be a positive factor, not 0.0"),
        (lambda: SEWResNetSNN((3, 7, 32)), "SEWResNetSNN needs images of at least 8x8, not 7x32"),
        (lambda: MobileNetSNN((3, 7, 32)), "MobileNetSNN needs images of at least 8x8, not 7x32"),
        (lambda: DSCNN((1, 49, 3)), "DSCNN needs images of at least 4x4, not 49x3"),
        (lambda: TCResNetSNN((1, 28, 28)), r"signals of \(channels, 1, length\), at least 4 long, not 1x28x28"),
        (lambda: TCResNetSNN((40, 3)), "at least 4 long, not 40x3"),
        (lambda: UNetSNN((1, 28, 30)), "height and width are multiples of 4, not 28x30"),
        (lambda: RecurrentSNN(hidden=()), "RecurrentSNN needs the neurons of at least one hidden layer"),
        (
            lambda: build_model("vgg9-snn", (700,), 20),
            r"takes images of the shape \(channels, height, width\), not 700",
        ),
        (
            lambda: build_model("8C3-FC20", (700,), 20),
            r"takes images of the shape \(channels, height, width\), not 700",
        ),
        (lambda: build_model(None, (1, 28, 28), 10), "model must be the name of one, not None"),
        (lambda: LeNetSNN(width=0.5), "two positive whole numbers as width and one as hidden, not 0.5 and 128"),
        (lambda: LeNetSNN(hidden=0), "one as hidden"),
        (lambda: RecurrentSNN(hidden=(0,)), r"not \(0,\)"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


CLASSES = (VGGSNN, LeNetSNN, ResNetSNN, SEWResNetSNN, MobileNetSNN, DSCNN, TCResNetSNN, UNetSNN, RecurrentSNN)
WRONG = {
    "shape": [28, (0, 32, 32), (1.5, 32, 32), ("1", "32", "32"), (True, 32, 32), ()],
    "classes": [0, -3, 2.5, True, None],
    "width": [0, -1.0, float("nan"), "a", None],
    "neuron": [LIF(), None],
}


@pytest.mark.parametrize("model", CLASSES)
def test_every_model_refuses_what_it_cannot_be_built_from(model):
    for name, values in WRONG.items():
        for value in values:
            with case(f"{name}={value!r}"), pytest.raises(ConfigError, match=model.__name__):
                model(**{name: value})


def test_sizes_may_come_from_numpy():
    labels = np.array([0, 3])
    assert weights(LeNetSNN((1, 8, 8), classes=labels.max() + 1))[-1] == (4, 128)
