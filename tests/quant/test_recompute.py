"""Computing layers again in the backward pass changes nothing but the memory that is taken."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, prepare
from spquant_snn.nn.layers import SpikingSequential
from spquant_snn.nn.models import build_model
from spquant_snn.sparsity.block_skipping import insert_skipping
from spquant_snn.sparsity.gates import channel_gates, insert_gates
from spquant_snn.sparsity.skip_threshold import SkipThresholdTraining
from spquant_snn.train.device import multiplies_bf16


def plain(bits):
    torch.manual_seed(1)
    layers = (
        *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.AvgPool2d(2), nn.BatchNorm2d(8), LIF(learn_threshold=True)),
        nn.Dropout(0.2),
        *(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Dropout(0.1), LIF()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 5)),
    )
    return prepare(SpikingSequential(*layers), QuantConfig(bits, bits, 3), (1, 12, 12))


def gated(bits):
    network = plain(bits)
    insert_gates(network)
    for gate in channel_gates(network):
        gate.learning = True
    return network


def residual(bits):
    torch.manual_seed(2)
    return prepare(build_model("resnet11-snn:0.0625", (2, 16, 16), 5), QuantConfig(bits, bits, 3), (2, 16, 16))


def one_step(network, recompute, low=False, sequence=False):
    """Spikes that a step sees, and what it leaves: loss, gradients, running statistics and random numbers."""
    network.train()
    network.recompute = recompute
    torch.manual_seed(7)
    shape = (4, *network.input_shape)
    x = torch.randint(0, 256, (3, *shape) if sequence else shape, dtype=torch.uint8)
    seen = []
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        logits = network(x, watch=lambda _, spikes: seen.append(spikes.mean()))
        loss = nn.functional.cross_entropy(logits.float().mean(0), torch.arange(4)) + sum(seen)
    loss.backward()
    left = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.requires_grad}
    return loss.detach(), left | dict(network.named_buffers()), torch.rand(3)


@pytest.mark.parametrize("sequence", [False, True], ids=["still", "frames"])
@pytest.mark.parametrize("low", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("bits", [2, 32])
@pytest.mark.parametrize("build", [plain, gated, residual])
def test_a_step_is_the_same_to_the_last_bit(build, bits, low, sequence):
    if low and not multiplies_bf16(torch.device("cpu")):
        pytest.skip("this processor does not multiply bf16")
    (loss, left, after), (again, right, later) = (one_step(build(bits), r, low, sequence) for r in (False, True))
    assert torch.equal(loss, again)
    assert torch.equal(after, later)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert (value is None) == (right[name] is None), name
        if value is not None and bits == 32:  # float32 may add in another order, as memory lies
            assert torch.allclose(value, right[name], rtol=1e-5, atol=1e-6), name
        elif value is not None:
            assert torch.equal(value, right[name]), name
    assert any(value is not None and value.any() for value in left.values())


def held(network, recompute):
    """Bytes that the forward pass keeps for the backward pass, parameters left out."""
    network.train()
    network.recompute = recompute
    parameters = {parameter.data_ptr() for parameter in network.parameters()}
    kept = {}

    def save(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.randint(0, 256, (16, *network.input_shape), dtype=torch.uint8)
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        logits = network(x)
    del logits
    return sum(kept.values())


def test_only_bits_of_spikes_are_held():
    network = residual(2)
    few, many = (held(network, recompute) for recompute in (True, False))
    assert few < 0.1 * many


def test_evaluation_and_measurements_are_as_ever():
    network = plain(2).eval()
    x = torch.randint(0, 256, (3, 1, 12, 12), dtype=torch.uint8)
    expected = network(x)
    network.recompute = True
    assert torch.equal(network(x), expected)
    with torch.no_grad():
        assert torch.equal(network.train()(x).isfinite(), torch.ones_like(expected, dtype=torch.bool))
    names = []
    network(x, probe=lambda name, spikes, codes: names.append(name))
    assert len(names) == 2


def test_a_network_that_trains_nothing_is_left_alone():
    network = plain(2).train()
    network.recompute = True
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    assert not network(torch.zeros(2, 1, 12, 12, dtype=torch.uint8)).requires_grad


@pytest.mark.parametrize("recompute", [False, True])
def test_hooks_of_parameters_are_called_once_each_with_a_gradient(recompute):
    network = plain(2).train()
    network.recompute = recompute
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    before, after = [], []
    for name, parameter in trained.items():
        parameter.register_hook(lambda gradient, name=name: before.append((name, gradient.shape)))
        parameter.register_post_accumulate_grad_hook(lambda parameter, name=name: after.append(name))
    network(torch.full((2, 1, 12, 12), 200, dtype=torch.uint8)).sum().backward()
    assert sorted(before) == sorted((name, parameter.shape) for name, parameter in trained.items())
    assert sorted(after) == sorted(trained)


def test_a_layer_of_which_nothing_trained_takes_part_is_no_trouble():
    network = gated(2).train()
    network.recompute = True
    first = network.hidden[0]
    first.requires_grad_(False)
    first.gate.learning = False
    first.gate.logits.requires_grad_(True)
    network(torch.full((2, 1, 12, 12), 200, dtype=torch.uint8)).sum().backward()
    assert first.gate.logits.grad is None
    assert network.hidden[1].synapse.weight.grad is not None


def test_running_statistics_stay_where_they_were_if_the_second_time_fails(monkeypatch):
    network = plain(2).train()
    network.recompute = True
    loss = network(torch.full((2, 1, 12, 12), 200, dtype=torch.uint8)).sum()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}

    def fails(*given):
        raise MemoryError

    monkeypatch.setattr(network.hidden[0].lif, "forward_static", fails)
    with pytest.raises(MemoryError):
        loss.backward()
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, before[name]), name


@pytest.mark.parametrize("recompute", [False, True])
def test_a_second_derivative_is_refused(recompute):
    network, seen = plain(2).train(), []
    network.recompute = recompute
    logits = network(torch.full((2, 1, 12, 12), 200, dtype=torch.uint8), watch=lambda _, spikes: seen.append(spikes))
    (gradient,) = torch.autograd.grad(logits.square().sum(), seen[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.square().sum().backward()


def test_blocks_are_skipped_as_without():
    """The threshold moves between forward and backward."""
    found = []
    for recompute in (False, True):
        network = plain(2).train()
        network.recompute = recompute
        insert_skipping(network)
        skipping, losses = SkipThresholdTraining(network, 0.4, 10), []
        draw = torch.Generator().manual_seed(0)
        for step in range(4):
            x = torch.randint(0, 256, (4, 1, 12, 12), dtype=torch.uint8, generator=draw)
            torch.manual_seed(step)
            moment = 6.2 + step / 4  # while predictors learn
            skipping.begin_step(moment)
            loss = network(x).square().mean()
            loss = loss + skipping.penalty(moment, loss)
            loss.backward()
            losses.append(loss.item())
        found.append((losses, {name: p.grad for name, p in network.named_parameters() if p.grad is not None}))
    (losses, left), (again, right) = found
    assert losses == again
    assert left.keys() == right.keys()
    assert all(torch.equal(value, right[name]) for name, value in left.items())
