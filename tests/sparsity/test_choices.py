"""The controls: channels that nothing learned, the same share of every layer, within the target."""

import pytest
import torch

from spquant_snn import QuantConfig, prepare
from spquant_snn.nn import LeNetSNN
from spquant_snn.sparsity.budget import Budget
from spquant_snn.sparsity.choices import magnitude_scores, prune, random_scores, rank
from spquant_snn.sparsity.gates import channel_gates, insert_gates
from spquant_snn.sparsity.goals import Goals
from spquant_snn.sparsity.training import SparseTraining

IMAGES = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)  # of no account where no block is skipped


@pytest.fixture
def lenet():
    """A LeNet-SNN of 16, 32 and 64 channels, with gates."""
    torch.manual_seed(0)
    network = prepare(LeNetSNN((1, 12, 12), width=(16, 32), hidden=64), QuantConfig(2, 2, 2), (1, 12, 12))
    insert_gates(network)
    return network


def opened(network):
    return [gate.opened().clone() for gate in channel_gates(network)]


def test_random_channels_are_those_of_the_seed(lenet):
    gates = channel_gates(lenet)
    first, again, other = (random_scores(gates, seed) for seed in (3, 3, 4))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        assert sorted(a.tolist()) == pytest.approx([(i + 1) / len(a) for i in range(len(a))])


@pytest.mark.parametrize("target", [0.05, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_share_of_every_layer_is_closed(lenet, target, seed):
    budget = Budget(lenet, target)
    rank(budget.gates, random_scores(budget.gates, seed))
    masks = budget.choose()
    counts = [float(mask.sum()) for mask in masks]
    assert budget.share(counts) <= target
    for i, mask in enumerate(masks):  # as close as whole channels allow
        more = [count + (i == layer) for layer, count in enumerate(counts)]
        assert mask.all() or budget.share(more) > target
    conv1, conv2, fc3 = (count / width for count, width in zip(counts, budget.widths, strict=True))
    assert conv1 == pytest.approx(conv2, abs=1 / 8)
    assert fc3 >= min(conv1, conv2) - 1 / 16  # its channels are cheap and fill up what is left of the budget


def test_the_smallest_scale_is_closed_first(lenet):
    for stage in lenet.hidden:
        with torch.no_grad():
            stage.norm.weight.copy_(torch.randperm(len(stage.norm.weight)) - len(stage.norm.weight) / 2)
    sparse = SparseTraining(lenet, Goals(ops=0.3, choice="magnitude"), 10)
    sparse.end_epoch(6, IMAGES)
    for stage in lenet.hidden:
        mask, scale = stage.gate.mask, stage.norm.weight.abs()
        assert not mask.all()
        assert scale[mask].min() >= scale[~mask].max()


def test_without_normalisation_the_norm_of_the_weights_decides():
    layers = LeNetSNN((1, 12, 12), width=(4, 4), hidden=4)
    layers.bn1 = torch.nn.Identity()
    network = prepare(layers, QuantConfig(8, 8, 2, "learned"), (1, 12, 12))
    with torch.no_grad():
        network.hidden[0].synapse.weight.mul_(torch.tensor([2.0, 0.1, 1.0, 0.5]).view(4, 1, 1, 1))
    assert magnitude_scores(network)[0].tolist() == [1.0, 0.25, 0.75, 0.5]


def test_closed_channels_rank_below_open_ones_and_can_be_told_apart(lenet):
    gates = channel_gates(lenet)
    scores = random_scores(gates, 0)
    rank(gates, scores)
    assert all(mask.all() for mask in opened(lenet))
    masks = [score > 0.6 for score in scores]
    masks[2][0] = True  # out of turn, as what fills the budget up
    prune(gates, masks)
    for gate, mask, score in zip(gates, masks, scores, strict=True):
        assert torch.equal(gate.opened(), mask)
        assert not gate.frozen
        assert gate.logits[mask].min() > 0 > gate.logits[~mask].max()
        assert torch.equal(gate.logits[~mask].argsort(), score[~mask].argsort())


def test_random_channels_are_closed_before_the_first_step_and_never_opened(lenet, noise):
    images = noise(8, 1, 12, 12)
    sparse = SparseTraining(lenet, Goals(ops=0.2, choice="random", seed=1), 10)
    sparse.start(images)
    before = opened(lenet)
    assert 0 < sparse.summary()["ops_share"] <= 0.2
    sparse.begin_step(3.0)
    logits = lenet.train()(images, watch=sparse.watch)
    assert not any(gate.learning for gate in sparse.gates)
    (logits.square().sum() + sparse.penalty(3.0)).backward()
    assert sparse.penalty(3.0) == 0
    for stage, mask in zip(lenet.hidden, before, strict=True):
        assert stage.gate.logits.grad is None
        assert stage.synapse.weight.grad[~mask].abs().sum() == 0
    for gate in sparse.gates:  # layers between pruned channels weigh more: there is room, and it stays empty
        gate.density.fill_(1.0)
    assert any(bool((new & ~old).any()) for new, old in zip(sparse.budget.choose(), before, strict=True))
    sparse.end_epoch(6, IMAGES)
    assert sparse.frozen
    assert all(torch.equal(a, b) for a, b in zip(before, opened(lenet), strict=True))


def test_more_random_channels_are_closed_where_the_trained_network_asks_for_it(lenet, noise):
    sparse = SparseTraining(lenet, Goals(ops=0.3, choice="random", seed=1), 10)
    sparse.start(noise(8, 1, 12, 12))
    before = opened(lenet)
    for gate in sparse.gates:  # pixels, of which pruned channels save least, weigh more
        gate.density.fill_(0.02)
    assert sparse.summary()["ops_share"] > 0.3
    sparse.end_epoch(6, IMAGES)
    assert sparse.summary()["ops_share"] <= 0.3
    after = opened(lenet)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(not (b & ~a).any() for a, b in zip(before, after, strict=True))
