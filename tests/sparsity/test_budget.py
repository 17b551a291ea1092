"""The budget: operations counted as they are, a penalty whose gradient is right, and targets that are met."""

import math

import pytest
import torch

from spquant_snn import ConfigError, ModelError, QuantConfig, prepare
from spquant_snn.nn import LeNetSNN
from spquant_snn.sparsity.budget import Budget, layer_work, measure_density, operations
from spquant_snn.sparsity.gates import channel_gates, insert_gates


def weights_met(network, index, x):
    """Operations of a layer on its input [N, ...], counted one by one: weights of one, inputs of one or zero, and no
    padding."""
    stage = network.stages[index]
    met = (stage.pooled(x) != 0).double()
    return float(stage.synapse.sums(met, torch.ones_like(stage.synapse.weight, dtype=torch.double)).sum())


def test_work_is_what_the_layers_do(row):
    work = layer_work(row(timesteps=3))
    # 3x3 and a pool of two are one kernel of 4x4; 3x3 on 4x4 leaves 2x2; a pool leaves one place;
    # a row of the first kernel meets 3 + 4 + 4 + 3 places of the image
    assert [(layer.name, layer.steps, layer.taps) for layer in work] == [
        ("0", 1, 14 * 14),
        ("4", 3, 4 * 3 * 3),
        ("9", 3, 1),
        ("12", 3, 1),
    ]
    assert [(layer.inputs, layer.outputs) for layer in work] == [(1, 6), (6, 8), (8, 10), (10, 4)]
    assert layer_work(row(timesteps=3), static_input=False)[0].steps == 3


def test_grouped_convolutions_do_less(row):
    whole, halves = (layer_work(row(groups=groups, gates=groups == 1))[1].taps for groups in (1, 2))
    assert halves == whole / 2


def test_operations_are_those_counted_one_by_one(row, noise, calibrate):
    images = noise(10, 1, 8, 8)
    network = calibrate(row(gates=False), images)
    seen = []
    network(images, watch=lambda i, spikes: seen.append(spikes))
    work = layer_work(network)
    densities = [1.0, *(measure_density(network, work, i, spikes) for i, spikes in enumerate(seen))]
    counts = operations(work, densities, [6, 8, 10])
    for i, spikes in enumerate(seen):
        assert counts[i + 1] == pytest.approx(weights_met(network, i + 1, spikes.flatten(0, 1)) / 10, rel=1e-5)
    assert counts[0] == 14 * 14 * 6


def test_the_density_is_that_of_open_channels(row):
    network = row()
    work = layer_work(network)
    spikes = torch.zeros(2, 3, 8, 2, 2)
    spikes[:, :, 0, 0, 0] = 1  # seen by the maximum of its window
    assert measure_density(network, work, 1, spikes) == pytest.approx(1 / 8)
    channel_gates(network)[1].freeze(torch.arange(8) < 2)
    assert measure_density(network, work, 1, spikes) == pytest.approx(1 / 2)


def test_the_share_is_a_fraction_of_all_open(row):
    budget = Budget(row(), 0.5)
    assert budget.share(budget.widths) == 1
    assert budget.share([3, 4, 5]) < 0.5
    for gate in budget.gates:
        gate.freeze(torch.ones_like(gate.mask))
    assert budget.expected_share().item() == pytest.approx(1)


def test_the_expected_share_is_the_mean_over_draws(row):
    torch.manual_seed(0)
    budget = Budget(row(), 0.5)
    for gate in budget.gates:
        with torch.no_grad():
            gate.logits.normal_(0, 2)
    drawn = torch.stack([(gate.draw(20_000) > 0).sum(1) for gate in budget.gates], 1).tolist()
    mean = sum(budget.share(opened) for opened in drawn) / len(drawn)
    assert budget.expected_share().item() == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize("allowed", [0.05, 0.3, 0.9])
def test_the_gradient_of_the_penalty_by_finite_differences(row, allowed):
    torch.manual_seed(1)
    budget = Budget(row().double(), 0.2)
    for gate, density in zip(budget.gates, (0.1, 0.3, 0.2), strict=True):
        gate.density.fill_(density)
        with torch.no_grad():
            gate.logits.normal_(1, 2)
    budget.penalty(allowed).backward()
    step, slopes = 1e-6, []
    for gate in budget.gates:
        for i in range(len(gate.logits)):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    gate.logits[i] += sign * step
                    ends.append(budget.penalty(allowed).item())
                    gate.logits[i] -= sign * step
            slopes.append((ends[0] - ends[1]) / (2 * step))
    found = torch.cat([gate.logits.grad for gate in budget.gates])
    torch.testing.assert_close(found, torch.tensor(slopes).double(), atol=1e-7, rtol=1e-5)
    assert bool((found > 0).any()) == (budget.expected_share().item() > allowed)


def test_descent_on_the_penalty_alone_meets_the_target(row):
    torch.manual_seed(0)
    budget = Budget(row(), 0.2)
    optimizer = torch.optim.Adam([gate.logits for gate in budget.gates], 0.1)
    for i in range(300):
        optimizer.zero_grad()
        budget.penalty(max(0.2, 0.2 ** (i / 200))).backward()
        optimizer.step()
    assert budget.expected_share().item() == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize("target", [0.05, 0.1, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_choice_keeps_within_the_target_and_close_to_it(target, seed):
    torch.manual_seed(seed)
    network = prepare(LeNetSNN((1, 12, 12), width=(16, 24), hidden=32), QuantConfig(2, 2, 2), (1, 12, 12))
    insert_gates(network)
    budget = Budget(network, target)
    for gate in budget.gates:
        gate.density.fill_(float(torch.rand(())) * 0.5 + 0.01)
        with torch.no_grad():
            gate.logits.normal_(float(torch.randn(())), 2)
    budget.check()
    masks = budget.choose()
    opened = [float(mask.sum()) for mask in masks]
    assert min(opened) >= 1
    share = budget.share(opened)
    assert share <= target
    for layer, mask in enumerate(masks):  # there is no room for one more
        more = [count + (i == layer and not mask.all()) for i, count in enumerate(opened)]
        assert more == opened or budget.share(more) > target


def test_the_likeliest_channels_of_a_layer_stay(row):
    budget = Budget(row(), 0.3)
    for gate in budget.gates:
        with torch.no_grad():
            gate.logits.copy_(torch.linspace(1, 2, len(gate.logits)))
    masks = budget.choose()
    assert not all(mask.all() for mask in masks)
    for mask in masks:
        assert mask.tolist() == sorted(mask.tolist())


def test_a_target_that_would_empty_a_layer_names_it(row):
    network = row()
    with pytest.raises(ModelError, match=r"target_ops 0\.01 cannot be met without emptying layer '0': .* remain"):
        Budget(network, 0.01).check()
    budget = Budget(network, 0.01)
    masks = budget.choose()  # and nothing is emptied
    assert [int(mask.sum()) for mask in masks] == [1, 1, 1]
    assert budget.unmet() is None
    for gate, mask in zip(budget.gates, masks, strict=True):
        gate.freeze(mask)
    assert budget.unmet() == "0"


@pytest.mark.parametrize("target", [0, -1, 1.1, math.nan])
def test_a_target_that_is_no_share_is_refused(row, target):
    with pytest.raises(ConfigError, match="target_ops must be above 0 and at most 1, not"):
        Budget(row(), target)


def test_a_network_without_gates_has_no_budget(row):
    with pytest.raises(ModelError, match=r"call insert_gates\(\)"):
        Budget(row(gates=False), 0.5)


def test_layers_that_cannot_be_cut_count_in_full(row):
    network = row(groups=2, gates=False)
    insert_gates(network)
    budget = Budget(network, 0.9)
    assert budget.least()[0] == pytest.approx(budget.share([6, 8, 1]))
    assert [int(mask.sum()) for mask in Budget(network, 0.01).choose()] == [6, 8, 1]
