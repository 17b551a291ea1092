"""Networks that begin at integers: what is lowered of them is the same again, of any width, structure and neuron."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from exactness import pixels, settle_norms
from random_networks import random_network
from residual_models import residual_model
from spquant_snn.errors import ModelError
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.nn import LIF, SpikingSequential
from spquant_snn.nn.models import build_model
from spquant_snn.quant.assemble import stages_of
from spquant_snn.quant.lift import lift
from spquant_snn.quant.lower import lower
from spquant_snn.quant.network import SpikingNetwork
from spquant_snn.quant.normalize import weight_of_codes
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.quant.same_layers import first_other_layer
from spquant_snn.quant.stage import Norm
from spquant_snn.quant.weight import integer_codes, weight_quantizer
from whole_chain import settle, wake

BITS = (1.58, 2, 3, 4, 5, 6, 7, 8)
MODELS = {
    "row": ("lenet-snn:0.2", (1, 8, 8)),
    "shortcuts": ("resnet11-snn:0.05", (3, 16, 16)),
    "branches": ("resnet19-snn:0.03", (3, 16, 16)),
    "added": ("sew-resnet18-snn:0.03", (3, 16, 16)),
    "signal": ("tc-resnet8-snn:0.1", (8, 1, 40)),
    "recurrent": ("recurrent-snn:0.1", (20, 1, 1)),
}


def named(kind, bits, state, seed, quantizer="normalized", **more):
    name, shape = MODELS[kind]
    torch.manual_seed(seed)
    return prepare(build_model(name, shape, 10), QuantConfig(bits, state, 3, quantizer, **more), shape)


def awake(network, count=4):
    """A network whose neurons fire, and its graph."""
    x = pixels(network, count)
    settle(network, x)
    wake(network, x)
    return lower(copy.deepcopy(network).eval().freeze()), x


def assert_same(graph, network, x):
    again = lower(copy.deepcopy(network).eval().freeze())
    assert first_other_layer(graph, again) is None
    assert [r.scale for r in again.readouts] == pytest.approx([r.scale for r in graph.readouts], rel=1e-6)
    images = x.numpy()
    assert first_difference(reference_trace(graph, images), reference_trace(again, images)) is None


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("i", [0, 1, 3, pytest.param(7, marks=pytest.mark.slow)])
def test_named_models_begin_at_the_very_integers(kind, i):
    graph, x = awake(named(kind, BITS[i], BITS[i], 0, "learned" if i == 3 else "normalized"))
    network = named(kind, BITS[i], BITS[i], 1, "learned" if i == 3 else "normalized")
    assert lift(graph, network, x)
    assert_same(graph, network, x)


@pytest.mark.parametrize("seed", range(8))
def test_random_residual_networks_do(seed):
    bits, state = BITS[seed % 8], BITS[(3 * seed + 1) % 8]

    def made(draw):
        layers, shape = residual_model(seed)
        torch.manual_seed(draw)
        for layer in nn.Sequential(*layers).modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.reset_parameters()
        return prepare(SpikingSequential(*layers), QuantConfig(bits, state, 3, "learned"), shape)

    graph, x = awake(made(5))
    network = made(6)
    lift(graph, network, x)
    assert_same(graph, network, x)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("seed", [0, 3, 5, 6, 7, 8, 10, 14])
def test_random_networks_of_many_terms_do(seed):
    """Added and concatenated signals, feedback, synaptic currents, constants of each channel, several readouts."""
    description = random_network(seed)
    config = QuantConfig(BITS[seed % 8], BITS[seed % 4], 3)

    def made():
        shapes = [layer.shape for layer in description.layers]
        stages = stages_of(description, config)
        return SpikingNetwork(stages, config, list(description.inputs), shapes, len(description.readouts))

    source, network = made(), made()
    settle_norms(source, pixels(source))
    graph = lower(copy.deepcopy(source).eval().freeze())
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.uniform_(parameter, -0.5, 0.5)
    assert lift(graph, network)
    assert first_other_layer(graph, lower(network.eval().freeze())) is None


@pytest.mark.parametrize(("part", "nearly"), [("gain", None), ("decay", None), ("shift", "conv1")])
def test_graphs_differ_by_one_constant(part, nearly):
    graph, _ = awake(named("row", 2, 8, 0))
    first, *others = graph.layers
    store = replace(first.neuron.store, **{part: getattr(first.neuron.store, part) - 1})
    changed = replace(graph, layers=(replace(first, neuron=replace(first.neuron, store=store)), *others))
    assert first_other_layer(graph, graph) is None
    assert first_other_layer(graph, changed) == "conv1"
    assert first_other_layer(graph, changed, nearly=True) == nearly


def test_batch_normalisation_begins_at_what_was_measured():
    """So that training, which normalises each batch, begins near the function that is evaluated."""
    graph, x = awake(named("row", 4, 4, 0), 64)
    network = named("row", 4, 4, 1)
    lift(graph, network, x)
    copied = copy.deepcopy(network).use_plain_path().eval()
    seen = {}
    for name, module in copied.named_modules():
        if isinstance(module, Norm):
            module.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0]}))
    with torch.no_grad():
        evaluated = copied(x)
        for name, module in network.named_modules():
            if isinstance(module, Norm):
                apart = (seen[name].transpose(0, 1).flatten(1).mean(1) - module.running_mean).abs()
                assert bool((apart < 0.3 * module.running_var.sqrt()).all())
        trained = network.train()(x)
    assert float(torch.corrcoef(torch.stack([evaluated.flatten(), trained.flatten()]))[0, 1]) > 0.7


@pytest.mark.parametrize("bits", BITS)
def test_weights_lie_in_the_middle_of_what_is_rounded_to_their_codes(bits):
    torch.manual_seed(0)
    quantizer = weight_quantizer("normalized", torch.randn(6, 40), bits, False, False)
    codes = integer_codes(quantizer, torch.randn(6, 40))
    weight = weight_of_codes(codes.double(), quantizer.step, (quantizer.low, quantizer.high), False)
    for nudged in (
        weight,
        weight + 0.3 * (2 * torch.rand(6, 40) - 1) * (codes > quantizer.low) * (codes < quantizer.high),
    ):
        assert torch.equal(integer_codes(quantizer, 0.01 * nudged), codes)


def test_at_another_width_the_function_is_nearly_kept():
    graph, x = awake(named("row", 4, 4, 0), 32)
    network = named("row", 8, 8, 1)
    assert not lift(graph, network, x)
    there = torch.from_numpy(reference_trace(graph, x.numpy()).logits).double().flatten()
    here = network.eval().freeze().integer_logits(x).double().flatten()
    assert float(torch.corrcoef(torch.stack([there, here]))[0, 1]) > 0.8


def model(channels=4, leak=0.5, reset="zero", learn_leak=False, pool=2, bias=True):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.AvgPool2d(pool),
        nn.BatchNorm2d(channels),
        LIF(leak=leak, reset=reset, learn_leak=learn_leak),
        nn.Flatten(),
        nn.Linear(channels * (8 // pool) ** 2, 4, bias=bias),
    )


@pytest.mark.parametrize(
    ("other", "bits", "said"),
    [
        ({"channels": 5}, 2, r"layer '0' has weights of 4 x 1 x 3 x 3 there and of 5 x 1 x 3 x 3 here"),
        ({"leak": 0.9}, 2, r"layer '0': its neurons have another leak or threshold there than here"),
        ({"reset": "subtract"}, 2, r"layer '0': its neurons reset by 'zero' there and by 'subtract' here"),
        ({"learn_leak": True}, 2, r"layer '0': its leak is trained, .*: fix it, by leak="),
        (
            {"bias": False},
            2,
            r"layer '5': the graph adds an offset to its sums, and this network has neither bias nor normalisation",
        ),
        ({}, 32, r"weights in floating point begin at no codes"),
    ],
)
def test_what_cannot_be_taken_up_is_refused(other, bits, said):
    torch.manual_seed(0)
    graph, _ = awake(prepare(model(), QuantConfig(2, 2, 3), (1, 8, 8)))
    with pytest.raises(ModelError, match=said):
        lift(graph, prepare(model(**other), QuantConfig(bits, bits, 3), (1, 8, 8)))


def test_codes_that_a_quantizer_never_gives_are_refused():
    torch.manual_seed(0)
    learned = prepare(model(), QuantConfig(8, 2, 3, "learned"), (1, 8, 8))
    with torch.no_grad():
        learned.stages[0].synapse.quantizer.gain.fill_(3.0)  # a wider step, so that no code comes near an end
    graph, x = awake(learned)
    with pytest.raises(
        ModelError, match=r"its weight codes are none that this weight quantizer gives: train with 'lea"
    ):
        lift(graph, prepare(model(), QuantConfig(8, 2, 3), (1, 8, 8)))
    again = prepare(model(), QuantConfig(8, 2, 3, "learned"), (1, 8, 8))
    lift(graph, again, x)
    assert_same(graph, again, x)
    assert np.abs(graph.layers[0].terms[0].connection.codes).max() > 1
