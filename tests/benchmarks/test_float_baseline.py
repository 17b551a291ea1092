"""What other engines run is the network of the graph."""

import numpy as np
import pytest
import torch

from benchmarks.harness.float_baseline import AnnBaseline, SpikingBaseline
from spquant_snn.integer import reference


@pytest.fixture(params=[2, 8], ids="state of {} bits".format)
def network(request, small):
    """A graph, its images, and the images as other engines take them."""
    graph, images = small(state_bits=request.param)
    return graph, images, torch.from_numpy(images).float() / 255


def test_all_forms_compute_the_same(network):
    graph, _, pixels = network
    expected = SpikingBaseline(graph)(pixels)
    assert expected.shape == (16, 10)
    assert expected.abs().max() > 1
    for form in (SpikingBaseline(graph, True), SpikingBaseline(graph, False, True), SpikingBaseline(graph, True, True)):
        assert torch.isclose(form(pixels), expected).float().mean() > 0.98  # a rounding may move a spike


def test_one_step_without_a_past_is_that_of_the_graph(small):
    """Then no state was rounded."""
    graph, images = small(timesteps=1)
    found = SpikingBaseline(graph)(torch.from_numpy(images).float() / 255).numpy()
    np.testing.assert_array_equal(found, reference.run(graph, images))


def test_the_conventional_network_has_the_same_layers(network):
    graph, _, pixels = network
    dense, spiking = AnnBaseline(graph), SpikingBaseline(graph)
    assert [w.shape for w in dense.parameters()] == [w.shape for w in spiking.parameters()]
    x = pixels
    for connection in dense.connections[:-1]:
        x = connection(x).relu()
    assert torch.equal(dense(pixels), dense.connections[-1](x))
    folded = AnnBaseline(graph, folded=True)
    assert torch.allclose(folded(pixels), dense(pixels), rtol=1e-3, atol=1e-3)
    assert [s.weight.shape[-1] for s in folded.connections[:4]] == [3, 4, 3, 4]
