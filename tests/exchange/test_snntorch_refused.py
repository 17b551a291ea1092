"""Networks of snnTorch that have no equal form: each is refused in a sentence that names the layer."""

import pytest
import torch
from torch import nn

from spquant_snn import ModelError, from_sinabs, from_snntorch

snn = pytest.importorskip("snntorch", reason="snntorch is not installed: make test-exchange")
utils = pytest.importorskip("snntorch.utils")


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        (lambda: snn.Alpha(alpha=0.9, beta=0.8), "Alpha of snntorch, has no equal form here: use Leaky"),
        (lambda: snn.RLeaky(beta=0.9, V=1.0, all_to_all=False, reset_mechanism="zero"), "drops what comes in"),
        (lambda: snn.Leaky(beta=0.9, reset_delay=False), "use reset_delay=True"),
        (lambda: snn.Leaky(beta=0.0), "a beta of 0"),
        (lambda: snn.Leaky(beta=0.9, graded_spikes_factor=2.0), "graded spikes"),
        (lambda: snn.Leaky(beta=0.9, spike_grad=lambda x: (x > 0).float() - 0.1), "sends other spikes than 0 below"),
        (lambda: snn.Leaky(beta=0.9, spike_grad=lambda x: torch.sigmoid(x).bernoulli()), "sends other spikes than 0"),
        (lambda: snn.Leaky(beta=0.9, spike_grad=snn.surrogate.LSO()), "a spike function that does not run by itself"),
        (lambda: snn.Leaky(beta=torch.rand(3, 4)), "for each of 3x4 neurons"),
        (lambda: snn.Leaky(beta=0.9, threshold=-1.0), "a threshold of -1"),
    ],
)
def test_neurons_without_an_equal_form_are_refused_by_name(neuron, said):
    net = nn.Sequential(nn.Linear(4, 3), neuron())
    net[1].init_hidden = True
    with pytest.raises(ModelError, match=said) as raised:
        from_snntorch(net, (4,))
    assert "layer '1'" in str(raised.value)
    assert "\n" not in str(raised.value)


def square(neuron, **options):
    """Four channels of four rows and columns, of neurons with init_hidden."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), neuron(init_hidden=True, **options), nn.Flatten(), nn.Linear(64, 3)
    )


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4, 1), (1, 4)])
@pytest.mark.parametrize(
    ("neuron", "name", "others"),
    [
        (snn.Leaky, "beta", {}),
        (snn.Leaky, "threshold", {"beta": 0.5}),
        (snn.Synaptic, "alpha", {"beta": 0.5}),
        (snn.RLeaky, "V", {"beta": 0.5, "all_to_all": False}),
    ],
)
def test_constants_along_another_axis_than_the_channels_are_refused(shape, neuron, name, others):
    net = square(neuron, **{name: torch.rand(shape)}, **others)
    with pytest.raises(ModelError, match=r"has constants of shape .* and potentials of \[4, 4, 4\]: .*\[4, 1, 1\]"):
        from_snntorch(net, (1, 4, 4))


class OneStep(nn.Module):
    def __init__(self, start, hidden):
        super().__init__()
        self.fc, self.lif, self.start = nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=hidden), start

    def forward(self, x, verbose=False):
        state = self.start(self)
        return self.lif(self.fc(x)) if self.lif.init_hidden else self.lif(self.fc(x), state)[0]


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize(
    "start", [lambda net: net.lif.init_leaky(), lambda net: net.lif.reset_mem(), lambda net: utils.reset(net)]
)
def test_a_step_that_forgets_the_step_before_is_refused(start, hidden):
    with pytest.raises(ModelError, match="computes one time step, and starts 'lif' from zero in it"):
        from_snntorch(OneStep(start, hidden), (4,))


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda spikes, mem: torch.stack(spikes)[-1], "returns the last of what it computes in each step"),
        (lambda spikes, mem: spikes[-1], "returns the last of what it computes in each step"),
        (lambda spikes, mem: torch.stack(spikes)[0], "returns a value of a step before the last"),
    ],
)
def test_the_last_spikes_of_a_loop_are_no_answer(end, said):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), snn.Leaky(beta=0.9)

        def forward(self, x):
            mem, spikes = self.lif.init_leaky(), []
            for _ in range(5):
                spike, mem = self.lif(self.fc(x), mem)
                spikes.append(spike)
            return end(spikes, mem)

    with pytest.raises(ModelError, match=said):
        from_snntorch(Net(), (4,))


def test_reading_leaves_the_states_of_the_users_neurons():
    net = OneStep(lambda net: None, True)
    net.lif.mem = torch.ones(2, 3)
    assert from_snntorch(net, (4,)).timesteps is None
    net.start = utils.reset
    with pytest.raises(ModelError, match="starts 'lif' from zero"):
        from_snntorch(net, (4,))
    assert torch.equal(net.lif.mem, torch.ones(2, 3))
    utils.reset(net)
    assert not net.lif.mem.any()


def test_a_neuron_of_the_users_own_is_refused():
    class Own(snn.Leaky):
        pass

    with pytest.raises(ModelError, match="layer '1', Own of snntorch, is derived from Leaky and may compute something"):
        from_snntorch(nn.Sequential(nn.Linear(4, 3), Own(beta=0.9, init_hidden=True)), (4,))


def test_spikes_that_only_come_back_are_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.lif1 = nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True)
            self.fc2, self.lif2, self.back = nn.Linear(3, 2), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(2, 3)

        def forward(self, x):
            silencing, said = torch.zeros(x.shape[1], 2), []
            for frame in x:
                said.append(self.lif1(self.fc1(frame) + self.back(silencing)))
                silencing = self.lif2(self.fc2(said[-1]))
            return torch.stack(said)

    with pytest.raises(ModelError, match="spikes of 'lif2' come back one step later, and go nowhere else"):
        from_snntorch(Net(), (4,))


def test_the_wrong_importer_names_the_right_one():
    with pytest.raises(ModelError, match="use from_snntorch"):
        from_sinabs(nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9)), (4,))
    with pytest.raises(ModelError, match="found no layer of snntorch in Linear"):
        from_snntorch(nn.Linear(4, 3), (4,))


def test_a_version_that_was_not_compared_is_told(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    with pytest.warns(UserWarning, match=r"snntorch 9.9 is installed, .* compared with ours in 1.0.0"):
        from_snntorch(nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True)), (4,))
