"""Widths of weights, layer by layer, that meet a budget."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, QuantConfig, lower, prepare, save, search_bits, verify
from spquant_snn.quant.bit_search import LayerErrors, layer_errors, narrower_and_narrower


def images(count, seed=0):
    return torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture
def module():
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), LIF(), nn.Flatten(), nn.Linear(288, 32), LIF(), nn.Linear(32, 4))
    with torch.no_grad():
        layers[0].weight.mul_(4)  # so that neurons fire, and the answers are not all the same
        layers[4].weight.mul_(4)
        layers[6].bias.zero_()
    return nn.Sequential(*layers)


@pytest.mark.parametrize("size", [14_000, 9000, 7000])
def test_the_file_has_the_size_that_was_asked_for(module, size, tmp_path):
    found = search_bits(module, QuantConfig(state_bits=4, timesteps=3), (1, 8, 8), images(64), size=size)
    frozen = found.network.eval().freeze()
    save(lower(frozen), tmp_path / "model.spq")
    assert (tmp_path / "model.spq").stat().st_size == found.size <= size
    assert verify(frozen, lower(frozen), images(10, 5).numpy())
    assert set(found.widths) == {"0", "4", "6"}


@pytest.mark.parametrize("size", range(6000, 15_000, 1500))
def test_no_wider_layer_would_fit(module, size):
    """But for constants of neurons, which take more or fewer bytes as they fall."""
    found = search_bits(module, QuantConfig(state_bits=4, timesteps=3), (1, 8, 8), images(16), size=size)
    assert found.size <= size
    weights = {"0": 72, "4": 288 * 32, "6": 128}
    wider = {8: 8, 6: 8, 4: 6, 3: 4, 2: 3, 1.58: 2}
    least = min(weights[path] * (wider[bits] - bits) / 8 for path, bits in found.widths.items() if bits < 8)
    assert found.size + least > size - 300


def test_more_bytes_lose_fewer_answers(module):
    config = QuantConfig(state_bits=8, timesteps=3)
    found = [search_bits(module, config, (1, 8, 8), images(64), size=size) for size in (13_000, 6000)]
    assert found[0].calibration.agreement > found[1].calibration.agreement


def test_the_narrowest_weights_that_keep_the_answers_are_found(module):
    config = QuantConfig(state_bits=8, timesteps=3)
    strict, loose = (search_bits(module, config, (1, 8, 8), images(80), agreement=share) for share in (0.8, 0.3))
    assert loose.size < strict.size
    assert sum(loose.widths.values()) < sum(strict.widths.values())


def test_a_budget_that_cannot_be_met_is_refused(module):
    config = QuantConfig(state_bits=2, timesteps=3)
    with pytest.raises(ConfigError, match=r"the smallest has \d"):
        search_bits(module, config, (1, 8, 8), images(16), size=1000)
    with pytest.raises(ConfigError, match=r"even 8 bits do not keep 100\.0%"):
        search_bits(module, config, (1, 8, 8), images(64), agreement=1)
    with pytest.raises(ConfigError, match="too few"):
        search_bits(module, config, (1, 8, 8), images(3), agreement=0.9)
    for both in ({}, {"size": 10_000, "agreement": 0.9}):
        with pytest.raises(ConfigError, match="either size"):
            search_bits(module, config, (1, 8, 8), images(16), **both)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"size": 0}, "size must be a whole number above zero, not 0"),
        ({"size": "9000"}, "size must be a whole number above zero, not '9000'"),
        ({"agreement": 1.01}, "agreement must be a share of the answers, from 0 to 1, not 1.01"),
        ({"agreement": float("nan")}, "from 0 to 1, not nan"),
        ({"agreement": "0.9"}, "from 0 to 1, not '0.9'"),
    ],
)
def test_what_is_no_budget_is_refused(module, budget, said):
    with pytest.raises(ConfigError, match=said):
        search_bits(module, QuantConfig(), (1, 8, 8), images(16), **budget)


def test_what_is_no_configuration_is_refused(module):
    with pytest.raises(ConfigError, match="a QuantConfig is needed, not None"):
        search_bits(module, None, (1, 8, 8), images(16), size=9000)


def test_fewer_bits_cost_more(module):
    network = prepare(module, QuantConfig(8, 2, 3), (1, 8, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for layer in layer_errors(network, images(64)):
        costs = [layer.errors[bits] for bits in (8, 6, 4, 3, 2)]
        assert costs == sorted(costs)
        assert 0 < costs[0] < 1e-3 < layer.errors[1.58] < 1
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_layer_that_suffers_least_gives_bits_first():
    tough = LayerErrors("tough", 100, {8: 0.0, 6: 0.001, 4: 0.002, 3: 0.003, 2: 0.004, 1.58: 0.005})
    tender = LayerErrors("tender", 100, {8: 0.0, 6: 0.1, 4: 0.2, 3: 0.3, 2: 0.4, 1.58: 0.5})
    way = narrower_and_narrower([tender, tough])
    assert way[0] == {"tender": 8, "tough": 8}
    assert way[-1] == {"tender": 1.58, "tough": 1.58}
    assert next(step for step in way if step["tender"] < 8)["tough"] == 1.58
