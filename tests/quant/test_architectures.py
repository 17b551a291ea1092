"""Networks that people train, as their users write them, from prepare to integers."""

import pytest
import torch

from architectures import ARCHITECTURES
from spquant_snn.errors import ModelError
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from whole_chain import alike, answers, brought_up, check_exact, pixels, settle

REFUSED = {
    "spikformer": "the call of 'matmul' in the forward method has no integer form, for it multiplies activations with "
    "each other; only weights are multiplied with spikes: use convolutions or Linear instead",
    "conv-autoencoder": "layer 'decoder.1' takes 128 neurons of their own as an image of 8x4x4, whose neurons are alike "
    "in each channel, and that has no integer form: in place of Linear and Unflatten use Unflatten(1, (n, 1, 1)) and "
    "ConvTranspose2d(n, 8, (4, 4))",
}
GOES_THROUGH = [name for name in ARCHITECTURES if name not in REFUSED]


def test_nearly_all_go_through():
    assert len(ARCHITECTURES) >= 29
    assert len(REFUSED) <= 3


@pytest.mark.parametrize("name", REFUSED)
def test_the_others_are_refused_in_a_sentence(name):
    make, shape = ARCHITECTURES[name]
    with pytest.raises(ModelError) as refused:
        prepare(make(), QuantConfig(), shape)
    assert str(refused.value) == REFUSED[name]


@pytest.mark.parametrize(("bits", "steps"), [(2, None), (4, 5)], ids=["still-2-bits", "sequence-4-bits"])
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
    model = make()
    network = prepare(model, QuantConfig(32, 32, timesteps=1), shape)
    x = pixels(shape, count=128)  # what some modules have written into their views
    settle(network, x)
    assert all(torch.isfinite(z).all() for z in answers(network.eval(), x))
