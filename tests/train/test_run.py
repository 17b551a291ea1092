"""The folder of a run: what is written into it, and how one that is damaged is refused."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import torch
from torch import nn
from torch.optim import SGD

from spquant_snn import ConfigError, FileFormatError, RunError
from spquant_snn.train.checkpoint import Progress, save_checkpoint, save_weights
from spquant_snn.train.config import TrainConfig, load_config, save_config
from spquant_snn.train.fingerprint import model_print
from spquant_snn.train.loading import build_network, load_network
from spquant_snn.train.metrics import LayerActivity, Metrics
from spquant_snn.train.run import RunFolder, free_folder

CONFIG = TrainConfig(model="lenet-snn:0.1", dataset="digits", epochs=3, seed=5)
METRICS = Metrics(90.0, 0.5, (LayerActivity("conv1", 0.2, 0.1, 0.0),))


@pytest.fixture
def run(tmp_path):
    """The folder of a run whose first epoch is done."""
    folder = RunFolder(tmp_path / "deep" / "run")
    network = build_network(CONFIG, (1, 8, 8), 10)
    folder.create(CONFIG, (1, 8, 8), 10, fingerprint={"model": model_print(network)})
    save_weights(folder.weights, network)
    return folder


def test_a_new_run_says_what_it_is_and_where_it_came_from(run):
    assert load_config(run.config) == CONFIG
    record = run.read_record()
    assert record["input_shape"] == [1, 8, 8]
    assert record["classes"] == 10
    assert record["seed"] == 5
    assert record["versions"]["torch"] == torch.__version__
    assert record["command"]
    assert record["started"]


def test_a_folder_holds_one_run(run):
    with pytest.raises(RunError, match="already holds a run: resume it, or choose another folder"):
        run.create(CONFIG, (1, 8, 8), 10)


def test_the_commit_is_that_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    RunFolder(tmp_path / "a").create(CONFIG, (1, 8, 8), 10)
    assert RunFolder(tmp_path / "a").read_record()["git_commit"] is None
    commit = ["-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--allow-empty", "-m", "x"]
    for line in (["init", "--quiet"], commit):
        subprocess.run(["git", *line], check=True)
    RunFolder(tmp_path / "b").create(CONFIG, (1, 8, 8), 10)
    assert len(RunFolder(tmp_path / "b").read_record()["git_commit"]) == 40


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    RunFolder(tmp_path / "a").create(CONFIG, (1, 8, 8), 10)
    assert RunFolder(tmp_path / "a").read_record()["git_commit"] is None


def test_notes_are_added_to_the_record(run):
    run.note(test_accuracy=91.0)
    run.note(test_accuracy=92.0, best={"epoch": 3})
    record = run.read_record()
    assert (record["test_accuracy"], record["best"], record["classes"]) == (92.0, {"epoch": 3}, 10)


def test_lines_of_epochs_that_are_run_again_give_way(run):
    for epoch in (1, 2, 3, 2):
        run.log_epoch(epoch, 0.5, 80.0 + epoch, METRICS)
    lines = [json.loads(line) for line in run.metrics.read_text("utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1] == {
        "epoch": 2,
        "train_loss": 0.5,
        "train_accuracy": 82.0,
        "val_accuracy": 90.0,
        "val_loss": 0.5,
        "val_layers": [{"name": "conv1", "rate": 0.2, "saturated": 0.1, "dead": 0.0}],
    }


@pytest.mark.parametrize("damage", ["{", '{"epoch": Infinity}', '{"epoch": 1' + "0" * 5000 + "}", "[" * 100_000, "\0"])
def test_damaged_lines_of_epochs_stay_where_they_are(run, damage):
    run.log_epoch(1, 0.5, 81.0, METRICS)
    run.metrics.write_text(run.metrics.read_text("utf-8") + damage + "\n", encoding="utf-8")
    run.log_epoch(3, 0.5, 83.0, METRICS)
    lines = run.metrics.read_text("utf-8").splitlines()
    assert [lines[1], len(lines), json.loads(lines[2])["epoch"]] == [damage, 3, 3]
    run.log_epoch(2, 0.5, 82.0, METRICS)
    assert [json.loads(line)["epoch"] for line in run.metrics.read_text("utf-8").splitlines()] == [1, 2]


def test_free_folders_are_numbered_and_can_be_named_anywhere(tmp_path):
    config = TrainConfig(model="vgg9-snn:0.25", dataset="cifar10", weight_bits="ternary", state_bits=4)
    assert free_folder(config, tmp_path) == tmp_path / "vgg9-snnx0.25-cifar10-w1.58s4-1"
    (tmp_path / "vgg9-snnx0.25-cifar10-w1.58s4-1").mkdir()
    assert free_folder(config, tmp_path) == tmp_path / "vgg9-snnx0.25-cifar10-w1.58s4-2"


def test_the_network_of_a_run_is_the_one_that_was_saved(run):
    saved, loaded = build_network(CONFIG, (1, 8, 8), 10), load_network(run.path)
    assert not loaded.frozen
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))


def test_the_neurons_are_as_the_configuration_says():
    config = TrainConfig(model="lenet-snn:0.1", leak=0.75, reset="subtract", learn_threshold=True, state_bits=4)
    lif = build_network(config, (1, 8, 8), 10).hidden[0].lif
    assert (lif.leak, lif.reset, lif.v_threshold.requires_grad, lif.levels.low) == (0.75, "subtract", True, -8)


@pytest.mark.parametrize("wrong", [{"leak": 1.3}, {"model": "lenet"}])
def test_what_only_the_model_knows_is_refused_when_it_is_built(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be"):
        build_network(TrainConfig(**{"model": "lenet-snn:0.1"} | wrong), (1, 8, 8), 10)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        "\0",
        "{}",
        '{"input_shape": [1, 8], "classes": 10}',
        '{"input_shape": "188", "classes": null}',
        '{"input_shape": [1, 8, -8], "classes": 10}',
        '{"input_shape": [1, 8, 8], "classes": 0}',
        '{"input_shape": [1, 8, 1e300], "classes": 10}',
        '{"input_shape": [1, 8, 88888888], "classes": 10}',
        '{"input_shape": [1, 8, 8], "classes": 11}',
        '{"input_shape": [1, 8, 8], "classes": Infinity}',
        '{"input_shape": [1, 8, 8], "classes": true}',
        '{"input_shape": [1, 8, 8], "classes": 10, "input_format": {"signed": false, "scale": 1e400}}',
        '{"input_shape": [1, 8, 8], "classes": 10, "input_format": {"signed": 1, "scale": 1}}',
        '{"input_shape": [1, 8, 8], "classes": 10}',
        '{"input_shape": [1, 8, 8], "classes": 1' + "0" * 400 + "}",
        '{"input_shape": [1, 8, 8], "classes": 1' + "0" * 5000 + "}",
        '{"input_shape": ' + "[" * 100_000,
        '{"input_shape": [1, 8, 8], "classes": 10, "more": ' + "[" * 40 + "]" * 40 + "}",
    ],
)
def test_a_damaged_record_is_refused(run, record):
    run.record.write_text(record, encoding="utf-8")
    with pytest.raises(FileFormatError, match="damaged") as refused:
        load_network(run.path)
    assert "\n" not in str(refused.value)


def test_a_record_that_is_not_text_is_refused(run):
    run.record.write_bytes(b"\xff\xfe{}")
    with pytest.raises(FileFormatError, match="damaged"):
        load_network(run.path)


@pytest.mark.parametrize("missing", ["config", "record", "weights"])
def test_a_missing_file_is_named(run, missing):
    path = getattr(run, missing)
    path.unlink()
    with pytest.raises(RunError, match=path.name):
        load_network(run.path)


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_allocated_for_weights_that_are_not_there(run, monkeypatch, there):
    record = json.loads(run.record.read_text())
    run.record.write_text(json.dumps(record | {"input_shape": [1, 1 << 20, 1 << 20]}))
    if not there:
        run.weights.unlink()
    monkeypatch.setattr("spquant_snn.train.loading.build_network", lambda *arguments: pytest.fail("allocated"))
    error, said = (FileFormatError, "of different sizes") if there else (RunError, "holds no model.safetensors")
    with pytest.raises(error, match=said):
        load_network(run.path)


def test_a_network_given_in_python_is_not_guessed(run):
    save_config(TrainConfig(model="custom"), run.config)
    with pytest.raises(RunError, match="was given in Python, not by name"):
        load_network(run.path)


def test_the_command_is_kept_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bin/spquant", "train", "--out", "a b"])
    RunFolder(tmp_path / "a").create(CONFIG, (1, 8, 8), 10)
    assert RunFolder(tmp_path / "a").read_record()["command"] == ["spquant", "train", "--out", "a b"]


def refusals(count, create):
    """What ``count`` threads meet that create something at once; None is a success."""

    def attempt():
        started.wait()
        try:
            create()
        except RunError as error:
            return str(error)
        return None

    started = Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return [task.result() for task in [pool.submit(attempt) for _ in range(count)]]


def test_of_trainings_that_start_at_once_on_one_folder_one_wins(tmp_path, monkeypatch):
    monkeypatch.setattr("spquant_snn.train.run._git_commit", lambda: None)
    found = refusals(8, lambda: RunFolder(tmp_path / "run").create(CONFIG, (1, 8, 8), 10))
    assert found.count(None) == 1
    assert all("already holds a run" in each for each in found if each is not None)
    assert load_config(tmp_path / "run" / "config.toml") == CONFIG
    assert RunFolder(tmp_path / "run").read_record()["classes"] == 10


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_a_configuration_that_comes_between_is_never_replaced(tmp_path, kind, monkeypatch):
    folder = tmp_path / "run"
    makes = Path.mkdir

    def mkdir(self, *args, **options):
        makes(self, *args, **options)
        if kind != "broken link":
            (tmp_path / "other").write_text("kept", "utf-8")
        if kind == "file":
            (folder / "config.toml").write_text("kept", "utf-8")
        else:
            (folder / "config.toml").symlink_to(tmp_path / "other")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(RunError, match="already holds a run"):
        RunFolder(folder).create(CONFIG, (1, 8, 8), 10)
    assert [path.name for path in folder.iterdir()] == ["config.toml"]
    assert (tmp_path / "other").exists() == (kind != "broken link")
    assert kind == "broken link" or (folder / "config.toml").read_text("utf-8") == "kept"


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RunError("no room"), MemoryError()], ids=repr)
@pytest.mark.parametrize("held", [(), ("notes.txt",)], ids=["new", "with a file"])
def test_a_run_whose_start_cannot_be_written_leaves_nothing(tmp_path, monkeypatch, stop, held):
    def fail(*args, **options):
        raise stop

    for name in held:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / name).write_text("mine", "utf-8")
    monkeypatch.setattr(RunFolder, "note", fail)
    with pytest.raises(type(stop)):
        RunFolder(tmp_path / "run").create(CONFIG, (1, 8, 8), 10)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([*held, *(["run"] if held else [])])


@pytest.mark.parametrize("name", ["init", "teacher"])
def test_a_name_that_is_not_utf8_is_refused_before_anything_is_written(tmp_path, name):
    config = replace(CONFIG, **{name: "runs/\udcff"})
    with pytest.raises(ConfigError, match=f"{name} is .* not UTF-8"):
        RunFolder(tmp_path / "run").create(config, (1, 8, 8), 10)
    assert list(tmp_path.iterdir()) == []


WRITES = {
    "note": lambda run: run.note(test_accuracy=1.0),
    "log_epoch": lambda run: run.log_epoch(1, 0.5, 80.0, METRICS),
    "weights": lambda run: save_weights(run.weights, nn.Linear(1, 1)),
    "checkpoint": lambda run: save_checkpoint(run.checkpoint, nn.Linear(1, 1), SGD([torch.zeros(1)]), Progress()),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("hold", [False, True], ids=["any", "held"])
def test_nothing_is_written_into_a_run_that_is_gone(run, write, hold):
    run = run.hold() if hold else run
    shutil.rmtree(run.path)
    with pytest.raises(RunError):
        write(run)
    assert not run.path.exists()


@pytest.mark.parametrize("name", ["note", "log_epoch"])
def test_nothing_is_written_into_another_run_in_its_place(run, name):
    run = run.hold()
    WRITES[name](run)
    shutil.rmtree(run.path)
    RunFolder(run.path).create(CONFIG, (1, 8, 8), 10)
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(RunError, match="was deleted or replaced while its run was being trained"):
        WRITES[name](run)
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before
