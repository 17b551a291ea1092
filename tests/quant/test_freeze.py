"""The frozen form: forward it is the integers, backward it is the training form."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn.errors import DataError, ModelError
from spquant_snn.integer import reference
from spquant_snn.nn import LIF, LeNetSNN
from spquant_snn.quant.fold import fold_readout, fold_stage
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig

SHAPE = (1, 12, 12)
FORMS = [(2, 2, "zero"), (1.58, 4, "subtract"), (4, 8, "zero"), (8, 5, "subtract")]


@pytest.fixture
def lenet(calibrate, noise):
    """A function: a small LeNet whose neurons fire on the images that come with it, frozen or not."""

    def make(weight_bits=4, state_bits=4, timesteps=3, frozen=True, quantizer="normalized", **neuron):
        torch.manual_seed(0)
        images = noise(24, *SHAPE)
        model = LeNetSNN(SHAPE, width=(4, 6), hidden=16, neuron=lambda: LIF(**neuron))
        config = QuantConfig(weight_bits, state_bits, timesteps, quantizer)
        network = calibrate(prepare(model, config, SHAPE), images)
        return (network.freeze() if frozen else network), images

    return make


def loss_of(network, images):
    return nn.functional.cross_entropy(network(images).mean(0), torch.arange(len(images)) % 10)


@pytest.mark.parametrize(("weight_bits", "state_bits", "reset"), FORMS)
@pytest.mark.parametrize("training", [False, True])
def test_its_logits_are_the_integers_at_their_scale(lenet, weight_bits, state_bits, reset, training):
    network, images = lenet(weight_bits, state_bits, reset=reset, learn_threshold=True)
    graph = lower(network)
    integers = reference.run(graph, images.numpy()).astype(np.float64)
    logits = network.train(training)(images)
    assert logits.requires_grad == training
    found = logits.detach().double().sum(0).numpy()
    if training:  # the steps are float32 there
        np.testing.assert_allclose(found, integers * graph.readout.scale, rtol=1e-6, atol=1e-5)
    else:
        assert np.array_equal(np.rint(found / graph.readout.scale), integers)
        assert logits.dtype == torch.float64
    with torch.no_grad():
        assert torch.equal(network(images).float(), logits.detach().float())


@pytest.mark.parametrize(("weight_bits", "state_bits", "reset"), FORMS)
def test_fine_tuning_sees_gradients_and_lowers_the_loss(lenet, weight_bits, state_bits, reset):
    network, images = lenet(weight_bits, state_bits, reset=reset, learn_threshold=True)
    network.train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(network, images)
        loss.backward()
        losses.append(loss.item())
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad.isfinite().all(), name
                assert parameter.grad.abs().max() > 0, name
        optimizer.step()
    assert losses[1] != losses[0]
    assert min(losses[1:]) < losses[0]


def test_its_gradient_is_that_of_the_training_form_where_both_agree(lenet):
    # At 8 bits the integers decide as the float network does: then the two gradients are the same up to rounding.
    network, images = lenet(8, 8, frozen=False)
    thawed = copy.deepcopy(network).eval()
    loss_of(thawed, images).backward()
    network.freeze().train()
    loss_of(network, images).backward()
    for (name, mine), theirs in zip(network.named_parameters(), thawed.parameters(), strict=True):
        if mine.grad is not None:
            similarity = torch.cosine_similarity(mine.grad.flatten(), theirs.grad.flatten(), 0)
            assert similarity > 0.97, name


def test_batch_normalisation_stays_as_it_is(lenet):
    network, images = lenet()
    before = {name: value.clone() for name, value in network.named_buffers()}
    assert before
    network.train()
    assert network.training
    assert not any(stage.training for stage in network.stages)
    loss_of(network, images).backward()
    network.eval()(images)
    assert all(torch.equal(before[name], value) for name, value in network.named_buffers())
    assert not network.training


@pytest.mark.parametrize("bits", [4, 8])
def test_it_decides_as_the_float_network_does(lenet, bits, noise):
    network, images = lenet(bits, bits, timesteps=4, frozen=False)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=5e-3)
    network.train()
    for _ in range(30):
        optimizer.zero_grad()
        loss_of(network, images).backward()
        optimizer.step()
    many = torch.cat([images, noise(300, *SHAPE, seed=5)])
    with torch.no_grad():
        free = network.eval()(many).sum(0).argmax(1)
        frozen = network.freeze()(many).sum(0).argmax(1)
    assert len(free.unique()) > 4
    assert (free == frozen).double().mean() > 0.95


def test_freezing_is_exact_where_nothing_rounds(noise):
    # Dyadic scales throughout: the float network and its integers must agree in every spike and every code.
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 40), nn.BatchNorm1d(40, eps=0.0), LIF(), nn.Linear(40, 4))
    network = prepare(model, QuantConfig(3, 4, 6), (1, 4, 4)).eval()
    stage = network.hidden[0]
    with torch.no_grad():
        stage.synapse.quantizer.scale.fill_(255 / 256)  # the gain becomes 2**-8, up to the safeguard of the scale
        stage.norm.running_var.fill_(1.0)
        stage.norm.bias.fill_(0.25)
    images, seen = noise(200, 1, 4, 4), {}
    for form in ("free", "frozen"):
        if form == "frozen":
            network.freeze()
        with torch.no_grad():
            network(
                images, lambda name, spikes, codes, form=form: seen.update({form: (spikes.double(), codes.double())})
            )
    assert 0.05 < seen["free"][0].mean() < 0.6
    assert len(seen["free"][1].unique()) > 6
    same = [(a == b).double().mean().item() for a, b in zip(seen["free"], seen["frozen"], strict=True)]
    assert min(same) > 0.999  # all but ties, which the safeguard of the scale moves


@pytest.mark.parametrize(("weight_bits", "state_bits", "reset"), FORMS)
def test_bfloat16_changes_nothing(lenet, weight_bits, state_bits, reset):
    network, images = lenet(weight_bits, state_bits, reset=reset)
    with torch.no_grad():
        plain = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(images), plain)
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    assert torch.equal(logits.detach(), plain.float())
    logits.sum().backward()


def test_it_is_the_same_in_every_batch(lenet):
    network, images = lenet(4, 8)
    with torch.no_grad():
        assert torch.equal(network(images), torch.cat([network(part) for part in images.split(5)], 1))


def test_the_state_of_a_frozen_network_is_that_of_its_parameters(lenet):
    network, images = lenet(4, 4)
    other, _ = lenet(4, 4)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    assert not torch.equal(other(images), network(images))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(images), network(images))


def test_what_is_stored_fits_its_grid(lenet):
    network, images = lenet(4, 3, reset="subtract")
    for name, spikes, codes in frozen_trace(network, images.numpy()).layers:
        assert name
        assert spikes.dtype == np.bool_
        assert (codes.min(), codes.max()) == (-4, 3)


def test_a_network_in_floating_point_has_no_integers(lenet):
    for bits in ((32, 4), (4, 32)):
        with pytest.raises(ModelError, match="32-bit weights or state has no integer form"):
            lenet(*bits)


@pytest.mark.parametrize("where", ["scale", "norm", "bias", "threshold"])
def test_what_is_not_finite_is_refused_with_its_layer(lenet, where):
    network, _ = lenet()
    readout, stage = network.readout, network.hidden[1]
    broken = {
        "scale": (readout.synapse.quantizer.scale, "fc4"),
        "bias": (readout.synapse.bias, "fc4"),
        "norm": (stage.norm.weight, "conv2"),
        "threshold": (stage.lif.v_threshold, "conv2"),
    }
    parameter, layer = broken[where]
    with torch.no_grad():
        parameter.fill_(float("nan"))
    with pytest.raises(ModelError, match=f"layer '{layer}': .* not finite|layer '{layer}': .*is not a finite number"):
        lower(network)


def test_a_readout_that_outweighs_its_weights_is_refused(lenet):
    network, _ = lenet()
    with torch.no_grad():
        network.readout.synapse.bias.fill_(1e9)
    with pytest.raises(ModelError, match=r"layer 'fc4': logits of up to .* do not fit 32 bits"):
        fold_readout(network.readout, network.inputs, 3)


@pytest.mark.parametrize("bits", [2, 8])
def test_a_dead_channel_is_frozen_to_zero_weights(lenet, bits):
    network, images = lenet(bits, bits)
    stage = network.hidden[0]
    with torch.no_grad():
        stage.norm.weight[1] = 0.0
        stage.norm.bias[1] = 1.5
    assert not fold_stage(stage, network.inputs, bits).layer.terms[0].connection.codes[1].any()
    trace = frozen_trace(network, images.numpy())
    assert trace.layers[0][1][:, :, 1].all()  # its offset is above the threshold
    network.train()(images).sum().backward()
    assert stage.norm.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 1, 12, 12), "takes pixels or event counts as uint8, 0 to 255, not torch.float32"),
        (
            torch.zeros(1, 3, 12, 12, dtype=torch.uint8),
            r"takes images \[N, 1x12x12\] or sequences .* not \[1, 3, 12, 12\]",
        ),
        (torch.zeros(1, 12, 12, dtype=torch.uint8), r"not \[1, 12, 12\]"),
    ],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_other_images_are_refused(lenet, images, message, frozen):
    network, _ = lenet(frozen=frozen)
    for run in (network, network.integer_logits):
        with pytest.raises(DataError, match=message):
            run(images)
