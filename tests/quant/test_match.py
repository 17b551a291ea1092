"""From modules to layers of neurons and what reaches them."""

import pytest
import torch
from torch import nn

from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF, Feedback
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
