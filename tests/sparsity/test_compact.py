"""Compaction: the smaller network computes the same integers, whatever its layers, widths and resets."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from random_params import randomize
from random_pools import draw_pool
from spquant_snn import QuantConfig, prepare
from spquant_snn.integer.compare import Trace, first_difference, reference_trace
from spquant_snn.nn import LIF, LeNetSNN
from spquant_snn.quant.fold import fold_stage
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.quant.weight import integer_codes
from spquant_snn.sparsity.compact import compact, kept_channels
from spquant_snn.sparsity.gates import channel_gates, insert_gates

BITS = (1.58, 2, 3, 4, 5, 6, 7, 8)


def close(network, share=0.5, seed=0):
    """Settle the gates of a network at random, one channel open in each layer at the least."""
    draw = torch.Generator().manual_seed(seed)
    for gate in channel_gates(network):
        mask = torch.rand(len(gate.logits), generator=draw) >= share
        mask[int(torch.randint(len(mask), (1,), generator=draw))] = True
        gate.freeze(mask if gate.prunable else torch.ones_like(mask))
    return network


def kept(trace, masks):
    """A trace of the kept channels alone; the others must be silent and hold code zero."""
    smaller = Trace(answers=trace.answers)
    for (name, spikes, codes), mask in zip(trace.layers, masks, strict=True):
        assert not spikes[:, :, ~mask.numpy()].any()
        assert not codes[:, :, ~mask.numpy()].any()
        smaller.add(name, spikes[:, :, mask.numpy()], codes[:, :, mask.numpy()])
    return smaller


def check_equal(network, images):
    """Compare the frozen network with its compaction in torch and in integers; returns the compaction."""
    masks, small = kept_channels(network), compact(network.freeze())
    assert [len(stage.synapse.weight) for stage in small.hidden] == [int(mask.sum()) for mask in masks]
    whole = frozen_trace(network, images)
    for trace in (frozen_trace(small, images), reference_trace(lower(small), images)):
        assert first_difference(kept(whole, masks), trace) is None
    assert first_difference(whole, reference_trace(lower(network), images)) is None
    for layer, wide, mask in zip(lower(small).layers, lower(network).layers, masks, strict=True):
        assert np.array_equal(layer.neuron.fire, wide.neuron.fire[mask.numpy()])  # the same constants too
        assert layer.neuron.fraction == wide.neuron.fraction
    return small


@st.composite
def layers_and_shape(draw):
    """One to three convolutions with pools of both kinds, and up to two hidden linear layers."""
    channels, height, width = (draw(st.integers(a, b)) for a, b in ((1, 3), (4, 9), (4, 9)))
    shape, layers = (channels, height, width), []

    def neuron():
        leak = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
        return LIF(draw(st.sampled_from([0.4, 1.0, 1.31])), leak, draw(st.sampled_from(["zero", "subtract"])))

    def pool(kinds):
        nonlocal height, width
        layer, (height, width) = draw_pool(draw, kinds, (height, width))
        return layer

    for _ in range(draw(st.integers(0, 3))):
        out, kernel, padding = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(0, 1))
        assume(min(height, width) + 2 * padding >= kernel)
        height, width = height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1
        layers.append(nn.Conv2d(channels, out, kernel, padding=padding, bias=draw(st.booleans())))
        if draw(st.booleans()):
            layers.append(pool([nn.AvgPool2d]))
        layers += [nn.BatchNorm2d(out)] * draw(st.integers(0, 1)) + [neuron()]
        if draw(st.booleans()):
            layers.append(pool([nn.AvgPool2d, nn.MaxPool2d]))
        channels = out
    features = channels * height * width
    layers.append(nn.Flatten())
    for _ in range(draw(st.integers(0 if len(layers) > 1 else 1, 2))):
        layers += [nn.Linear(features, 6, bias=draw(st.booleans())), nn.BatchNorm1d(6), neuron()]
        features = 6
    return [*layers, nn.Linear(features, 3)], shape


@pytest.mark.slow
@settings(max_examples=150)
@given(
    drawn=layers_and_shape(),
    bits=st.tuples(st.sampled_from(BITS), st.sampled_from(BITS)),
    quantizer=st.sampled_from(["normalized", "learned"]),
    steps=st.integers(1, 5),
    share=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    seed=st.integers(0, 1000),
)
def test_random_networks(calibrate, drawn, bits, quantizer, steps, share, seed):
    layers, shape = drawn
    torch.manual_seed(seed)
    randomize(layers, 0.8)
    network = prepare(nn.Sequential(*layers), QuantConfig(*bits, steps, quantizer), shape)
    insert_gates(network)
    images = torch.randint(0, 256, (3, *shape), dtype=torch.uint8).numpy()
    calibrate(close(network, share, seed), torch.randint(0, 256, (8, *shape), dtype=torch.uint8))
    check_equal(network, images)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_small_lenet_at_every_width(calibrate, noise, bits, reset):
    torch.manual_seed(0)
    images = noise(16, 1, 12, 12)
    model = LeNetSNN((1, 12, 12), width=(8, 12), hidden=24, neuron=lambda: LIF(reset=reset))
    network = prepare(model, QuantConfig(bits, bits, 4), (1, 12, 12))
    insert_gates(network)
    small = check_equal(calibrate(close(network), images), images.numpy())
    rates = [float(spikes.mean()) for _, spikes, _ in frozen_trace(small, images.numpy()).layers]
    assert all(0.03 < rate < 0.7 for rate in rates), rates


@pytest.mark.parametrize("bits", BITS)
def test_a_closed_neuron_that_would_fire_without_input_is_silent(calibrate, noise, bits):
    torch.manual_seed(0)
    images = noise(8, 1, 8, 8)
    row = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), LIF(), nn.Flatten(), nn.Linear(144, 5), nn.BatchNorm1d(5), LIF()]
    network = prepare(nn.Sequential(*row, nn.Linear(5, 3)), QuantConfig(bits, bits, 3), (1, 8, 8))
    calibrate(network, images)
    with torch.no_grad():
        for stage in network.hidden:
            stage.norm.bias[0] = 5.0
    always = frozen_trace(compact(network).freeze(), images.numpy())
    assert all(spikes[:, :, 0].all() for _, spikes, _ in always.layers)
    insert_gates(network)
    for gate in channel_gates(network):
        gate.freeze(torch.arange(len(gate.logits)) > 0)
    check_equal(network, images.numpy())
    seen = []
    network.frozen = False  # and in training form
    network.eval()(images, watch=lambda i, spikes: seen.append(spikes[:, :, 0].sum().item()))
    assert seen == [0.0, 0.0]


def test_removing_a_channel_that_still_fires_would_be_seen(calibrate, noise):
    torch.manual_seed(0)
    images = noise(8, 1, 12, 12)
    network = prepare(LeNetSNN((1, 12, 12), width=(4, 6), hidden=16), QuantConfig(2, 2, 4), (1, 12, 12))
    calibrate(network, images)
    whole = frozen_trace(network.freeze(), images.numpy())
    insert_gates(network)
    small = frozen_trace(compact(close(network)), images.numpy())
    assert not np.array_equal(whole.logits, small.logits)


def test_a_compacted_network_is_smaller_trains_on_and_is_compacted_again_to_itself(calibrate, noise):
    torch.manual_seed(0)
    images = noise(8, 1, 12, 12)
    network = prepare(LeNetSNN((1, 12, 12), width=(8, 8), hidden=16), QuantConfig(2, 2, 2), (1, 12, 12))
    insert_gates(network)
    small = compact(calibrate(close(network), images))
    assert small.weight_bytes < network.weight_bytes / 2
    assert small.state_bytes < network.state_bytes
    assert not any(stage.gate for stage in small.hidden)
    again = compact(small)
    assert again is not small
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), again.parameters(), strict=True))
    small.train()(images).sum().backward()
    assert all(p.grad is not None for p in small.parameters() if p.requires_grad)


def test_floating_point_computes_the_same_up_to_rounding(calibrate, noise):
    torch.manual_seed(0)
    images = noise(8, 1, 12, 12)
    network = prepare(LeNetSNN((1, 12, 12), width=(8, 8), hidden=16), QuantConfig(32, 32, 2), (1, 12, 12))
    insert_gates(network)
    calibrate(close(network), images)
    torch.testing.assert_close(compact(network)(images), network(images))


def test_a_network_without_gates_comes_back_as_a_copy(calibrate, noise):
    network = prepare(LeNetSNN((1, 12, 12), width=(2, 2), hidden=4), QuantConfig(2, 2, 2), (1, 12, 12))
    same = compact(network)
    assert same is not network
    assert same.state_dict().keys() == network.state_dict().keys()
    assert [mask.all().item() for mask in kept_channels(network)] == [True, True, True]


def test_inputs_keep_their_shape(noise):
    network = prepare(nn.Sequential(nn.Linear(9, 6), LIF(), nn.Linear(6, 3)), QuantConfig(2, 2, 2), (9,))
    insert_gates(network)
    small = compact(close(network))
    assert small.input_shapes == ((9,),)
    assert torch.equal(small.integer_logits(noise(4, 9)), network.integer_logits(noise(4, 9)))


def codes_of(layer):
    return torch.from_numpy(layer.terms[0].connection.codes)


def test_what_closed_channels_could_have_added_counts_for_nothing(calibrate, noise):
    # A channel that all inputs together could just move is one that its open inputs cannot: the same in both forms.
    torch.manual_seed(0)
    images = noise(8, 1, 12, 12)
    network = prepare(LeNetSNN((1, 12, 12), width=(8, 12), hidden=24), QuantConfig(4, 4, 2), (1, 12, 12))
    insert_gates(network)
    stage = calibrate(network, images).hidden[1]
    gain, _ = stage.affine()
    reach = stage.synapse.reach(integer_codes(stage.synapse.quantizer, stage.synapse.weight), 1)
    with torch.no_grad():
        stage.norm.weight.mul_((1.2 / 256 / (gain * reach)).float())
    moved = codes_of(fold_stage(stage, network.inputs, 4).layer).flatten(1).any(1)
    channel_gates(network)[0].freeze(torch.arange(8) < 4)
    still = codes_of(fold_stage(stage, network.inputs, 4, network.live_inputs()[1]).layer).flatten(1).any(1)
    assert moved.all()
    assert not still.any()
    small = check_equal(network, images.numpy())
    assert not codes_of(lower(small).layers[1]).any()


@pytest.mark.parametrize("bits", [2, 8])
def test_channels_keep_constants_of_their_own(bits):
    torch.manual_seed(0)
    leaks = [0.2, 0.4, 0.6, 0.8, 1.0, 0.3]
    options = {"leak": leaks, "v_threshold": [leak + 0.4 for leak in leaks], "synaptic_leak": leaks}
    layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), LIF(**options), nn.Flatten(), nn.Linear(96, 6), LIF(leak=leaks)]
    randomize(layers, 0.5)
    network = prepare(nn.Sequential(*layers, nn.Linear(6, 3)), QuantConfig(4, bits, timesteps=3), (1, 6, 6))
    insert_gates(network)
    images = np.random.default_rng(0).integers(256, size=(4, 1, 6, 6), dtype=np.uint8)
    masks, small = kept_channels(close(network)), compact(network.freeze())
    assert [len(stage.lif.v_threshold) for stage in small.hidden[:1]] == [int(masks[0].sum())]
    assert first_difference(frozen_trace(small, images), reference_trace(lower(small), images)) is None
    whole, less = (reference_trace(lower(one), images) for one in (network, small))
    assert np.array_equal(whole.logits, less.logits)
    assert whole.layers[0][1].any()
