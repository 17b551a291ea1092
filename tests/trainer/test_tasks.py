"""Each task trains a small network down, and torch, the reference and C say the same of it."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, ModelError, RunError, SpQuantTrainer, load
from spquant_snn.data import Task
from spquant_snn.data.scores import count, score
from spquant_snn.integer.program import Program
from spquant_snn.nn import LeakyIntegrator
from spquant_snn.runtime.native import NativeProgram
from spquant_snn.train.functions import EpochRecord
from toy_task import same, weights

KINDS = ("regression", "multilabel", "segmentation", "maps")


def images(items, seed):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (items, 1, 4, 4)).astype(np.uint8))


def labels_of(kind, x):
    """What is to be said of images: numbers of two units, which rows are bright, or which pixels are."""
    bright = x.float() / 255
    if kind == "regression":
        means = bright.mean((1, 2, 3))
        return torch.stack([1000 + 300 * means, -0.01 * bright[:, 0, 0].mean(1)], 1)
    if kind == "multilabel":
        return (bright[:, 0].mean(2) > 0.5).long()
    if kind == "segmentation":
        found = (bright[:, 0] > 0.5).long()
        found[:, 0, 0] = -1
        return found
    return 5 * bright + 20


def data(kind, seed=0):
    parts = [images(items, seed + items) for items in (160, 60)]
    return tuple((x, labels_of(kind, x)) for x in parts)


def model(kind, last=None):
    torch.manual_seed(0)
    if kind in ("segmentation", "maps"):
        outputs = 2 if kind == "segmentation" else 1
        layers = [nn.Conv2d(1, 8, 1, bias=False), nn.BatchNorm2d(8), LIF(), nn.Conv2d(8, outputs, 1)]
    else:
        outputs = 2 if kind == "regression" else 4
        layers = [nn.Flatten(), nn.Linear(16, 32, bias=False), nn.BatchNorm1d(32), LIF(), nn.Linear(32, outputs)]
    return nn.Sequential(*layers, *([] if last is None else [last]))


def options(kind):
    named = {"multilabel": {"task": "multilabel"}, "regression": {"task": Task("regression", 2, ("a", "b"), "m")}}
    return {"timesteps": 3, "batch_size": 20, "precision": "fp32", "quiet": True, "learning_rate": 0.02} | named.get(
        kind, {}
    )


def trained(kind, out, epochs=5, last=None, **more):
    trainer = SpQuantTrainer(model(kind, last), data(kind), 3, out=out / "run", **options(kind) | more)
    return trainer.train(epochs=epochs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_is_learned_and_every_backend_says_the_same(kind, tmp_path):
    trainer = trained(kind, tmp_path)
    found = trainer.evaluate()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["train_loss"] < 0.8 * lines[0]["train_loss"]
    assert "train_accuracy" not in lines[0]
    key = trainer.metric.key
    values = [line[f"val_{key}"] for line in lines]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["best"][f"val_{key}"] == (max if trainer.metric.larger_is_better else min)(values)
    assert record[f"test_{key}"] == found
    assert trainer.verify(0).equal

    test = trainer.data.test
    graph = load(tmp_path / "run" / "model.spq").graph
    assert graph.readout.output_format == trainer.network.output_format
    answers = [Program(graph, engine) for engine in (None, NativeProgram(graph))]
    first, second = (program.values(test.images) for program in answers)
    np.testing.assert_array_equal(first, second)
    assert score(trainer.data.task, count(trainer.data.task, first, test.labels)) == found
    network = trainer.deployed()
    torch_says = network.output_format.in_units(network.mean_logits(torch.from_numpy(test.images)).numpy())
    np.testing.assert_array_equal(torch_says, first)


def test_numbers_are_learned_in_their_units(tmp_path):
    trainer = trained("regression", tmp_path, epochs=10)
    said = load(tmp_path / "run" / "model.spq").predict(trainer.data.test.images)
    wanted = trainer.data.test.labels
    assert (np.sqrt(((said - wanted) ** 2).mean(0)) < 0.7 * wanted.std(0)).all()
    assert trainer.metric.shown(1.0) == "1 m"


@pytest.mark.parametrize("over_time", ["last", "largest", "mean"])
def test_membranes_are_trained_as_what_they_say_over_time(over_time, tmp_path):
    trainer = trained("regression", tmp_path, last=LeakyIntegrator(0.8, over_time))
    program = load(tmp_path / "run" / "model.spq")
    test = trainer.data.test
    assert score(program.task, count(program.task, program.values(test.images), test.labels)) == trainer.evaluate()


# ---- functions of a user ----


def squares(outputs, labels):
    """A loss, of answers in the unit of their labels."""
    return ((outputs - labels) / torch.tensor([100.0, 0.003])).square().mean()


def largest_error(outputs, labels):
    return (outputs - labels).abs().max()


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def falling(done):
    return 1 - 0.9 * done


FUNCTIONS = {
    "loss": squares,
    "optimizer": sgd,
    "schedule": falling,
    "metric": largest_error,
    "metric_mode": "min",
}


def test_functions_of_a_user_decide_a_training_and_must_be_given_again(tmp_path, monkeypatch):
    seen = []
    trainer = SpQuantTrainer(
        model("regression"),
        data("regression"),
        3,
        out="mine",
        callbacks=[seen.append],
        **options("regression") | FUNCTIONS,
    )
    trainer.train(epochs=3)
    lines = [json.loads(line) for line in (tmp_path / "mine" / "metrics.jsonl").read_text().splitlines()]
    assert [record.value for record in seen] == [line["val_largest_error"] for line in lines]
    assert all(isinstance(record, EpochRecord) and record.metric == "largest_error" for record in seen)
    best = min(seen, key=lambda record: record.value)
    assert json.loads((tmp_path / "mine" / "run.json").read_text())["best"]["epoch"] == best.epoch
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    values = load("mine/model.spq").predict(trainer.data.test.images)
    assert trainer.evaluate() == pytest.approx(np.abs(values - trainer.data.test.labels).max(), rel=1e-5)

    again = {"model": model("regression"), "dataset": data("regression"), "quiet": True}
    for name, says in (("loss", "squares"), ("schedule", "falling"), ("optimizer", "sgd"), ("metric", "largest_error")):
        rest = {key: value for key, value in FUNCTIONS.items() if key not in (name, "metric_mode")} | (
            {} if name == "metric" else {"metric_mode": "min"}
        )
        with pytest.raises(RunError, match=rf"{name}: '.*\.{says}', not 'none'"):
            SpQuantTrainer.resume("mine", **again, **rest)
    resumed = SpQuantTrainer.resume("mine", **again, **FUNCTIONS)
    assert resumed.data.task.unit == "m"  # which the folder knows


def test_a_stopped_training_by_another_optimizer_goes_on_to_the_same_weights(monkeypatch):
    def trainer(out, **more):
        return SpQuantTrainer(
            model("regression"), data("regression"), 3, out=out, **options("regression") | FUNCTIONS | more
        )

    def stop(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole = trainer("whole").train(epochs=3)
    with pytest.raises(KeyboardInterrupt):
        trainer("parts", callbacks=[stop]).train(epochs=3)
    parts = SpQuantTrainer.resume("parts", model("regression"), data("regression"), quiet=True, **FUNCTIONS).train()
    assert same(weights(parts), weights(whole))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ({"loss": lambda outputs, labels: (outputs - labels) ** 2}, "the loss metric gives a tensor|gives a tensor"),
        ({"loss": lambda outputs, labels: 1.0}, "gives float, not a scalar with a gradient"),
        ({"optimizer": lambda parameters: None}, "optimizer gives NoneType, not a torch.optim.Optimizer"),
        ({"schedule": lambda done: -1.0}, "schedule gives -1.0 at 0.000 of the training"),
        ({"metric": lambda outputs, labels: "good"}, "gives str, not a number"),
        ({"metric": lambda outputs, labels: float("nan")}, "gives nan, by which epochs cannot be compared"),
        ({"metric": lambda outputs, labels: float("-inf")}, "gives -inf, by which epochs cannot be compared"),
        ({"metric": 3}, "metric must be a function of all answers and labels, not 3"),
        ({"optimizer": torch.optim.LBFGS}, "optimizer gives LBFGS, which computes the loss anew"),
        ({"optimizer": "sgd"}, "optimizer must be a function of a list of parameters, not 'sgd'"),
        ({"metric_mode": "best"}, "metric_mode must be max or min, not 'best'"),
        ({"callbacks": [1]}, "callbacks must be a list of functions"),
        ({"callbacks": print}, "callbacks must be a list of functions"),
    ],
)
def test_functions_that_do_not_do_what_is_asked_of_them_are_refused(function, says):
    with pytest.raises(ConfigError, match=says):
        SpQuantTrainer(model("regression"), data("regression"), 3, **options("regression") | function).train(epochs=1)


def test_maps_of_a_class_that_does_not_occur_are_maps_of_a_class(tmp_path):
    def wider():
        layers = list(model("segmentation"))
        return nn.Sequential(*layers[:-1], nn.Conv2d(8, 4, 1))

    trainer = SpQuantTrainer(wider(), data("segmentation"), 3, out=tmp_path / "run", **options("segmentation"))
    trainer.train(epochs=2)
    assert trainer.evaluate() > 0
    assert trainer.verify(20).equal
    program = load(tmp_path / "run" / "model.spq")
    assert program.task == Task("segmentation", 4)
    assert program.predict(images(3, 1)).shape == (3, 4, 4)
    named = Task("segmentation", 2, ("dark", "bright"))
    with pytest.raises(ModelError, match="the model has 4 outputs, the task 2 classes: give its last layer 2"):
        SpQuantTrainer(wider(), data("segmentation"), 3, task=named, **options("segmentation"))


# ---- what makes no sense ----


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("regression", {"criterion": "bce"}, "criterion bce is not of regression: choose mse or huber, or give a loss"),
        ("multilabel", {"criterion": "mse"}, "criterion mse is not of multilabel: choose bce"),
        ("regression", {"class_weights": "balanced"}, "class_weights are of classes, and the task is regression"),
        ("regression", {"class_weights": [1, 2]}, "class_weights are of classes"),
        ("multilabel", {"class_weights": [1, 2]}, "class_weights has 2 numbers, the task 4 outputs"),
        ("multilabel", {"class_weights": "heavy"}, "class_weights must be balanced or numbers"),
        ("regression", {"label_smoothing": 0.1}, "label_smoothing is of classes, and the task is regression"),
        (
            "regression",
            {"teacher": nn.Flatten()},
            r"the teacher Flatten gives \[2, 16\] for 2 images: \[N, 2\] is wanted",
        ),
        ("regression", {"task": "ranking"}, "task must be one of"),
        ("multilabel", {"task": "segmentation"}, "for segmentation, give a class index for each pixel"),
    ],
)
def test_options_of_another_task_are_refused(kind, more, says):
    with pytest.raises((ConfigError, ValueError), match=says):
        SpQuantTrainer(model(kind), data(kind), 3, **options(kind) | more).train(epochs=1)


@pytest.mark.parametrize(
    ("kind", "of", "says"),
    [
        ("regression", "multilabel", "the model has 4 outputs, the labels 2 columns"),
        ("multilabel", "regression", "the model has 2 outputs, the data set 4 outputs: widen"),
        (
            "segmentation",
            "regression",
            "the model says 2 numbers of an image, and the labels are for segmentation, of 4x4",
        ),
        ("regression", "maps", "the model says 1x4x4 numbers .* are for regression, of one number for each output"),
        ("segmentation", "maps", "the model has 1 outputs, the data set 2 classes"),
    ],
)
def test_models_that_say_something_else_are_refused(kind, of, says):
    with pytest.raises(ModelError, match=says):
        SpQuantTrainer(model(of), data(kind), 3, **options(kind))


def test_early_exit_is_of_classes():
    with pytest.raises(ConfigError, match="early exit is of classes, and the task is regression"):
        SpQuantTrainer(model("regression"), data("regression"), 3, **options("regression")).early_exit()


# ---- the same by every command, in firmware and on the page ----


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("regression", ("RMSE", "R2", "how right each number is, in m", "#define MODEL_UNIT")),
        ("segmentation", ("Mean IoU", "confusion matrix", "how right each class is, in percent")),
        ("multilabel", ("F1", "how right each label is")),
    ],
)
def test_commands_name_the_metric_of_the_task(kind, says, tmp_path, spquant):
    trainer = trained(kind, tmp_path, epochs=2)
    found, key = trainer.evaluate(), trainer.metric.key
    test = trainer.data.test
    np.save("x.npy", test.images)
    np.save("y.npy", test.labels.astype(np.uint8) if kind == "multilabel" else test.labels)
    for backend in ("reference", "native"):
        call = ["eval", "run/model.spq", "--images", "x.npy", "--labels", "y.npy", "--backend", backend]
        said = json.loads(spquant(*call, "--json")[1])
        assert (said["metric"], said[key], said["task"]) == (key, found, kind)
        assert f"Test {says[0]}: {trainer.metric.shown(found)}" in spquant(*call)[1]
    page = trainer.report("page.html").read_text("utf-8")
    assert all(text in page for text in says if not text.startswith("#"))
    if kind == "regression":
        trainer.export("firmware", target="c")
        header = (tmp_path / "firmware" / "model.h").read_text()
        scales, offsets = (
            [float(x.rstrip("f")) for x in re.search(rf"MODEL_OUTPUT_{name} {{ (.*) }}", header)[1].split(", ")]
            for name in ("SCALE", "OFFSET")
        )
        assert '#define MODEL_UNIT "m"' in header
        assert '#define MODEL_LABELS { "a", "b" }' in header
        program = load("run/model.spq")
        values = program.logits(test.images) * np.array(scales) + np.array(offsets)
        np.testing.assert_allclose(values, program.predict(test.images), rtol=1e-6)
        assert "MODEL_OUTPUT_SCALE" in (tmp_path / "firmware" / "README.md").read_text()


@pytest.mark.parametrize("kind", ["regression", "multilabel", "maps"])
def test_runs_of_own_models_are_evaluated_verified_and_compared(kind, tmp_path, spquant):
    trainer = trained(kind, tmp_path, epochs=2)
    found, key = trainer.evaluate(), trainer.metric.key
    others = [SpQuantTrainer(model(kind), data(kind, seed), 2, out=f"other-{seed}", **options(kind)) for seed in (0, 9)]
    for other in others:
        other.train(epochs=1).evaluate()
    np.save("x.npy", trainer.data.test.images)
    np.save("y.npy", trainer.data.test.labels)
    own = ("--images", "x.npy", "--labels", "y.npy")
    code, out, err = spquant("eval", "run", *own, "--json")
    assert (code, json.loads(out)[key]) == (0, found)
    assert err == "spquant: the model of run was given in Python: its model.spq is taken\n"
    code, out, _ = spquant("verify", "run", "--images", "x.npy")
    assert (code, out[:18]) == (0, "equal on 60 images")
    code, out, _ = spquant("report", "run", "other-0", *own, "--json", "--count", 0)
    runs = json.loads(out)["runs"]
    assert (code, [run["metric"] for run in runs]) == (0, [key, key])
    assert runs[0][key] == pytest.approx(found)
    assert trainer.metric.name in spquant("report", "run", "other-0", "--no-html")[1]
    code, _, err = spquant("report", "run", "other-9")
    assert (code, "run and other-9 were trained on other data" in err) == (2, True)


class Knows(nn.Module):
    """Says the labels of images, as a module that was trained to."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        right = labels_of(self.kind, x)
        if self.kind == "multilabel":
            return 20.0 * right - 10
        return 10.0 * nn.functional.one_hot(right.clamp(min=0)).movedim(3, 1) if self.kind == "segmentation" else right


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_of_any_task_is_imitated(kind, tmp_path):
    """It alone is learned from: labels are those of other images."""
    (x, _), test = data(kind)
    wrong = labels_of(kind, images(160, 99))

    def taught(name, teacher, share):
        made = SpQuantTrainer(
            model(kind), ((x, wrong), test), 3, out=name, teacher=teacher, distill_weight=share, **options(kind)
        )
        return made.train(epochs=5)

    def off(trainer):
        return trainer.evaluate() * (-1 if trainer.metric.larger_is_better else 1)

    alone, best = off(taught("alone", None, 0.0)), taught("module", Knows(kind), 1.0)
    assert off(best) < alone
    for name, teacher in (("run", best.network), ("file", str(best.run.integers))):
        assert off(taught(name, teacher, 1.0)) < alone
