"""Terms in common units: what multipliers round, what they do not, and what leaves 32 bits."""

import numpy as np
import pytest
import torch
from torch import nn

from exactness import pixels, settle_norms, train
from spquant_snn.errors import ModelError
from spquant_snn.integer.connection import Connection
from spquant_snn.integer.graph import Input
from spquant_snn.nn import LIF
from spquant_snn.quant.drive import FoldedTerm
from spquant_snn.quant.fold import in_units
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


def term(gain, source=1, seed=0):
    codes = np.random.default_rng(seed).integers(-7, 8, (len(gain), 20)).astype(np.int8)
    codes[:, 0] = 7
    return FoldedTerm(source, 0, Connection(f"term{seed}", codes, 4), np.array(gain, float))


def units(*gains):
    terms = [term(gain, seed=i) for i, gain in enumerate(gains)]
    return in_units(terms, np.zeros(len(gains[0])), np.ones(len(gains[0])), [Input((1, 1, 1))])


def worth(terms, unit):
    """[terms, O] what a sum of one of each term is worth."""
    factors = [1 if each.multiplier is None else each.multiplier.astype(float) for each in terms]
    return np.stack([np.ldexp(factor * unit, -each.shift) for factor, each in zip(factors, terms, strict=True)])


def test_equal_gains_are_added_as_they_are():
    terms, unit, offset = units([0.3, 0.2], [0.3, 0.2])
    assert all(each.plain for each in terms)
    assert unit.tolist() == [0.3, 0.2]
    assert not offset.any()


@pytest.mark.parametrize("gains", [([0.25, 0.5], [-0.25, 0.5]), ([-0.5, -0.25], [-0.5, 0.25])])
def test_signs_are_exact(gains):
    terms, unit, offset = units(*gains)
    assert [each.shift for each in terms] == [0, 0]
    assert worth(terms, unit).tolist() == [list(gain) for gain in gains]
    assert not offset.any()


def test_powers_of_two_are_exact():
    terms, unit, _ = units([0.25, 0.75], [0.5, 1.5])
    assert worth(terms, unit).tolist() == [[0.25, 0.75], [0.5, 1.5]]


@pytest.mark.parametrize("seed", range(20))
def test_other_gains_are_right_to_their_last_bits(seed):
    rng = np.random.default_rng(seed)
    gains = rng.normal(0, 1, (3, 6)) * 10.0 ** rng.uniform(-3, 0, (3, 1))
    terms, unit, offset = units(*gains)
    assert (unit > 0).all()
    strongest = np.abs(gains).max(0)
    assert (np.abs(worth(terms, unit) - gains) <= strongest * 2.0**-12).all()
    assert (offset >= 0).all()  # what rounding down takes off
    assert (offset <= 1.5 * unit).all()


def test_a_branch_without_a_gain_adds_nothing():
    terms, unit, _ = units([0.3, 0.4], [0.0, 0.1])
    assert worth(terms, unit)[1, 0] == 0
    terms, unit, _ = units([0.0, 0.4], [0.0, 0.1])  # a channel that nothing reaches
    assert unit[0] > 0
    assert not worth(terms, unit)[:, 0].any()


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.main, self.side = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.main_norm, self.side_norm = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.one, self.two, self.fc = LIF(0.6), LIF(0.6), nn.Linear(512, 4)

    def forward(self, x):
        a = self.one(self.norm(self.first(x)))
        return self.fc(self.two(self.main_norm(self.main(a)) + self.side_norm(self.side(a))).flatten(1))


def joined(bits):
    torch.manual_seed(0)
    model = Joined()
    nn.init.uniform_(model.main_norm.weight, -1.5, 1.5)
    nn.init.uniform_(model.side_norm.weight, -0.5, 0.5)
    network = prepare(model, QuantConfig(bits, bits, 4), (2, 8, 8))
    x = pixels(network, 16)
    settle_norms(network, x)
    train(network, x, 5)
    return network, x


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_integers_decide_as_the_training_form_does(bits):
    network, x = joined(bits)
    seen = {}
    with torch.no_grad():
        for form in ("free", "frozen"):
            if form == "frozen":
                network.freeze()
            network.step_outputs(
                x, lambda name, spikes, codes, form=form: seen.setdefault(form, []).append(spikes.float())
            )
    for free, frozen in zip(seen["free"], seen["frozen"], strict=True):
        assert 0.02 < float(free.mean()) < 0.9
        assert float((free != frozen).float().mean()) < 0.01


@pytest.mark.parametrize("branches", [1, 2])
def test_sums_that_leave_32_bits_are_refused_by_their_layer(branches):
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.more = nn.Linear(80_000, 2), nn.Linear(80_000, 2)
            self.lif, self.fc = LIF(), nn.Linear(2, 2)

        def forward(self, x):
            return self.fc(self.lif(self.wide(x) + self.more(x) if branches == 2 else self.wide(x)))

    network = prepare(Wide(), QuantConfig(8, 8, 2), (80_000,))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("synapse.weight") and weight.shape[1] > 2:
                weight.copy_(torch.rand_like(weight) + 0.5)
    with pytest.raises(
        ModelError, match=r"layer 'wide': accumulators of up to .* do not fit 32 bits: use fewer inputs"
    ):
        network.freeze().fold()
