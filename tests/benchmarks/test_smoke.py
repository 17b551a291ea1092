"""Every benchmark starts, and runs at a small size where that takes seconds; those of ``runtime``, ``train`` and
``sparsity`` have tests of their own."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import exactness, neuron, shortcuts
from benchmarks.__main__ import names
from random_graphs import random_graph
from rows import Last, Part, row
from spquant_snn import SpQuantTrainer
from spquant_snn.data import Labelled, Splits, Task
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.packaging import Packaging
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from toolchains import needs

pytestmark = pytest.mark.slow

NEEDS = {"synops": "neurobench"}  # packages that a benchmark cannot even start without


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished training on the digits."""
    folder = tmp_path_factory.mktemp("smoke") / "run"
    SpQuantTrainer("lenet-snn:0.1", "digits", 2, out=folder, quiet=True, epochs=1, precision="fp32").train().evaluate()
    return folder


@pytest.mark.parametrize("name", names())
def test_it_says_what_it_takes(name, benchmark):
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    code, out, err = benchmark(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: python -m benchmarks {name} ")


def test_imported_networks_say_what_their_packages_say(benchmark):
    for package in ("snntorch", "spikingjelly"):
        pytest.importorskip(package, reason=f"needs {package}, see `make test-exchange`")
    code, out, _ = benchmark("exchange", "--tables", "spikes", "--inputs", "3")
    assert code == 0
    rows = [line for line in out.splitlines() if "snnTorch, " in line or "SpikingJelly, " in line]
    assert len(rows) == 9
    assert all(line.rstrip(" │|").endswith(" 0") for line in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("cifar10 table --out nowhere", "| weights / state | test accuracy, % | "),
        ("more_steps {run}/model.spq --dataset digits --validation 143 --steps 1 2", "test, T = 2: "),
        ("mnist table --out nowhere", "| weights / state | test accuracy, % (seeds) | "),
        ("events --events 20000 --rounds 1", "AEDAT 3.1: "),
        ("fuzz --reader idx --mutations 3", "idx: 3 mutations"),
        ("quantizers --tasks iris --widths 2 --variants normalized --seeds 0 --epochs 1", "| iris | "),
        ("recurrent --seeds 0 --epochs 1 --bits 2 --recordings 100 20 20", "yes"),
        ("resnet --model resnet11-snn:0.05 --rounds 1", "native / engine"),
        ("stream {run}/model.spq --dataset digits", "50 of 50 answers as the batch's"),
    ],
)
def test_it_runs(words, said, benchmark, run):
    code, out, _ = benchmark(*words.format(run=run).split())
    assert code == 0
    assert said in out


def test_exactness_runs(benchmark, monkeypatch):
    draw = np.random.default_rng(0)
    noise = Labelled(draw.integers(0, 256, (64, 1, 28, 28), np.uint8), draw.integers(0, 10, 64))
    monkeypatch.setattr(exactness, "load", lambda name, folder: Splits(name, noise, noise, Task("classification", 10)))
    words = ["--count", 4, "--bits", 2, "--reset", "zero", "--leak", 0.5, "--timesteps", 2]
    code, out, err = benchmark("exactness", *words)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("1 of 1 combinations equal, ")


def test_features_on_a_microcontroller_are_those_of_numpy(benchmark):
    needs(board_of("cortex-m4"))
    code, out, err = benchmark("front_end")
    assert (code, err) == (0, "")
    assert out.count("yes") == 2


def test_a_program_goes_from_samples_to_a_class(benchmark, tmp_path):
    needs(board_of("cortex-m4"))
    for shape, name in (((1, 49, 10), "image"), ((6, 1, 49), "signal")):
        rng = np.random.default_rng(1)
        first = Connection("conv", rng.integers(-1, 2, (8, shape[0], 1, 3)).astype(np.int8), 1.58, stride=(4, 4))
        reach = np.maximum(first.reach(255), 1)
        kept, _ = fold_neuron(1.58, 4.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
        size = int(np.prod(first.output_shape(shape)))
        last = Connection("last", rng.integers(-1, 2, (3, size)).astype(np.int8), 1.58)
        graph = row(shape, 2, (Part(first, kept),), Last(last, 0, np.zeros(3, np.int32), 1.0))
        export_c(graph, rng.integers(0, 256, (1, *shape), np.uint8), tmp_path / name, name, shape=Packaging(name="kws"))
        code, out, err = benchmark("keyword", tmp_path / name)
        assert (code, err) == (0, "")
        equal = re.search(r"every byte *\S *(\d+) of (\d+) sounds", out)
        assert equal[1] == equal[2]
    export_c(random_graph(12), np.zeros((1, *random_graph(12).input_shape), np.uint8), tmp_path / "other", "x")
    code, _, err = benchmark("keyword", tmp_path / "other")
    assert "no log-mel features: it must take 1x49xBANDS or BANDSx1x49" in err
    assert code == 2


def test_shortcuts_of_every_kind_are_trained(benchmark, monkeypatch):
    draw = np.random.default_rng(0)
    noise = Labelled(draw.integers(0, 3, (11, 2, 2, 32, 32), np.uint8), np.arange(11))
    monkeypatch.setattr(
        shortcuts, "load", lambda name, timesteps: Splits(name, noise, noise, Task("classification", 11))
    )
    code, out, err = benchmark("shortcuts", "--width", 0.05, "--timesteps", 2, "--epochs", 1)
    assert (code, err) == (0, "")
    assert all(f"{variant}, seed 0: " in out for variant in shortcuts.VARIANTS)


def test_the_neuron_is_timed(benchmark, monkeypatch):
    monkeypatch.setattr(neuron, "_SHAPE", (2, 3, 4, 4))
    code, out, err = benchmark("neuron", "--rounds", 1)
    assert (code, err) == (0, "")
    assert [line.split(" | ")[:2] for line in out.splitlines()[2:]] == [
        [f"| [{steps}, 2, 3, 4, 4]", kind] for steps in (4, 16) for kind in ("float", "2-bit")
    ]


def test_gestures_are_drawn(benchmark, tmp_path):
    code, _, err = benchmark("gestures", "sheet", "--out", "sheet.png", "--timesteps", 2)
    assert (code, err) == (0, "")
    assert Path(tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
