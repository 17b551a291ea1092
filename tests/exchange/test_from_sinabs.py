"""Networks of sinabs against what is read from them."""

import pytest
import torch
from torch import nn

from foreign_networks import compiled, in_double, lively
from spquant_snn import ModelError, from_sinabs

layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed: make test-exchange")
activation = pytest.importorskip("sinabs.activation")
MaxSpike, SingleSpike = activation.MaxSpike, activation.SingleSpike
MembraneReset, MembraneSubtract = activation.MembraneReset, activation.MembraneSubtract

BATCH, STEPS = 100, 8


def says_the_same(net, shape, squeezed=False):
    network = from_sinabs(net.double(), shape)
    x, net = torch.rand(BATCH, STEPS, *shape).double(), in_double(net)
    with torch.no_grad():
        theirs = net(x.flatten(0, 1)).unflatten(0, (BATCH, STEPS)) if squeezed else net(x)
        ours = network(x.transpose(0, 1)).transpose(0, 1)
    assert theirs.shape == ours.shape
    assert theirs.any()
    return network, torch.equal(theirs, ours), theirs - ours


NEURONS = {
    "IAF": lambda: layers.IAF(spike_fn=SingleSpike),
    "IAF, to zero": lambda: layers.IAF(spike_fn=MaxSpike(1), reset_fn=MembraneReset()),
    "IAF, slow": lambda: layers.IAF(spike_fn=SingleSpike, tau_syn=3.0),
    "LIF": lambda: layers.LIF(tau_mem=5.0, spike_fn=SingleSpike),
    "LIF, input as it is": lambda: layers.LIF(tau_mem=5.0, spike_fn=SingleSpike, norm_input=False),
    "LIF, slow": lambda: layers.LIF(tau_mem=5.0, tau_syn=2.0, spike_fn=SingleSpike, reset_fn=MembraneSubtract(0.3)),
    "LIF, recurrent": lambda: layers.LIFRecurrent(5.0, nn.Linear(20, 20, bias=False), spike_fn=SingleSpike),
    "IAF, recurrent": lambda: layers.IAFRecurrent(nn.Linear(20, 20, bias=False), spike_fn=SingleSpike),
}


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_send_the_same_spikes(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 20), NEURONS[name](), nn.Linear(20, 20), NEURONS[name]())
    network, same, _ = says_the_same(lively(net, 8.0), (10,))
    assert same
    assert network.timesteps is None
    compiled(network, (10,))


def test_squeezed_layers():
    def neuron():
        return layers.IAFSqueeze(batch_size=BATCH, spike_fn=SingleSpike)

    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), neuron(), layers.SumPool2d(2), nn.Conv2d(4, 6, 3), neuron(), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(24, 5), layers.ExpLeakSqueeze(tau_mem=10.0, batch_size=BATCH, norm_input=True),
    )  # fmt: skip
    network, _, difference = says_the_same(lively(net).eval(), (2, 10, 10), squeezed=True)
    assert difference.abs().max() < 1e-12
    assert compiled(network, (2, 10, 10)).readouts[0].over_time == "last"


def test_several_spikes_in_a_step_are_refused_or_taken_as_one():
    net = nn.Sequential(nn.Linear(4, 3), layers.IAF())
    net[0].weight.data.fill_(1.0)
    with pytest.raises(ModelError, match="layer '1', IAF of sinabs, may send several spikes in a step"):
        from_sinabs(net, (4,))
    assert from_sinabs(net, (4,), single_spikes=True)(torch.full((2, 1, 4), 90.0)).max() == 1


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        (lambda: layers.LIF(5.0, spike_fn=SingleSpike, min_v_mem=-1.0), "a lowest potential"),
        (lambda: layers.LIF(5.0, spike_fn=SingleSpike, reset_fn=MembraneReset(0.1)), "a value that is not 0"),
        (lambda: layers.IAFRecurrent(nn.Linear(3, 3), spike_fn=SingleSpike), "a rec_connect with a bias"),
        (lambda: layers.ALIF(5.0, 5.0), "has no equal form here"),
    ],
)
def test_neurons_without_an_equal_form_are_refused_by_name(neuron, said):
    with pytest.raises(ModelError, match=said) as raised:
        from_sinabs(nn.Sequential(nn.Linear(4, 3), neuron()), (4,))
    assert "layer '1'" in str(raised.value)
