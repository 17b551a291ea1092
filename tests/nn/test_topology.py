"""Networks written as 32C5-P2-64C5-P2-FC10."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spquant_snn.errors import ConfigError
from spquant_snn.nn import LIF, build_model
from spquant_snn.nn.models import MODELS
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


def described(model):
    """The layers of a network, as text."""
    return [str(layer) for layer in model]


@pytest.mark.parametrize(
    ("name", "other", "shape"),
    [
        ("32C5-P2-64C5-P2-FC128-FC10", "lenet-snn", (1, 28, 28)),
        ("16C3-16C3-P2-32C3-32C3-P2-64C3-64C3-64C3-P2-FC256-FC10", "vgg9-snn:0.25", (3, 32, 32)),
    ],
)
def test_it_says_what_the_networks_of_a_name_are(name, other, shape):
    ours, theirs = build_model(name, shape, 10), build_model(other, shape, 10)
    assert dict(ours.named_children()).keys() == dict(theirs.named_children()).keys()
    assert described(ours) == described(theirs)


SHRINKING = ("", "s2", "s3", "-P2", "-P3", "s2-P2")


@settings(max_examples=25)
@given(
    plan=st.lists(st.tuples(st.integers(1, 4), st.sampled_from((1, 3, 5)), st.sampled_from(SHRINKING)), max_size=3),
    hidden=st.lists(st.integers(1, 9), max_size=2),
    classes=st.integers(2, 11),
)
def test_any_topology_computes_and_is_prepared(plan, hidden, classes):
    tokens = [f"{n}C{k}{shrinking}" for n, k, shrinking in plan]
    name = "-".join([*tokens, *(f"FC{n}" for n in hidden), f"FC{classes}"])
    shape = (2, 65, 64)
    model = build_model(name, shape, classes)
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in model) == len(plan) + len(hidden) + 1
    assert sum(isinstance(layer, LIF) for layer in model) == len(plan) + len(hidden)
    if plan or hidden:
        network = prepare(model, QuantConfig(2, 2, 2), shape).eval()
        assert network(torch.zeros(1, *shape, dtype=torch.uint8)).shape == (2, 1, classes)


def test_a_convolution_may_take_every_second_place():
    model = build_model("4C5s2-6C3s2-FC10", (1, 28, 27), 10)
    assert [layer.stride for layer in model if isinstance(layer, nn.Conv2d)] == [(2, 2), (2, 2)]
    assert model.fc3.in_features == 6 * 7 * 7  # 28 x 27, 14 x 14, 7 x 7


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("16C5-P2-FC11", "'16C5-P2-FC11' has 11 outputs, the data 10 classes: end it with FC10"),
        ("16C4-FC10", "'16C4' in '16C4-FC10' cannot be centred: choose a kernel of odd size"),
        ("P2-16C5-FC10", "'P2' in 'P2-16C5-FC10' does not stand behind a convolution"),
        ("16C5-P2-P2-FC10", "'P2' in '16C5-P2-P2-FC10' does not stand behind a convolution"),
        ("FC10-16C5-FC10", "'16C5' in 'FC10-16C5-FC10' comes behind a linear layer"),
        ("16C-FC10", "'16C' in '16C-FC10' is no layer: write it as 32C5-P2-64C5-P2-FC10"),
        ("16C5s1-FC10", "'16C5s1' in '16C5s1-FC10' is no layer"),
        ("0C5-FC10", "'0C5' in '0C5-FC10' is no layer"),
        ("-FC10", "'' in '-FC10' is no layer"),
        ("8C3-P9-8C3-P9-FC10", "'8C3-P9-8C3-P9-FC10' needs larger images than 28x28"),
        (
            "lenet",
            f"model must be one of {', '.join(MODELS)}, or a topology as",
        ),
    ],
)
def test_what_is_no_topology_is_said_in_a_sentence(name, said):
    with pytest.raises(ConfigError) as refused:
        build_model(name, (1, 28, 28), 10)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
