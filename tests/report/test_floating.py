"""Counts and rates of torch networks: on the frozen form, whose integers can be counted otherwise, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, lower, prepare
from spquant_snn.integer.compare import reference_trace
from spquant_snn.report.counts import count
from spquant_snn.report.floating import count_floating, firing_rates


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.AvgPool2d(2)
        self.lif = LIF()
        self.hidden = nn.Linear(4 * 16, 6)
        self.lif2 = LIF()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.lif(self.pool(self.norm(self.conv(x))))
        return self.head(self.lif2(self.hidden(x.flatten(1))))


class Branches(nn.Module):
    """A branch with a normalisation of its own, and spikes of two layers put together."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.lif = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), LIF()
        self.main, self.main_norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.side, self.side_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.lif2 = LIF()
        self.head = nn.Linear(8 * 64, 3)

    def forward(self, x):
        x = self.lif(self.norm(self.conv(x)))
        y = self.lif2(self.main_norm(self.main(x)) + self.side_norm(self.side(x)))
        return self.head(torch.cat([x, y], 1).flatten(1))


@pytest.fixture(scope="module")
def images(noise):
    return noise(7, 1, 8, 8)


def network(bits, images, calibrate, module=Net):
    torch.manual_seed(3)
    return calibrate(prepare(module(), QuantConfig(bits, bits, 3), (1, 8, 8)), images)


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("module", [Net, Branches])
def test_the_frozen_form_is_counted_as_its_integers_are(images, calibrate, module):
    frozen = network(4, images, calibrate, module).freeze()
    labels = np.arange(7) % 3
    found = count_floating(frozen, images.numpy(), labels)
    expected = count(lower(frozen), images.numpy(), labels)
    assert (found.images, found.steps, found.accuracy) == (expected.images, expected.steps, expected.accuracy)
    assert found.backend == "torch"
    assert any(layer.spikes for layer in found.layers)
    assert len(found.others) == (2 if module is Branches else 0)
    for ours, theirs in zip(found.rows, expected.rows, strict=True):
        widths = {"weight_bits": 32.0, "state_bits": 32.0 if theirs.neurons else 0, "products": 0}
        assert ours == replace(theirs, **widths, effective=ours.effective, saturated=0.0)
        assert theirs.effective <= ours.effective == ours.done
    counts = count_floating(network(32, images, calibrate, module), images.numpy())
    assert [row.dense for row in counts.rows] == [row.dense for row in expected.rows]


def test_rates_of_the_frozen_form_are_those_of_its_integers(images, calibrate, monkeypatch):
    monkeypatch.setattr("spquant_snn.report.floating._BATCH", 3)
    frozen = network(4, images, calibrate).freeze()
    trace = reference_trace(lower(frozen), images.numpy())
    found = firing_rates(frozen, images.numpy())
    assert list(found) == ["conv", "hidden"]
    for name, spikes, _ in trace.layers:
        assert found[name] == pytest.approx(spikes.mean((0, 1)).reshape(-1))


def test_a_floating_point_network_is_counted_as_it_computes(images, calibrate):
    floating = network(32, images, calibrate)
    counts = count_floating(floating, images.numpy())
    spikes = {}
    with torch.no_grad():
        floating(images, lambda name, fired, _: spikes.update({name: fired}))
    _, hidden, head = counts.layers
    assert hidden.done == pytest.approx(float(spikes["conv"].sum()) * 6 / 7)
    assert head.done == pytest.approx(float(spikes["hidden"].sum()) * 3 / 7)
    assert hidden.done > 0
    assert counts.accuracy is None


def test_the_network_stays_in_the_mode_it_was_in(images, calibrate):
    floating = network(32, images, calibrate).train()
    before = {name: value.clone() for name, value in floating.state_dict().items()}
    firing_rates(floating, images.numpy())
    assert floating.training
    assert all(torch.equal(before[name], value) for name, value in floating.state_dict().items())
