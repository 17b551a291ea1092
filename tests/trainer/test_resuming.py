"""SpQuantTrainer, stopped, killed or diverged, goes on as if it had never stopped; what cannot is refused."""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from spquant_snn import ConfigError, DivergedError, FileFormatError, RunError, SpQuantTrainer, load_graph, make_ledger
from spquant_snn.cli.main import main
from spquant_snn.train import step
from spquant_snn.train.console import Display
from toy_task import DATA, SMALL, Net, result, same, weights


def test_a_training_that_diverges_keeps_the_checkpoint(monkeypatch):
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL)
    end = Display.end

    def poison(self, epoch, *args):
        end(self, epoch, *args)
        if epoch == 1:
            with torch.no_grad():
                trainer.network.readout.synapse.bias.fill_(float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(Display, "end", poison)
        with pytest.raises(DivergedError, match=r"in epoch 3: start anew .* the checkpoint of epoch 2 is kept"):
            trainer.train(epochs=4)
    resumed = SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train()
    whole = SpQuantTrainer(Net(), DATA, 2, **SMALL).train(epochs=4)
    assert same(weights(resumed), weights(whole))


def test_widths_of_layers_hold_through_a_stop_to_the_ledger(monkeypatch):
    widths = {"conv": 8, "fc1": 2, "*": 4}
    whole = SpQuantTrainer(Net(), DATA, 3, weight_bits=widths, out="whole", **SMALL).train(epochs=2)
    stopped = SpQuantTrainer(Net(), DATA, 3, weight_bits=widths, out="x", **SMALL)
    end = Display.end

    def stop(self, epoch, *args):
        end(self, epoch, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Display, "end", stop)
        with pytest.raises(KeyboardInterrupt):
            stopped.train(epochs=2)
    with pytest.raises(RunError, match=r"weight_bits: 'conv=8,fc1=2,\*=4', not 2"):
        SpQuantTrainer.resume("x", Net(), DATA, options={"weight_bits": 2}, quiet=True)
    resumed = SpQuantTrainer.resume("x", Net(), DATA, options={"weight_bits": "conv=8, fc1=2, *=4"}, quiet=True).train()
    assert same(weights(resumed), weights(whole))
    counts = make_ledger(load_graph("x/model.spq"), resumed.data.test.images[:8]).counts
    assert [(layer.weight_bits, layer.state_bits) for layer in counts.layers] == [(8, 3), (2, 3), (4, 0)]
    with pytest.raises(ConfigError, match="weight_bits names 'conv1', which no layer is called: the layers are 'conv'"):
        SpQuantTrainer(Net(), DATA, 3, weight_bits={"conv1": 8, "*": 2}, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop_at", "every"),  # steps, of which an epoch has 12; and epochs that are looked at
    [(3, 1), (18, 1), (40, 1), (58, 1), (30, 2), (40, 2), (58, 3)],
)
def test_a_stopped_training_goes_on_bit_for_bit(stop_at, every, monkeypatch, tmp_path):
    def trainer(out):
        return SpQuantTrainer(Net(), DATA, 2, out=out, finetune_epochs=2, check_every=every, **SMALL)

    trainer("whole").train(epochs=3)
    steps = []
    objective = step.objective

    def interrupted(*args, **options):
        steps.append(1)
        if len(steps) == stop_at:
            raise KeyboardInterrupt
        return objective(*args)

    with monkeypatch.context() as patch:
        patch.setattr(step, "objective", interrupted)
        stopped = trainer("stopped")
        with pytest.raises(KeyboardInterrupt):
            stopped.train(epochs=3)
    shutil.copytree(tmp_path / "stopped", tmp_path / "copy")
    SpQuantTrainer.resume("stopped", Net(), DATA, quiet=True).train()
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")
    shutil.rmtree(tmp_path / "stopped")
    shutil.move(tmp_path / "copy", tmp_path / "stopped")
    stopped.train()  # the same trainer can go on as well
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")


@pytest.mark.slow
def test_a_stop_on_the_way_to_the_frozen_form_goes_on_bit_for_bit(monkeypatch, tmp_path):
    def trainer(out):
        return SpQuantTrainer(Net(), DATA, 2, out=out, finetune_epochs=1, **SMALL)

    trainer("whole").train(epochs=2)

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    stopped = trainer("stopped")
    with monkeypatch.context() as patch:
        patch.setattr("spquant_snn.train.run_owner.measure", interrupted)  # of the best epoch, frozen
        with pytest.raises(KeyboardInterrupt):
            stopped.train(epochs=2)
    stopped.train()
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")


def test_a_resumed_run_that_trains_again_lies_beside_it():
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    trainer = SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train()
    assert trainer.run.path.name == "x"
    assert trainer.train(epochs=1).run.path.name == "x-2"
    assert trainer.train(epochs=1).run.path.name == "x-3"


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_bit_for_bit(tmp_path, monkeypatch, capsys):
    options = ["--model", "lenet-snn:0.25", "--dataset", "digits", "--epochs", "8", "--threads", "1"]

    def train(*arguments):
        monkeypatch.setattr(sys, "argv", ["spquant", "train", *options, *arguments])
        return main()

    call = [sys.executable, "-m", "spquant_snn", "train", *options, "--out", "killed"]
    killed = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (tmp_path / "killed" / "metrics.jsonl").exists():
        assert killed.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.spq").exists()  # it was not over yet
    assert train("--resume", "killed") == 0
    assert train("--out", "whole") == 0
    assert result(tmp_path / "killed") == result(tmp_path / "whole")
    accuracies = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Test Accuracy")]
    assert len(accuracies) == 2
    assert accuracies[0] == accuracies[1]


def test_a_resumed_trainer_is_at_its_best_epoch_at_once():
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=3)
    again = SpQuantTrainer.resume("x", Net(), DATA, quiet=True)
    assert same(weights(again), weights(trainer))
    assert again.evaluate() == trainer.evaluate()
    again.train()  # there is nothing left to do
    assert same(weights(again), weights(trainer))
    again.train(epochs=1)
    assert again.run.path.name != "x"


def test_a_run_is_trained_once_at_a_time():
    said = []

    def resume_meanwhile(record):
        with pytest.raises(RunError, match="x is being trained already: wait until that ends, or stop it") as refused:
            SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train()
        said.append(str(refused.value))

    SpQuantTrainer(Net(), DATA, 2, out="x", callbacks=[resume_meanwhile], **SMALL).train(epochs=2)
    assert len(said) == 2
    SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train()  # when it has ended, it can be taken up


def test_a_trainer_whose_run_was_deleted_still_says_how_good_it_is():
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    accuracy = trainer.evaluate()
    shutil.rmtree("x")
    with pytest.warns(UserWarning, match="what was found is not noted in the folder of the run: x was deleted"):
        assert trainer.evaluate() == accuracy


def test_a_trainer_finds_its_run_from_another_folder(tmp_path, monkeypatch):
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    accuracy = trainer.evaluate()
    assert trainer.run.record.is_relative_to(tmp_path / "x")
    assert trainer.run.read_record()["test_accuracy"] == accuracy
    trainer.plot()
    trainer.report("x.html", count=4)
    resumed = SpQuantTrainer.resume(Path("..", "x"), Net(), DATA, quiet=True)
    monkeypatch.chdir(tmp_path)
    assert same(weights(resumed.train()), weights(trainer))
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["x.html"]


def test_what_cannot_be_resumed_from_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match=r"a path must be text or a pathlib\.Path, not a NoneType"):
        SpQuantTrainer.resume(None)
    with pytest.raises(ConfigError, match=r"options must be a mapping of names and values, not \['x'\]"):
        SpQuantTrainer.resume("x", options=["x"])


def test_a_run_of_another_configuration_is_not_gone_on_with():
    SpQuantTrainer("lenet-snn:0.1", DATA, 2, out="x", **SMALL).train(epochs=1)
    with pytest.raises(RunError, match="x was started with weight_bits: 2, not 4; epochs: 1, not 9: resume it without"):
        SpQuantTrainer.resume("x", None, DATA, options={"weight_bits": 4, "epochs": 9})
    with pytest.raises(RunError, match="x was started for 1 epochs, not 2"):
        SpQuantTrainer.resume("x", None, DATA, quiet=True).train(epochs=2)
    same_call = {"epochs": 1, "batch_size": 16, "validation": 0, "precision": "auto"}
    SpQuantTrainer.resume("x", None, DATA, options=same_call, quiet=True)


def test_what_was_given_in_python_must_be_given_again():
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    with pytest.raises(RunError, match="the model of x was given in Python: give it again"):
        SpQuantTrainer.resume("x", dataset=DATA)
    with pytest.raises(RunError, match="the dataset of x was given in Python: give it again"):
        SpQuantTrainer.resume("x", Net())
    other = Net()
    other.fc1, other.fc2 = nn.Linear(64, 5), nn.Linear(5, 4)
    with pytest.raises(
        RunError, match=r"started with weight shape of layer 2: \[16, 64\], not \[5, 64\]; weight shape"
    ):
        SpQuantTrainer.resume("x", other, DATA)


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(RunError, match="is not the folder of a run"):
        SpQuantTrainer.resume(tmp_path)


def test_a_run_without_its_checkpoint_cannot_be_resumed(tmp_path):
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    (tmp_path / "x" / "checkpoint.pt").unlink()
    with pytest.raises(RunError, match=r"holds no checkpoint\.pt"):
        SpQuantTrainer.resume("x", Net(), DATA)


def test_a_run_without_its_weights_cannot_be_resumed(tmp_path):
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=2)
    (tmp_path / "x" / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"holds no model\.safetensors"):
        SpQuantTrainer.resume("x", Net(), DATA)


@pytest.mark.parametrize("name", ["checkpoint.pt", "model.safetensors", "run.json", "config.toml"])
def test_a_damaged_run_is_refused_in_one_sentence(name, tmp_path):
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    path = tmp_path / "x" / name
    whole, draw = path.read_bytes(), random.Random(0)
    damaged = [whole[: len(whole) // 2], b"", *(draw.randbytes(100) for _ in range(3))]
    if name in ("checkpoint.pt", "model.safetensors"):
        damaged += [whole[:i] + bytes([whole[i] ^ 16]) + whole[i + 1 :] for i in draw.sample(range(len(whole)), 3)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(FileFormatError) as refused:
            SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train().evaluate()
        assert name in str(refused.value)
        assert "\n" not in str(refused.value)
