"""Rasters: equal to the reference in every number; mosaics by a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.data.items import Items
from spquant_snn.errors import ConfigError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.report.raster import mosaic, shown, take_rasters


@pytest.mark.parametrize("seed", range(8))
def test_spikes_codes_and_logits_are_the_reference_s(seed, random_graph, random_images):
    graph = random_graph(seed)
    images = random_images(graph, 4)
    chosen = (2, 0)
    rasters = take_rasters(graph, Items("noise", images, np.array([3, 1, 2, 0])), chosen)
    assert [(raster.index, raster.label) for raster in rasters] == [(2, 2), (0, 3)]
    for raster in rasters:
        alone = images[[raster.index]]
        trace = reference_trace(graph, alone)
        for layer, (name, spikes, codes) in zip(raster.layers, trace.layers, strict=True):
            assert layer.name == name
            assert (layer.spikes == spikes[:, 0]).all()
            assert (layer.codes == codes[:, 0]).all()
        assert (raster.image == images[raster.index]).all()
        assert raster.logits.shape == (graph.timesteps + 1, graph.classes)
        assert not raster.logits[0].any()
        assert (raster.logits[-1] == reference.run(graph, alone)[0]).all()
        assert raster.answer == reference.run(graph, alone)[0].argmax()


def test_logits_before_the_last_step_are_those_of_fewer_steps(random_graph, random_images):
    graph = next(g for g in map(random_graph, range(40)) if g.timesteps > 2)
    images = random_images(graph, 1)
    (raster,) = take_rasters(graph, Items("noise", images), (0,))
    assert raster.label is None
    for steps in range(1, graph.timesteps):
        frames = np.broadcast_to(images, (steps, *images.shape))
        assert (raster.logits[steps] == reference.run(graph, frames)[0]).all()


@pytest.mark.parametrize("index", [-1, 3])
def test_an_image_that_is_not_there_is_refused(index, two_layers):
    with pytest.raises(ConfigError, match=f"no test image {index} for a raster: choose from 0 to 2"):
        take_rasters(two_layers, Items("black", np.zeros((3, 1, 2, 2), np.uint8)), (0, index))


def test_no_image_needs_no_run(two_layers):
    assert take_rasters(two_layers, Items("black", np.zeros((3, 1, 2, 2), np.uint8)), ()) == ()


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_every_channel_lies_on_its_tile(channels, height, width, spacing):
    values = np.arange(1, channels * height * width + 1).reshape(channels, height, width)
    sheet = mosaic(values, 0, spacing)
    across = (sheet.shape[1] + spacing) // (width + spacing)
    rebuilt = np.zeros_like(sheet)
    for channel in range(channels):
        y, x = divmod(channel, across)
        y, x = y * (height + spacing), x * (width + spacing)
        rebuilt[y : y + height, x : x + width] = values[channel]
    assert (sheet == rebuilt).all()
    assert sheet.shape[0] // (height + spacing) <= across  # never higher than wide, in tiles


@given(st.integers(1, 300))
def test_neurons_without_a_place_lie_side_by_side(count):
    sheet = mosaic(np.arange(1, count + 1), 0)
    assert [*filter(None, sheet.reshape(-1))] == list(range(1, count + 1))
    assert sheet.shape[0] <= sheet.shape[1]


@pytest.mark.parametrize(
    ("shape", "kept"), [((64, 7, 7), 64), ((128, 64, 64), 4), ((2, 500, 500), 1), ((30000,), 16384)]
)
def test_only_so_many_neurons_are_shown(shape, kept):
    assert shown(shape) == kept
