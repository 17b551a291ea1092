"""The integer neurons in torch equal those in NumPy, say what the training form says, and hand its gradient on."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from cases import case
from spquant_snn.integer import reference
from spquant_snn.integer.file import from_bytes, to_bytes
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.nn import LIF
from spquant_snn.nn.recurrence import Levels
from spquant_snn.quant.freeze import integer_unroll
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig

CHANNELS, STEPS, REACH = 6, 8, 500
KINDS = {
    "zero": {"reset": "zero"},
    "subtract": {"reset": "subtract"},
    "subtract an amount": {"reset": "subtract", "reset_by": 1.7},
    "none": {"reset": "none"},
}
FORMS = list(itertools.product(sorted(STATE_GRIDS), KINDS, [False, True], [False, True]))


def random_lif(rng, bits, kind, per_channel, synaptic):
    """Neurons of a kind, their constants of each channel or of the layer."""
    options = dict(KINDS[kind]) | {"v_threshold": 0.8, "leak": 0.3} | ({"synaptic_leak": 0.6} if synaptic else {})
    if per_channel:
        options = {
            name: (value * rng.uniform(0.7, 1.4, CHANNELS)).tolist() if isinstance(value, float) else value
            for name, value in options.items()
        }
    lif, grid = LIF(**options).double(), STATE_GRIDS[bits]
    lif.levels = Levels(grid.low, grid.high, float(grid.step))
    return lif


def folded(rng, lif, bits):
    gain, offset = rng.uniform(0.005, 0.02, CHANNELS), rng.normal(0.1, 0.2, CHANNELS)
    return *lif.fold(bits, gain, offset, np.full(CHANNELS, REACH)), gain, offset


def random_sums(rng, *shape):
    return rng.normal(20, 80, (STEPS, 3, CHANNELS, *shape)).clip(-REACH, REACH).astype(np.int32)


def test_torch_and_numpy_compute_the_same_integers():
    rng = np.random.default_rng(0)
    for bits, kind, per_channel, synaptic in FORMS:
        for shape, static in (((), False), ((2, 2), False), ((2,), True)):
            with case(bits, kind, per_channel, synaptic, shape):
                neuron, *_ = folded(rng, random_lif(rng, bits, kind, per_channel, synaptic), bits)
                sums = random_sums(rng, *shape)
                given = torch.from_numpy(sums[0] if static else sums)
                _, spikes, codes, computed = integer_unroll(neuron, given, STEPS, static)
                assert computed is None
                code = np.zeros((3, *neuron.stored_shape((CHANNELS, *shape))), np.int32)
                for t in range(STEPS):
                    fired, code = reference.step(neuron, sums[0 if static else t], code)
                    assert np.array_equal(spikes[t].numpy(), fired)
                    assert np.array_equal(codes[t].numpy(), code)
                assert 0.02 < spikes.float().mean() < 0.98
                assert codes.any()


def test_the_integers_say_what_the_training_form_says():
    # Constants are rounded to 1/16 of a threshold and finer: near a boundary a spike or a code may differ.
    rng = np.random.default_rng(1)
    for bits, kind, per_channel, synaptic in FORMS:
        with case(bits, kind, per_channel, synaptic):
            lif = random_lif(rng, bits, kind, per_channel, synaptic)
            neuron, dead, gain, offset = folded(rng, lif, bits)
            assert not dead.any()
            sums = random_sums(rng, 40)
            current = torch.from_numpy(sums * gain[:, None] + offset[:, None])
            state, spikes, codes = lif.initial_state(current[0]), [], []
            for drive in current:
                fired, state = lif.step(drive, state)
                spikes.append(fired)
                codes.append(lif.codes(state))
            _, found, stored, _ = integer_unroll(neuron, torch.from_numpy(sums), STEPS, False)
            assert (found != torch.stack(spikes)).float().mean() < 0.01
            apart = (stored - torch.stack(codes)).abs()
            assert (apart > 0.5).float().mean() < 0.06
            assert apart.mean() < 0.1


GENERAL = {
    "leaks of channels": {"leak": [0.3, 0.6, 0.9, 0.5, 0.8, 0.7, 0.2, 1.0]},
    "thresholds of channels": {"v_threshold": [0.3, 0.6, 0.9, 0.5, 0.8, 0.7, 0.4, 0.5], "learn_threshold": True},
    "a trained leak": {"leak": 0.7, "learn_leak": True},
    "no reset": {"reset": "none"},
    "another amount": {"reset": "subtract", "reset_by": 1.4, "leak": 0.8},
    "a synaptic current": {"synaptic_leak": 0.7, "leak": 0.9},
    "one of each channel": {"synaptic_leak": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]},
}
SHAPE = (1, 6, 6)


def frozen(options, bits):
    """A network, and images on which it fires; of neurons without trained parameters, one object in both places."""
    torch.manual_seed(0)
    lif = LIF(**options)
    row = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), lif, nn.Flatten(), nn.Linear(128, 8), nn.BatchNorm1d(8)]
    model = nn.Sequential(*row, LIF(**options) if any(p.requires_grad for p in lif.parameters()) else lif)
    model.append(nn.Linear(8, 3))
    for norm in (model[1], model[5]):
        nn.init.constant_(norm.bias, 0.5)
    network = prepare(model, QuantConfig(4, bits, timesteps=4), SHAPE)
    images = torch.randint(0, 256, (16, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    for _ in range(10):
        network.train()(images)
    return network.freeze(), images


@pytest.mark.parametrize("kind", GENERAL)
@pytest.mark.parametrize("bits", [1.58, 4, 8])
def test_a_network_of_any_neurons_is_lowered_exactly_and_fine_tuned(kind, bits):
    network, images = frozen(GENERAL[kind], bits)
    graph, seen = lower(network.eval()), {}
    network.integer_logits(images, probe=lambda name, spikes, codes: seen.update({name: (spikes, codes)}))

    def compare(name, spikes, codes):
        assert np.array_equal(seen[name][0].numpy(), spikes)
        assert np.array_equal(seen[name][1].numpy(), codes)
        assert 0.01 < spikes.mean() < 0.99

    logits = reference.run(graph, images.numpy(), compare)
    assert np.array_equal(network.integer_logits(images).numpy(), logits)
    assert np.array_equal(reference.run(from_bytes(to_bytes(graph)), images.numpy(), compare), logits)
    assert len(seen) == 2
    network.train()
    said = network(images)
    np.testing.assert_allclose(said.detach().sum(0).numpy(), logits * graph.readout.scale, rtol=1e-5, atol=1e-5)
    nn.functional.cross_entropy(said.mean(0), torch.arange(16) % 3).backward()
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    assert any("leak_logit" in name for name, _ in trained) == ("learn_leak" in GENERAL[kind])
    for name, parameter in trained:
        with case(name):
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
    assert sum(bool(parameter.grad.any()) for _, parameter in trained) >= len(trained) - 2
