"""``spquant calibrate``: from a run in floating point, or a NIR file, to an .spq file."""

import json
from itertools import pairwise

import numpy as np
import pytest

from once import made_once
from spquant_snn import ConfigError, SpQuantTrainer, load_graph
from spquant_snn.cli.calibrate import bytes_in
from spquant_snn.data import load
from spquant_snn.integer.file import load_both


@pytest.fixture(scope="module")
def floating(shared):
    """A run in floating point."""

    def make(folder):
        trainer = SpQuantTrainer("lenet-snn:0.2", "digits", 32, out=folder / "run", epochs=3, quiet=True, timesteps=3)
        trainer.train().evaluate()

    return made_once(shared, "floating", make) / "run"


@pytest.fixture
def own(tmp_path):
    """Test images and labels of the digits as files."""
    test = load("digits").test
    np.save(tmp_path / "x.npy", test.images)
    np.save(tmp_path / "y.npy", test.labels)
    return "--images", tmp_path / "x.npy", "--labels", tmp_path / "y.npy"


def accuracy(spquant, *arguments):
    code, out, err = spquant("eval", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)["accuracy"]


def test_a_run_becomes_a_file_that_answers_as_well(spquant, floating, own, tmp_path):
    code, out, err = spquant("calibrate", floating, "--out", tmp_path / "net.spq")
    assert code == 0, err
    assert "of 256 answers are those of floating point" in out
    assert out.splitlines()[1].startswith("conv1 ")
    kept = load_both(tmp_path / "net.spq")[1]
    assert (kept.images == load("digits").train.images[:32]).all()
    found = accuracy(spquant, tmp_path / "net.spq", *own, "--backend", "reference")
    assert found >= accuracy(spquant, floating, "--dataset", "digits") - 2


def test_a_budget_is_kept(spquant, floating, tmp_path):
    code, out, err = spquant("calibrate", floating, "--out", tmp_path / "net.spq", "--budget", "6KB", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["bytes"] == (tmp_path / "net.spq").stat().st_size <= 6 << 10
    graph = load_graph(tmp_path / "net.spq")
    bits = {term.connection.name: term.connection.bits for part in graph.layers for term in part.terms}
    assert bits == {name: said["weight_bits"][name] for name in bits}


def test_answers_are_kept(spquant, floating, own, tmp_path):
    images = own[:2]
    sizes = []
    for share in ("95", "60"):
        code, out, err = spquant(
            "calibrate", floating, *images, "--out", tmp_path / "net.spq", "--agreement", share, "--json"
        )
        assert code == 0, err
        sizes.append(json.loads(out)["bytes"])
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_a_nir_file_becomes_one_of_ours(spquant, kind, tmp_path):
    nir = pytest.importorskip("nir", reason="nir is not installed: make test-exchange")
    rng = np.random.default_rng(0)
    nodes = {
        "input": nir.Input(input_type=np.array([16])),
        "fc1": nir.Linear(weight=rng.normal(size=(12, 16))),
        "lif": nir.LIF(**{name: np.full(12, v) for name, v in (("tau", 2e-4), ("r", 2.0), ("v_leak", 0.0),
                                                              ("v_threshold", 1.0), ("v_reset", 0.0))}),
        "fc2": nir.Linear(weight=rng.normal(size=(3, 12))),
        "out": nir.LI(tau=np.full(3, 2e-4), r=np.full(3, 1.0), v_leak=np.full(3, 0.0)),
        "output": nir.Output(output_type=np.array([3])),
    }  # fmt: skip
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    nir.write(tmp_path / "net.nir", graph)
    values = rng.integers(0, 256, (60, 16), np.uint8) if kind == "uint8" else rng.normal(size=(60, 16))
    np.save(tmp_path / "x.npy", values)
    own = ("--images", tmp_path / "x.npy")
    code, out, err = spquant("calibrate", tmp_path / "net.nir", *own, "--dt", "1e-4", "--out", tmp_path / "net.spq")
    assert code == 0, err
    assert "of 60 answers" in out
    assert load_graph(tmp_path / "net.spq").inputs[0].signed == (kind == "float")


def test_what_cannot_be_is_said(spquant, floating, tmp_path):
    out = ("--out", tmp_path / "net.spq")
    (tmp_path / "net.nir").write_bytes(b"nothing")
    for arguments, said in (
        ((floating, *out, "--budget", "5KB", "--agreement", "99"), "either --budget or --agreement"),
        ((floating, *out, "--count", "0"), "count must be at least 1"),
        ((floating, *out, "--budget", "many"), "a size is a number of bytes"),
        ((floating, *out, "--budget", "100"), "the smallest has"),
        ((floating, *out, "--weight-bits", "9"), "weight bits must be 1.58"),
        ((floating, *out, "--state-bits", "32"), "floating point cannot be calibrated"),
        ((floating, *out, "--images", tmp_path / "no.npy"), "there is no"),
        ((tmp_path / "net.nir", *out), "name some of what it is used on"),
    ):
        code, _, err = spquant("calibrate", *arguments)
        assert (code, err.count("\n")) == (2, 1), err
        assert said in err
        assert not (tmp_path / "net.spq").exists()


@pytest.mark.parametrize(("text", "size"), [("65536", 65536), ("64KB", 65536), ("64 KiB", 65536), ("1.5MB", 3 << 19)])
def test_sizes_are_read(text, size):
    assert bytes_in(text) == size


@pytest.mark.parametrize("text", ["", "KB", "64TB", "-1", "0", "nan", "inf", "6 4KB"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match="size"):
        bytes_in(text)
