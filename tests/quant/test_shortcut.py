"""Shortcuts: read from users' modules, one accumulator with the main branch, and the same integers everywhere."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from random_params import randomize
from residual_models import residual_model
from spquant_snn import ModelError, QuantConfig, prepare
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.nn import LIF, ResidualBlock, build_model
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower

BITS = (1.58, 2, 3, 4, 5, 6, 7, 8)


class Net(nn.Module):
    """conv, lif, and what ``body`` makes of the module and of x; then the readout."""

    def __init__(self, body, **layers):
        super().__init__()
        self.conv, self.lif = nn.Conv2d(1, 4, 3, padding=1), LIF()
        self.second, self.third = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.norm, self.lif2, self.lif3 = nn.BatchNorm2d(4), LIF(), LIF()
        self.fc = nn.Linear(144, 2)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.body = body

    def forward(self, x):
        return self.fc(self.body(self, x).flatten(1))


def prepared(body, bits=2, **layers):
    return prepare(Net(body, **layers), QuantConfig(bits, bits, 3), (1, 6, 6))


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(n, marks=pytest.mark.slow) for n in range(20, 40))])
def test_random_networks_have_the_same_integers_in_torch_and_in_the_graph(calibrate, seed):
    layers, shape = residual_model(seed)
    randomize(layers, 0.8)
    config = QuantConfig(BITS[seed % 8], BITS[seed // 8 % 8], 1 + seed % 5, ("normalized", "learned")[seed % 2])
    network = prepare(nn.Sequential(*layers), config, shape)
    images = torch.randint(0, 256, (8, *shape), dtype=torch.uint8)
    calibrate(network, images)
    graph = lower(network.freeze())
    assert any(len(layer.terms) == 2 for layer in graph.layers)
    for given in (images.numpy()[:3], np.stack([images.numpy()[:2], images.numpy()[2:4]])):
        assert first_difference(frozen_trace(network, given), reference_trace(graph, given)) is None


@pytest.mark.parametrize("bits", BITS)
def test_a_residual_network_fires_at_every_width(calibrate, noise, bits):
    torch.manual_seed(0)
    images = noise(16, 2, 16, 16)
    network = prepare(build_model("resnet11-snn:0.1", (2, 16, 16), 4), QuantConfig(bits, bits, 4), (2, 16, 16))
    calibrate(network, images)
    trace = frozen_trace(network.freeze(), images.numpy())
    rates = [float(spikes.mean()) for _, spikes, _ in trace.layers]
    assert all(0.01 < rate < 0.7 for rate in rates), rates
    assert first_difference(trace, reference_trace(lower(network), images.numpy())) is None


def test_training_and_frozen_form_agree_but_for_rounding(calibrate, noise):
    torch.manual_seed(0)
    images = noise(32, 2, 12, 12)
    network = prepare(build_model("resnet11-snn:0.1", (2, 12, 12), 4), QuantConfig(2, 2, 3), (2, 12, 12))
    calibrate(network, images)
    seen = []
    with torch.no_grad():
        network(images, lambda name, spikes, codes: seen.append(spikes))
    frozen = frozen_trace(network.freeze(), images.numpy())
    for spikes, (_, exact, _) in list(zip(seen, frozen.layers, strict=True))[:3]:  # deeper ones see other spikes
        assert float((spikes.numpy().astype(bool) != exact).mean()) < 0.02


def test_every_weight_of_both_branches_is_trained():
    network = prepared(lambda n, x: (lambda a: n.lif2(n.norm(n.second(a) + n.way(a))))(n.lif(n.conv(x))), way=one())
    network.train()(torch.randint(0, 256, (4, 1, 6, 6), dtype=torch.uint8)).square().sum().backward()
    shortcut = network.hidden[1].shortcut
    assert shortcut.synapse.weight.grad.abs().sum() > 0
    assert network.hidden[1].synapse.weight.grad.abs().sum() > 0
    network.freeze().train()
    network.zero_grad()
    network(torch.randint(0, 256, (4, 1, 6, 6), dtype=torch.uint8)).square().sum().backward()
    assert shortcut.synapse.weight.grad.abs().sum() > 0  # fine-tuning in integers too


def one(**options):
    return nn.Conv2d(4, 4, 1, **options)


FORMS = {
    "either order": lambda n, x: (lambda a: n.lif2(n.norm(a + n.second(a))))(n.lif(n.conv(x))),
    "torch.add": lambda n, x: (lambda a: n.lif2(n.norm(torch.add(n.second(a), a))))(n.lif(n.conv(x))),
    "method": lambda n, x: (lambda a: n.lif2(n.norm(n.second(a).add(a))))(n.lif(n.conv(x))),
    "once": lambda n, x: (lambda a: n.lif2(n.norm(torch.add(n.second(a), other=a, alpha=1))))(n.lif(n.conv(x))),
    "around two": lambda n, x: (lambda a: n.lif3(n.norm(n.third(n.lif2(n.second(a))) + a)))(n.lif(n.conv(x))),
    "through nothing": lambda n, x: (lambda a: n.lif2(n.norm(n.second(a) + n.same(a))))(n.lif(n.conv(x))),
    "through nothing first": lambda n, x: (lambda a: n.lif2(n.norm(n.same(a) + n.second(a))))(n.lif(n.conv(x))),
    "in place": lambda n, x: (lambda a: n.lif2(n.norm(in_place(n.second(a), a))))(n.lif(n.conv(x))),
}


def in_place(sums, spikes):
    sums += spikes
    return sums


@pytest.mark.parametrize("form", FORMS)
def test_identities_are_read_in_every_form(form):
    network = prepared(FORMS[form], same=nn.Sequential(nn.Identity()))
    shortcuts = [stage.shortcut for stage in network.hidden]
    assert shortcuts[:-1] == [None] * (len(shortcuts) - 1)
    assert shortcuts[-1].identity
    assert shortcuts[-1].source == 0


def test_an_identity_has_the_path_of_its_layer_if_there_is_one():
    network = prepare(build_model("resnet18-snn:0.1", (1, 16, 16), 3), QuantConfig(2, 2, 2), (1, 16, 16))
    names = [stage.shortcut.name for stage in network.hidden if stage.shortcut]
    assert names[:3] == ["block1a.shortcut", "block1b.shortcut", "block2a.shortcut"]


def test_a_block_over_time_computes_what_its_instant_says(by_hand):
    torch.manual_seed(0)
    block = ResidualBlock(3, 5, stride=2).eval()
    x = (torch.rand(4, 2, 3, 8, 8) < 0.4).float()
    y = block.lif1(torch.stack([block.bn1(block.conv1(step)) for step in x]))
    sums = torch.stack([block.bn2(block.conv2(a) + block.shortcut(b)) for a, b in zip(y, x, strict=True)])
    assert torch.equal(block(x), block.lif2(sums))


def test_an_identity_begins_at_one_deviation_of_the_sums_of_the_main_branch():
    for bits, wide in [*itertools.product(BITS, (4, 64)), (2, 512)]:
        block = ResidualBlock(wide, wide)
        model = nn.Sequential(nn.Conv2d(1, wide, 1), LIF(), block, nn.Flatten(), nn.Linear(wide * 9, 2))
        network = prepare(model, QuantConfig(bits, 2, 2), (1, 3, 3))
        stage = network.hidden[2]
        codes = stage.synapse.codes().detach()
        deviation = float(codes.square().mean().sqrt()) * (wide * 9 * 0.15) ** 0.5
        found = float(stage.shortcut.synapse.codes().detach().mean()) * 2**stage.shortcut.shift
        assert 0.6 < found / deviation < 1.5
        assert stage.shortcut.synapse.bits == 8


def test_a_projection_is_shifted_by_what_it_has_fewer_inputs():
    network = prepare(build_model("resnet18-snn:0.1", (1, 16, 16), 3), QuantConfig(2, 2, 2), (1, 16, 16))
    shifts = [stage.shortcut.shift for stage in network.hidden if stage.shortcut and not stage.shortcut.identity]
    assert shifts == [2, 2, 2]  # 9 taps and twice the channels: sqrt(18) = 4.2


def test_floating_point_adds_the_spikes_themselves():
    body = FORMS["either order"]
    net = Net(body)
    network = prepare(net, QuantConfig(32, 32, 1), (1, 6, 6)).eval()
    x = torch.randint(0, 256, (3, 1, 6, 6), dtype=torch.uint8)
    spikes = (net.conv(x / 255) >= 1).float()
    sums = net.eval().norm(net.second(spikes) + spikes)
    assert torch.allclose(network(x)[0], net.fc((sums >= 1).float().flatten(1)), atol=1e-5)


REFUSED = {
    "function with a factor": (
        lambda n, x: (lambda a: n.lif2(n.norm(torch.add(n.second(a), a, alpha=2))))(n.lif(n.conv(x))),
        {},
        "the call of 'add' .* adds a branch alpha=2 times, and a factor has no integer form: leave alpha out",
    ),
    "method with a factor": (
        lambda n, x: (lambda a: n.lif2(n.norm(n.second(a).add_(other=n.way(a), alpha=-0.5))))(n.lif(n.conv(x))),
        {"way": one()},
        "the call of 'add_' .* adds a branch alpha=-0.5 times, and a factor has no integer form: leave alpha out",
    ),
    "a factor": (
        lambda n, x: (lambda a: n.lif2(n.norm(n.second(a) * 0.5 + a)))(n.lif(n.conv(x))),
        {},
        "the call of 'mul' .* multiplies with 0.5, which has no integer form of its own: put it into the weights",
    ),
    "a number": (
        lambda n, x: (lambda a: n.lif2(n.second(a) + 1))(n.lif(n.conv(x))),
        {},
        "the call of 'add' .* adds a number: give it to the bias of a layer",
    ),
    "fewer channels": (
        lambda n, x: n.lif(n.conv(x) + x),
        {},
        "the call of 'add' .* adds 4x6x6 of 'conv' and 1x6x6 of 'x': what is added has one shape",
    ),
    "another shape": (
        lambda n, x: (lambda a: n.lif2(n.second(a) + n.way(a)))(n.lif(n.conv(x))),
        {"way": nn.Conv2d(4, 3, 1)},
        "the call of 'add' .* does not fit what comes in, 4x6x6 of layer 'second', 3x6x6 of layer 'way'",
    ),
    "channels": (
        lambda n, x: (lambda a: n.lif2(n.second(a) + n.way(a)))(n.lif(n.conv(x))),
        {"way": nn.Conv2d(5, 4, 1)},
        "layer 'way' does not fit what comes in, 4x6x6 of layer 'lif': it takes 5 channels",
    ),
    "largest of a sum": (
        lambda n, x: (lambda a: n.lif2(n.way(n.second(a) + a)))(n.lif(n.conv(x))),
        {"way": nn.MaxPool2d(3, stride=1, padding=1)},
        "layer 'way' takes the largest values of a sum of several branches, .*: pool each branch, or move it behind",
    ),
    "changed before it is used": (
        lambda n, x: (lambda a: n.lif2(n.norm(in_place(a, n.second(a)) + a)))(n.lif(n.conv(x))),
        {},
        "the call of 'iadd' .* changes, in place, what .* takes afterwards: write x = x . y",
    ),
}


def test_dropout_stands_where_a_refusal_sends_it():
    stage = prepared(
        lambda n, x: (lambda a: n.lif2(n.drop(n.norm(n.second(n.drop(a)) + a))))(n.lif(n.conv(x))),
        drop=nn.Dropout(0.25),
    ).hidden[1]
    assert (stage.drop_spikes, stage.drop_current) == (0.25, 0.25)
    assert stage.shortcut.identity


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_integer_form_is_refused_by_name(what):
    body, layers, message = REFUSED[what]
    with pytest.raises(ModelError, match=message):
        prepared(body, **layers)
