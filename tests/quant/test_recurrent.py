"""Recurrent networks from a user's module to integers: loops are stepped, their bounds and warnings hold."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn.integer import reference
from spquant_snn.nn import LIF, Feedback, OneToOne
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


def recurrent(layer):
    return nn.Sequential(nn.Linear(20, 12), Feedback(LIF(0.3), layer), nn.Linear(12, 4))


@pytest.mark.parametrize("layer", [nn.Linear(12, 12), OneToOne(12), nn.Identity()])
@pytest.mark.parametrize("bits", [1.58, 2, 4, 8])
def test_what_comes_back_is_the_same_in_torch_and_in_integers(noise, layer, bits):
    torch.manual_seed(0)
    network = prepare(recurrent(layer), QuantConfig(bits, bits, 5), (20,)).eval()
    for given in (noise(6, 20), noise(9, 3, 20)):
        network.frozen = False
        graph = lower(network.freeze())
        images = given.reshape(*given.shape[:-1], 20, 1, 1).numpy()
        assert np.array_equal(network.integer_logits(given).numpy(), reference.run(graph, images))
    assert [(term.source, term.delay) for term in graph.layers[0].terms] == [(0, 0), (1, 1)]


def test_the_past_reaches_a_loop():
    network = prepare(recurrent(nn.Linear(12, 12)), QuantConfig(8, 8, 4), (20,)).eval()
    frames = torch.zeros(4, 1, 20, dtype=torch.uint8)
    frames[0] = 255
    other = frames.clone()
    other[0] = 0
    with torch.no_grad():
        assert not torch.equal(network(frames)[3], network(other)[3])


def test_gradients_reach_the_weights_of_a_loop_in_both_forms(noise):
    network = prepare(recurrent(nn.Linear(12, 12)), QuantConfig(4, 4, 5), (20,))
    for form in (network.train(), network.freeze().train()):
        form.zero_grad()
        form(noise(4, 20)).square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in form.parameters() if p.requires_grad)
        assert any(float(p.grad.abs().sum()) > 0 for n, p in form.named_parameters() if n.endswith("weight"))


def test_a_still_image_of_one_step_leaves_a_loop_without_a_past():
    with pytest.warns(UserWarning, match=r"takes spikes of the step before, .* use timesteps=2 or more"):
        prepare(recurrent(nn.Linear(12, 12)), QuantConfig(2, 2, 1), (20,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(recurrent(nn.Linear(12, 12)), QuantConfig(2, 2, 2), (20,))
