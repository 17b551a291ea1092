"""Networks of Norse against what is read from them."""

import pytest
import torch
from torch import nn

from foreign_networks import compiled, lively
from spquant_snn import ModelError, from_norse

norse = pytest.importorskip("norse.torch", reason="norse is not installed: make test-exchange")
box = pytest.importorskip("norse.torch.module.lif_box")
reset_subtract = pytest.importorskip("norse.torch.functional.reset").reset_subtract
LIBoxCell = pytest.importorskip("norse.torch.module.leaky_integrator_box").LIBoxCell


def says_the_same(net, shape, x):
    network = from_norse(net.double(), shape)
    with torch.no_grad():
        theirs, ours = net(x), network.answer(x)
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    assert theirs.shape == ours.shape
    assert theirs.any()
    return network, torch.equal(theirs, ours), theirs - ours


PARAMETERS = norse.LIFParameters(tau_mem_inv=torch.as_tensor(300.0), v_th=torch.as_tensor(0.4))
NEURONS = {
    "LIF": lambda: norse.LIF(),
    "LIF of other constants": lambda: norse.LIF(PARAMETERS),
    "LIF that rests elsewhere": lambda: norse.LIF(
        norse.LIFParameters(v_leak=torch.as_tensor(-0.5), v_reset=torch.as_tensor(-0.5), v_th=torch.as_tensor(0.2))
    ),
    "IAF": lambda: norse.IAF(),
}


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_over_time_send_the_same_spikes(name):
    torch.manual_seed(0)
    net = norse.SequentialState(nn.Linear(12, 24), NEURONS[name](), norse.Lift(nn.Linear(24, 24)), NEURONS[name]())
    network, same, _ = says_the_same(lively(net), (12,), torch.rand(20, 100, 12).double())
    assert same
    assert (network.timesteps, network.over_time) == (None, ("all",))
    compiled(network, (12,))


def test_recurrent_neurons_have_weights_of_their_own():
    torch.manual_seed(0)
    net = norse.SequentialState(norse.LIFRecurrent(12, 24, PARAMETERS), norse.LIFRecurrent(24, 5, PARAMETERS))
    network, same, _ = says_the_same(net, (12,), 4 * torch.rand(20, 100, 12).double())
    assert same
    compiled(network, (12,))


def test_cells_hand_on_their_states_in_a_loop():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lif1 = nn.Conv2d(1, 4, 3), norse.LIFCell(PARAMETERS)
            self.fc, self.lif2 = (
                nn.Linear(4 * 36, 10),
                box.LIFBoxCell(box.LIFBoxParameters(reset_method=reset_subtract)),
            )
            self.out, self.li = nn.Linear(10, 3), LIBoxCell()

        def forward(self, x):
            s1 = s2 = s3 = None
            voltages = []
            for ts in range(x.shape[0]):
                z, s1 = self.lif1(self.conv(x[ts]), s1)
                z, s2 = self.lif2(self.fc(torch.flatten(z, 1)), s2)
                v, s3 = self.li(self.out(z), s3)
                voltages.append(v)
            return torch.stack(voltages)

    torch.manual_seed(1)
    network, _, difference = says_the_same(lively(Net(), 6.0), (1, 8, 8), torch.rand(12, 100, 1, 8, 8).double())
    assert difference.abs().max() < 1e-12  # of potentials; the gain of the integrator is in the weights here
    assert network.li.leak == pytest.approx(0.9)
    compiled(network, (1, 8, 8))


def test_a_state_that_starts_again_each_step_is_no_loop():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), norse.LIFCell()

        def forward(self, x):
            return torch.stack([self.lif(self.fc(x[t]))[0] for t in range(len(x))])

    with pytest.raises(ModelError):
        from_norse(Net(), (4,))


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        (lambda: norse.LIF(norse.LIFParameters(v_reset=torch.as_tensor(-0.3))), "rests at v_leak"),
        (lambda: norse.LSNN(), "LSNN of norse, has no equal form here: use LIF"),
        (lambda: norse.LI(), "a synaptic current, which no readout"),
    ],
)
def test_neurons_without_an_equal_form_are_refused_by_name(neuron, said):
    with pytest.raises(ModelError, match=said) as raised:
        from_norse(norse.SequentialState(nn.Linear(4, 3), norse.LIF(), nn.Linear(3, 3), neuron()), (4,))
    assert "layer '3'" in str(raised.value)
