"""Predictors of blocks: what they learn, the share that is skipped, and the same integers in every form."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, ModelError, QuantConfig, SpQuantTrainer, prepare
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.file import load_graph
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.sparsity.block_skipping import insert_skipping, prediction_loss, skipping_stages
from spquant_snn.sparsity.compact import compact
from spquant_snn.sparsity.gates import channel_gates, insert_gates
from spquant_snn.sparsity.skip_threshold import SkipThresholdTraining

SMALL = {"precision": "fp32", "quiet": True}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs go into a folder of the test."""
    monkeypatch.chdir(tmp_path)


def convolutions(bits=2, timesteps=3, widths=(20, 40, 39), gates=True, reset="zero"):
    """A network of three convolutions over 8x8 images, with predictors on the last two."""
    torch.manual_seed(0)
    layers, channels = [], 1
    for i, width in enumerate(widths):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), LIF(reset=reset)]
        layers[-1:-1] = [nn.AvgPool2d(2)] if i == 1 else []
        channels = width
    network = prepare(
        nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * channels, 4)), QuantConfig(2, bits, timesteps), (1, 8, 8)
    )
    if gates:
        insert_gates(network)
    insert_skipping(network)
    return network


def draw_predictors(network, images, target=0.5):
    """Predictors drawn at random, with the threshold where they skip that share."""
    torch.manual_seed(1)
    for _, skipping in skipping_stages(network):
        with torch.no_grad():
            skipping.weights.copy_(torch.randn_like(skipping.weights) + torch.tensor([[6.0], [1.0], [-1.0]]))
    training = SkipThresholdTraining(network, target, 10)
    training.end_epoch(training.freezes, images)


def computed_share(graph, images):
    """Of the blocks of all gated layers and steps."""
    trace, found = reference_trace(graph, images), []
    for i, layer in enumerate(graph.layers):
        if layer.gate is None:
            continue
        codes = trace.layers[i][2].astype(np.int32)
        before = np.concatenate([np.zeros_like(codes[:1]), codes[:-1]])
        for t, frame in enumerate(trace.layers[i - 1][1].astype(np.int32)):
            active = reference.active_inputs(layer.terms[0].connection, frame)
            found.append(reference.computed_blocks(layer.gate, active, before[t]).ravel())
    return np.concatenate(found).mean()


@pytest.mark.parametrize(("bits", "reset"), [(1.58, "zero"), (2, "subtract"), (4, "zero"), (8, "subtract")])
def test_every_form_takes_the_same_decisions(calibrate, noise, bits, reset):
    network = convolutions(bits, reset=reset)
    images = noise(12, 1, 8, 8)
    images[:, :, 4:] = 0
    calibrate(network, images)
    for i, gate in enumerate(channel_gates(network)):  # blocks are made of what is open
        gate.freeze(torch.arange(len(gate.mask)) % 7 != i % 3)
    draw_predictors(network, images)
    deployed = compact(network).eval().freeze()
    graph = lower(deployed)
    trace = reference_trace(graph, images.numpy())
    assert first_difference(frozen_trace(deployed, images.numpy()), trace) is None
    assert 0.2 < computed_share(graph, images.numpy()) < 0.95
    whole = frozen_trace(network.eval().freeze(), images.numpy())  # with the pruned channels in their places
    assert np.array_equal(whole.logits, trace.logits)
    for gate, (_, spikes, codes), (_, fewer, less) in zip(
        channel_gates(network), whole.layers, trace.layers, strict=True
    ):
        opened = gate.opened().numpy()
        assert np.array_equal(spikes[:, :, opened], fewer)
        assert np.array_equal(codes[:, :, opened], less)


def test_a_frozen_network_tunes_around_its_gates(calibrate, noise):
    network = convolutions(gates=False)
    images = noise(8, 1, 8, 8)
    calibrate(network, images)
    draw_predictors(network, images)
    network.freeze().train()
    network(images).square().sum().backward()
    gradient = network.stages[1].synapse.weight.grad
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_closed_channels_must_be_gone_before_lowering(calibrate, noise):
    network = convolutions()
    images = noise(8, 1, 8, 8)
    calibrate(network, images)
    draw_predictors(network, images)
    for gate in channel_gates(network):
        gate.freeze(torch.arange(len(gate.mask)) % 2 == 0)
    with pytest.raises(ModelError, match=r"call compact\(\) before lower\(\)"):
        lower(network.eval().freeze())


def test_predictors_learn_what_responds(noise):
    """The logistic regression nears the true shares, and its gradient reaches nothing else."""
    network = convolutions(gates=False)
    images = noise(32, 1, 8, 8)
    weights = [skipping.weights for _, skipping in skipping_stages(network)]
    optimizer, apart = torch.optim.Adam(weights, 0.1), []
    for _ in range(60):
        for _, skipping in skipping_stages(network):
            skipping.watching = True
        network.train()(images)
        seen = [skipping.seen for _, skipping in skipping_stages(network)]
        optimizer.zero_grad()
        sum(map(prediction_loss, seen)).backward()
        optimizer.step()
        missed = ((torch.sigmoid(x.logits.detach()) - x.responses).mean() for steps in seen for x in steps)
        apart.append([abs(float(x)) for x in missed])
        for steps in seen:
            steps.clear()
    assert max(apart[0]) > 0.1
    assert np.mean(apart[-1]) < 0.04
    others = [p for p in network.parameters() if all(p is not w for w in weights)]
    assert all(p.grad is None for p in others)


@pytest.mark.parametrize("target", [0.2, 0.5, 0.8])
def test_the_target_is_met_on_the_images_that_freeze_it(calibrate, noise, target):
    network = convolutions(gates=False)
    images = noise(64, 1, 8, 8)
    images[:, :, 5:] = 0
    calibrate(network, images)
    training = SkipThresholdTraining(network, target, 10)
    assert training.freezes == 9
    training.end_epoch(8, images)
    assert not training.frozen
    draw_predictors(network, images, target)
    assert training.frozen
    thresholds = {float(skipping.threshold) for _, skipping in skipping_stages(network)}
    assert len(thresholds) == 1
    skipped = total = 0.0
    graph = lower(network.eval().freeze())
    trace = reference_trace(graph, images.numpy())
    for i, layer in enumerate(graph.layers):
        if layer.gate is None:
            continue
        codes = trace.layers[i][2].astype(np.int32)
        before = np.concatenate([np.zeros_like(codes[:1]), codes[:-1]])
        channels = len(layer.terms[0].connection.codes)
        sizes = np.array([min(32, channels - 32 * b) for b in range(len(layer.gate.least))]).reshape(1, -1, 1, 1)
        taps = layer.terms[0].connection.codes[0].size * (16 / 9 if layer.terms[0].connection.sum_pool else 1)
        for t, frame in enumerate(trace.layers[i - 1][1].astype(np.int32)):
            active = reference.active_inputs(layer.terms[0].connection, frame)
            open_blocks = reference.computed_blocks(layer.gate, active, before[t])
            total += taps * (sizes * np.ones_like(open_blocks)).sum()
            skipped += taps * (sizes * ~open_blocks).sum()
    assert skipped / total == pytest.approx(target, abs=0.05)


def test_layers_that_can_have_predictors():
    network = convolutions(gates=False)
    assert [stage.name for stage, _ in skipping_stages(network)] == [stage.name for stage in network.hidden[1:]]
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), LIF(), nn.Linear(8, 2))
    with pytest.raises(ModelError, match="target_skip needs a convolution without groups behind the first layer"):
        insert_skipping(prepare(flat, QuantConfig(2, 2, 2), (1, 8, 8)))
    floating = nn.Sequential(nn.Conv2d(1, 4, 3), LIF(), nn.Conv2d(4, 4, 3), LIF(), nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(ModelError, match=r"needs a state of 1\.58 to 8 bits"):
        insert_skipping(prepare(floating, QuantConfig(32, 32, 2), (1, 8, 8)))


@pytest.mark.parametrize(("target", "epochs"), [(1.0, 4), (-0.1, 4), (0.5, 1)])
def test_impossible_targets(target, epochs):
    with pytest.raises(ConfigError, match="target_skip"):
        SpQuantTrainer("lenet-snn", "digits", 2, target_skip=target, epochs=epochs)


@pytest.mark.slow
@pytest.mark.parametrize("ops", [1.0, 0.4])
def test_a_training_that_was_stopped_ends_with_the_same_rules(ops, tmp_path, monkeypatch):
    options = SMALL | {"target_skip": 0.4, "target_ops": ops}
    SpQuantTrainer("lenet-snn:0.25", "digits", 2, out="whole", **options).train(epochs=5)
    stopped = SpQuantTrainer("lenet-snn:0.25", "digits", 2, out="stopped", **options)
    from spquant_snn.train import run as runs

    logged = runs.RunFolder.log_epoch

    def stop(self, epoch, *arguments):
        if epoch == 4:
            raise KeyboardInterrupt
        logged(self, epoch, *arguments)

    monkeypatch.setattr(runs.RunFolder, "log_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(epochs=5)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    SpQuantTrainer.resume("stopped", quiet=True).train()
    one, two = ((tmp_path / name / "model.spq").read_bytes() for name in ("whole", "stopped"))
    assert one == two
    graph = load_graph(tmp_path / "whole" / "model.spq")
    assert [layer.gate is not None for layer in graph.layers] == [False, True, False]
    last = json.loads((tmp_path / "whole" / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
    assert 0 < last["least_expected"] < 1
