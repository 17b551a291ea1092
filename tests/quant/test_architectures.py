"""Networks that people train, as their users write them, from prepare to integers."""

import pytest
import torch
from torch import nn

from architectures import ARCHITECTURES, REFUSED
from described_run import run
from spquant_snn.nn import LIF
from spquant_snn.quant.match import describe
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from whole_chain import alike, answers, brought_up, check_exact, pixels

pytestmark = pytest.mark.filterwarnings("ignore:the call of 'truediv' in the forward method divides pixels by 255")
GOES_THROUGH = [name for name in ARCHITECTURES if name not in REFUSED]


def test_nearly_all_go_through():
    assert len(ARCHITECTURES) >= 29
    assert len(REFUSED) <= 3


@pytest.mark.parametrize(
    ("bits", "steps"),
    [
        pytest.param(2, None, id="still-2-bits"),
        pytest.param(4, 5, id="sequence-4-bits", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", GOES_THROUGH)
def test_an_architecture_trains_and_its_integers_are_exact(name, bits, steps):
    make, shape = ARCHITECTURES[name]
    network, x = brought_up(make(), shape, bits, steps)
    free = answers(network, x)
    _, rates = check_exact(network, x)
    assert min(rates) > 0.01, rates
    for one, two in zip(free, answers(network, x), strict=True):
        assert alike(one, two) > 0.7


@pytest.mark.parametrize("name", GOES_THROUGH)
def test_in_floating_point_it_is_the_module(name):
    make, shape = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = with_statistics(make())
    network = prepare(model, QuantConfig(32, 32, timesteps=3), shape).eval()
    x = pixels(shape, steps=3)
    with torch.no_grad():
        expected, found = run(describe(model, shape), [x.float() / 255]), network.step_outputs(x)
    for one, two in zip(expected, found, strict=True):
        close = torch.isclose(one, two.reshape(one.shape), atol=1e-3)  # but where a potential lies at a threshold
        assert float(close.float().mean()) > 0.97
        assert bool(one.any())


def with_statistics(model):
    """The module with batch normalisation as if it had been trained, of either sign, and neurons that fire."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            with torch.no_grad():
                part.weight.copy_(torch.rand_like(part.weight) + 0.5).mul_(
                    1 - 2 * (torch.arange(len(part.weight)) % 3 == 0)
                )
                part.bias.normal_(0.3, 0.3)
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.05, 0.2)
        elif isinstance(part, LIF):
            with torch.no_grad():
                part.v_threshold *= 0.4
    return model.eval()
