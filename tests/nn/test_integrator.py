"""Leaky integrators: the membrane as an output, in training form, frozen and in integers."""

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.integer import reference
from spquant_snn.nn import LIF, LeakyIntegrator
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig


def prepared(over_time, leak=0.9, bits=4):
    torch.manual_seed(0)
    layers = (nn.Flatten(), nn.Linear(64, 16), LIF(), nn.Linear(16, 3), LeakyIntegrator(leak, over_time))
    return prepare(nn.Sequential(*layers), QuantConfig(bits, bits, timesteps=6), (1, 8, 8))


@pytest.mark.parametrize("over_time", ["last", "largest", "mean"])
@pytest.mark.parametrize("leak", [0.0, 0.5, 0.93, 1.0])
def test_integers_integrate_as_the_training_form_does(noise, over_time, leak):
    network, images = prepared(over_time, leak).eval(), noise(8, 1, 8, 8)
    free = network.mean_logits(images)
    graph = lower(network.freeze())
    assert np.array_equal(network.integer_logits(images).numpy(), reference.run(graph, images.numpy()))
    assert torch.allclose(network.mean_logits(images).float(), free, atol=0.02)
    assert free.abs().max() > 0.1


def test_a_sequence_is_integrated_step_by_step(noise):
    network, frames = prepared("last").eval(), noise(10, 2, 1, 8, 8)
    graph = lower(network.freeze())
    assert np.array_equal(network.integer_logits(frames).numpy(), reference.run(graph, frames.numpy()))


@pytest.mark.parametrize(("leak", "over_time"), [(1.5, "last"), (True, "last"), ("a", "last"), (0.5, "first")])
def test_an_impossible_integrator_is_refused(leak, over_time):
    with pytest.raises(ConfigError, match=r"leak must be|over_time must be"):
        LeakyIntegrator(leak, over_time)


def test_nothing_can_stand_behind_an_integrator():
    layers = (nn.Linear(8, 4), LIF(), nn.Linear(4, 4), LeakyIntegrator(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="takes what the LeakyIntegrator '3' says, which is no spikes"):
        prepare(nn.Sequential(*layers), QuantConfig(2, 2), (8,))
