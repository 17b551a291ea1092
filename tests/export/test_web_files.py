"""What is written for a page: complete, the same each time, and refused in a sentence where it cannot be."""

import json
import shutil
import subprocess
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from one_layer import CLASSES, one_layer
from rows import Last, row
from spquant_snn.data import Task
from spquant_snn.data.task import OutputFormat
from spquant_snn.errors import ConfigError, DataError, MissingDependencyError, ModelError, RunError
from spquant_snn.export import wasm
from spquant_snn.export.c import export_c
from spquant_snn.export.interface import layer_names
from spquant_snn.export.page_answers import check_shown
from spquant_snn.export.web import choose_samples, export_web, make_module, module_files
from spquant_snn.integer.graph import Connection

zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="the extra web is not installed")
CLEAN = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wshadow", "-Wmissing-prototypes", "-ffreestanding")


@pytest.fixture
def written(random_graph, random_images, tmp_path):
    """``written(seed, **options)``: the folder of a random graph's page, and the graph."""

    def run(seed, name="site", **options):
        graph = random_graph(seed)
        export_web(
            graph, random_images(graph, 6, seed), np.zeros(6, np.int64), tmp_path / name, "x", "digits", **options
        )
        return tmp_path / name, graph

    return run


@pytest.mark.web
@zig
def test_a_folder_is_complete_and_the_same_each_time(written):
    folder, graph = written(12)
    manifest = json.loads((folder / "web.json").read_text("utf-8"))
    assert manifest["layers"] == layer_names(graph)
    assert {*manifest["files"], "web.json"} == {path.name for path in folder.iterdir()} == {
        "index.html", "model.wasm", "web.json",
    }  # fmt: skip
    again, _ = written(12, "again")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}


def sections(module):
    """The numbers of a module's sections, as WebAssembly's binary format has them."""
    assert module[:8] == b"\0asm\1\0\0\0"
    at = 8
    while at < len(module):
        yield module[at]
        size = shift = 0
        while True:
            at += 1
            size |= (module[at] & 127) << shift
            shift += 7
            if module[at] < 128:
                break
        at += 1 + size


@pytest.mark.web
@zig
@pytest.mark.parametrize("seed", [3, 12])
def test_a_module_imports_nothing(random_graph, random_images, seed):
    graph = random_graph(seed)
    found = list(sections(make_module(graph, random_images(graph, 2), "x")))
    assert 2 not in found  # imports
    assert {1, 3, 7, 10} <= set(found)  # types, functions, exports, code


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_source_of_a_module_is_clean(random_graph, random_images, tmp_path):
    graph = random_graph(12)
    for name, data in module_files(graph, random_images(graph, 1), "a */ title").items():
        (tmp_path / name).write_bytes(data)
    ended = subprocess.run(
        ["gcc", *CLEAN, "-c", str(tmp_path / "page.c"), "-o", str(tmp_path / "page.o")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.web
@zig
def test_only_an_earlier_page_is_replaced(written, random_graph, random_images, tmp_path):
    folder, _ = written(12)
    with pytest.raises(RunError, match=r"is not empty, it holds index.html: .* replace it with --force"):
        written(12)
    (folder / "old").write_text("mine")
    with pytest.raises(RunError, match="holds old, which is not of the earlier export"):
        written(3, force=True)
    (folder / "old").unlink()
    written(3, force=True)
    graph = random_graph(12)
    export_c(graph, random_images(graph, 1), tmp_path / "firmware", "x")
    with pytest.raises(RunError, match="holds no earlier export, and --force replaces nothing else"):
        written(12, "firmware", force=True)


def test_a_missing_compiler_is_named_with_its_package(monkeypatch, written):
    monkeypatch.setattr(wasm, "zig", lambda: None)
    with pytest.raises(
        MissingDependencyError, match=r"the package ziglang: install it by 'pip install .spquant-snn\[web\]"
    ):
        written(12)


def test_what_does_not_fit_is_refused(random_graph, with_gates, random_images, tmp_path):
    graph = random_graph(12)
    images = random_images(graph, 4)
    with pytest.raises(DataError, match="this network takes images"):
        export_web(graph, np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64), tmp_path / "x", "x", "digits")
    with pytest.raises(DataError, match="a label is 99, and the network has"):
        export_web(graph, images, np.full(4, 99), tmp_path / "x", "x", "digits")
    with pytest.raises(DataError, match="1 test items have 4 labels: give one label for each"):
        export_web(graph, images[None], np.zeros(4, np.int64), tmp_path / "x", "x", "digits")
    with pytest.raises(ModelError, match=r"a page would need [\d,]+ bytes to show all spikes"):
        module_files(_of_many_neurons(graph), images, "x")
    assert not (tmp_path / "x").exists()


def _answering(kind=None, **more):
    """A network of three classes, labels or numbers."""
    graph, said = one_layer((2, 5, 4)), None if kind is None else OutputFormat(Task(kind, CLASSES))
    return replace(graph, readouts=(replace(graph.readout, output_format=said, **more),))


def _answering_with_maps():
    codes = np.ones((2, 2, 1, 1), np.int8)
    return row((2, 5, 4), 3, (), Last(Connection("maps", codes, 1.58), 0, np.zeros(2, np.int32), 1.0))


def _trained_for(kind, graph):
    said = OutputFormat(Task(kind, graph.outputs[0][0]))
    return replace(graph, readouts=(replace(graph.readout, output_format=said),))


def test_what_no_page_shows_is_refused_with_what_works():
    for kind in ("classification", "multilabel", "regression"):
        check_shown(_answering(kind))
    with pytest.raises(ConfigError, match=r"answers at every time step: export it as C \(--target c\)"):
        check_shown(_answering(over_time="all"))
    maps = _answering_with_maps()
    with pytest.raises(
        ConfigError, match=r"maps that are not a segmentation's \(2x5x4\): export it as C \(--target c\)"
    ):
        check_shown(maps)
    with pytest.raises(ConfigError, match=r"answers with maps of numbers \(2x5x4\): export it as C"):
        check_shown(_trained_for("regression", maps))
    check_shown(_trained_for("segmentation", maps))


def test_labels_of_another_task_are_refused(tmp_path):
    images = np.zeros((4, 2, 5, 4), np.uint8)
    with pytest.raises(DataError, match="the labels of the test items are int64"):
        export_web(_answering("regression"), images, np.zeros(4, np.int64), tmp_path / "x", "x", "x")
    with pytest.raises(DataError, match="the labels of the test items have 2 columns, the task 3 outputs"):
        export_web(_answering("multilabel"), images, np.zeros((4, 2), np.float32), tmp_path / "x", "x", "x")
    maps = _answering_with_maps()
    with pytest.raises(DataError, match="the maps of the test items are 4x5, those of the network 5x4"):
        export_web(_trained_for("segmentation", maps), images, np.zeros((4, 4, 5), np.int64), tmp_path / "x", "x", "x")
    assert not (tmp_path / "x").exists()


def test_samples_count_the_bytes_of_maps():
    images, labels = np.zeros((8, 1, 256, 256), np.uint8), np.zeros((8, 256, 256), np.int64)
    assert choose_samples(images, labels).indices.tolist() == list(range(7))


def test_samples_of_numbers_are_the_first():
    images, labels = np.zeros((30, 1, 2, 2), np.uint8), np.arange(60, dtype=np.float32).reshape(30, 2)
    assert choose_samples(images, labels).indices.tolist() == list(range(20))


def _of_many_neurons(graph):
    """As the graph, but for its size on paper."""

    class Long:
        timesteps = graph.timesteps
        shapes = ((1 << 12, 1 << 8, 1 << 8),)
        layers = graph.layers[:1]

    return Long()


def test_samples_are_the_first_of_each_class():
    labels = np.array([3, 3, 1, 3, 0, 1, 2] + [5] * 30)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    found = choose_samples(images, labels)
    assert found.indices[:5].tolist() == [4, 2, 6, 0, 7]  # of 0, 1, 2, 3, 5
    assert found.indices[5:8].tolist() == [5, 1, 8]
    assert len(found.labels) == 20
    assert (labels[found.indices] == found.labels).all()
    assert (found.images[:, 0, 0, 0] == found.indices).all()
