"""Folders for others: what is saved runs from there, and what was changed or is missing is refused by name."""

import fnmatch
import hashlib
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from spquant_snn import (
    ConfigError,
    DataError,
    LeNetSNN,
    MissingDependencyError,
    ModelError,
    QuantConfig,
    SpQuantError,
    from_pretrained,
    lower,
    make_ledger,
    prepare,
    save_pretrained,
)
from spquant_snn.errors import FileFormatError, RunError
from spquant_snn.integer import reference
from spquant_snn.integer.file import load_both


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
    assert "Ledger" not in card
    save_pretrained(network, folder)  # again


def test_the_card_says_what_an_inference_costs(network, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    folder = save_pretrained(network, tmp_path / "lenet", sample=(images, np.arange(40) % 10))
    card = (folder / "README.md").read_text("utf-8")
    graph, kept = load_both(folder / "model.spq")
    assert np.array_equal(kept.images[0], images[0])
    ledger = make_ledger(graph, images)
    low, high = (100 * x for x in ledger.savings)
    assert f"energy saved against the fp32 SNN, memory included: {low:.1f} to {high:.1f} %" in card
    assert "Counted on 40 inputs, T = 2." in card
    (heads,) = (line for line in card.splitlines() if line.startswith("| layer |"))
    rows = [line for line in card.splitlines() if line.startswith(tuple(f"| {x.name} |" for x in ledger.counts.layers))]
    assert len(rows) == len(ledger.counts.layers) > 2
    assert {row.count("|") for row in rows} == {heads.count("|")}


def test_a_sample_that_does_not_fit_leaves_nothing(network, tmp_path):
    with pytest.raises(DataError, match="the network takes"):
        save_pretrained(network, tmp_path / "lenet", sample=np.zeros((2, 1, 9, 9), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.spq"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(SpQuantError, match=rf"lenet holds no {name}, as .*: copy or download the whole folder again"):
        from_pretrained(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "model.spq"])
def test_an_altered_file_is_named(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(FileFormatError, match=rf"{name} of .*lenet is not the file that config.json says: copy or"):
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


class HTTPError(OSError):
    """Of the package's client, as its errors of the hub derive from it."""


class RepositoryNotFoundError(HTTPError):
    pass


class GatedRepoError(RepositoryNotFoundError):
    pass


class RevisionNotFoundError(HTTPError):
    pass


class HFValidationError(ValueError):
    pass


class LocalEntryNotFoundError(FileNotFoundError):
    pass


class FakeHub(ModuleType):
    """huggingface_hub, of which the models lie in a folder: what is asked for is linked into a cache, as there."""

    def __init__(self, root):
        super().__init__("huggingface_hub")
        self.models, self.cache, self.asked = root / "models", root / "cache", []

    def snapshot_download(self, repo_id, *, revision=None, allow_patterns=None):
        self.asked.append((repo_id, revision))
        if " " in repo_id:
            raise HFValidationError(f"Repo id must use alphanumeric chars, '-', '_' or '.': '{repo_id}'.")
        if repo_id == "somebody/offline":
            raise LocalEntryNotFoundError("Got: ConnectError: [Errno -2] Name or service not known\nAn error happened")
        if repo_id == "somebody/gated":
            raise GatedRepoError("403 Client Error. (Request ID: Root=1-2;3)\n\nCannot access gated repo")
        if not (self.models / repo_id).is_dir():
            raise RepositoryNotFoundError("401 Client Error. (Request ID: Root=1-2;3)\n\nRepository Not Found")
        if revision not in (None, "main"):
            raise RevisionNotFoundError("404 Client Error. (Request ID: Root=1-2;3)\n\nRevision Not Found")
        place = self.cache / f"models--{repo_id.replace('/', '--')}"
        for path in (self.models / repo_id).iterdir():
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in allow_patterns):
                data = path.read_bytes()
                blob = place / "blobs" / hashlib.sha256(data).hexdigest()
                for folder in (blob.parent, place / "snapshots" / "c0ffee"):
                    folder.mkdir(parents=True, exist_ok=True)
                blob.write_bytes(data)
                (place / "snapshots" / "c0ffee" / path.name).symlink_to(blob)
        return str(place / "snapshots" / "c0ffee")


@pytest.fixture
def hub(network, tmp_path, monkeypatch):
    found = FakeHub(tmp_path)
    save_pretrained(network, found.models / "somebody" / "lenet")
    monkeypatch.setitem(sys.modules, "huggingface_hub", found)
    monkeypatch.chdir(tmp_path)
    return found


def test_a_model_of_the_hub_runs(network, hub):
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    expected = reference.run(lower(network.eval().freeze()), images)
    assert np.array_equal(from_pretrained("somebody/lenet", revision="main").logits(images), expected)
    assert hub.asked == [("somebody/lenet", "main")]
    fetched = {path.name for path in hub.cache.glob("*/snapshots/*/*")}
    assert fetched == {"config.json", "model.safetensors", "model.spq"}  # and not whatever else lies there


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.spq"])
def test_a_file_that_the_hub_lacks_is_named(hub, name):
    (hub.models / "somebody" / "lenet" / name).unlink()
    with pytest.raises(FileFormatError, match=rf"^somebody/lenet on the hub holds no {name}, as each folder .*owner$"):
        from_pretrained("somebody/lenet")


@pytest.mark.parametrize("name", ["model.safetensors", "model.spq"])
def test_a_file_that_was_altered_on_the_hub_is_named(hub, name):
    with (hub.models / "somebody" / "lenet" / name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(FileFormatError, match=rf"^{name} of somebody/lenet on the hub is not the file .*: remove .*"):
        from_pretrained("somebody/lenet")


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("somebody/other", None, "the hub has no model somebody/other that you may read: check the id"),
        ("somebody/gated", None, "the owner of somebody/gated lets nobody read it who has not asked"),
        ("somebody/lenet", "v2", "somebody/lenet on the hub has no revision v2: give a branch"),
        ("somebody/of fame", None, "no id that the hub knows .Repo id must use"),
        ("somebody/offline", None, r"does not give somebody/offline .*Name or service not known\): check the network"),
        ("models", "v2", "models is a folder, and revision is of a model on the hub: leave it out"),
    ],
)
def test_what_the_hub_does_not_give_is_said_in_a_sentence(hub, name, revision, said):
    with pytest.raises(ConfigError, match=said) as caught:
        from_pretrained(name, revision)
    assert "\n" not in str(caught.value)
    assert "Request ID" not in str(caught.value)


def test_the_package_itself_takes_what_the_hub_is_asked(hub):
    sys.modules.pop("huggingface_hub")
    real = pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed")
    inspect.signature(real.snapshot_download).bind("a/b", revision=None, allow_patterns=["x"])
    kinds = (RepositoryNotFoundError, GatedRepoError, RevisionNotFoundError, HFValidationError, LocalEntryNotFoundError)
    assert all(hasattr(real.errors, kind.__name__) for kind in kinds)
    assert not Path("cache").exists()


def test_what_is_no_path_and_no_network_is_refused_in_words(network, tmp_path):
    for call in (lambda: save_pretrained(network, None), lambda: from_pretrained(3)):
        with pytest.raises(ConfigError, match=r"a path must be text or a pathlib\.Path"):
            call()
    with pytest.raises(ModelError, match="a SpikingNetwork is needed, not a Graph"):
        save_pretrained(lower(network.eval().freeze()), tmp_path / "x")
    assert not (tmp_path / "x").exists()
