"""Networks of any layers, run: in floating point as described, frozen as the graph, and trained as torch trains."""

import copy
import pickle

import pytest
import torch
from torch import nn

import described_run
from exactness import assert_exact, pixels, settle_norms, train
from random_networks import random_network
from spquant_snn.errors import DataError, ModelError
from spquant_snn.nn import LIF, Feedback
from spquant_snn.quant.assemble import stages_of
from spquant_snn.quant.network import SpikingNetwork
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.quant.sharded_batch import BatchShard, assign
from spquant_snn.sparsity.block_skipping import insert_skipping
from spquant_snn.sparsity.budget import layer_work
from spquant_snn.sparsity.gates import insert_gates

BITS = (1.58, 2, 3, 4, 5, 6, 7, 8)
SHAPE = (2, 8, 8)


def made_of(description, config):
    shapes = [layer.shape for layer in description.layers]
    return SpikingNetwork(
        stages_of(description, config), config, list(description.inputs), shapes, len(description.readouts)
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("seed", [*range(40), *(pytest.param(n, marks=pytest.mark.slow) for n in range(40, 160))])
def test_random_networks_compute_what_they_are_described_to_and_their_graphs_the_same(seed):
    description = random_network(seed)
    plain = made_of(description, QuantConfig(32, 32, 3)).eval()
    x = pixels(plain)
    given = x if isinstance(x, list) else [x]
    frames = [
        (each.float() / 255).reshape(len(each), *shape).expand(3, len(each), *shape)
        for each, shape in zip(given, description.inputs, strict=True)
    ]
    with torch.no_grad():
        for said, expected in zip(plain.step_outputs(x), described_run.run(description, frames), strict=True):
            torch.testing.assert_close(said.reshape(expected.shape), expected, atol=1e-3, rtol=1e-3)
    network = made_of(description, QuantConfig(BITS[seed % 8], BITS[seed // 8 % 8], 3))
    settle_norms(network, x)
    train(network, x)
    assert_exact(network, x)
    train(network, x, 1)
    assert_exact(network, pixels(network, 2, steps=4))


# ---- one network of most that there is ----


class Everything(nn.Module):
    """Batch normalisation in each branch, recurrence, dropout, added and concatenated spikes, two readouts."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.main, self.side = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.Conv2d(6, 6, 1)
        self.main_norm, self.side_norm = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.back = Feedback(LIF(0.5), nn.Conv2d(6, 6, 3, padding=1, groups=2))
        self.last, self.last_norm = nn.Conv2d(12, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.lif, self.lif2 = LIF(0.5), LIF(0.5)
        self.drop, self.drop_channels = nn.Dropout(0.2), nn.Dropout2d(0.2)
        self.fc, self.map = nn.Linear(80, 4), nn.Conv2d(5, 3, 1)

    def forward(self, x):
        a = self.lif(self.norm(self.first(x)))
        b = self.back(self.main_norm(self.main(self.drop(a))) + self.drop_channels(self.side_norm(self.side(a))))
        both = torch.cat((nn.functional.avg_pool2d(a + b, 2), nn.functional.max_pool2d(b, 2)), 1)
        c = self.lif2(self.last_norm(self.last(both)))
        return self.fc(c.flatten(1)), self.map(c)


class Branched(Everything):
    """The same without a loop."""

    def __init__(self):
        super().__init__()
        self.back = LIF(0.5)


def network_of(bits=2, model=Branched, seed=0):
    torch.manual_seed(seed)
    network = prepare(model(), QuantConfig(bits, bits, 3), SHAPE)
    return network, pixels(network, 8)


@pytest.fixture(params=[Everything, Branched])
def model(request):
    return request.param


@pytest.mark.parametrize("bits", BITS)
def test_it_is_exact_at_every_width(model, bits):
    network, x = network_of(bits, model)
    settle_norms(network, x)
    train(network, x, 3)
    graph, rates = assert_exact(network, x)
    assert all(0.01 < rate < 0.9 for rate in rates.values()), rates
    assert any(term.multiplier is not None for layer in graph.layers for term in layer.terms)


@pytest.mark.parametrize("frozen", [False, True])
def test_every_parameter_is_trained(model, frozen):
    network, x = network_of(4, model)
    settle_norms(network, x)
    if frozen:
        network.freeze()
    losses = train(network, x, 6)
    assert min(losses[1:]) < losses[0]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


def test_training_is_the_same_each_time(model):
    found = []
    for _ in range(2):
        network, x = network_of(2, model)
        torch.manual_seed(1)
        losses = train(network, x, 3)
        found.append((losses, network.state_dict()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(value, found[1][1][name]) for name, value in found[0][1].items())


def test_what_was_saved_goes_on_as_if_it_had_not_stopped(model):
    network, x = network_of(2, model)
    train(network, x, 2)
    other, _ = network_of(2, model, seed=5)
    assert train(copy.deepcopy(other), x, 1) != train(copy.deepcopy(network), x, 1)
    other.load_state_dict(network.state_dict())
    losses = []
    for each in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), other, network):
        torch.manual_seed(2)
        losses.append(train(each, x, 2))
    assert losses[0] == losses[1] == losses[2] == losses[3]


def test_layers_computed_again_learn_the_same(model):
    gradients = []
    for recompute in (False, True):
        network, x = network_of(2, model)
        network.recompute = recompute
        torch.manual_seed(3)
        network.train().step_outputs(x)[0].square().sum().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
        statistics = [buffer.clone() for name, buffer in network.named_buffers() if "running" in name]
        gradients[-1] |= {str(i): buffer for i, buffer in enumerate(statistics)}
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


class Alone(BatchShard):
    """All of a batch, by the way that its parts take."""

    def add(self, x):
        return x


def test_a_batch_that_is_shared_learns_as_one_does(model):
    found = []
    for shard in (None, Alone(0, 8, 8)):
        network, x = network_of(2, model)
        assign(network, shard)
        torch.manual_seed(4)
        network.train()(x).square().sum().backward()
        running = {name: buffer for name, buffer in network.named_buffers() if "running" in name}
        found.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None} | running)
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, msg=name, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("frozen", [False, True])
def test_probes_and_watchers_see_each_layer(model, frozen):
    network, x = network_of(2, model)
    settle_norms(network, x)
    if frozen:
        network.freeze()
    seen, watched = [], []
    with torch.no_grad():
        said = network.step_outputs(x, lambda *one: seen.append(one), lambda i, spikes: watched.append((i, spikes)))
        assert all(torch.equal(one, two) for one, two in zip(network.step_outputs(x), said, strict=True))
    assert [name for name, *_ in seen] == [stage.name for stage in network.hidden]
    for (name, spikes, codes), (i, others), shape in zip(seen, watched, network.shapes, strict=True):
        assert network.hidden[i].name == name
        assert torch.equal(spikes.float(), others.float())
        assert spikes.shape == codes.shape == (3, 8, *shape)
        assert float(codes.min()) >= -2
        assert float(codes.max()) <= 1


def test_a_watcher_sees_gradients(model):
    network, x = network_of(2, model)
    rates = []
    network.train().step_outputs(x, watch=lambda i, spikes: rates.append(spikes.mean()))
    sum(rates).backward()
    weights = [p for name, p in network.named_parameters() if name.endswith("synapse.weight")]
    assert all(p.grad.abs().max() > 0 for p in weights[:-2])  # those of the readouts do not reach spikes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Dynamo ")
def test_the_compiler_changes_nothing(model):
    network, x = network_of(2, model)
    settle_norms(network, x)
    with torch.no_grad():
        plain = network(x)
        assert torch.equal(torch.compile(network, backend="eager")(x), plain)
    network.freeze()
    assert torch.equal(torch.compile(network, backend="eager")(x), network(x))


def test_dropout_acts_in_training_alone(model):
    network, x = network_of(2, model)
    settle_norms(network, x)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        assert not torch.equal(network.train()(x), network.train()(x))


@pytest.mark.parametrize(
    ("run", "purpose"),
    [
        (insert_gates, "pruning channels"),
        (insert_skipping, "target_skip"),
        (layer_work, "a target of operations"),
    ],
)
def test_what_needs_a_row_refuses_other_networks_in_one_sentence(model, run, purpose):
    network, _ = network_of(2, model)
    with pytest.raises(ModelError, match=f"^{purpose} needs layers in a row, .* layer 'main' sums other terms: train"):
        run(network)


def test_inputs_of_another_number_or_length_are_refused():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.lif, self.fc = nn.Linear(4, 5), nn.Linear(3, 5), LIF(), nn.Linear(5, 2)

        def forward(self, x, y):
            return self.fc(self.lif(self.one(x) + self.two(y)))

    network = prepare(Two(), QuantConfig(2, 2, 3), [(4,), (3,)])
    x, y = (torch.zeros(2, size, dtype=torch.uint8) for size in (4, 3))
    assert network([x, y]).shape == (3, 2, 2)
    assert network([x.expand(5, 2, 4), y]).shape == (5, 2, 2)  # one of them may stand still
    with pytest.raises(DataError, match="this network takes 2 inputs, not 1"):
        network(x)
    for wrong in (None, 3, "ab", x.numpy(), [x, y.numpy()], [[0, 0], y]):
        with pytest.raises(DataError, match=r"takes a tensor for each input, not a .*: use torch\.as_tensor"):
            network(wrong)
    with pytest.raises(DataError, match="the sequences have no frame: give at least one"):
        network([x.expand(0, 2, 4), y])
    with pytest.raises(DataError, match="sequences of different lengths: 4, 5"):
        network([x.expand(5, 2, 4), y.expand(4, 2, 3)])
