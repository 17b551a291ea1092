"""Networks of noise: their shape, their codes and their rates."""

import numpy as np
import pytest

from benchmarks.harness.random_networks import NetworkSpec, noise, random_network
from rows import around, square
from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.file import load_graph, save
from spquant_snn.nn.models import build_model


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(("weight_bits", "state_bits"), [(1.58, 2), (4, 1.58), (8, 8)])
def test_every_hidden_layer_spikes_at_the_rate(rate, weight_bits, state_bits, small):
    graph, images = small(rate, weight_bits, state_bits)
    layers = reference_trace(graph, images).layers
    assert len(layers) == 8
    assert [float(spikes.mean()) for _, spikes, _ in layers] == pytest.approx([rate] * 8, rel=0.1)


def test_it_has_the_shape_of_the_model():
    images = noise((3, 32, 32), 2)
    graph = random_network(build_model("vgg9-snn", (3, 32, 32), 10), images, NetworkSpec(0.1))
    outputs = [64, 64, 128, 128, 256, 256, 256, 1024, 10]
    assert [len(connection.codes) for connection in graph.connections] == outputs
    pooled = [connection.sum_pool == square("sum", 2, 2) for connection in graph.connections]
    assert pooled == [False, True, False, True, False, False, True, False, False]
    assert {connection.padding for connection in graph.connections if connection.convolves} == {around(1, 1)}
    assert graph.connections[-2].codes.shape == (1024, 4096)
    assert (graph.timesteps, graph.input_shape) == (4, (3, 32, 32))


def test_codes_are_spread_over_their_grid(small):
    for bits, low, high in ((1.58, -1, 1), (4, -8, 7), (8, -128, 127)):
        codes = small(weight_bits=bits)[0].layers[5].terms[0].connection.codes
        assert abs(codes.mean()) < 0.1 * codes.std()
        assert (codes.min() >= low, codes.max() <= high) == (True, True)
        assert np.abs(codes).max() > high / 2


def test_it_is_a_graph_like_any_other(small, tmp_path):
    graph, images = small()
    save(graph, tmp_path / "model.spq")
    loaded = load_graph(tmp_path / "model.spq")
    np.testing.assert_array_equal(reference.run(loaded, images), reference.run(graph, images))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_is_a_share(rate, small):
    with pytest.raises(ConfigError, match="rate of spikes lies above 0"):
        small(rate)


def test_a_rate_that_cannot_be_had_is_refused():
    model = build_model("lenet-snn:0.01", (1, 4, 4), 2)
    with pytest.raises(ModelError, match=r"layer 'conv1': .* spikes cannot be had"):
        random_network(model, noise((1, 4, 4), 1), NetworkSpec(0.01, timesteps=1))
