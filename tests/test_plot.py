"""Pictures hold what the reference computes, are text that a page can hold, and say in a sentence what they cannot."""

import re
import sys
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from random_graphs import random_graph, random_images
from spquant_snn import SpQuantTrainer, plot
from spquant_snn.errors import ConfigError, DataError, MissingDependencyError, ModelError, RunError
from spquant_snn.integer.compare import potentials, reference_trace
from spquant_snn.integer.program import Program
from spquant_snn.integer.reference import remainder
from spquant_snn.report.draw.lines import Series, line_chart
from spquant_snn.report.draw.svg import side_by_side

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module", params=range(4))
def shown(request):
    """A graph, one image, and its trace."""
    graph = random_graph(request.param)
    image = random_images(graph, 1)
    return graph, image, reference_trace(graph, image)


def spikes_drawn(picture):
    """How many spikes each panel has."""
    found = [each for each in picture.drawn.iter() if each.get("class") == "spikes"]
    return [each.get("d").count("M") for each in found]


def test_a_raster_has_every_spike_of_small_layers(shown):
    graph, image, trace = shown
    few = [every_so_many(spikes) for _, spikes, _ in trace.layers]
    assert spikes_drawn(plot.raster(Program(graph), image)) == [int(spikes.sum()) for spikes in few]
    total = sum(int(spikes.sum()) for _, spikes, _ in trace.layers)
    assert f"{total:,} spikes of" in plot.raster(graph, image[0])._repr_svg_()


def every_so_many(spikes):
    flat = spikes.reshape(len(spikes), -1)
    return flat[:, :: -(-flat.shape[1] // 96)]


def test_a_potential_at_its_threshold_or_above_fires_and_what_is_kept_is_what_the_code_leaves(shown):
    graph, image, trace = shown
    for which, layer in enumerate(graph.layers):
        kept, reached, fired = plot._potentials(graph, image, which)
        _, spikes, codes = trace.layers[which]
        per_neuron = np.broadcast_to(
            layer.neuron.fire.reshape(-1, *[1] * (len(graph.shapes[which]) - 1)), graph.shapes[which]
        )
        assert (fired == spikes.reshape(len(spikes), -1)).all()
        if layer.gate is None:
            assert (fired == (reached >= per_neuron.reshape(-1))).all()
        for before, code in zip(kept[1:], potentials(spikes, codes), strict=True):
            assert (before == remainder(layer.neuron, code).reshape(-1)).all()


def test_a_membrane_has_a_line_and_a_threshold_for_each_neuron_and_a_disc_for_each_spike(shown):
    graph, image, trace = shown
    name, spikes, _ = trace.layers[-1]
    count = min(3, spikes[0].size)
    drawn = plot.membrane(graph, image, name, range(count)).drawn
    kinds = [each.get("class") for each in drawn.iter()]
    assert kinds.count("threshold") == kinds.count("thin s0") == count
    assert kinds.count("fired") == int(spikes.reshape(len(spikes), -1)[:, :count].sum())


def test_a_picture_brings_no_style_and_its_names_are_text(shown):
    graph, image, _ = shown
    text = plot.raster(graph, image, ["<script>"] * graph.classes)._repr_html_()
    assert "&lt;script&gt;" in text
    assert [mark for mark in ("<script", "<style", "class=") if mark in text] == []
    picture = plot.membrane(graph, image)
    assert "currentColor" in picture._repr_html_()
    assert "currentColor" not in picture._repr_svg_()
    assert fromstring(picture._repr_svg_())[0].get("fill") == "#ffffff"


def test_it_is_saved_as_svg_or_png(shown, tmp_path):
    graph, image, _ = shown
    picture = plot.raster(graph, image)
    root = fromstring(picture.save(tmp_path / "r.svg").read_text("utf-8"))
    assert root.tag == f"{SVG}svg"
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pillow.open(picture.save(tmp_path / "r.png")) as image:
        assert image.size == (2 * int(root.get("width")), 2 * -(-float(root.get("height")) // 1))
        colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert (255, 255, 255) in colours
    assert (0xD9, 0x48, 0x0F) in colours or not sum(spikes_drawn(picture))
    with pytest.raises(ConfigError, match=r"saved as \.svg or \.png, not as .*r\.jpg"):
        picture.save(tmp_path / "r.jpg")
    assert {path.name for path in tmp_path.iterdir()} == {"r.svg", "r.png"}


def test_a_png_needs_pillow(shown, tmp_path, monkeypatch):
    graph, image, _ = shown
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=re.escape("pip install 'spquant-snn[plot]'")):
        plot.raster(graph, image).save(tmp_path / "r.png")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_shown_is_refused(shown):
    graph, _, _ = shown
    images = random_images(graph, 2)
    with pytest.raises(DataError, match="of one input, not of 2"):
        plot.raster(graph, images)
    with pytest.raises(ConfigError, match=f"no layer 'wings' with neurons: choose one of {graph.layers[0].name}"):
        plot.membrane(graph, images[0], "wings")
    with pytest.raises(ConfigError, match="has no neuron 1000000"):
        plot.membrane(graph, images[0], 0, [1000000])
    with pytest.raises(ModelError, match="a Graph or a Program is needed, not a str"):
        plot.raster("model.spq", images[0])
    with pytest.raises(ConfigError, match=r"a path must be text or a pathlib\.Path"):
        plot.curves(None)


def test_the_curves_of_a_run_and_what_a_notebook_shows_of_it(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 1, 8, 8), np.uint8), rng.integers(0, 2, 40)
    trainer = SpQuantTrainer(
        "lenet-snn", ((images, labels),) * 2, 2, out=tmp_path / "run<b>", quiet=True, batch_size=20, timesteps=2
    )
    with pytest.raises(RunError, match=re.escape("before train()")):
        trainer.plot()
    assert "not trained" in trainer._repr_html_()
    trainer.train(epochs=1)
    assert "Accuracy" in trainer.plot()._repr_svg_()
    shown = trainer._repr_html_()
    assert "run&lt;b&gt;" in shown
    assert "<b>" not in shown
    (tmp_path / "run<b>" / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="no epoch"):
        trainer.plot()


def test_charts_stand_side_by_side_without_what_only_a_page_shows():
    charts = [line_chart(name, [1, 2], [Series("a", [3, 4])], "x", "y") for name in ("one", "two", "three", "four")]
    root = side_by_side("four", charts)
    places = [(each.get("x"), each.get("y")) for each in root if each.tag == "svg"]
    assert len(set(places)) == len(charts) == 4
    picture = plot.Plot("four", root)
    assert "tabindex" not in picture._repr_svg_()
    assert max(float(x) for x, _ in places) + 400 < float(fromstring(picture._repr_svg_()).get("width"))
