"""Folders for others: what is saved runs from there, and what was changed or is missing is refused by name."""

import json
import sys

import numpy as np
import pytest
import torch

from spquant_snn import (
    ConfigError,
    LeNetSNN,
    MissingDependencyError,
    QuantConfig,
    SpQuantError,
    from_pretrained,
    lower,
    prepare,
    save_pretrained,
)
from spquant_snn.errors import FileFormatError, RunError
from spquant_snn.integer import reference


@pytest.fixture
def network():
    torch.manual_seed(0)
    return prepare(LeNetSNN((1, 8, 8)), QuantConfig(), (1, 8, 8))


@pytest.fixture
def folder(network, tmp_path):
    return save_pretrained(network, tmp_path / "lenet", 97.125, "Trained on digits.")


def test_a_folder_runs_as_the_network_that_was_saved(network, folder):
    assert network.training
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "model.spq", "README.md"}
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    expected = reference.run(lower(network.eval().freeze()), images)
    assert np.array_equal(from_pretrained(folder).logits(images), expected)
    card = (folder / "README.md").read_text("utf-8")
    assert "| accuracy | 97.12 % |" in card
    assert "Trained on digits." in card
    assert json.loads((folder / "config.json").read_text("utf-8"))["accuracy"] == 97.125
    save_pretrained(network, folder)  # again


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.spq"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(SpQuantError, match=rf"{name}.*copy or download the whole folder again"):
        from_pretrained(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "model.spq"])
def test_an_altered_file_is_named(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(FileFormatError, match=rf"{name} is not the file that config.json says"):
        from_pretrained(folder)


def test_somebody_s_own_folder_is_kept(network, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something else, so it is kept"):
        save_pretrained(network, tmp_path)


def test_the_hub_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match="the hub needs huggingface-hub: pip install"):
        from_pretrained("somebody/lenet")
    with pytest.raises(ConfigError, match="there is no folder lenet"):
        from_pretrained("lenet")
