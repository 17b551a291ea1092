"""Nodes of NIR compute what the layers of an integer graph do: pools, sums of terms, recurrence, currents, outputs."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from general_graphs import general_graph
from spquant_snn import (
    LIF,
    Feedback,
    LeakyIntegrator,
    ModelError,
    QuantConfig,
    from_nir,
    graph_from_nir,
    lower,
    prepare,
    to_nir,
)
from spquant_snn.integer import reference
from spquant_snn.integer.file import to_bytes

nir = pytest.importorskip("nir", reason="needs nir, see `make test-exchange`")

SHAPE, STEPS = (2, 10, 8), 4


class Sums(nn.Module):
    """Layers that sum terms: a block with its own spikes added, one with a convolution and normalisation of its own."""

    def __init__(self, leak):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), LIF(leak=leak))
        self.inner, self.fires = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)), LIF(leak=leak)
        self.other, self.short = (nn.Sequential(nn.Conv2d(6, 8, k, 2, k // 2), nn.BatchNorm2d(8)) for k in (3, 1))
        self.last, self.fc = LIF(leak=leak), nn.Linear(8 * 5 * 4, 5)

    def forward(self, x):
        x = self.first(x)
        x = self.fires(self.inner(x) + x)
        return self.fc(self.last(self.other(x) + self.short(x)).flatten(1))


def pooled(leak):
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), LIF(leak=leak), nn.MaxPool2d(2, ceil_mode=True)),
        *(nn.Conv2d(4, 4, (1, 3), groups=2), nn.BatchNorm2d(4), LIF(leak=leak), nn.AvgPool2d((2, 1))),
        *(nn.Flatten(), nn.Linear(16, 5)),
    )  # fmt: skip


def recurrent(leak):
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(160, 12), nn.BatchNorm1d(12), Feedback(LIF(leak=leak), nn.Linear(12, 12))),
        *(nn.Linear(12, 5), LeakyIntegrator(leak)),
    )  # fmt: skip


def synaptic(leak):
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(160, 12), nn.BatchNorm1d(12), LIF(leak=leak, synaptic_leak=leak)),
        nn.Linear(12, 5),
    )  # fmt: skip


def averaged(leak):
    """Of nodes that every reader has."""
    return nn.Sequential(
        *(nn.Conv2d(2, 6, (3, 5), stride=2, padding=1, groups=2), nn.BatchNorm2d(6), LIF(leak=leak), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(12, 12), nn.BatchNorm1d(12), Feedback(LIF(leak=leak), nn.Linear(12, 12))),
        nn.Linear(12, 5),
    )  # fmt: skip


NETWORKS = {"sums": Sums, "pooled": pooled, "recurrent": recurrent, "synaptic": synaptic, "averaged": averaged}


def lowered(build, leak=0.5, bits=4):
    torch.manual_seed(0)
    network = prepare(build(leak), QuantConfig(bits, bits, timesteps=STEPS), SHAPE)
    for _ in range(20):  # so that batch statistics are those of images
        network(torch.randint(0, 256, (STEPS, 16, *SHAPE), dtype=torch.uint8))
    return lower(network.eval().freeze())


def said_by(graph, frames):
    """[T, N, ...] what the readout has integrated at each step, in units of a code, by the reference."""
    state = reference.State(graph, frames.shape[1])
    return np.stack([state.step([frame], set())[1][0].copy() for frame in frames]) / 2.0**graph.readout.fraction


def said_by_nodes(file, graph, frames):
    """The same, by the network that the nodes of a file are read as; without a membrane its steps are added up."""
    with torch.no_grad():
        found = from_nir(file, dt=1e-4).double()(torch.from_numpy(frames).double()).numpy()
    return found.cumsum(0) if graph.readout.sums_all else found


def frames(count=20):
    return np.random.default_rng(0).integers(0, 256, (STEPS, count, *SHAPE), dtype=np.uint8)


@pytest.mark.parametrize("name", NETWORKS)
def test_where_nothing_is_left_all_steps_are_those_of_the_integers(name, tmp_path):
    graph = lowered(NETWORKS[name], 0.0)
    to_nir(graph, tmp_path / "model.nir")
    assert to_bytes(graph_from_nir(tmp_path / "model.nir")) == to_bytes(graph)
    expected, found = said_by(graph, frames()), said_by_nodes(tmp_path / "model.nir", graph, frames())
    assert np.abs(expected - found).max() < 1e-3  # one spike more would move it by whole codes
    assert np.ptp(expected[-1], axis=0).min() > 1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_step_is_that_of_the_integers(name, tmp_path):
    graph = lowered(NETWORKS[name], bits=8)
    to_nir(graph, tmp_path / "model.nir")
    expected, found = said_by(graph, frames()), said_by_nodes(tmp_path / "model.nir", graph, frames())
    assert np.abs(expected[0] - found[0]).max() < 1e-3
    neurons = [node for node in nir.read(tmp_path / "model.nir").nodes.values() if hasattr(node, "v_threshold")]
    leaks = [1 - 1e-4 / (node.tau_mem if hasattr(node, "tau_mem") else node.tau) for node in neurons]
    assert all(np.allclose(leak, 0.5, atol=2e-3) for leak in leaks)


def peer_said(package, file, given):
    """What a peer that reads the file gives at each step, [T, N, 5]."""
    given = torch.from_numpy(given).float()
    if package == "snntorch":
        from snntorch.import_nir import import_from_nir

        def run(net, x, state):
            said, state = net(x[0], state)  # its Flatten is that of one item
            return said[None], state
    else:
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        def run(net, x, state):
            return net(x, state)

    rows = []
    for each in [given] if package == "spikingjelly" else given.split(1, 1):
        net, state, said = import_from_nir(nir.read(file)), None, []
        for x in each:
            out, state = run(net, x, state)
            said.append(out)
        rows.append(torch.stack(said))
    return torch.cat(rows, 1).detach().double().numpy()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        *(("snntorch", "sums"), ("snntorch", "synaptic")),  # it fails at graphs with loops, its own too
        *(("spikingjelly", "sums"), ("spikingjelly", "synaptic"), ("spikingjelly", "averaged")),
    ],
)
def test_peers_read_what_they_have_nodes_for(package, name, tmp_path, capsys):
    pytest.importorskip(package, reason=f"needs {package}, see `make test-exchange`")
    graph = lowered(NETWORKS[name], 0.1)
    to_nir(graph, tmp_path / "model.nir")
    expected, found = said_by(graph, frames(5)), peer_said(package, tmp_path / "model.nir", frames(5)).cumsum(0)
    assert np.abs(expected[0] - found[0]).max() < 1e-3
    assert np.ptp(expected[0]) > 1


@pytest.mark.parametrize("delayed_source", [0, 1])
def test_delayed_terms_of_other_layers(delayed_source, tmp_path):
    """The first layer takes the second a step late, or the second the first."""
    graph = looped(delayed_source)
    to_nir(graph, tmp_path / "model.nir")
    assert to_bytes(graph_from_nir(tmp_path / "model.nir")) == to_bytes(graph)
    assert [type(node).__name__ for node in nir.read(tmp_path / "model.nir").nodes.values()].count("Delay") == 1
    expected, found = said_by(graph, frames()), said_by_nodes(tmp_path / "model.nir", graph, frames())
    assert np.abs(expected - found).max() < 1e-3
    without = np.stack([said_by(graph, frame[None])[0] for frame in frames()]).cumsum(0)
    assert np.abs(expected - without).max() > 1  # the term matters


def looped(delayed_source):
    """Two layers and a readout; a copy of the second's weights is a term with a delay of either layer on the other."""
    graph = lowered(
        lambda leak: nn.Sequential(
            *(nn.Flatten(), nn.Linear(160, 12), nn.BatchNorm1d(12), LIF(0.2, leak=leak)),
            *(nn.Linear(12, 12), nn.BatchNorm1d(12), LIF(0.2, leak=leak), nn.Linear(12, 5)),
        ),
        0.0,
    )
    first, second = graph.layers
    again = dataclasses.replace(second.terms[0], source=1 + delayed_source, delay=1)
    if delayed_source:
        strong = dataclasses.replace(again, multiplier=np.full(12, 300, np.int32))  # beside sums of pixels
        first = dataclasses.replace(first, terms=(*first.terms, strong))
    else:
        second = dataclasses.replace(second, terms=(*second.terms, again))
    return dataclasses.replace(graph, layers=(first, second))


def resetting_to_zero(graph):
    """The graph with neurons that NIR has."""

    def with_zero(layer):
        nothing = np.zeros_like(layer.neuron.drop)
        return dataclasses.replace(layer, neuron=dataclasses.replace(layer.neuron, reset="zero", drop=nothing))

    return dataclasses.replace(graph, layers=tuple(map(with_zero, graph.layers)))


def test_graphs_of_terms_come_back_or_are_refused_in_a_sentence(tmp_path):
    same, said = 0, []
    for seed in range(30):
        graph = resetting_to_zero(general_graph(seed))
        try:
            to_nir(graph, tmp_path / "model.nir")
        except ModelError as error:
            said.append(str(error))
            continue
        assert to_bytes(graph_from_nir(tmp_path / "model.nir")) == to_bytes(graph)
        same += 1
    assert same >= 4
    assert all(each.endswith("export to ONNX or .spq") for each in said)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), LIF()], "layer '0' has the largest of its sums in a window"),
        ([nn.MaxPool2d(2), nn.Conv2d(2, 4, 3), LIF()], "layer '1' has the largest value of windows of what are no sp"),
        ([nn.Conv2d(2, 4, 3), LIF(reset="subtract")], "layer '0' has the reset 'subtract'"),
        ([nn.Upsample(scale_factor=2), nn.Conv2d(2, 4, 3), LIF()], "layer '1' has up-sampling"),
        ([nn.ConvTranspose2d(2, 4, 3, stride=2), LIF()], "layer '0' has a transposed convolution"),
        ([nn.Conv2d(2, 4, (2, 3)), LIF()], "has a kernel of 2 x 3, which the package nir takes for a square"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_layer(layers, said, tmp_path):
    graph = lowered(lambda leak: nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(5)))
    with pytest.raises(ModelError, match=f"{said}.*export to ONNX or .spq"):
        to_nir(graph, tmp_path / "model.nir")
    assert not list(tmp_path.iterdir())
