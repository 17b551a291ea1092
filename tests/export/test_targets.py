"""One function writes every target; options that are no choice, or of another target, are refused in a sentence."""

import json
import sys

import numpy as np
import pytest
import torch

from spquant_snn import (
    LIF,
    ConfigError,
    MissingDependencyError,
    QuantConfig,
    RunError,
    graph_from_nir,
    load_graph,
    lower,
    prepare,
)
from spquant_snn.data import Labelled
from spquant_snn.data.items import Items
from spquant_snn.export.targets import ExportOptions, export_graph
from spquant_snn.integer.file import to_bytes


@pytest.fixture
def network(random_graph, random_images):
    graph = random_graph(0)
    images = random_images(graph, 5)
    return graph, Labelled(images, np.arange(len(images)) % graph.classes)


def test_an_spq_file_needs_no_images_and_replaces_its_own_kind_alone(network, tmp_path):
    graph, _ = network
    path = tmp_path / "m.spq"
    for _ in range(2):
        assert export_graph(graph, path, ExportOptions(), "", None, None) == path.stat().st_size
    assert load_graph(path).classes == graph.classes
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match=r"is not an \.spq file, so it is kept"):
        export_graph(graph, tmp_path / "mine.txt", ExportOptions(), "", None, None)


def test_firmware_holds_the_first_images_and_how_it_was_asked_for(network, tmp_path):
    graph, test = network
    options = ExportOptions("c", prefer="flash")
    size = export_graph(graph, tmp_path / "fw", options, "a title", None, Items.of(test, "noise"))
    assert size == sum(path.stat().st_size for path in (tmp_path / "fw").iterdir())
    manifest = json.loads((tmp_path / "fw" / "firmware.json").read_text())
    assert (manifest["small"], manifest["dataset"], manifest["title"]) == (True, None, "a title")
    with pytest.raises(RunError):
        export_graph(graph, tmp_path / "fw", ExportOptions("c"), "a title", None, Items.of(test, "noise"))
    export_graph(graph, tmp_path / "fw", ExportOptions("c", force=True), "a title", None, Items.of(test, "noise"))


def test_a_page_without_classes_is_refused(network, tmp_path):
    graph, test = network
    with pytest.raises(ConfigError, match="a page shows test images with their classes: give some with labels"):
        export_graph(graph, tmp_path / "x", ExportOptions("web"), "a title", None, Items("noise", test.images))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "tflite"}, "target must be one of spq, c, web, onnx, nir, not 'tflite'"),
        ({"target": "c", "prefer": "size"}, "prefer must be one of speed, flash, not 'size'"),
        ({"target": "c", "layout": "bazel"}, "layout must be one of plain, cmake, .*, not 'bazel'"),
        ({"prefer": "flash"}, "prefer is for firmware, not for target spq: take target c, or leave it out"),
        ({"onnx_kind": "step"}, "onnx_kind is not for target spq: take target onnx, or leave it out"),
        ({"target": "web", "amalgamate": True}, "amalgamate is for firmware, not for target web"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        ExportOptions(**options)


def test_onnx_and_nir_files_replace_their_own_kind_alone(network, tmp_path):
    pytest.importorskip("onnx", reason="needs onnx, see `make test-exchange`")
    graph, test = network
    path = tmp_path / "m.onnx"
    for _ in range(2):
        assert (
            export_graph(graph, path, ExportOptions("onnx"), "", None, Items.of(test, "noise")) == path.stat().st_size
        )
    for target in ("onnx", "nir"):
        (tmp_path / "mine").write_text("mine")
        with pytest.raises(RunError, match=r"and is not an? .* file.*, so it is kept"):
            export_graph(graph, tmp_path / "mine", ExportOptions(target), "", None, None)


def a_row():
    """A graph that NIR has nodes for."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), LIF(), torch.nn.Linear(8, 3))
    return lower(prepare(module, QuantConfig(), (1, 4, 4)).eval().freeze())


@pytest.mark.parametrize("content", ["whole", "damaged"])
def test_a_nir_file_of_another_program_is_kept_unless_it_is_forced(content, tmp_path):
    nir = pytest.importorskip("nir", reason="needs nir, see `make test-exchange`")
    graph = a_row()
    path = tmp_path / "net.nir"
    nir.write(path, nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3)))))
    if content == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    theirs = path.read_bytes()
    with pytest.raises(RunError, match=r"is a NIR file that this package did not write, so it is kept: .*--force"):
        export_graph(graph, path, ExportOptions("nir"), "", None, None)
    assert path.read_bytes() == theirs
    for force in (True, False):  # then it is one of ours
        export_graph(graph, path, ExportOptions("nir", force), "", None, None)
        assert to_bytes(graph_from_nir(path)) == to_bytes(graph)
    assert list(tmp_path.iterdir()) == [path]


def test_a_nir_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    nir = pytest.importorskip("nir", reason="needs nir, see `make test-exchange`")
    graph = a_row()
    path = tmp_path / "net.nir"
    export_graph(graph, path, ExportOptions("nir"), "", None, None)
    before = path.read_bytes()

    def broken(beside, made):
        beside.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nir, "write", broken)
    with pytest.raises(RunError, match="cannot be written"):
        export_graph(graph, path, ExportOptions("nir"), "", None, None)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


def test_what_writes_onnx_is_named_where_it_is_missing(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"writing ONNX needs onnx: pip install 'spquant-snn\[onnx\]'"):
        export_graph(network[0], tmp_path / "m.onnx", ExportOptions("onnx"), "", None, None)
    assert list(tmp_path.iterdir()) == []
