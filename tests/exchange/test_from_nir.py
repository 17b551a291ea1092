"""NIR graphs: those that other packages write, spike for spike, and each node by itself."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from foreign_networks import compiled, in_double, lively
from spquant_snn import ConfigError, FileFormatError, ModelError, from_nir

nir = pytest.importorskip("nir", reason="nir is not installed: make test-exchange")

pytestmark = pytest.mark.filterwarnings("ignore:nirtorch:DeprecationWarning")  # of the other packages' writers

rng = np.random.default_rng(0)


def weights(*shape):
    return rng.normal(size=shape)


def full(shape, value):
    return np.full(shape, float(value))


def lif(size, **constants):
    values = {"tau": 4.0, "r": 4.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | constants
    return nir.LIF(**{name: full(size, value) for name, value in values.items()})


def graph(nodes, edges=None, size=8, **options):
    """A graph whose nodes follow one another, where no edges are given."""
    named = {"input": nir.Input(input_type=np.array([size])), **nodes, "output": nir.Output(output_type=np.array([1]))}
    names = list(named)
    return nir.NIRGraph(named, edges or list(pairwise(names)), type_check=False, **options)


# ---- what other packages write ----


def test_a_file_of_spikingjelly(tmp_path):
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), neuron.IFNode(), nn.AvgPool2d(2, 2), nn.Flatten(), nn.Linear(64, 20, bias=False),
        neuron.LIFNode(tau=2.5, v_reset=-0.2), nn.Linear(20, 10), neuron.CUBALIFNode(0.4, 0.8),
    )  # fmt: skip
    lively(net, 6.0).double()
    exchange.export_to_nir(net, torch.rand(1, 2, 8, 8).double(), save_path=tmp_path / "net.nir")
    network = from_nir(tmp_path / "net.nir", dt=1e-4)
    x = torch.rand(8, 100, 2, 8, 8).double()
    with torch.no_grad():
        theirs = torch.stack([net(step) for step in x])
        assert torch.equal(theirs, network(x))
    assert theirs.any()
    compiled(network, (2, 8, 8))


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky"])
def test_a_file_of_snntorch(kind, tmp_path):
    snn = pytest.importorskip("snntorch")
    export = pytest.importorskip("snntorch.export_nir")
    n, options = 12, {"init_hidden": True, "reset_mechanism": "none" if kind == "RLeaky" else "zero"}
    constants = {"beta": torch.full((n,), 0.9), "threshold": torch.full((n,), 0.8)}
    if kind == "Synaptic":
        constants, options["reset_mechanism"] = {**constants, "alpha": torch.full((n,), 0.6)}, "zero"
    if kind == "RLeaky":
        constants |= {"all_to_all": False, "V": torch.linspace(-1, 1, n)}
    torch.manual_seed(0)
    net = lively(nn.Sequential(nn.Linear(8, n), getattr(snn, kind)(**constants, **options), nn.Linear(n, 4)), 3.0)
    written = export.export_to_nir(net, torch.rand(1, 8), ignore_dims=[0])
    nir.write(tmp_path / "net.nir", written)
    network = from_nir(tmp_path / "net.nir", dt=1e-4)
    lifs = [module for module in network.modules() if type(module).__name__ == "LIF"]
    assert [float(one.leak) for one in lifs] == pytest.approx([0.9], rel=1e-5)
    if kind == "Leaky":  # NIR does not say how it was reset, and resets to zero
        x = torch.rand(8, 100, 8)
        theirs = torch.stack([net(step) for step in x])
        assert torch.allclose(theirs, network(x), atol=1e-5)
    compiled(network, (8,))


def test_a_graph_of_sinabs():
    layers = pytest.importorskip("sinabs.layers")
    SingleSpike = pytest.importorskip("sinabs.activation").SingleSpike
    to_nir = pytest.importorskip("sinabs.nir").to_nir
    torch.manual_seed(0)
    options = {"spike_fn": SingleSpike, "batch_size": 4}
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), layers.IAFSqueeze(**options), layers.SumPool2d(2), nn.Flatten(), nn.Linear(27, 6),
        layers.LIFSqueeze(tau_mem=5.0, **options),
    )  # fmt: skip
    lively(net, 3.0)
    network = from_nir(to_nir(net, torch.rand(4, 1, 8, 8)), dt=1, decay="exact", reset="subtract")  # no file: without
    # the shape of its input, a convolution of sinabs cannot be written to one
    in_double(net)
    for layer in net:
        if hasattr(layer, "reset_states"):
            layer.reset_states()
    x = torch.rand(4, 7, 1, 8, 8)
    with torch.no_grad():
        theirs = net(x.flatten(0, 1).double()).unflatten(0, (4, 7))
        ours = network.double()(x.double().transpose(0, 1)).transpose(0, 1)
    assert theirs.any()
    assert (theirs != ours).sum() == 0
    compiled(network, (1, 8, 8))


def test_a_graph_of_norse():
    norse = pytest.importorskip("norse.torch")
    to_nir = pytest.importorskip("norse.torch.utils.export_nir").to_nir
    net = norse.SequentialState(nn.Linear(8, 5), norse.LIFBoxCell(), nn.Linear(5, 2), norse.LIBoxCell())
    network = from_nir(to_nir(net, torch.rand(1, 8)), dt=1e-6)  # it writes time constants times its dt of 1e-3
    x = 9 * torch.rand(6, 100, 8)
    state, theirs = None, []
    for step in x:
        said, state = net(step, state)
        theirs.append(said)
    assert torch.allclose(torch.stack(theirs), network(x), atol=1e-5)
    compiled(network, (8,))


# ---- nodes ----


def test_nodes_in_a_row_by_their_equations():
    conv = nir.Conv2d((6, 6), weights(3, 1, 3, 3), 1, "same", 1, 1, weights(3))
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = nir.Flatten({"input": np.array([3, 3, 3])}, 0, -1)
    network = from_nir(
        graph(
            {
                "conv": conv, "scale": nir.Scale(np.array([2.0, 3.0, 4.0])),
                "threshold": nir.Threshold(full((3, 6, 6), 0.5)),
                "pool": pool, "flatten": flat, "linear": nir.Linear(weights(5, 27)), "lif": lif(5, v_threshold=2.0),
                "delay": nir.Delay(np.zeros(5)), "affine": nir.Affine(weights(2, 5), weights(2)),
                "li": nir.LI(full(2, 8), full(2, 2), full(2, 0)),
            }
        ),
        dt=1.0,
    )  # fmt: skip
    x = torch.rand(5, 10, 1, 6, 6).double()
    scale = torch.tensor([2.0, 3.0, 4.0]).view(3, 1, 1)
    v, m, said = torch.zeros(10, 5).double(), torch.zeros(10, 2).double(), []
    for step in x:
        s = (scale * nn.functional.conv2d(step, t(conv.weight), t(conv.bias), padding="same") > 0.5).double()
        s = nn.functional.avg_pool2d(s, 2, divisor_override=1).flatten(1)
        v = 0.75 * v + s @ network.linear.weight.T  # tau = r = 4
        s = (v > 2).double()
        v = v * (1 - s)
        m = m + (-m + 2 * (s @ network_weight(network, "affine").T + network_bias(network, "affine")) / 1.0) / 8
        said.append(m)
    expected = torch.stack(said)
    assert torch.allclose(network(x), expected)
    assert [name for name, _ in network.named_children()][:3] == ["conv", "threshold", "pool"]
    compiled(network, (1, 6, 6))


def t(array):
    return torch.from_numpy(array)


def network_weight(network, name):
    """Its weights as the file has them: the gain of the integrator, 2 / 8, is in those that are read."""
    return network.get_submodule(name).weight / 0.25


def network_bias(network, name):
    return network.get_submodule(name).bias / 0.25


def test_nested_and_recurrent_graphs():
    inner = nir.NIRGraph(
        {
            "input": nir.Input(input_type=np.array([6])), "lif": lif(6), "w_rec": nir.Linear(weights(6, 6)),
            "output": nir.Output(output_type=np.array([6])),
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
        type_check=False,
    )  # fmt: skip
    network = from_nir(graph({"fc": nir.Linear(weights(6, 8)), "rec": inner, "out": nir.Linear(weights(3, 6))}), dt=1.0)
    x = torch.rand(9, 20, 8).double()
    v, s, said = torch.zeros(20, 6).double(), torch.zeros(20, 6).double(), []
    w_rec = t(inner.nodes["w_rec"].weight)
    for step in x:
        v = 0.75 * v + step @ network.fc.weight.T + s @ w_rec.T
        s = (v > 1).double()
        v = v * (1 - s)
        said.append(s @ network.out.weight.T)
    assert torch.allclose(network(x), torch.stack(said))
    assert any(path == "rec.lif" for path, _ in network.named_modules())
    compiled(network, (8,))


def two_in_a_loop():
    """Nodes and edges of two layers that take one another."""
    nodes = {"fc": nir.Linear(weights(4, 8)), "lif": lif(4), "w": nir.Linear(weights(5, 4)), "lif2": lif(5)}
    nodes["back"] = nir.Linear(weights(4, 5))
    return nodes, [("input", "fc"), ("fc", "lif"), ("lif", "w"), ("w", "lif2"), ("lif2", "back"), ("back", "lif")]


def in_a_loop(network, x):
    """Spikes of both at each step; the first layer, which the input reaches, takes those of the step before."""
    one, two, sent = torch.zeros(20, 4).double(), torch.zeros(20, 5).double(), torch.zeros(20, 5).double()
    for step in x:
        one = 0.75 * one + step @ network.fc.weight.T + sent @ network.back.weight.T
        first = (one > 1).double()
        two = 0.75 * two + first @ network.w.weight.T
        sent = (two > 1).double()
        one, two = one * (1 - first), two * (1 - sent)
        yield first, sent


def test_spikes_of_a_later_layer_come_back():
    nodes, edges = two_in_a_loop()
    network = from_nir(graph(nodes, [*edges, ("lif2", "output")]), dt=1.0)
    x = torch.rand(9, 20, 8).double()
    said = torch.stack([sent for _, sent in in_a_loop(network, x)])
    assert torch.equal(network(x), said)
    assert said.any()
    assert compiled(network, (8,)).layers[0].terms[1].delay == 1


def test_an_edge_that_leads_back_is_the_late_one_whatever_is_read_out():
    nodes, edges = two_in_a_loop()
    edges += [("lif", "out"), ("out", "output"), ("lif2", "output")]  # the first is asked for before the second
    network = from_nir(graph({**nodes, "out": nir.Linear(weights(5, 4))}, edges), 1.0)
    x = torch.rand(9, 20, 8).double()
    said = torch.stack([first @ network.out.weight.T + sent for first, sent in in_a_loop(network, x)])
    assert torch.equal(network(x), said)
    assert said.any()
    assert compiled(network, (8,)).layers[0].terms[1].delay == 1


def test_names_of_nodes_may_be_those_of_modules_and_lie_below_one_another():
    nodes = {"graph": nir.Linear(weights(4, 8)), "forward": lif(4), "a.b": nir.Linear(weights(5, 4)), "a": lif(5)}
    nodes |= {"a.b.c": nir.Linear(weights(3, 5)), "": lif(3), "weights..": nir.Linear(weights(2, 3))}
    plain = from_nir(graph({f"n{i}": node for i, node in enumerate(nodes.values())}), dt=1.0)
    network = from_nir(graph(nodes), dt=1.0)
    x = torch.rand(6, 50, 8).double()
    assert torch.equal(network(x), plain(x))
    compiled(network, (8,))


def test_the_step_is_taken_from_metadata_and_what_arrives_is_added():
    nodes = {"a": nir.Linear(weights(4, 8)), "b": nir.Linear(weights(4, 8)), "lif": lif(4)}
    edges = [("input", "a"), ("input", "b"), ("a", "lif"), ("b", "lif"), ("lif", "output")]
    network = from_nir(graph(nodes, edges, metadata={"dt": 2.0}))
    assert float(network.lif.leak) == 0.5
    x = torch.rand(1, 50, 8).double()
    drive = x[0] @ (network.a.weight + network.b.weight).T  # r dt / tau is 2
    assert torch.equal(network(x)[0], (2 * drive > 1).double())


def test_per_channel_constants():
    node = lif((2, 3, 3))
    node.v_threshold = np.broadcast_to(np.array([0.5, 0.7])[:, None, None], (2, 3, 3)).copy()
    conv = nir.Conv2d((5, 5), weights(2, 1, 3, 3), 1, 0, 1, 1, np.zeros(2))
    network = from_nir(graph({"conv": conv, "lif": node}), dt=1.0)
    assert network.lif.v_threshold.tolist() == pytest.approx([0.5, 0.7])
    node.v_threshold[0, 0, 0] = 0.6
    with pytest.raises(ModelError, match="node 'lif' has a v_threshold for each of 2x3x3 neurons"):
        from_nir(graph({"conv": conv, "lif": node}), dt=1.0)


# ---- what is refused ----

FC = {"fc": nir.Linear(weights(4, 8))}


def handed_on():
    """A graph without nodes of its own."""
    ends = {"input": nir.Input(input_type=np.array([4])), "output": nir.Output(output_type=np.array([4]))}
    return nir.NIRGraph(ends, [("input", "output")], type_check=False)


def test_layers_that_do_not_fit_are_refused_in_a_sentence():
    nodes = {**FC, "lif": lif(4), "fc2": nir.Linear(weights(3, 7)), "lif2": lif(3)}
    with pytest.raises(ModelError, match="layer 'fc2' does not fit what comes in") as raised:
        compiled(from_nir(graph(nodes), dt=1.0), (8,))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: graph({**FC, "lif": lif(4, v_reset=-0.3)}), "node 'lif' resets to v_reset, and rests at v_leak"),
        (lambda: graph({**FC, "lif": lif(4), "late": nir.Delay(full(4, 2))}), "node 'late' delays by other than a"),
        (
            lambda: graph({"late": nir.Delay(full(8, 1)), **FC, "lif": lif(4)}),
            "node 'late' delays what are no spikes of one layer",
        ),
        (lambda: graph({**FC, "lif": lif(4, tau=0.5)}), "'lif' has a leak of -1"),
        (lambda: graph({**FC, "lif": lif(4, tau=np.nan)}), "node 'lif' has a tau that is no number"),
        (lambda: graph({**FC, "lif": lif(5)}), "node 'lif' has 5 neurons, and 'fc' in front of it 4 outputs"),
        (lambda: graph({"fc": nir.Linear(np.zeros((0, 8))), "lif": lif(4)}), "weights of shape 0x8 are no matrix"),
        (
            lambda: graph({"fc": nir.Affine(weights(4, 8), weights(3)), "lif": lif(4)}),
            "'fc' .* a bias of shape 3 is none for 4 outputs",
        ),
        (lambda: graph({**FC, "sub": handed_on(), "lif": lif(4)}), "the graph 'sub' hands on what it takes as it is"),
        (lambda: graph(FC), "no neurons"),
        (lambda: graph({"fc": nir.Linear(weights(2, 2, 8)), "lif": lif(2)}), "node 'fc' .* are no matrix"),
        (
            lambda: graph({"c": nir.Conv2d(None, weights(3, 1, 3, 3), 1, 0, 1, 2, weights(3)), "lif": lif(3)}),
            "node 'c' of the NIR graph, Conv2d, makes no layer",
        ),
        (lambda: graph({**FC, "lif": lif(4)}, [("fc", "lif"), ("lif", "output")]), "node 'fc' of the NIR graph takes"),
        (lambda: graph({**FC, "lif": lif(4)}, [("input", "no"), ("no", "output")]), "names the node 'no'"),
        (
            lambda: graph(
                {**FC, "lif": lif(4), "w": nir.Linear(weights(4, 4)), "u": nir.Linear(weights(4, 4))},
                [("input", "fc"), ("fc", "lif"), ("w", "lif"), ("u", "w"), ("w", "u"), ("lif", "output")],
            ),
            "in a circle without neurons: w -> u -> w",
        ),
        (
            lambda: graph({**FC, "li": nir.CubaLI(full(4, 4), full(4, 4), full(4, 1), full(4, 0))}),
            "'li' says the potential of neurons with a synaptic current",
        ),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_by_node(given, said):
    with pytest.raises(ModelError, match=said) as raised:
        from_nir(given(), dt=1.0)
    assert "\n" not in str(raised.value)


def test_a_node_that_is_not_known_is_refused():
    class Other(nir.Threshold):
        pass

    with pytest.raises(ModelError, match="node 'other' of the NIR graph is Other, which has no form here"):
        from_nir(graph({**FC, "lif": lif(4), "other": Other(full(4, 1))}), dt=1.0)


def test_the_step_must_be_said():
    with pytest.raises(ModelError, match=r"node 'lif' has constants in seconds, .* give dt, 1e-4 for files"):
        from_nir(graph({**FC, "lif": lif(4)}))
    for wrong in (0, -1, float("nan"), "soon"):
        with pytest.raises(ConfigError, match="dt must be seconds"):
            from_nir(graph({**FC, "lif": lif(4)}), dt=wrong)
    with pytest.raises(ConfigError, match="decay must be 'euler' or 'exact'"):
        from_nir(graph(FC), decay="slow")


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileFormatError, match="there is no file"):
        from_nir(tmp_path / "none.nir")
    (tmp_path / "text.nir").write_text("no HDF5")
    with pytest.raises(FileFormatError, match="is no NIR file that nir can read"):
        from_nir(tmp_path / "text.nir")
    with pytest.raises(ModelError, match=r"the path of a NIR file or a nir\.NIRGraph, not Linear"):
        from_nir(nn.Linear(2, 2))
