"""Networks of snnTorch, as its tutorials write them, against what is read from them."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from foreign_networks import compiled, in_double, lively
from spquant_snn import DataError, ModelError, QuantConfig, SpQuantTrainer, from_snntorch, lower, prepare

snn = pytest.importorskip("snntorch", reason="snntorch is not installed: make test-exchange")
networks = pytest.importorskip("snntorch_networks")


def read(net, shape):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the network returns spikes, which are taken")
        return from_snntorch(net.double(), shape)


def says_the_same(net, shape, x):
    """Whether every value that a network returns, of all steps, is that of the network that is read from it."""
    network = read(net, shape)
    with torch.no_grad():
        theirs = in_double(net)(x.double())
        theirs = theirs[0] if isinstance(theirs, tuple) else theirs
        given = (
            x.double()
            if network.timesteps is None or len(x) == network.timesteps
            else x.double().expand(network.timesteps, *x.shape)
        )
        ours = network.answer(given)
    assert theirs.shape == ours.shape
    assert theirs.any()
    return network, bool((theirs == ours).all())


def test_still_inputs_are_shown_as_the_network_shows_them():
    torch.manual_seed(0)
    net = networks.Tutorial5()
    x = torch.rand(3, 784, dtype=torch.float64)
    network = read(net, (784,))
    said = network.answer(x)
    assert said.shape == (6, 3, 10)
    assert torch.equal(said, in_double(net)(x)[0])
    assert torch.equal(network.answer(x.expand(6, 3, 784)), said)
    assert torch.equal(network(x, timesteps=4), said[:4])


@pytest.mark.parametrize(
    ("shape", "timesteps", "said"),
    [
        ((3, 28, 28), None, r"takes sequences \[T, N, 784\] or, .* still inputs \[N, 784\], not \[3, 28, 28\]"),
        ((784,), None, r"takes sequences"),
        ((5, 3, 784), 6, "the sequences have 5 steps, and timesteps=6 is of still inputs"),
    ],
)
def test_other_shapes_are_refused(shape, timesteps, said):
    with pytest.raises(DataError, match=said):
        read(networks.Tutorial5(), (784,)).answer(torch.rand(shape, dtype=torch.float64), timesteps=timesteps)


def test_a_shape_that_can_be_read_in_two_ways_is_refused_with_both():
    net = nn.Sequential(nn.Linear(8, 4), snn.Leaky(beta=0.9, init_hidden=True, output=True))
    network = read(net, (8,))
    x = torch.rand(5, 8, dtype=torch.float64)
    with pytest.raises(
        DataError, match=r"5 still inputs \[N, 8\], .*: give timesteps=; or a sequence of 5 steps .* 1, 8"
    ):
        network.answer(x)
    assert network.answer(x, timesteps=3).shape == (3, 5, 4)
    assert network.answer(x[:, None]).shape == (5, 1, 4)


def test_a_trainer_shows_images_as_long_as_the_network_does():
    data = ((torch.randint(0, 256, (40, 784), dtype=torch.uint8), torch.arange(40) % 10),) * 2
    module = read(networks.Tutorial5(), (784,)).float()
    assert SpQuantTrainer(module, data, quiet=True).config.timesteps == 6
    with pytest.warns(UserWarning, match="the network shows an image for 6 time steps, and timesteps=3 is asked for"):
        assert SpQuantTrainer(module, data, timesteps=3, quiet=True).config.timesteps == 3


NEURONS = {
    "leaky": lambda n: snn.Leaky(beta=0.9),
    "zero": lambda n: snn.Leaky(beta=0.9, reset_mechanism="zero"),
    "zero at once": lambda n: snn.Leaky(beta=0.9, reset_mechanism="zero", reset_delay=False),
    "none": lambda n: snn.Leaky(beta=0.7, reset_mechanism="none", learn_threshold=True),
    "of each neuron": lambda n: snn.Leaky(beta=torch.rand(n), threshold=0.1 + torch.rand(n), learn_beta=True),
    "small thresholds": lambda n: snn.Leaky(beta=0.8, threshold=0.004),
    "Lapicque": lambda n: snn.Lapicque(R=1, C=2.5, time_step=0.5),
    "Synaptic": lambda n: snn.Synaptic(alpha=0.8, beta=0.9),
    "RLeaky": lambda n: snn.RLeaky(beta=0.9, linear_features=n),
    "RLeaky one to one": lambda n: snn.RLeaky(beta=0.9, all_to_all=False, V=0.3),
    "RLeaky small thresholds": lambda n: snn.RLeaky(beta=0.9, linear_features=n, threshold=0.004),
    "RSynaptic": lambda n: snn.RSynaptic(alpha=0.7, beta=0.9, linear_features=n),
    "RSynaptic one to one": lambda n: snn.RSynaptic(alpha=0.7, beta=0.9, all_to_all=False, V=torch.rand(n)),
}


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_send_the_same_spikes(name):
    torch.manual_seed(1)
    network, same = says_the_same(
        lively(networks.Regression2(12, 24, NEURONS[name]), 6.0), (784,), torch.rand(100, 784)
    )
    assert same
    assert network.timesteps == 12
    assert len(compiled(network, (784,)).layers) >= 1


def test_tutorial_5():
    torch.manual_seed(2)
    network, same = says_the_same(networks.Tutorial5(), (784,), 3 * torch.rand(100, 784))
    assert same
    assert [path for path, _ in network.named_children()] == ["fc1", "lif1", "fc2", "lif2"]
    assert network.over_time == ("all",)
    assert network.lif1.reset_by == pytest.approx(1 / 0.95)
    assert compiled(network, (784,)).layers[0].name == "fc1"


def test_other_time_steps_than_those_of_the_loop_are_told():
    network = read(networks.Tutorial5(), (784,))
    with pytest.warns(UserWarning, match="an image for 6 time steps, and timesteps=2 is asked for"):
        prepare(network, QuantConfig(timesteps=2), (784,))
    frames = read(networks.Regression1(20, 4), (1,))  # brings its own
    prepare(frames, QuantConfig(timesteps=2), (1,))


@pytest.mark.parametrize(("channels", "hidden", "size", "side"), [(1, 8, 4, 28), (2, 6, 5, 34)])
def test_tutorials_6_and_7(channels, hidden, size, side):
    """The network is one step, and its neurons keep their states; a loop over time stands outside."""
    torch.manual_seed(3)
    net = lively(networks.tutorial_6_and_7(channels, hidden, size))
    network = read(net, (channels, side, side))
    x = 3 * torch.rand(4, 25, channels, side, side).double()
    own = in_double(net)
    with torch.no_grad():
        theirs = torch.stack([own(step)[0] for step in x])
        assert torch.equal(network(x), theirs.double())
    assert theirs.any()
    assert network.timesteps is None
    compiled(network, (channels, side, side))


def test_regression_1():
    torch.manual_seed(4)
    network, same = says_the_same(networks.Regression1(20, 32), (1,), torch.rand(20, 100, 1))
    assert same
    assert network.timesteps == 20
    compiled(network, (1,))


def test_a_forward_method_of_functions():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.lif1 = nn.Conv2d(1, 3, 3), snn.Leaky(beta=0.5, init_hidden=True)
            self.fc, self.lif2 = nn.Linear(3 * 25, 5), snn.Leaky(beta=0.5, init_hidden=True)
            self.rec = nn.Linear(5, 5)

        def forward(self, x):
            total, back = 0, torch.zeros(x.size(1), 5)
            for step in range(x.size(0)):
                spk = self.lif1(F.max_pool2d(self.conv1(x[step]), 2))
                back = self.lif2(self.fc(spk.view(x.size(1), -1)) + self.rec(back))
                total = total + back
            return total / x.size(0)

    torch.manual_seed(5)
    network, same = says_the_same(lively(Net()), (1, 12, 12), torch.rand(8, 10, 1, 12, 12))
    assert same
    assert (network.over_time, network.timesteps) == (("mean",), None)
    compiled(network, (1, 12, 12))


def test_spikes_that_come_back_to_other_layers():
    """By hand: from a later layer to an earlier one, and from an earlier one to a later one a step after."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.lif1 = nn.Linear(12, 9), snn.Leaky(beta=0.9)
            self.fc2, self.lif2 = nn.Linear(9, 7), snn.Leaky(beta=0.8)
            self.back, self.skip, self.fc3 = nn.Linear(7, 9), nn.Linear(9, 5, bias=False), nn.Linear(7, 5)
            self.lif3 = snn.Leaky(beta=0.7)

        def forward(self, x):
            mem1, mem2, mem3 = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem()
            spk1, spk2 = torch.zeros(x.shape[1], 9), torch.zeros(x.shape[1], 7)
            said = []
            for frame in x:
                before = spk1
                spk1, mem1 = self.lif1(self.fc1(frame) + self.back(spk2), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                spk3, mem3 = self.lif3(self.fc3(spk2) + self.skip(before), mem3)
                said.append(spk3)
            return torch.stack(said)

    torch.manual_seed(8)
    network, same = says_the_same(lively(Net()), (12,), torch.rand(10, 50, 12))
    assert same
    assert [term.delay for layer in compiled(network, (12,)).layers for term in layer.terms] == [0, 1, 0, 0, 1]


WAYS = {
    "a loop over frames": lambda net, x: torch.stack([net.step(frame)[0] for frame in x]),
    "frames taken apart": lambda net, x: torch.stack([net.step(frame)[0] for frame in x.unbind(0)]),
    "a list": lambda net, x: [net.step(x[t])[0] for t in range(8)],
    "added up": lambda net, x: sum(net.step(x[t])[0] for t in range(8)),
    "added to zeros": lambda net, x: torch.zeros(x.size(1), 5) + net.step(x[0])[0] + net.step(x[1])[0],
    "put together": lambda net, x: torch.cat([net.step(frame)[0][None] for frame in x]).sum(0),
    "batch first": lambda net, x: torch.stack(
        [net.step(frame)[0] for frame in x.transpose(0, 1).permute(1, 0, 2)], dim=1
    ).transpose(0, 1),
    "the largest potential": lambda net, x: torch.stack([net.step(frame)[1] for frame in x]).max(0)[0],
    "the largest potential by name": lambda net, x: torch.stack([net.step(frame)[1] for frame in x]).max(dim=0).values,
    "functions of parameters": lambda net, x: torch.stack(
        [net.lif2(F.linear(net.lif1(F.linear(f, net.fc1.weight, net.fc1.bias)).to(f), net.fc2.weight))[0] for f in x]
    ),
    "the last potential": lambda net, x: [net.step(frame)[1] for frame in x][-1],
    "the mean potential": lambda net, x: torch.stack([net.step(frame)[1] for frame in x]).mean(0),
}


class Written(nn.Module):
    """A network whose loop is written in one of many ways."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        reset = "none" if "potential" in way else "subtract"
        self.fc1, self.bn, self.lif1 = nn.Linear(12, 20), nn.BatchNorm1d(20), snn.Leaky(beta=0.9, init_hidden=True)
        self.drop, self.fc2 = nn.Dropout(0.3), nn.Linear(20, 5)
        self.lif2 = snn.Leaky(beta=0.5, init_hidden=True, output=True, reset_mechanism=reset)

    def step(self, x):
        return self.lif2(self.fc2(self.drop(self.lif1(self.bn(self.fc1(x))))))

    def forward(self, x):
        self.lif1.reset_mem()
        self.lif2.reset_mem()
        return WAYS[self.way](self, x)


class IntoTensor(nn.Module):
    """What steps give is written into a tensor of all steps."""

    def __init__(self, way):
        super().__init__()
        self.fc, self.lif, self.way = nn.Linear(8, 12), snn.Leaky(beta=0.7), way

    def forward(self, x):
        mem, steps = self.lif.init_leaky(), 5
        if self.way == "like the input":
            out = x.new_zeros(steps, len(x), 12)
        else:
            out = torch.zeros((len(x), steps, 12) if "batch" in self.way else (steps, len(x), 12), dtype=torch.float64)
        for t in range(1 if self.way == "some" else 0, steps):
            spikes, mem = self.lif(self.fc(x), mem)
            if "batch" in self.way:
                out[:, t] = spikes
            elif self.way == "rows":
                out[t, :, :12] = spikes
            else:
                out[t - steps] = spikes
        return out.sum(0) if self.way == "summed" else out


@pytest.mark.parametrize("way", ["steps first", "batch first", "like the input"])
def test_steps_may_be_written_into_a_tensor(way):
    torch.manual_seed(6)
    net, x = lively(IntoTensor(way)).double(), torch.rand(30, 8).double()
    theirs = net(x)
    network = read(net, (8,))
    assert network.timesteps == 5
    assert torch.equal(network.answer(x), theirs.transpose(0, 1) if way == "batch first" else theirs)
    assert theirs.any()


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("some", "writes into a tensor of 5 steps what not every step gives"),
        ("summed", "computes with a tensor into which its steps wrote"),
        ("rows", r"writes at \(0, .* of a tensor"),
    ],
)
def test_other_uses_of_a_tensor_of_steps_are_refused(way, said):
    with pytest.raises(ModelError, match=f"{said}: append what each step gives to a list, and torch.stack it"):
        read(IntoTensor(way), (8,))


def test_layers_may_have_the_names_of_our_attributes():
    net = nn.Sequential()
    net.add_module("answer", nn.Linear(8, 6))
    net.add_module("timesteps", snn.Leaky(beta=0.9, init_hidden=True, output=True))
    network = read(net, (8,))
    assert [path for path, _ in network.named_children()] == ["answer_layer", "timesteps_layer"]
    compiled(network, (8,))
    net.add_module("graph", snn.Leaky(beta=0.9, init_hidden=True, output=True))
    with pytest.raises(ModelError, match=r"layer 'graph' has a name that torch\.fx keeps for itself: call it other"):
        read(net, (8,))


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_write_a_loop(way):
    torch.manual_seed(6)
    net = lively(Written(way)).eval()
    x = torch.rand(2 if "zeros" in way else 8, 30, 12).double()
    network = read(net, (12,))
    with torch.no_grad():
        theirs = in_double(net)(x)
        theirs = torch.stack(theirs) if isinstance(theirs, list) else theirs
        assert torch.allclose(network.answer(x), theirs.double(), rtol=1e-12)
    assert theirs.any()
    compiled(network, (12,))


def test_what_is_learned_stays_so():
    learned = snn.Leaky(beta=0.9, threshold=0.7, init_hidden=True, learn_beta=True, learn_threshold=True)
    network = from_snntorch(nn.Sequential(nn.Linear(4, 3), learned, nn.Linear(3, 2), snn.Leaky(0.5, init_hidden=True)))
    names = {name for name, value in network.named_parameters() if value.requires_grad}
    assert names == {"0.weight", "0.bias", "1.v_threshold", "1.leak_logit", "2.weight", "2.bias"}
    assert network.get_submodule("1").leak.item() == pytest.approx(0.9, rel=1e-6)


def test_half_precision_comes_in_as_single():
    net = nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True)).half()
    network = from_snntorch(net)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert network(torch.rand(2, 5, 4)).dtype == torch.float32


def test_a_spike_function_may_fire_at_the_threshold():
    at = snn.Leaky(beta=0.5, init_hidden=True, spike_grad=lambda x: (x >= 0).float())
    net = nn.Sequential(nn.Linear(1, 1, bias=False), at)
    net[0].weight.data.fill_(1.0)
    assert from_snntorch(net)(torch.ones(1, 1, 1)).item() == net(torch.ones(1, 1)).item() == 1


def test_spikes_at_the_threshold_are_theirs():
    """snnTorch fires above the threshold, not at it."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), snn.Leaky(beta=0.5, init_hidden=True))
    net[0].weight.data.fill_(1.0)
    network = from_snntorch(net, (1,))
    x = torch.tensor([1.0, 1 + 2**-23]).view(1, 2, 1)
    assert network(x).flatten().tolist() == net(x[0]).flatten().tolist() == [0, 1]


def test_the_users_module_stays_and_what_it_kept_does_not_matter():
    net = nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True))
    net(torch.rand(2, 4))
    kept = net[1].mem.clone()
    network = from_snntorch(net, (4,))
    assert torch.equal(net[1].mem, kept)
    assert torch.equal(network(torch.zeros(1, 2, 4))[0], network(torch.zeros(1, 2, 4))[0])


def test_a_vector_is_what_the_first_layer_takes():
    net = nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True))
    assert from_snntorch(net)(torch.rand(5, 2, 4)).shape == (5, 2, 3)
    with pytest.raises(ModelError, match="from its first layer, Conv2d: give input_shape"):
        from_snntorch(nn.Sequential(nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.9, init_hidden=True)))


def test_several_inputs_and_outputs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.mid = (
                nn.Linear(4, 9),
                nn.Linear(3, 9, bias=False),
                snn.Leaky(beta=0.9, init_hidden=True),
            )
            self.c, self.out1 = nn.Linear(9, 2), snn.Leaky(beta=0.9, init_hidden=True)
            self.d, self.out2 = (
                nn.Linear(9, 5),
                snn.Leaky(beta=0.7, init_hidden=True, output=True, reset_mechanism="none"),
            )

        def forward(self, x, y):
            spikes, potentials = [], []
            for t in range(6):
                mid = self.mid(self.a(x[t]) + self.b(y[t]))
                spikes.append(self.out1(self.c(mid)))
                potentials.append(self.out2(self.d(mid))[1])
            return torch.stack(spikes), torch.stack(potentials)

    torch.manual_seed(7)
    net = lively(Net()).double()
    network = from_snntorch(net, [(4,), (3,)])
    x, y = torch.rand(6, 30, 4).double(), torch.rand(6, 30, 3).double()
    with torch.no_grad():
        for theirs, ours in zip(in_double(net)(x, y), network(x, y), strict=True):
            assert torch.equal(theirs, ours)
            assert theirs.any()
    config = QuantConfig(weight_bits=8, state_bits=8, timesteps=6)
    assert len(lower(prepare(network, config, [(4,), (3,)]).freeze()).readouts) == 2


def test_an_imported_network_is_copied_and_saved(tmp_path):
    network = from_snntorch(
        nn.DataParallel(nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True))), (4,)
    )
    torch.save(network, tmp_path / "network.pt")
    x = torch.rand(5, 2, 4)
    assert torch.equal(torch.load(tmp_path / "network.pt", weights_only=False)(x), network(x))
    assert torch.equal(copy.deepcopy(network)(x), network(x))


def test_a_potential_that_is_reset_is_no_output():
    class Net(networks.Tutorial5):
        def forward(self, x):
            return super().forward(x)[1]

    with pytest.raises(ModelError, match="potential of 'lif2', which is reset by spikes: return the spikes"):
        from_snntorch(Net(), (784,))


def test_steps_of_a_loop_must_be_alike():
    class Net(networks.Tutorial5):
        def forward(self, x):
            mem = self.lif1.init_leaky()
            for step in range(4):
                spk, mem = self.lif1(self.fc1(x) if step < 2 else self.fc1(self.fc1(x)), mem)
            return spk

    net = Net()
    net.fc1 = nn.Linear(784, 784)
    with pytest.raises(ModelError, match="'lif1' takes something else in step 2 than in step 1"):
        from_snntorch(net, (784,))


def test_random_numbers_in_the_network_are_refused():
    class Net(networks.Tutorial5):
        def forward(self, x):
            return super().forward(torch.bernoulli(x))

    with pytest.raises(ModelError, match="draws random numbers"):
        from_snntorch(Net(), (784,))


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_constants_of_channels_are_those_of_images(shape):
    torch.manual_seed(1)
    first = snn.Leaky(beta=torch.rand(shape), threshold=0.2 + torch.rand(shape), init_hidden=True)
    recurrent = snn.RLeaky(beta=0.5, V=torch.rand(shape), all_to_all=False, init_hidden=True)
    for neuron in (first, recurrent):
        layers = nn.Conv2d(1, 4, 3, padding=1), neuron, nn.Flatten(), nn.Linear(64, 3), snn.Leaky(0.9, init_hidden=True)
        net = lively(nn.Sequential(*layers))
        x = torch.rand(6, 20, 1, 4, 4).double()
        network = read(net, (1, 4, 4))
        again = in_double(net)
        with torch.no_grad():
            theirs = torch.stack([again(frame) for frame in x])
            assert theirs.any()
            assert torch.equal(network.answer(x), theirs)
