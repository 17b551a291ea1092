"""From modules to layers of neurons and what reaches them."""

import pytest
import torch
from torch import nn

import described_run
from architectures import ARCHITECTURES, REFUSED
from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF, Feedback
from spquant_snn.nn.instant import each_step
from spquant_snn.quant.described import Flattened, Normalised, Passed, Pixels, Pooled, PooledDrive, Spikes, Sum, Weighed
from spquant_snn.quant.match import describe


def test_a_row_of_layers_is_one_drive_each():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.BatchNorm2d(4), LIF(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10)
    )
    found = describe(net, (1, 14, 14))
    sums = Weighed(Pixels(0, (1, 14, 14)), net[0], "0", (4, 12, 12))
    pooled = PooledDrive(sums, "avg", (2, 2), (2, 2), (4, 6, 6), divisor=4)
    (layer,) = found.layers
    assert layer.drive == Normalised(pooled, net[2], "2", (4, 6, 6))
    assert (layer.name, layer.path, layer.neurons) == ("0", "3", net[3])
    largest = Pooled(Spikes(0, (4, 6, 6)), "max", (2, 2), (2, 2), (4, 3, 3))
    (readout,) = found.readouts
    assert readout.drive == Weighed(Flattened(largest, (36,)), net[6], "6", (10,))
    assert (readout.name, readout.shape, found.inputs, found.notes) == ("6", (10,), ((1, 14, 14),), ())


def test_recurrence_is_a_term_on_the_step_before():
    net = nn.Sequential(nn.Linear(8, 4), Feedback(LIF(), nn.Linear(4, 4)), nn.Linear(4, 2))
    (layer,) = describe(net, (8,)).layers
    now = Weighed(Pixels(0, (8,)), net[0], "0", (4,))
    before = Weighed(Spikes(0, (4,), 1), net[1].layer, "1.layer", (4,))
    assert layer.drive == Sum((now, before), (4,))


def test_a_module_that_ends_with_neurons_has_their_spikes_counted():
    (readout,) = describe(nn.Sequential(nn.Linear(8, 4), LIF()), (8,)).readouts
    assert readout.drive == Passed(Spikes(0, (4,)), "1", (4,))
    assert readout.name == "1"


def test_two_layers_of_weights_without_neurons_between_are_refused():
    with pytest.raises(ModelError, match=r"layer '1' takes the currents of '0', and no LIF layer is between them"):
        describe(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3), LIF()), (8,))
    assert torch.is_grad_enabled()


def lively(net):
    """A network in evaluation whose batch normalisation does something, and whose neurons fire."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, -1.0, 2.0)
            nn.init.uniform_(module.bias, 0.0, 1.0)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
        elif isinstance(module, LIF):
            nn.init.constant_(module.v_threshold, 0.2)
    return net.eval().double()


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in REFUSED])
def test_what_is_described_is_what_the_module_computes(name, double):
    torch.manual_seed(0)
    make, shape = ARCHITECTURES[name]
    net = lively(make())
    network = describe(net, shape)
    x = torch.rand(4, 128 if name == "conv-net" else 2, *shape)  # that network says how many images it takes
    pixels = x * 255 if network.notes else x
    expected = [out for step in each_step(net, pixels) for out in (step.values() if isinstance(step, dict) else [step])]
    found = described_run.run(network, [x.reshape(*x.shape[:2], *network.inputs[0])])
    with torch.no_grad():
        for i, out in enumerate(found):
            torch.testing.assert_close(out, torch.stack(expected[i :: len(found)]))
    assert any(out.std() > 0 for out in found)


@pytest.mark.parametrize("name", REFUSED)
def test_products_of_activations_are_refused_in_a_sentence(name):
    make, shape = ARCHITECTURES[name]
    with pytest.raises(ModelError, match="multiplies activations with each other; only weights are multiplied"):
        describe(make(), shape)
