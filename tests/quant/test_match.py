"""From modules to layers of neurons and what reaches them."""

import pytest
import torch
from torch import nn

import described_run
from architectures import ARCHITECTURES, REFUSED
from spquant_snn.errors import ModelError
from spquant_snn.nn import LIF, Feedback
from spquant_snn.nn.instant import each_step
from spquant_snn.quant.described import (
    Added,
    Concatenated,
    Flattened,
    Normalised,
    Passed,
    Pixels,
    Pooled,
    PooledDrive,
    Spikes,
    Sum,
    Upsampled,
    Weighed,
)
from spquant_snn.quant.match import describe


def test_a_row_of_layers_is_one_drive_each():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.BatchNorm2d(4), LIF(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10)
    )
    found = describe(net, (1, 14, 14))
    sums = Weighed(Pixels(0, (1, 14, 14)), net[0], "0", (4, 12, 12))
    pooled = PooledDrive(sums, "avg", (2, 2), (2, 2), (4, 6, 6), divisor=4)
    (layer,) = found.layers
    assert layer.drive == Normalised(pooled, net[2], "2", (4, 6, 6))
    assert (layer.name, layer.path, layer.neurons) == ("0", "3", net[3])
    largest = Pooled(Spikes(0, (4, 6, 6)), "max", (2, 2), (2, 2), (4, 3, 3))
    (readout,) = found.readouts
    assert readout.drive == Weighed(Flattened(largest, (36,)), net[6], "6", (10,))
    assert (readout.name, readout.shape, found.inputs, found.notes) == ("6", (10,), ((1, 14, 14),), ())


def test_recurrence_is_a_term_on_the_step_before():
    net = nn.Sequential(nn.Linear(8, 4), Feedback(LIF(), nn.Linear(4, 4)), nn.Linear(4, 2))
    (layer,) = describe(net, (8,)).layers
    now = Weighed(Pixels(0, (8,)), net[0], "0", (4,))
    before = Weighed(Spikes(0, (4,), 1), net[1].layer, "1.layer", (4,))
    assert layer.drive == Sum((now, before), (4,))


def test_a_module_that_ends_with_neurons_has_their_spikes_counted():
    (readout,) = describe(nn.Sequential(nn.Linear(8, 4), LIF()), (8,)).readouts
    assert readout.drive == Passed(Spikes(0, (4,)), "1", (4,))
    assert readout.name == "1"


def test_two_layers_of_weights_without_neurons_between_are_refused():
    with pytest.raises(ModelError, match=r"layer '1' takes the currents of '0', and no LIF layer is between them"):
        describe(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3), LIF()), (8,))
    assert torch.is_grad_enabled()


def lively(net):
    """A network in evaluation whose batch normalisation does something, and whose neurons fire."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, -1.0, 2.0)
            nn.init.uniform_(module.bias, 0.0, 1.0)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
        elif isinstance(module, LIF):
            nn.init.constant_(module.v_threshold, 0.2)
    return net.eval().double()


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in REFUSED])
def test_what_is_described_is_what_the_module_computes(name, double):
    torch.manual_seed(0)
    make, shape = ARCHITECTURES[name]
    net = lively(make())
    network = describe(net, shape)
    x = torch.rand(4, 128 if name == "conv-net" else 2, *shape)  # that network says how many images it takes
    pixels = x * 255 if network.notes else x
    expected = [out for step in each_step(net, pixels) for out in (step.values() if isinstance(step, dict) else [step])]
    found = described_run.run(network, [x.reshape(*x.shape[:2], *network.inputs[0])])
    with torch.no_grad():
        for i, out in enumerate(found):
            torch.testing.assert_close(out, torch.stack(expected[i :: len(found)]))
    assert any(out.std() > 0 for out in found)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_integer_form_is_refused_in_a_sentence(name):
    make, shape = ARCHITECTURES[name]
    with pytest.raises(ModelError) as refused:
        describe(make(), shape)
    assert str(refused.value) == REFUSED[name]


class Net(nn.Module):
    """Calls what it is given on itself and its input, an image of 2x6x6."""

    def __init__(self, run):
        super().__init__()
        self.conv1, self.conv2, self.wide = (nn.Conv2d(2, 2, k, padding=k // 2) for k in (1, 1, 3))
        self.bn, self.fc, self.run = nn.BatchNorm2d(2), nn.Linear(72, 4), run
        self.lif, self.lif2, self.up = LIF(), LIF(), nn.Upsample(scale_factor=2)

    def forward(self, x):
        return self.run(self, x)


def described(run, shape=(2, 6, 6)):
    net = Net(run)
    return net, describe(net, shape)


def test_up_sampled_currents_are_those_of_up_sampled_spikes_where_weights_look_at_one_place():
    net, found = described(lambda n, x: n.lif2(n.bn(n.up(n.conv2(n.lif(n.conv1(x)))))))
    spikes = Upsampled(Spikes(0, (2, 6, 6)), (2, 2), (2, 12, 12))
    weighed = Weighed(spikes, net.conv2, "conv2", (2, 12, 12))
    assert found.layers[1].drive == Normalised(weighed, net.bn, "bn", (2, 12, 12))


def test_a_sum_of_spikes_is_a_signal_for_weights_and_a_sum_of_drives_for_neurons():
    def run(n, x):
        y = n.lif(n.conv1(x)) + n.lif(n.conv2(x))
        return n.lif2(y), n.fc(y.flatten(1))

    net, found = described(run)
    both = (Spikes(0, (2, 6, 6)), Spikes(1, (2, 6, 6)))
    passed = tuple(Passed(spikes, "lif2", (2, 6, 6)) for spikes in both)
    assert found.layers[2].drive == Sum(passed, (2, 6, 6))
    assert found.readouts[1].drive == Weighed(Flattened(Added(both, (2, 6, 6)), (72,)), net.fc, "fc", (4,))
    assert [(layer.name, layer.path) for layer in found.layers] == [
        ("conv1", "lif"),
        ("conv2", "lif"),
        ("lif2", "lif2"),
    ]
    assert [readout.name for readout in found.readouts] == ["0", "1"]


def test_stacked_spikes_are_those_behind_one_another():
    def run(n, x):
        return n.lif2(torch.stack([n.lif(n.conv1(x)), n.lif(n.conv2(x))], 1).flatten(1, 2).mean((2, 3)))

    _, found = described(run)
    both = Concatenated((Spikes(0, (2, 6, 6)), Spikes(1, (2, 6, 6))), (4, 6, 6))
    pooled = Pooled(both, "avg", (6, 6), (6, 6), (4, 1, 1), divisor=36)
    assert found.layers[2].drive == Passed(pooled, "lif2", (4, 1, 1))


def test_votes_of_neighbouring_neurons():
    for vote in (
        lambda n, x: n.lif(n.fc(x.flatten(1))).view(x.shape[0], -1, 2).mean(-1),
        lambda n, x: nn.functional.avg_pool1d(n.lif(n.fc(x.flatten(1))).unsqueeze(1), 2, 2).squeeze(1),
        lambda n, x: nn.functional.adaptive_avg_pool1d(n.lif(n.fc(x.flatten(1)))[:, None], 2)[:, 0],
    ):
        _, found = described(vote)
        (readout,) = found.readouts
        assert readout.drive.drive.signal == Spikes(0, (4,))
        assert (readout.drive.size, readout.drive.shape, readout.shape) == (2, (2,), (2,))


def test_feedback_comes_from_the_last_layer_of_its_body():
    net = nn.Sequential(
        nn.Linear(5, 4), Feedback(nn.Sequential(LIF(), nn.Linear(4, 3), LIF()), nn.Linear(3, 4)), nn.Linear(3, 2)
    )
    first, second = describe(net, (5,)).layers
    assert first.drive.drives[1] == Weighed(Spikes(1, (3,), 1), net[1].layer, "1.layer", (4,))
    assert second.drive == Weighed(Spikes(0, (4,)), net[1].body[1], "1.body.1", (3,))


def test_pixels_may_be_divided_by_255_and_it_is_said():
    _, found = described(lambda n, x: n.lif(n.conv1(x.float() / 255)))
    assert found.layers[0].drive.signal == Pixels(0, (2, 6, 6))
    assert "divides pixels by 255: this is done anyway" in found.notes[0]


def foreign(package, name, **options):
    """A neuron of a package that need not be there."""
    module = type(name, (nn.Module,), {"__module__": f"{package}.neurons", "forward": lambda self, x: x > 0})()
    vars(module).update(options)
    return module


NEURONS = {
    "snntorch": (
        foreign("snntorch", "Leaky"),
        r"a neuron of snntorch, Leaky, .* give it spquant_snn.from_snntorch\(model, input_shape\), which reads such",
    ),
    "spikingjelly": (foreign("spikingjelly", "LIFNode"), r"LIFNode, .* spquant_snn.from_spikingjelly\(model"),
    "lava": (foreign("lava", "CUBALIF"), r"neuron of lava, CUBALIF, .* spquant_snn.LIF\(v_threshold=\.\.\."),
    "own": (foreign("models", "Spiker", thresh=0.5), "Spiker, has a threshold and looks like a neuron of your own"),
}


@pytest.mark.parametrize("what", NEURONS)
def test_other_neurons_are_known_before_they_are_traced(what):
    neuron, message = NEURONS[what]
    with pytest.raises(ModelError, match=f"layer '1'.* {message}"):
        describe(nn.Sequential(nn.Linear(3, 3), neuron), (3,))


REFUSALS = {
    "max of a sum": (
        lambda n, x: n.lif(nn.functional.max_pool2d(n.conv1(x) + n.conv2(x), 2)),
        "'max_pool2d' .* largest values of a sum of several branches, .* pool each branch, or move it behind",
    ),
    "max of added spikes": (
        lambda n, x: n.lif2(nn.functional.max_pool2d(n.lif(n.conv1(x)) + n.lif(n.conv2(x)), 2)),
        "largest values of a sum of several branches",
    ),
    "shapes that are spread": (
        lambda n, x: n.lif(n.conv1(x) + n.wide(x).mean((2, 3), keepdim=True)),
        "'add' .* adds 2x6x6 of 'conv1' and 2x1x1 of 'mean': what is added has one shape",
    ),
    "shapes that do not fit": (
        lambda n, x: n.lif(n.conv1(x) + n.up(n.conv2(x))),
        "'add' .* does not fit what comes in, 2x6x6 of layer 'conv1', 2x12x12 of layer 'up'",
    ),
    "cat of currents": (
        lambda n, x: n.lif(torch.cat([n.conv1(x), n.conv2(x)], 1)),
        "'cat' .* puts together the currents of 'conv1': give each part its LIF layer",
    ),
    "up-sampled currents": (
        lambda n, x: n.lif(n.up(n.wide(x))),
        "layer 'up' up-samples currents, .* move it in front of them, or behind the LIF layer",
    ),
    "two layers": (
        lambda n, x: n.lif(n.conv2(n.bn(n.conv1(x)))),
        "layer 'conv2' takes the currents of 'conv1', and no LIF",
    ),
    "normalised spikes": (
        lambda n, x: n.lif2(n.conv2(n.bn(n.lif(n.conv1(x))))),
        "layer 'conv2' takes what batch normalisation makes of spikes or pixels",
    ),
    "weights in two places": (lambda n, x: n.lif(n.conv1(n.lif(n.conv1(x)))), "layer 'conv1' is called twice"),
    "a factor": (lambda n, x: n.lif(n.conv1(x) * 0.5), "'mul' .* multiplies with 0.5, .* put it into the weights"),
    "pixels scaled": (
        lambda n, x: n.lif(n.conv1(x / 127.5)),
        "multiplies pixels with 0.00784314: pixels are scaled by 1 / 255",
    ),
    "a parameter": (
        lambda n, x: n.lif(n.conv1(x) + n.conv2.bias.view(2, 1, 1)),
        "'add' .* takes 'conv2.bias'|'view' .* takes 'conv2.bias', which is no activation",
    ),
    "rows of places": (
        lambda n, x: n.fc(n.lif(n.conv1(x)).reshape(-1, 1, 1, 72).expand(-1, 1, 2, 72)),
        "'expand' .* has no integer form; use convolutions",
    ),
    "no neurons": (lambda n, x: n.conv1(x), "the model has no LIF layer that its output depends on"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_has_no_integer_form_is_refused_by_name(what):
    run, message = REFUSALS[what]
    with pytest.raises(ModelError, match=message):
        described(run)


def test_currents_cannot_come_back():
    net = nn.Sequential(nn.Linear(3, 3), LIF(), Feedback(nn.Linear(3, 3), nn.Identity()), LIF())
    with pytest.raises(ModelError, match=r"body of the Feedback .* must end with a LIF layer, whose spikes come back"):
        describe(net, (3,))


def test_constants_of_neurons_fit_their_channels():
    net = nn.Sequential(nn.Conv1d(2, 4, 1), LIF(leak=[0.5, 0.6]), nn.Conv1d(4, 2, 1))
    with pytest.raises(ModelError, match="layer '1' has constants for 2 channels, and takes 4: give one for each"):
        describe(net, (2, 6))


def test_places_that_become_channels_are_refused():
    net = nn.Sequential(nn.Conv1d(2, 4, 1), LIF(), nn.Unflatten(2, (2, 3)), nn.Flatten(1, 2), nn.Conv1d(8, 2, 1))
    with pytest.raises(ModelError, match="layer '4' takes 4x1x6 as 8x3, with other channels"):
        describe(net, (2, 6))


@pytest.mark.parametrize(("shape", "said"), [((), r"not \(\)"), ((3, 0), r"not \(3, 0\)"), ((1, 2, 3, 4), "not")])
def test_an_input_has_one_to_three_sizes(shape, said):
    with pytest.raises(ModelError, match=f"input_shape is .* {said}"):
        describe(nn.Sequential(nn.Linear(3, 2), LIF()), shape)
