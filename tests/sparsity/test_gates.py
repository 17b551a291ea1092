"""Gates: the distribution they are drawn from, what evaluation sees of them, and which layers can have them."""

import math

import pytest
import torch

from spquant_snn import ModelError
from spquant_snn.sparsity.gates import COLD, WARM, ChannelGate, channel_gates, insert_gates


def learning(logits, temperature=WARM):
    gate = ChannelGate(len(logits)).train()
    gate.learning, gate.temperature = True, temperature
    with torch.no_grad():
        gate.logits.copy_(torch.tensor(logits))
    return gate


@pytest.mark.parametrize("temperature", [WARM, COLD])
def test_draws_are_hard_concrete(temperature):
    torch.manual_seed(0)
    gate = learning([-4.0, -1.0, 0.0, 2.0], temperature)
    draws = gate.draw(100_000)
    assert draws.min() == 0
    assert draws.max() == 1
    torch.testing.assert_close((draws > 0).float().mean(0), gate.probability(), atol=0.005, rtol=0)
    # as published: P(g = 0) = sigmoid(temperature log(0.1 / 1.1) - a), and the same from above for 1
    full = torch.sigmoid(gate.logits - temperature * math.log(1.1 / 0.1))
    torch.testing.assert_close((draws == 1).float().mean(0), full, atol=0.005, rtol=0)


def test_cold_draws_are_nearly_all_zero_or_one():
    draws = learning([0.0, 1.0], COLD).draw(10_000)
    assert ((draws > 0) & (draws < 1)).float().mean() < 0.13


def test_each_image_draws_its_own_and_keeps_them_over_time():
    gate = learning([0.0] * 50)
    out = gate(torch.ones(3, 2, 50, 2, 2))
    assert torch.equal(out[0], out[2])
    assert torch.equal(out[..., 0, 0], out[..., 1, 1])
    assert not torch.equal(out[:, 0], out[:, 1])


def test_a_gate_learns_what_its_spikes_are_worth():
    gate = learning([0.0, 0.0])
    spikes = torch.ones(1, 500, 2)
    (gate(spikes) * torch.tensor([1.0, -1.0])).sum().backward()
    assert gate.logits.grad[0] > 1
    assert gate.logits.grad[1] < -1


@pytest.mark.parametrize("training", [True, False])
def test_a_new_gate_is_open_and_hands_on_the_very_spikes(training):
    gate, spikes = ChannelGate(3).train(training), torch.rand(2, 4, 3)
    assert gate(spikes) is spikes
    assert gate.opened().all()


def test_evaluation_sees_the_likely_gates_and_one_at_the_least():
    gate = learning([-1.0, 0.5, 2.0]).eval()
    spikes = torch.ones(2, 2, 3, 4, 4)
    assert gate.opened().tolist() == [False, True, True]
    assert torch.equal(gate(spikes), spikes * torch.tensor([0.0, 1.0, 1.0]).view(1, 1, 3, 1, 1))
    assert learning([-3.0, -1.0, -2.0]).opened().tolist() == [False, True, False]


def test_a_frozen_gate_is_zero_or_one_in_training_and_learns_no_more():
    gate = learning([3.0, 3.0])
    gate.freeze(torch.tensor([True, False]))
    spikes = torch.ones(1, 5, 2, requires_grad=True)
    out = gate(spikes)
    assert out.unique().tolist() == [0, 1]
    out.sum().backward()
    assert gate.logits.grad is None
    assert gate.probability().tolist() == [1, 0]
    fresh = ChannelGate(2)
    fresh.load_state_dict(gate.state_dict())
    assert fresh.frozen
    assert fresh.opened().tolist() == [True, False]


def test_a_layer_is_not_emptied_and_one_that_is_whole_stays_so():
    with pytest.raises(ModelError, match="keeps at least one channel"):
        ChannelGate(3).freeze(torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ModelError, match="cannot be pruned keeps all"):
        ChannelGate(3, prunable=False).freeze(torch.tensor([True, True, False]))


def test_gates_leave_an_open_network_as_it_is(row, noise, calibrate):
    images = noise(6, 1, 8, 8)
    plain, gated = calibrate(row(gates=False), images), calibrate(row(), images)
    assert torch.equal(plain(images), gated(images))
    assert torch.equal(plain.freeze().integer_logits(images), gated.freeze().integer_logits(images))


def test_grouped_convolutions_keep_their_layers_whole(row):
    network = row(groups=2, gates=False)
    assert insert_gates(network) == ["0", "4"]
    assert [gate.prunable for gate in channel_gates(network)] == [False, False, True]
    assert not channel_gates(network)[0].logits.requires_grad
    with pytest.raises(ModelError, match="layer '4' cannot be pruned: its own weights join channels in 2 groups"):
        insert_gates(row(groups=2, gates=False), ["4"])
    with pytest.raises(ModelError, match="layer '0' cannot be pruned: the next layer's, '4', weights join"):
        insert_gates(row(groups=2, gates=False), ["0"])


def test_layers_can_be_named(row):
    network = row(gates=False)
    assert insert_gates(network, ["4"]) == ["0", "9"]
    with pytest.raises(ModelError, match=r"there is no layer 'wing' .* the layers are 0, 4, 9"):
        insert_gates(row(gates=False), ["wing"])
    with pytest.raises(ModelError, match="no channel of any layer can be pruned"):
        insert_gates(row(gates=False), [])
