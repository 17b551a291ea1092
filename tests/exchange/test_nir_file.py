"""NIR files of integer graphs: the same graph comes back, and other packages read them."""

import base64

import numpy as np
import pytest
import torch
from torch import nn

from random_graphs import random_graph
from spquant_snn import LIF, FileFormatError, ModelError, QuantConfig, graph_from_nir, lower, prepare, to_nir
from spquant_snn.integer import reference
from spquant_snn.integer.file import to_bytes
from spquant_snn.nn.models import build_model

nir = pytest.importorskip("nir", reason="needs nir, see `make test-exchange`")

SHAPE = (1, 12, 12)


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    model = build_model("4C3-P2-6C3-FC10", SHAPE, 10)
    network = prepare(model, QuantConfig(), SHAPE)
    for _ in range(30):  # so that batch statistics are those of images
        network(torch.randint(0, 256, (3, 16, *SHAPE), dtype=torch.uint8))
    return lower(network.eval().freeze())


@pytest.fixture
def file(graph, tmp_path):
    to_nir(graph, tmp_path / "model.nir")
    return tmp_path / "model.nir"


def test_a_round_trip_gives_the_same_graph(graph, file):
    assert to_bytes(graph_from_nir(file)) == to_bytes(graph)


def first_spikes(graph, frames):
    """Of each layer at the first step, by the reference."""
    spikes, _ = reference.State(graph, len(frames)).step([frames], set())
    return spikes


def frames(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (20, *SHAPE), dtype=np.uint8)


def test_nodes_compute_the_spikes_of_the_first_step(graph, file):
    found = nir.read(file).nodes
    sums = torch.conv2d(
        torch.from_numpy(frames()).double(),
        torch.from_numpy(found["conv1"].weight).double(),
        torch.from_numpy(found["conv1"].bias).double(),
        padding=tuple(found["conv1"].padding.tolist()),
    )
    assert found["conv1.sums"].kernel_size.tolist() == [2, 2]
    sums = torch.nn.functional.avg_pool2d(sums, 2)
    spikes = first_spikes(graph, frames())[0]
    assert np.array_equal((sums > 1).numpy(), spikes != 0)
    assert 0 < (spikes != 0).mean() < 1


def plain_graph(leak):
    """Of nodes that both peers know."""
    torch.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), LIF(leak=leak)),
        *(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), LIF(leak=leak)),
        *(nn.Flatten(), nn.Linear(54, 12), nn.BatchNorm1d(12), LIF(leak=leak), nn.Linear(12, 5)),
    )
    network = prepare(model, QuantConfig(timesteps=4), SHAPE)
    for _ in range(30):
        network(torch.randint(0, 256, (4, 16, *SHAPE), dtype=torch.uint8))
    return lower(network.eval().freeze())


def peer_outputs(package, path):
    """Of a peer that reads the file, at the first step: what the readout is given, [N, 5]."""
    x = torch.from_numpy(frames()).float()
    if package == "snntorch":
        from snntorch.import_nir import import_from_nir

        # Its Flatten is that of one item, and its neurons keep what the item before left.
        rows = [import_from_nir(nir.read(path))(image)[0] for image in x]
        return torch.stack(rows).detach().double().numpy()
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return import_from_nir(nir.read(path))(x)[0].detach().double().numpy()


@pytest.mark.parametrize("package", ["snntorch", "spikingjelly"])
def test_peers_give_the_same_first_step(package, tmp_path):
    pytest.importorskip(package, reason=f"needs {package}, see `make test-exchange`")
    graph = plain_graph(0.5)
    to_nir(graph, tmp_path / "model.nir")
    found = peer_outputs(package, tmp_path / "model.nir")
    _, (said,) = reference.State(graph, 20).step([frames()], set())
    units = said / 2.0**graph.readout.fraction
    assert np.abs(found - units).max() < 1e-3  # whole spikes would move it by whole codes
    assert np.ptp(units) > 1


def test_weights_that_were_changed_are_refused(file):
    found = nir.read(file)
    name = next(key for key, node in found.nodes.items() if isinstance(node, nir.Affine))
    found.nodes[name].weight[0, 0] += 1
    nir.write(file, found)
    with pytest.raises(FileFormatError, match=f"node '{name}' of .* is not what its integers say: export it again"):
        graph_from_nir(file)


def test_integers_that_were_changed_are_refused(file):
    found = nir.read(file)
    found.metadata["spquant_spq"] = base64.b64encode(b"others").decode()
    nir.write(file, found)
    with pytest.raises(FileFormatError, match="the hash of its integers does not hold"):
        graph_from_nir(file)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.nir").write_text("nothing")
    with pytest.raises(FileFormatError, match="is not a NIR file"):
        graph_from_nir(tmp_path / "text.nir")
    with pytest.raises(FileFormatError, match="is not a NIR file"):
        graph_from_nir(tmp_path / "missing.nir")
    plain = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))))
    nir.write(tmp_path / "plain.nir", plain)
    with pytest.raises(FileFormatError, match="holds no integers of this package: read it with from_nir"):
        graph_from_nir(tmp_path / "plain.nir")


def test_what_nir_has_no_node_for_is_refused_by_name(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), LIF(reset="subtract"), nn.Flatten(), nn.Linear(400, 5))
    graph = lower(prepare(model, QuantConfig(), SHAPE).eval().freeze())
    with pytest.raises(ModelError, match=r"has .*, for which NIR has no node: export to ONNX or \.spq"):
        to_nir(graph, tmp_path / "model.nir")
    assert list(tmp_path.iterdir()) == []


def test_every_row_comes_back_or_is_refused(tmp_path):
    outcomes = set()
    for seed in range(40):
        graph = random_graph(seed, reset="zero")
        try:
            to_nir(graph, tmp_path / "model.nir")
        except ModelError:
            outcomes.add("refused")
            continue
        outcomes.add("same")
        assert to_bytes(graph_from_nir(tmp_path / "model.nir")) == to_bytes(graph)
    assert outcomes == {"same", "refused"}
