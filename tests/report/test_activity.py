"""What is added up over batches: against a plain loop over all images, and against the ledger's own counts."""

import numpy as np
import pytest

from spquant_snn.integer.compare import Trace, reference_trace
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.report.activity import Activity, Observer
from spquant_snn.report.counts import count


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("seed", range(8))
def test_codes_and_spikes_are_those_of_every_image(seed, random_graph, random_images, monkeypatch):
    monkeypatch.setattr("spquant_snn.report.counts._BATCH", 2)
    graph = random_graph(seed)
    images = random_images(graph, 5)
    observer = Observer(graph)
    counts = count(graph, images, watch=observer)
    whole = reference_trace(graph, images)
    assert len(observer.layers) == len(graph.layers)
    for found, layer, (name, spikes, codes), counted in zip(
        observer.layers, graph.layers, whole.layers, counts.layers, strict=False
    ):
        grid = STATE_GRIDS[layer.neuron.bits]
        assert (found.name, found.bits, found.moments) == (name, layer.neuron.bits, 5 * graph.timesteps)
        assert found.codes.tolist() == [int((codes == code).sum()) for code in range(grid.low, grid.high + 1)]
        assert (found.spikes == spikes.sum((0, 1))).all()
        assert found.shares.sum() == pytest.approx(1)
        assert found.rate == pytest.approx(counted.rate)
        assert found.saturated == pytest.approx(counted.saturated)


def test_codes_that_fill_a_byte_are_counted():
    codes = np.arange(-128, 128, dtype=np.int8).repeat(3).reshape(1, 2, 384)
    seen = Activity("a", 8, np.zeros(256, np.int64), np.zeros(384, np.int64), 0)
    observer = Observer.__new__(Observer)
    observer.layers = (seen,)
    observer(Trace([("a", codes > 0, codes)]))
    assert observer.layers[0].codes.tolist() == [3] * 256


def test_silent_neurons_are_those_that_never_fired(two_layers, firing):
    images = np.full((3, 1, 2, 2), 255, np.uint8)
    for threshold, silent, rate in ((-(1 << 31), 0, 1), ((1 << 31) - 1, 1, 0)):
        graph = firing(two_layers, threshold)
        observer = Observer(graph)
        observer(reference_trace(graph, images))
        (found,) = observer.layers
        assert (found.silent, found.rate) == (silent, rate)
        assert found.rates.tolist() == [rate] * 3
