"""Networks of SpikingJelly, as its examples and models write them, against what is read from them."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from foreign_networks import compiled, lively, not_plain_batch_norm
from spquant_snn import ModelError, from_spikingjelly

neuron = pytest.importorskip(
    "spikingjelly.activation_based.neuron", reason="spikingjelly is not installed: make test-exchange"
)
functional = pytest.importorskip("spikingjelly.activation_based.functional")
layer = pytest.importorskip("spikingjelly.activation_based.layer")
surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")
networks = pytest.importorskip("spikingjelly_networks")


def says_the_same(net, shape, x, steps=None):
    """The network that is read from another, if it says the same of 100 random inputs or sequences, as doubles."""
    network = from_spikingjelly(net.double(), shape)
    functional.reset_net(net)
    with torch.no_grad():
        theirs, ours = net(x), network.answer(x if steps is None else x.expand(steps, *x.shape))
    assert theirs.shape == ours.shape
    assert theirs.any()
    assert torch.equal(theirs, ours)
    return network


def test_lif_fc():
    torch.manual_seed(0)
    net = lively(networks.LIFFC(2.0)).double().eval()
    network = from_spikingjelly(net, (1, 28, 28))
    x = torch.rand(8, 100, 1, 28, 28).double()
    with torch.no_grad():
        theirs = torch.stack([net(step) for step in x])
        assert torch.equal(network(x), theirs)
    assert theirs.any()
    assert [path for path, _ in network.named_children()] == ["layer"]
    compiled(network, (1, 28, 28))


def test_csnn():
    torch.manual_seed(0)
    net = not_plain_batch_norm(lively(networks.CSNN(4, 4), 2.0)).eval()
    network = says_the_same(net, (1, 28, 28), torch.rand(100, 1, 28, 28).double(), 4)
    assert (network.timesteps, network.over_time) == (4, ("mean",))
    compiled(network, (1, 28, 28))


def test_dvs_gesture_net():
    model = pytest.importorskip("spikingjelly.activation_based.model.parametric_lif_net")
    torch.manual_seed(0)
    net = model.DVSGestureNet(
        channels=2, spiking_neuron=neuron.LIFNode, surrogate_function=surrogate.ATan(), detach_reset=True
    )
    functional.set_step_mode(net, "m")
    not_plain_batch_norm(lively(net, 9.0)).eval()
    network = says_the_same(net, (2, 128, 128), torch.randint(0, 3, (2, 4, 2, 128, 128)).double())
    assert (network.timesteps, network.over_time) == (None, ("all",))
    compiled(network, (2, 128, 128))


NEURONS = {
    "IF": neuron.IFNode,
    "IF, soft": lambda: neuron.IFNode(v_threshold=0.7, v_reset=None),
    "IF, to another": lambda: neuron.IFNode(v_threshold=0.7, v_reset=-0.3),
    "LIF": lambda: neuron.LIFNode(tau=2.5),
    "LIF, input not decayed": lambda: neuron.LIFNode(tau=2.5, decay_input=False),
    "LIF, soft": lambda: neuron.LIFNode(tau=1.7, v_reset=None),
    "LIF, to another": lambda: neuron.LIFNode(tau=1.7, v_reset=0.4, decay_input=False),
    "PLIF": lambda: neuron.ParametricLIFNode(init_tau=1.9),
    "PLIF, input not decayed": lambda: neuron.ParametricLIFNode(init_tau=1.9, decay_input=False, v_reset=None),
    "CUBA": lambda: neuron.CUBALIFNode(c_decay=0.4, v_decay=0.8),
    "CUBA, soft": lambda: neuron.CUBALIFNode(c_decay=0.4, v_decay=0.8, v_reset=None),
}


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_send_the_same_spikes(name):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.sn1 = nn.Linear(20, 30), NEURONS[name]()
            self.fc2, self.sn2 = nn.Linear(30, 10), NEURONS[name]()

        def forward(self, x):
            total = 0.0
            for _step in range(8):
                total += self.sn2(self.fc2(self.sn1(self.fc1(x))))
            return total / 8

    torch.manual_seed(1)
    network = says_the_same(lively(Loop()), (20,), torch.rand(100, 20).double(), 8)
    assert network.over_time == ("mean",)
    compiled(network, (20,))


def test_containers_and_step_modes():
    net = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)),
        neuron.IFNode(step_mode="m"),
        layer.Conv2d(4, 4, 1, step_mode="m"),
        layer.ThresholdDependentBatchNorm2d(1.0, 1.0, 4),
        neuron.IFNode(step_mode="m"),
        layer.SeqToANNContainer(nn.MaxPool2d(2), nn.Flatten()),
        layer.MultiStepContainer(nn.Linear(64, 20), neuron.LIFNode(v_reset=None)),
        layer.StepModeContainer(False, "m", nn.Linear(20, 20)),
        neuron.LIFNode(step_mode="m"),
        layer.VotingLayer(5, step_mode="m"),
    )
    torch.manual_seed(2)
    network = says_the_same(lively(net, 12.0).eval(), (2, 8, 8), torch.rand(6, 100, 2, 8, 8).double())
    compiled(network, (2, 8, 8))


@pytest.mark.parametrize(
    "show",
    [
        lambda x: x.unsqueeze(0).repeat(4, 1, 1, 1, 1),
        lambda x: x[None].expand(4, -1, -1, -1, -1),
        lambda x: torch.stack([x] * 4),
    ],
)
def test_a_container_behind_an_image_that_is_shown_again(show):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = layer.SeqToANNContainer(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
            self.lif = neuron.LIFNode(step_mode="m")
            self.head = layer.SeqToANNContainer(nn.Flatten(), nn.Linear(64, 3))
            self.last = neuron.IFNode(step_mode="m")

        def forward(self, x):
            return self.last(self.head(self.lif(self.conv(show(x)))))

    torch.manual_seed(4)
    network = says_the_same(lively(Net(), 8.0).eval(), (1, 4, 4), torch.rand(20, 1, 4, 4).double(), 4)
    assert network.timesteps == 4


def test_a_step_that_forgets_the_step_before_is_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), neuron.LIFNode()

        def forward(self, x):
            functional.reset_net(self)
            return self.lif(self.fc(x))

    with pytest.raises(ModelError, match="computes one time step, and starts 'lif' from zero in it"):
        from_spikingjelly(Net(), (4,))


@pytest.mark.parametrize("decode", ["max-mem", "mean-mem", "last_mem"])
def test_neurons_that_never_fire_are_integrators(decode):
    net = nn.Sequential(
        layer.Linear(8, 12, step_mode="m"), neuron.IFNode(step_mode="m"), layer.Linear(12, 3, step_mode="m"),
        neuron.NonSpikingLIFNode(tau=4.0, decode=decode),
    )  # fmt: skip
    torch.manual_seed(3)
    lively(net).double()
    x = torch.rand(6, 100, 8).double()
    network = from_spikingjelly(deepcopy(net), (8,))
    with torch.no_grad():
        assert torch.allclose(net(x), network.answer(x), rtol=1e-12, atol=1e-12)
    compiled(network, (8,))


def test_what_neurons_kept_does_not_matter_and_stays():
    net = nn.Sequential(nn.Linear(4, 3), neuron.IFNode())
    x = torch.rand(2, 4)
    network = from_spikingjelly(net, (4,))
    net(x)
    kept = net[1].v.clone()
    again = from_spikingjelly(net, (4,))
    assert torch.equal(net[1].v, kept)
    assert torch.equal(network(x[None]), again(x[None]))


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (lambda: neuron.QIFNode(), "QIFNode of spikingjelly, has no equal form here: use IFNode"),
        (lambda: neuron.CUBALIFNode(v_reset=0.2), "resets to 0.2"),
        (lambda: neuron.NonSpikingIFNode(), "decode=None"),
        (lambda: neuron.IFNode(surrogate_function=surrogate.ATan(spiking=False)), "sends other spikes than 0 below"),
        (lambda: layer.SynapseFilter(tau=2.0), "SynapseFilter of spikingjelly, has no form here"),
        (lambda: type("OwnNode", (neuron.LIFNode,), {})(), "is derived from LIFNode"),
    ],
)
def test_neurons_without_an_equal_form_are_refused_by_name(node, said):
    with pytest.raises(ModelError, match=said) as raised:
        from_spikingjelly(nn.Sequential(nn.Linear(4, 3), node(), layer.Linear(3, 2)), (4,))
    assert "layer '1'" in str(raised.value)


def test_layers_in_the_wrong_step_mode_are_refused():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), neuron.IFNode(step_mode="m"))
    with pytest.raises(ModelError, match="set its step mode"):
        from_spikingjelly(net, (1, 5, 5))
