"""SpQuantTrainer: the promise of the README, learning, and going on as if it had never stopped."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

import spquant_snn
from spquant_snn import (
    LIF,
    ConfigError,
    DataError,
    DivergedError,
    FileFormatError,
    ModelError,
    RunError,
    SpQuantError,
    SpQuantTrainer,
)
from spquant_snn.cli import main
from spquant_snn.data import hold_out
from spquant_snn.train import loop
from spquant_snn.train.metrics import measure

SMALL = {"batch_size": 16, "precision": "fp32", "quiet": True}


def images(count, seed=0):
    """Noisy 8x8 images, labelled by which of their quarters is bright."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=draw)
    pixels = torch.randint(100, (count, 1, 8, 8), generator=draw)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[0, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 120
    return pixels.to(torch.uint8), labels


DATA = (images(203), images(101, seed=1))


class Net(nn.Module):
    """A network as a user writes it."""

    def __init__(self, outputs=4):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.pool = nn.AvgPool2d(2)
        self.bn = nn.BatchNorm2d(4)
        self.lif1 = LIF()
        self.fc1 = nn.Linear(64, 16)
        self.lif2 = LIF()
        self.fc2 = nn.Linear(16, outputs)

    def forward(self, x):
        x = self.lif1(self.bn(self.pool(self.conv(x))))
        return self.fc2(self.lif2(self.fc1(x.flatten(1))))


class Items(torch.utils.data.Dataset):
    """A map-style Dataset, as torchvision's."""

    def __init__(self, pair):
        self.images, self.labels = pair

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].float() / 255, int(self.labels[index])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs without a name go into a folder of the test."""
    monkeypatch.chdir(tmp_path)


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("model", "dataset", "epochs", "least"),
    [("lenet-snn:0.25", "digits", 3, 60), ("net", DATA, 6, 85), ("net", tuple(map(Items, DATA)), 6, 85)],
    ids=["names", "tensors", "datasets"],
)
def test_the_promise(model, dataset, epochs, least, capsys):
    model = Net() if model == "net" else model
    # fmt: off
    trainer = SpQuantTrainer(model, dataset, quantization_bits=8)
    trainer.train(epochs=epochs)
    accuracy = trainer.evaluate()
    print(f"Test Accuracy: {accuracy:.2f}%")
    # fmt: on
    assert isinstance(accuracy, float)
    assert least < accuracy <= 100
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == epochs
    assert lines[-1] == f"Test Accuracy: {accuracy:.2f}%"
    files = ["checkpoint.pt", "config.toml", "metrics.jsonl", "model.safetensors", "model.spq", "run.json"]
    assert sorted(os.listdir(trainer.run.path)) == files
    program = spquant_snn.load(trainer.run.integers)
    test = trainer.data.test
    correct = (program.predict(test.images) == test.labels.numpy()).mean()
    assert 100 * correct == pytest.approx(accuracy)


@pytest.mark.parametrize("bits", ["ternary", 1.58, 2, 8, 32])
def test_every_width_trains(bits):
    trainer = SpQuantTrainer(Net(), DATA, quantization_bits=bits, **SMALL).train(epochs=8)
    assert trainer.evaluate() > 60
    assert trainer.run.integers.exists() is (bits != 32)


def test_the_width_of_one_kind_can_be_its_own():
    trainer = SpQuantTrainer(Net(), DATA, quantization_bits=4, weight_bits="ternary", **SMALL)
    assert (trainer.config.weight_bits, trainer.config.state_bits) == (1.58, 4)
    trainer = SpQuantTrainer(Net(), DATA, quantization_bits=4, state_bits=2, **SMALL)
    assert (trainer.config.weight_bits, trainer.config.state_bits) == (4, 2)
    assert trainer.network.hidden[0].lif.levels.low == -2


def test_the_seed_decides_everything(tmp_path):
    def train(seed):
        torch.rand(3)
        trainer = SpQuantTrainer("lenet-snn:0.1", DATA, 2, seed=seed, **SMALL).train(epochs=2)
        return weights(trainer), trainer.run.integers.read_bytes()

    first, again, other = train(3), train(3), train(4)
    assert same(first[0], again[0])
    assert first[1] == again[1]
    assert not same(first[0], other[0])


def test_nothing_is_written_before_training(tmp_path):
    trainer = SpQuantTrainer(Net(), DATA, out="x", **SMALL)
    trainer.evaluate()
    assert list(tmp_path.iterdir()) == []


def test_training_does_not_touch_the_test_images_nor_learn_from_those_held_out(monkeypatch):
    trainer = SpQuantTrainer(Net(), DATA, 2, **SMALL)
    learnt, looked_at = [], []
    forward = type(trainer.network).forward

    def spy(self, x, probe=None):
        (learnt if self.training else looked_at).extend(image.flatten().tolist() for image in x)
        return forward(self, x, probe)

    monkeypatch.setattr(type(trainer.network), "forward", spy)
    test = trainer.data.test
    object.__setattr__(trainer.data, "test", None)
    trainer.train(epochs=2)
    rest, held = hold_out(trainer.data.train, 20, 0)
    assert trainer.config.validation == 20

    def flat(part):
        return {tuple(image.flatten().tolist()) for image in part.images}

    assert set(map(tuple, learnt)) == flat(rest)
    assert set(map(tuple, looked_at)) == flat(held)
    assert not flat(rest) & flat(held)
    assert not flat(test) & (flat(rest) | flat(held))


def test_the_best_epoch_is_kept(monkeypatch):
    accuracies = iter([50.0, 80.0, 80.0, 70.0])
    kept = []

    def scripted(network, data, **kwargs):
        metrics = measure(network, data, **kwargs)
        kept.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        object.__setattr__(metrics, "accuracy", next(accuracies))
        object.__setattr__(metrics, "loss", float(len(kept)))
        return metrics

    monkeypatch.setattr(loop, "measure", scripted)
    trainer = SpQuantTrainer(Net(), DATA, 2, **SMALL).train(epochs=4)
    assert same(weights(trainer), kept[1])
    assert not same(kept[1], kept[3])
    assert trainer.run.read_record()["best"] == {"epoch": 2, "val_accuracy": 80.0, "val_loss": 2.0}


def test_training_again_goes_on_from_the_best_as_a_new_run():
    trainer = SpQuantTrainer(Net(), DATA, 2, out="first", finetune_epochs=1, **SMALL).train(epochs=3)
    first, start = trainer.run.path, weights(trainer)
    starts = []
    fit = loop.fit

    def spy(network, *args):
        starts.append(({name: tensor.clone() for name, tensor in network.state_dict().items()}, network.frozen))
        return fit(network, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spquant_snn.trainer.fit", spy)
        trainer.train(epochs=2)
    assert trainer.run.path == first.with_name("first-2")
    assert len(trainer.run.metrics.read_text("utf-8").splitlines()) == 3
    assert len((first / "metrics.jsonl").read_text("utf-8").splitlines()) == 4
    assert same(starts[0][0], start)
    assert starts[0][1] is False


@pytest.mark.parametrize("count", [3, 17, 18, 45])
def test_any_number_of_images_will_do(count):
    trainer = SpQuantTrainer(Net(), ((DATA[0][0][:count], DATA[0][1][:count]), DATA[1]), 2, quiet=True)
    trainer.train(epochs=1)
    assert 0 <= trainer.evaluate() <= 100


@pytest.mark.parametrize(("count", "words"), [(1, "cannot hold out 1 of 1 images"), (2, "a batch of one image")])
def test_too_few_images_are_refused(count, words):
    with pytest.raises(ConfigError, match=words):
        SpQuantTrainer(Net(), ((DATA[0][0][:count], DATA[0][1][:count]), DATA[1]), quiet=True).train(epochs=1)


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1, "clip_norm": 1.0, "schedule": "cosine", "weight_decay": 0.01},
        {"weight_quantizer": "learned", "timesteps": 3},
        {"precision": "bf16"},
        {"augment": False, "batch_size": 7, "validation": 1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_learn(options):
    trainer = SpQuantTrainer(Net(), DATA, 2, **(SMALL | options)).train(epochs=4)
    assert trainer.evaluate() > 60


def test_early_exit_is_measured_on_the_images_held_out_and_the_test_set():
    trainer = SpQuantTrainer(Net(), DATA, 2, timesteps=3, loss="tet", **SMALL).train(epochs=4)
    found = trainer.early_exit((0.0, 100.0))
    _, validation = hold_out(trainer.data.train, 20, 0)
    assert (found.held_out, found.test) == (20, 101)
    assert found.after[-1].test.accuracy == trainer.evaluate()
    assert found.after[-1].held_out.accuracy == measure(trainer.deployed(), validation).accuracy
    assert found.at[0].test.steps <= 3
    assert (found.at[1].margin, found.at[1].test) == (0, found.after[0].test)
    with pytest.raises(ModelError, match="no integer form"):
        SpQuantTrainer(Net(), DATA, 32, **SMALL).early_exit()


def test_fine_tuning_ends_with_the_integers_that_were_trained(tmp_path):
    trainer = SpQuantTrainer(Net(), DATA, 2, out="tuned", finetune_epochs=2, **SMALL).train(epochs=3)
    assert trainer.network.frozen
    lines = [json.loads(line) for line in trainer.run.metrics.read_text("utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    best = trainer.run.read_record()["best"]
    _, validation = hold_out(trainer.data.train, 20, 0)
    assert measure(trainer.deployed(), validation).accuracy == best["val_accuracy"]
    assert same(weights(trainer), weights(SpQuantTrainer.resume("tuned", Net(), DATA, quiet=True)))


def test_distillation_imitates_the_run_of_a_twin():
    twin = SpQuantTrainer("lenet-snn:0.1", DATA, 32, out="twin", **SMALL).train(epochs=3)
    alone = SpQuantTrainer("lenet-snn:0.1", DATA, 2, **SMALL).train(epochs=2)
    taught = SpQuantTrainer("lenet-snn:0.1", DATA, 2, teacher="twin", **SMALL).train(epochs=2)
    assert twin.evaluate() > 60
    assert not same(weights(alone), weights(taught))


@pytest.mark.parametrize("teacher", ["twin", "nowhere"])
def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_written(teacher, tmp_path):
    SpQuantTrainer("lenet-snn:0.1", "digits", 32, out="twin", **SMALL).train(epochs=1)
    trainer = SpQuantTrainer("lenet-snn:0.1", DATA, 2, out="x", teacher=teacher, **SMALL)
    with pytest.raises(
        (ConfigError, RunError), match=rf"teacher twin was trained on other|{teacher} is not the folder"
    ):
        trainer.train(epochs=1)
    assert not (tmp_path / "x").exists()


def test_a_training_that_diverges_keeps_the_checkpoint(monkeypatch):
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL)
    end = loop.Display.end

    def poison(self, epoch, *args):
        end(self, epoch, *args)
        if epoch == 1:
            with torch.no_grad():
                trainer.network.readout.synapse.bias.fill_(float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(loop.Display, "end", poison)
        with pytest.raises(DivergedError, match=r"in epoch 3: start anew .* the checkpoint of epoch 2 is kept"):
            trainer.train(epochs=4)
    resumed = SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train()
    whole = SpQuantTrainer(Net(), DATA, 2, **SMALL).train(epochs=4)
    assert same(weights(resumed), weights(whole))


def test_a_rate_far_too_high_ends_in_words_or_finite_weights():
    trainer = SpQuantTrainer(Net(), DATA, 32, learning_rate=1e3, **SMALL)
    try:
        trainer.train(epochs=2)
    except DivergedError as error:
        assert "lower the learning rate (1000)" in str(error)  # noqa: PT017
    else:
        assert all(tensor.isfinite().all() for tensor in weights(trainer).values())


@pytest.mark.parametrize(("threshold", "words"), [(1e4, "is silent"), (0.01, "fires almost always")])
def test_a_layer_in_trouble_is_said(threshold, words, capsys):
    model = Net()
    model.lif2 = LIF(v_threshold=threshold)
    with torch.no_grad():
        model.fc1.bias.fill_(1.0)
    SpQuantTrainer(model, DATA, 32, batch_size=64, learning_rate=1e-6).train(epochs=1)
    assert f"warning: layer 'fc1' {words}" in capsys.readouterr().out


# Stopping and going on.


def result(folder):
    """What a run leaves, but for what tells when and where it was."""
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "model.spq", "metrics.jsonl")}


@pytest.mark.parametrize("stop_at", [3, 18, 40, 58])  # steps; an epoch has 12
def test_a_stopped_training_goes_on_bit_for_bit(stop_at, monkeypatch, tmp_path):
    def trainer(out):
        return SpQuantTrainer(Net(), DATA, 2, out=out, finetune_epochs=2, **SMALL)

    trainer("whole").train(epochs=3)
    steps = []
    objective = loop.objective

    def interrupted(*args, **options):
        steps.append(1)
        if len(steps) == stop_at:
            raise KeyboardInterrupt
        return objective(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "objective", interrupted)
        stopped = trainer("stopped")
        with pytest.raises(KeyboardInterrupt):
            stopped.train(epochs=3)
    shutil.copytree(tmp_path / "stopped", tmp_path / "copy")
    SpQuantTrainer.resume("stopped", Net(), DATA, quiet=True).train()
    assert result(tmp_path / "stopped") == result(tmp_path / "whole")
    stopped.run = type(stopped.run)(tmp_path / "copy")
    stopped.train()  # the same trainer can go on as well
    assert result(tmp_path / "copy") == result(tmp_path / "whole")


def test_a_stop_on_the_way_to_the_frozen_form_goes_on_bit_for_bit(monkeypatch, tmp_path):
    def trainer(out):
        return SpQuantTrainer(Net(), DATA, 2, out=out, finetune_epochs=1, **SMALL)

    trainer("whole").train(epochs=2)

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    stopped = trainer("stopped")
    with monkeypatch.context() as patch:
        patch.setattr("spquant_snn.train.keep.measure", interrupted)  # of the best epoch, frozen
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
    with pytest.raises(FileFormatError, match="belongs to another network"):
        SpQuantTrainer.resume("x", other, DATA)


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(RunError, match="is not the folder of a run"):
        SpQuantTrainer.resume(tmp_path)


def test_a_run_without_its_checkpoint_cannot_be_resumed(tmp_path):
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    (tmp_path / "x" / "checkpoint.pt").unlink()
    with pytest.raises(RunError, match=r"holds no checkpoint\.pt"):
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


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (("lenet-snn", DATA, 0), {}, ConfigError, "bits must be"),
        (("lenet-snn", DATA, 5.5), {}, ConfigError, "bits must be"),
        (("lenet-snn", DATA, 9), {}, ConfigError, "bits must be"),
        (("lenet-snn", DATA, None), {}, ConfigError, "bits must be"),
        (("lenet", DATA), {}, ConfigError, "model must be one of lenet-snn"),
        ((Net, DATA), {}, ConfigError, "model must be a name or a torch.nn.Module, not type"),
        (("lenet-snn", "minst"), {}, DataError, "unknown data set 'minst'"),
        (("lenet-snn", DATA[0]), {}, DataError, "this looks like one pair"),
        (("lenet-snn", DATA), {"device": "abacus"}, ConfigError, "device 'abacus' cannot be used"),
        (("lenet-snn", DATA), {"wings": 2}, ConfigError, "no option 'wings'"),
        ((Net(), DATA), {"leak": 0.75}, ConfigError, "leak is said by the LIF layers"),
        ((Net(outputs=3), DATA), {}, ModelError, "3 outputs, the data set 4 classes"),
        ((nn.Linear(64, 4), DATA), {}, ModelError, "no LIF layer"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(arguments, options, error, words):
    with pytest.raises(error, match=words) as refused:
        SpQuantTrainer(*arguments, **(SMALL | options))
    assert isinstance(refused.value, SpQuantError)
    assert "\n" not in str(refused.value)


def test_a_batch_of_one_image_is_refused_where_it_cannot_be_normalised():
    with pytest.raises(ConfigError, match="batch_size"):
        SpQuantTrainer("lenet-snn:0.1", DATA, 2, batch_size=1, precision="fp32", quiet=True).train(epochs=1)


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path):
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    before = result(tmp_path / "x")
    with pytest.raises(RunError, match="already holds a run"):
        SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    assert result(tmp_path / "x") == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        SpQuantTrainer(Net(), DATA, 2, out="file/x", **SMALL).train(epochs=1)


def test_a_floating_point_network_has_no_integers_to_export():
    with pytest.raises(ModelError, match="no integer form"):
        SpQuantTrainer(Net(), DATA, 32, **SMALL).export("x.spq")
