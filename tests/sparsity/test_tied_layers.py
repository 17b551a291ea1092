"""Channels that a shortcut joins are pruned together, and what is left computes the same integers."""

import pytest
import torch
from torch import nn

from random_params import randomize
from residual_models import residual_model
from spquant_snn import ModelError, QuantConfig, prepare
from spquant_snn.integer.compare import Trace, first_difference, reference_trace
from spquant_snn.nn import LIF, build_model
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.report.counts import count
from spquant_snn.sparsity.budget import Budget
from spquant_snn.sparsity.choices import prune, rank
from spquant_snn.sparsity.compact import compact, kept_channels
from spquant_snn.sparsity.gates import channel_gates, insert_gates, tied_layers
from spquant_snn.train.checkpoint import read_weights, save_weights
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.optimizer import make_optimizer

BITS = (1.58, 2, 3, 4, 5, 6, 7, 8)


def resnet(bits=2, name="resnet18-snn:0.1"):
    torch.manual_seed(0)
    return prepare(build_model(name, (2, 16, 16), 4), QuantConfig(bits, bits, 3), (2, 16, 16))


def pruned(network, seed=0):
    """Settle the gates at random, tied layers alike."""
    draw, gates = torch.Generator().manual_seed(seed), channel_gates(network)
    for group in tied_layers(network):
        mask = torch.rand(len(gates[group[0]].logits), generator=draw) >= 0.4
        mask[int(torch.randint(len(mask), (1,), generator=draw))] = True
        for i in group:
            gates[i].freeze(mask)
    return network


def check_pruned(network, images):
    masks, small = kept_channels(network), compact(network.freeze())
    whole = frozen_trace(network, images)
    kept = Trace(answers=whole.answers)
    for (name, spikes, codes), mask in zip(whole.layers, masks, strict=True):
        assert not spikes[:, :, ~mask.numpy()].any()
        kept.add(name, spikes[:, :, mask.numpy()], codes[:, :, mask.numpy()])
    assert first_difference(kept, frozen_trace(small, images)) is None
    assert first_difference(kept, reference_trace(lower(small), images)) is None
    assert first_difference(whole, reference_trace(lower(network), images)) is None
    return small


def test_tied_layers_are_what_identities_join():
    network = resnet()
    names = [stage.name for stage in network.hidden]
    groups = [[names[i] for i in group] for group in tied_layers(network)]
    assert ["conv1", "block1a.conv2", "block1b.conv2"] in groups
    assert ["block2a.conv2", "block2b.conv2"] in groups
    assert ["block2a.conv1"] in groups
    assert sorted(i for group in tied_layers(network) for i in group) == list(range(len(names)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_random_networks_without_their_closed_channels(calibrate, seed):
    layers, shape = residual_model(seed)
    randomize(layers, 0.8)
    config = QuantConfig(BITS[seed % 8], BITS[seed // 2 % 8], 1 + seed % 4, ("normalized", "learned")[seed % 2])
    network = prepare(nn.Sequential(*layers), config, shape)
    insert_gates(network)
    images = torch.randint(0, 256, (8, *shape), dtype=torch.uint8)
    calibrate(pruned(network, seed), images)
    small = check_pruned(network, images.numpy()[:3])
    assert [len(layer.terms) for layer in lower(small).layers] == [len(layer.terms) for layer in lower(network).layers]


def test_tied_layers_learn_one_parameter_and_are_chosen_alike(tmp_path):
    network = resnet()
    insert_gates(network)
    gates, groups = channel_gates(network), tied_layers(network)
    assert len({id(gate.logits) for gate in gates}) == len(groups)
    optimizer = make_optimizer(network, TrainConfig())
    assert len(optimizer.param_groups[-1]["params"]) == len(groups)
    with torch.no_grad():
        for gate in gates:
            gate.logits.normal_()
    masks = Budget(network, 0.3).choose()
    for group in groups:
        assert all(torch.equal(masks[i], masks[group[0]]) for i in group)
    budget = Budget(network, 0.3)
    assert budget.share([float(mask.sum()) for mask in masks]) <= 0.3
    save_weights(tmp_path / "w.safetensors", network)  # a parameter that several layers share
    held = read_weights(tmp_path / "w.safetensors")
    assert torch.equal(held["stages.0.gate.logits"], held["stages.2.gate.logits"])


def test_the_budget_counts_what_the_ledger_counts(calibrate, noise):
    network = resnet()
    insert_gates(network)
    images = noise(12, 2, 16, 16)
    calibrate(pruned(network), images)
    opened = [float(gate.opened().sum()) for gate in channel_gates(network)]
    budget = Budget(network, 0.5)
    counts = count(lower(check_pruned(network, images.numpy())), images.numpy())
    for gate in channel_gates(network):
        gate.density.fill_(1.0)
    assert budget.count(opened) == pytest.approx(sum(row.dense for row in counts.rows), rel=1e-6)
    assert sum(len(layer.terms) == 2 for layer in lower(network).layers) == 8


def test_a_shortcut_in_groups_keeps_both_of_its_layers_whole():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 4, 3, padding=1)
            self.second, self.aside = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1, groups=2)
            self.one, self.two, self.fc = LIF(), LIF(), nn.Linear(144, 2)

        def forward(self, x):
            a = self.one(self.first(x))
            return self.fc(self.two(self.second(a) + self.aside(a)).flatten(1))

    network = prepare(Net(), QuantConfig(2, 2, 2), (1, 6, 6))
    with pytest.raises(ModelError, match=r"the shortcut's, 'aside', weights join channels in 2 groups"):
        insert_gates(network)


def test_closing_a_named_layer_closes_those_tied_to_it():
    network = resnet()
    kept = insert_gates(network, ["block1a.conv2"])
    assert {"conv1", "block1a.conv2", "block1b.conv2"}.isdisjoint(kept)
    assert "block2a.conv1" in kept


@pytest.mark.parametrize("quantizer", ["normalized", "learned"])
def test_a_strided_shortcut_of_one_weight_a_channel_is_pruned(calibrate, noise, quantizer):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(2, 8, 3, padding=1)
            self.second, self.aside = nn.Conv2d(8, 8, 3, 2, padding=1), nn.Conv2d(8, 8, 1, 2, groups=8)
            self.one, self.two, self.fc = LIF(), LIF(), nn.Linear(8 * 64, 2)
            self.norm, self.norm2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

        def forward(self, x):
            a = self.one(self.norm(self.first(x)))
            return self.fc(self.two(self.norm2(self.second(a) + self.aside(a))).flatten(1))

    network = prepare(Net(), QuantConfig(4, 4, 3, quantizer), (2, 16, 16))
    insert_gates(network)
    images = noise(8, 2, 16, 16)
    calibrate(pruned(network), images)
    check_pruned(network, images.numpy())


def test_magnitudes_of_tied_layers_count_alike():
    network = resnet()
    insert_gates(network)
    gates, group = channel_gates(network), tied_layers(network)[0]
    scores = [torch.rand(len(gate.logits)) for gate in gates]
    rank(gates, scores)
    wanted = torch.stack([scores[i] for i in group]).mean(0)
    assert torch.allclose(gates[group[0]].logits, wanted)
    before = gates[group[0]].logits.detach().clone()
    mask = torch.arange(len(before)) > 0
    prune(gates, [mask if i in group else torch.ones(len(g.logits), dtype=torch.bool) for i, g in enumerate(gates)])
    assert torch.allclose(before[0] - gates[group[-1]].logits[0], 1 + before.max())
