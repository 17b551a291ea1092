"""Trained networks of floating point, quantised without training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import (
    LIF,
    DataError,
    Feedback,
    LeakyIntegrator,
    ModelError,
    QuantConfig,
    calibrate,
    lower,
    prepare,
    verify,
)
from spquant_snn.quant import calibration
from spquant_snn.quant.calibration import in_floating_point
from spquant_snn.quant.least_error import Inputs, least_error_codes


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def blobs(count, seed):
    """Images with a bright square in one of four corners, in noise, and the corner."""
    labels = torch.randint(0, 4, (count,), generator=drawn(seed))
    images = 60 * torch.rand(count, 1, 10, 10, generator=drawn(seed + 1))
    for image, label in zip(images, labels.tolist(), strict=True):
        top, left = 5 * (label // 2) + 1, 5 * (label % 2) + 1
        image[0, top : top + 3, left : left + 3] += 70
    return images.to(torch.uint8), labels


class Shortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.norm1, self.lif1 = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), LIF()
        self.conv2, self.lif2 = nn.Conv2d(8, 8, 3, padding=1), LIF()
        self.pool, self.fc = nn.AvgPool2d(2), nn.Linear(128, 4)

    def forward(self, x):
        s = self.lif1(self.norm1(self.conv1(x)))
        s = self.lif2(self.conv2(s) + s)
        return self.fc(self.pool(s).flatten(1))


def model(kind):
    if kind == "row":
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), LIF(), nn.AvgPool2d(2),
            nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), LIF(), nn.Flatten(), nn.Linear(64, 4),
        )  # fmt: skip
    if kind == "pooled currents":
        reset = {"reset": "subtract", "reset_by": 1.5, "leak": 0.7}
        return nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.MaxPool2d(2), LIF(**reset),
            nn.Flatten(), nn.Linear(128, 32), LIF(**reset), nn.Linear(32, 4), LeakyIntegrator(0.9, "mean"),
        )  # fmt: skip
    if kind == "recurrent":
        feedback = Feedback(LIF(leak=0.8), nn.Linear(24, 24, bias=False))
        return nn.Sequential(nn.Flatten(), nn.Linear(100, 24), nn.BatchNorm1d(24), feedback, nn.Linear(24, 4))
    return Shortcut()


def accuracy(network, data):
    images, labels = data
    with torch.no_grad():
        return 100 * float((network.mean_logits(images).argmax(1) == labels).float().mean())


@pytest.fixture(scope="module", params=["row", "pooled currents", "shortcut", "recurrent"])
def trained(request):
    """A module, and the same trained as a network in floating point."""
    torch.manual_seed(0)
    module = model(request.param)
    network = prepare(module, QuantConfig(32, 32, 4), (1, 10, 10))
    images, labels = blobs(400, 0)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for step in range(60):
        rows = torch.randint(0, len(images), (64,), generator=drawn(step))
        loss = nn.functional.cross_entropy(network.answer(network(images[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    assert accuracy(network, blobs(400, 7)) > 95
    return module, network


def of_few_bits(trained, bits, weight_bits=None):
    """The trained network with latent weights that are quantised to begin with."""
    module, free = trained
    network = prepare(module, QuantConfig(weight_bits or bits, bits, 4), (1, 10, 10))
    network.load_state_dict(free.state_dict(), strict=False)
    return network.eval()


@pytest.mark.parametrize(("bits", "lost"), [(8, 1.0), (4, 2.0), (2, 6.0)])
def test_a_calibrated_network_keeps_its_accuracy_and_its_integers_are_exact(trained, bits, lost):
    network, fresh = of_few_bits(trained, bits), blobs(400, 7)
    found = calibrate(network, blobs(128, 3)[0])
    assert accuracy(network, fresh) >= accuracy(trained[1], fresh) - lost
    frozen = network.freeze()
    assert verify(frozen, lower(frozen), fresh[0][:50].numpy())
    assert found.inputs == 128
    assert [layer.weight_bits for layer in found.layers] == [bits] * len(found.layers)
    assert found.agreement > (0.97 if bits > 2 else 0.9)


def test_the_report_tells_what_each_layer_lost(trained):
    fine, coarse = (calibrate(of_few_bits(trained, bits), blobs(128, 3)[0]) for bits in (8, "ternary"))
    hidden = [layer for layer in fine.layers if layer.float_rate]
    assert [layer.name for layer in coarse.layers if layer.float_rate] == [layer.name for layer in hidden]
    for layer, worse in zip(hidden, coarse.layers, strict=False):
        assert layer.differing < worse.differing
        assert layer.at_ends < worse.at_ends
        assert layer.rate == pytest.approx(layer.float_rate, abs=0.02)
    assert all(layer.name in str(fine) for layer in fine.layers)
    assert "128 answers" in str(fine)


def recurrent(timesteps, bits):
    """Neurons that remember for long, in a loop, at frames with few spikes."""
    torch.manual_seed(1)
    feedback = Feedback(LIF(leak=0.95, reset="subtract"), nn.Linear(24, 24, bias=False))
    module = nn.Sequential(nn.Linear(20, 24), feedback, nn.Linear(24, 4))
    for value in module.parameters():
        value.data.mul_(1.5)
    frames = 255 * (torch.rand(timesteps, 64, 20, generator=drawn(2)) < 0.3)
    return prepare(module, QuantConfig(bits, bits, timesteps), (20,)), frames.to(torch.uint8)


def test_neurons_in_loops_fire_as_often_as_in_floating_point(monkeypatch):
    network, frames = recurrent(20, 2)
    layer, _ = calibrate(network, frames).layers
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "match_rates_in_loop", lambda *args: None)
        network, frames = recurrent(20, 2)
        plain, _ = calibrate(network, frames).layers
    assert layer.float_rate == plain.float_rate > 0.05
    assert abs(layer.rate - layer.float_rate) < 0.3 * abs(plain.rate - plain.float_rate)


def test_a_readout_that_counts_spikes_has_no_line():
    module = nn.Sequential(nn.Flatten(), nn.Linear(100, 16), LIF(), nn.Linear(16, 4), LIF())
    with_weights = nn.Sequential(nn.Flatten(), nn.Linear(100, 16), LIF(), nn.Linear(16, 4))
    names = []
    for each in (module, with_weights):
        found = calibrate(prepare(each, QuantConfig(4, 4, 3), (1, 10, 10)), blobs(32, 0)[0])
        names.append([(layer.name, layer.rate is None) for layer in found.layers])
        last = str(found).splitlines()[-2].split()
        assert last[0] == found.layers[-1].name
        assert last[3:] == ["-"] * 4 or "-" not in last
    assert names[0][-1][1] is False
    assert names[1][-1][1] is True


def test_the_network_that_is_followed_computes_as_floating_point_does(trained):
    images = blobs(20, 5)[0]
    with torch.no_grad():
        torch.testing.assert_close(in_floating_point(of_few_bits(trained, 2))(images), trained[1](images))


def test_training_goes_on_from_a_calibrated_network(trained):
    network, (images, labels) = of_few_bits(trained, 2), blobs(256, 9)
    calibrate(network, images[:128])
    begun = nn.functional.cross_entropy(network.train().answer(network(images)), labels)
    begun.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in network.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
    assert begun.item() < 0.7


def test_calibration_is_the_same_each_time_and_leaves_the_mode_as_it_was(trained):
    first, second = of_few_bits(trained, 2).train(), of_few_bits(trained, 2)
    assert str(calibrate(first, blobs(64, 3)[0])) == str(calibrate(second, blobs(64, 3)[0]))
    assert first.training
    assert not second.training
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_inputs_may_be_an_array_or_one_for_each_input(trained):
    images = blobs(32, 3)[0]
    said = str(calibrate(of_few_bits(trained, 2), images))
    backwards = np.ascontiguousarray(images.numpy()[::-1])[::-1]
    for same in (images.numpy(), [images], (images.numpy(),), backwards):
        assert str(calibrate(of_few_bits(trained, 2), same)) == said
    for wrong in (images.numpy().astype(object), images.float().numpy(), images.numpy()[:, :, 1:], list(images)):
        with pytest.raises(DataError, match="this network takes"):
            calibrate(of_few_bits(trained, 2), wrong)


def test_what_cannot_be_calibrated_is_refused(trained):
    with pytest.raises(ModelError, match="floating point"):
        calibrate(copy.deepcopy(trained[1]), blobs(8, 0)[0])
    with pytest.raises(ModelError, match="frozen"):
        calibrate(of_few_bits(trained, 4).freeze(), blobs(8, 0)[0])


def test_no_inputs_are_refused():
    network = prepare(nn.Sequential(nn.Linear(4, 3), LIF(), nn.Linear(3, 2)), QuantConfig(), (4,))
    with pytest.raises(DataError, match="there are no inputs to calibrate with"):
        calibrate(network, torch.zeros(0, 4, dtype=torch.uint8))


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("grid", [(-1, 1), (-2, 1), (-8, 7)])
def test_codes_of_least_error_beat_the_nearest_ones(grid, per_tensor):
    rng = np.random.default_rng(0)
    mixed = torch.from_numpy(rng.normal(size=(400, 12)) @ rng.normal(size=(12, 30)))  # inputs that go together
    weight = torch.from_numpy(rng.normal(size=(7, 30)))
    moments = mixed.T @ mixed / len(mixed)
    codes, scale = least_error_codes(weight, Inputs.of(moments), grid, per_tensor=per_tensor)
    assert torch.equal(codes, codes.round())
    assert float(codes.min()) >= grid[0]
    assert float(codes.max()) <= grid[1]
    assert len(scale) == (1 if per_tensor else 7)

    def error(codes):
        return float((mixed @ (weight - scale[:, None] * codes).T).square().mean())

    assert error(codes) < 0.6 * error((weight / scale[:, None] + 0.5).floor().clamp(*grid))


def test_weights_on_the_grid_stay_as_they_are():
    codes = torch.randint(-2, 2, (5, 9), generator=drawn(0)).double()
    codes[:, 0], codes[:, 1] = -2, 1
    scale = torch.rand(5, generator=drawn(1)).double() + 0.5
    found, given = least_error_codes(scale[:, None] * codes, Inputs.of(torch.eye(9)), (-2, 1), scale)
    assert torch.equal(found, codes)
    assert torch.equal(given, scale)


def test_inputs_that_never_come_leave_nothing_undefined():
    codes, scale = least_error_codes(torch.randn(3, 4, generator=drawn(0)), Inputs.of(torch.zeros(4, 4)), (-2, 1))
    assert bool(codes.isfinite().all())
    assert bool((scale > 0).all())
