"""SpQuantTrainer: the promise of the README, and learning."""

import json
import os
import random

import numpy as np
import pytest
import torch
from torch import nn

import spquant_snn
from spquant_snn import LIF, ConfigError, DataError, ModelError, RunError, SpQuantTrainer
from spquant_snn.data import Labelled, Splits, Task, hold_out
from spquant_snn.train import loop
from spquant_snn.train.metrics import measure
from spquant_snn.train.tensors import as_tensors
from toy_task import DATA, SMALL, Net, same, weights


class Items(torch.utils.data.Dataset):
    """A map-style Dataset, as torchvision's."""

    def __init__(self, pair):
        self.images, self.labels = pair

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].float() / 255, int(self.labels[index])


@pytest.mark.parametrize(
    ("model", "dataset", "epochs", "least"),
    [
        ("lenet-snn:0.25", "digits", 3, 60),
        ("net", DATA, 6, 85),
        pytest.param("net", tuple(map(Items, DATA)), 6, 85, marks=pytest.mark.slow),
    ],
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
    correct = (program.predict(test.images) == test.labels).mean()
    assert 100 * correct == pytest.approx(accuracy)


@pytest.mark.slow
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


def test_training_does_not_touch_the_test_images_nor_learn_from_the_validation_set(monkeypatch):
    trainer = SpQuantTrainer(Net(), DATA, 2, **SMALL)
    learnt, looked_at = [], []
    forward = type(trainer.network).forward

    def spy(self, x, *others, **named):
        (learnt if self.training else looked_at).extend(image.flatten().tolist() for image in x)
        return forward(self, x, *others, **named)

    monkeypatch.setattr(type(trainer.network), "forward", spy)
    test = trainer.data.test
    black = Labelled(np.zeros_like(test.images), test.labels)  # would be seen among those looked at
    object.__setattr__(trainer.data, "test", black)
    trainer.train(epochs=2)
    rest, held = hold_out(trainer.data.train, 20, 0)
    assert trainer.config.validation == 20

    def flat(part):
        return {tuple(image.flatten().tolist()) for image in part.images}

    assert set(map(tuple, learnt)) == flat(rest)
    assert set(map(tuple, looked_at)) - flat(rest) == flat(held)  # the others are for statistics
    assert not flat(rest) & flat(held)
    assert not flat(test) & (flat(rest) | flat(held))


def test_the_best_epoch_is_kept(monkeypatch):
    accuracies = iter([50.0, 80.0, 80.0, 70.0])
    kept = []

    def scripted(network, data, **kwargs):
        metrics = measure(network, data, **kwargs)
        kept.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        object.__setattr__(metrics, "score", next(accuracies))
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

    def spy(training, *args, **named):
        network = training.network
        starts.append(({name: tensor.clone() for name, tensor in network.state_dict().items()}, network.frozen))
        return fit(training, *args, **named)

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


@pytest.mark.slow
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


def test_early_exit_is_measured_on_the_validation_set_and_the_test_set():
    trainer = SpQuantTrainer(Net(), DATA, 2, timesteps=3, loss="tet", **SMALL).train(epochs=4)
    found = trainer.early_exit((0.0, 100.0))
    _, validation = hold_out(trainer.data.train, 20, 0)
    assert (found.validation, found.test) == (20, 101)
    assert found.after[-1].test.accuracy == trainer.evaluate()
    assert found.after[-1].validation.accuracy == measure(trainer.deployed(), as_tensors(validation)).score
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
    assert measure(trainer.deployed(), as_tensors(validation)).score == best["val_accuracy"]
    assert same(weights(trainer), weights(SpQuantTrainer.resume("tuned", Net(), DATA, quiet=True)))


@pytest.mark.parametrize(("every", "looked_at"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_epochs_in_between_are_trained_and_not_looked_at(every, looked_at, capsys):
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", check_every=every, **(SMALL | {"quiet": False})).train(epochs=5)
    lines = [json.loads(line) for line in trainer.run.metrics.read_text("utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == looked_at
    assert trainer.run.read_record()["best"]["epoch"] in looked_at
    said = capsys.readouterr().out
    assert said.count("epoch ") == len(looked_at)
    assert said.count("memory: ") <= 1


def test_distillation_imitates_the_run_of_a_twin():
    twin = SpQuantTrainer("lenet-snn:0.1", DATA, 32, out="twin", **SMALL).train(epochs=3)
    alone = SpQuantTrainer("lenet-snn:0.1", DATA, 2, **SMALL).train(epochs=2)
    taught = SpQuantTrainer("lenet-snn:0.1", DATA, 2, teacher="twin", **SMALL).train(epochs=2)
    assert twin.evaluate() > 60
    assert not same(weights(alone), weights(taught))


def test_a_module_of_any_kind_teaches_and_is_not_trained(tmp_path):
    class Brightness(nn.Module):
        def __init__(self):
            super().__init__()
            self.weigh = nn.Linear(64, 4)

        def forward(self, x):
            assert not self.training
            return self.weigh(x.flatten(1).float() / 255)

    teacher = Brightness()
    before = [p.clone() for p in teacher.parameters()]
    alone = SpQuantTrainer(Net(), DATA, 2, out="alone", **SMALL).train(epochs=2)
    taught = SpQuantTrainer(Net(), DATA, 2, out="taught", teacher=teacher, **SMALL).train(epochs=2)
    assert not same(weights(alone), weights(taught))
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert taught.run.config.read_text("utf-8").count('teacher = "custom"') == 1
    with pytest.raises(RunError, match="the run in alone has another teacher, none: leave teacher out"):
        SpQuantTrainer.resume("alone", Net(), DATA, teacher=teacher, quiet=True)
    again = SpQuantTrainer.resume("taught", Net(), DATA, quiet=True)
    assert again.evaluate() == taught.evaluate()


def test_the_integers_are_verified_and_exported_to_every_target(tmp_path):
    trainer = SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    for backend in ("reference", "native"):
        verdict = trainer.verify(count=30, backend=backend)
        assert (verdict.equal, verdict.images) == (True, 30)
    assert trainer.verify(count=0).images == 101
    trainer.export("again.spq")
    assert (tmp_path / "again.spq").read_bytes() == trainer.run.integers.read_bytes()
    trainer.export("firmware", target="c", prefer="flash")
    manifest = json.loads((tmp_path / "firmware" / "firmware.json").read_text())
    assert (manifest["dataset"], manifest["title"]) == (None, "x, trained on data given in Python")
    with pytest.raises(RunError):
        trainer.export("firmware", target="c")
    trainer.export("firmware", target="c", force=True)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda t: t.verify(count=-1), ConfigError, "count must be at least 0, not -1"),
        (lambda t: t.verify(count="5"), ConfigError, "count must be a whole number, not '5'"),
        (lambda t: t.report("x.html", count=2.0), ConfigError, "count must be a whole number, not 2.0"),
        (lambda t: t.report(None), ConfigError, "a path must be text"),
        (lambda t: t.report("x.html", baseline=3), ConfigError, "a path must be text"),
        (lambda t: t.export(3), ConfigError, "a path must be text"),
        (lambda t: t.early_exit(3), ConfigError, "given_up must be a list of points of accuracy, not 3"),
        (lambda t: t.early_exit(["a"]), ConfigError, "given_up must be points of accuracy, from 0 to 100, not 'a'"),
        (lambda t: t.verify(backend="torch"), ConfigError, "backend must be one of reference, native, not 'torch'"),
        (lambda t: t.export("x", target="tflite"), ConfigError, "target must be one of spq, c, web"),
        (lambda t: t.export("x.spq", prefer="flash"), ConfigError, "prefer is for firmware"),
    ],
)
def test_what_cannot_be_verified_or_exported_is_refused_in_a_sentence(call, error, said, tmp_path):
    trainer = SpQuantTrainer(Net(), DATA, 2, timesteps=2, **SMALL)
    with pytest.raises(error, match=said):
        call(trainer)
    assert list(tmp_path.iterdir()) == []


def test_a_floating_point_network_has_nothing_to_verify_or_export(tmp_path):
    trainer = SpQuantTrainer(Net(), DATA, 32, **SMALL)
    for call in (trainer.verify, lambda: trainer.export("x.spq"), lambda: trainer.report("x.html")):
        with pytest.raises(ModelError, match="no integer form"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_neurons_of_any_kind_train_and_the_slower_ones_are_said_once(capsys):
    model = Net()
    model.lif1, model.lif2 = LIF(leak=0.6, learn_leak=True), LIF(synaptic_leak=0.4, reset="none")
    trainer = SpQuantTrainer(model, DATA, 4, batch_size=16, precision="fp32", learning_rate=0.02)
    trainer.train(epochs=3)
    assert capsys.readouterr().out.count("2 layers of neurons train by the plain path, several times slower") == 1
    assert trainer.network.hidden[0].lif.leak.item() != pytest.approx(0.6, abs=1e-4)
    assert trainer.evaluate() > 60
    SpQuantTrainer(Net(), DATA, 4, batch_size=16, precision="fp32").train(epochs=1)
    assert "plain path" not in capsys.readouterr().out


def test_a_data_set_with_a_validation_set_of_its_own_is_trained_on_whole(tmp_path):
    draw = np.random.default_rng(0)
    train, test, other = (
        Labelled(draw.integers(0, 256, (count, 1, 8, 8), np.uint8), np.arange(count) % 2) for count in (24, 8, 6)
    )
    data = Splits("pairs", train, test, Task("classification", 2), validation=other)
    trainer = SpQuantTrainer("lenet-snn:0.1", data, 2, out=tmp_path / "run", quiet=True, batch_size=12)
    trained_on, validation = trainer.train(epochs=1)._split()
    assert (len(trained_on), len(validation)) == (24, 6)
    assert trainer.config.validation == 0
    assert np.array_equal(validation.images.numpy(), other.images)
    wide = Labelled(draw.integers(0, 256, (6, 1, 8, 9), np.uint8), np.arange(6) % 2)
    with pytest.raises(DataError, match=r"training images are \[1, 8, 8\], validation images \[1, 8, 9\]"):
        Splits("pairs", train, test, Task("classification", 2), validation=wide)


class Dropping(nn.Sequential):
    """A network that draws random numbers in training."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            nn.Flatten(), nn.Linear(64, 16), LIF(), nn.Dropout(0.3), nn.Linear(16, 8), LIF(), nn.Linear(8, 4)
        )


def random_states():
    return [str(random.getstate()), str(np.random.get_state()), torch.get_rng_state().tolist()]  # noqa: NPY002


@pytest.mark.parametrize("data", [DATA, tuple(map(Items, DATA))], ids=["tensors", "datasets"])
def test_the_random_numbers_of_the_user_go_on_as_if_nothing_was_trained(data):
    model = Dropping()
    torch.manual_seed(123)
    before = random_states()
    trainer = SpQuantTrainer(model, data, 4, target_ops=0.7, **SMALL)
    assert random_states() == before
    trainer.train(epochs=1)
    assert random_states() == before
    trainer.evaluate()
    assert random_states() == before
    SpQuantTrainer("lenet-snn:0.1", DATA, 4, **SMALL).train(epochs=1)
    assert random_states() == before


def test_what_the_user_draws_changes_no_weights():
    def train(drawn):
        trainer = SpQuantTrainer(Dropping(), DATA, 4, target_ops=0.7, **SMALL)
        torch.rand(drawn)
        return weights(trainer.train(epochs=1))

    assert same(train(1), train(9))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_training_computes_gradients_whatever_the_program_does(mode):
    plain = SpQuantTrainer(Net(), DATA, 2, out="plain", **SMALL).train(epochs=1)
    other = SpQuantTrainer(Net(), DATA, 2, out="other", **SMALL)
    with mode():
        other.train(epochs=1)
    assert same(weights(other), weights(plain))
