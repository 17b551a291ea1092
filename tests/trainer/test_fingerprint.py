"""A run goes on with what it was started with, or not at all: what differs is named."""

import json
import shutil
import time

import pytest
import torch
from torch import nn

from spquant_snn import LIF, FileFormatError, RunError, SpQuantTrainer
from spquant_snn.data import as_splits
from spquant_snn.train import fingerprint, step
from spquant_snn.train.run import departures_from
from toy_task import DATA, SMALL, images

STEPS = 20  # of which an epoch has 12


class Model(nn.Module):
    """Every setting of a layer, to be changed one by one."""

    def __init__(
        self,
        kernel=3,
        stride=1,
        padding=1,
        groups=1,
        bias=False,
        pool="max",
        eps=1e-5,
        momentum=0.1,
        drop=0.1,
        **neuron,
    ):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.bn = nn.Conv2d(1, 4, 3, padding=1, bias=bias), nn.BatchNorm2d(4, eps, momentum)
        self.lif1, self.drop = LIF(), nn.Dropout(drop)
        self.pool = nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(4, 4, kernel, stride, padding, groups=groups, bias=False)
        self.bn2, self.lif2, self.fc = nn.BatchNorm2d(4), LIF(**neuron), nn.Linear(64 // stride**2, 4)

    def forward(self, x):
        x = self.pool(self.lif1(self.drop(self.bn(self.conv(x)))))
        return self.fc(self.lif2(self.bn2(self.conv2(x))).flatten(1))


def teacher(width=8, slope=0.1, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(Scaled(), nn.Flatten(), nn.Linear(64, width), nn.LeakyReLU(slope), nn.Linear(width, 4))


class Scaled(nn.Module):
    """Keeps count, as modules of users may."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x.float() / 255


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run, stopped in its second epoch."""
    folder, count = tmp_path_factory.mktemp("runs") / "run", 0
    trainer = SpQuantTrainer(Model(), DATA, 2, timesteps=2, epochs=3, out=folder, teacher=teacher(), **SMALL)

    def interrupted(*args, real=step.objective, **options):
        nonlocal count
        count += 1
        if count > STEPS:
            raise KeyboardInterrupt
        return real(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "objective", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
    return folder


@pytest.fixture
def run(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "copy")


def inverted(pixels):
    return 255 - pixels


(TRAIN, LABELS), (TEST, TEST_LABELS) = DATA
OTHERS = {  # model, data, teacher, and what is said
    "leak": (Model(leak=0.75), DATA, None, "leak of layer 2: 0.5, not 0.75"),
    "reset": (Model(reset="subtract"), DATA, None, "reset of layer 2: 'zero', not 'subtract'"),
    "threshold": (Model(v_threshold=2.0), DATA, None, "threshold of layer 2: 1.0, not 2.0"),
    "trained": (Model(learn_threshold=True), DATA, None, "threshold of layer 2: 1.0, not 'trained'"),
    "surrogate": (Model(surrogate="atan"), DATA, None, "surrogate of layer 2: 'triangle', not 'atan'"),
    "own": (Model(surrogate=inverted), DATA, None, "surrogate of layer 2: 'triangle', not 'inverted'"),
    "kernel": (Model(kernel=1, padding=0), DATA, None, r"weight shape of layer 2: \[4, 4, 3, 3\], not \[4, 4, 1, 1\]"),
    "stride": (Model(stride=2), DATA, None, r"stride of layer 2: \[1, 1\], not \[2, 2\]"),
    "groups": (Model(groups=2), DATA, None, r"weight shape of layer 2: .*; groups of layer 2: 1, not 2"),
    "bias": (Model(bias=True), DATA, None, "bias of layer 1: False, not True"),
    "pool": (
        Model(pool="mean"),
        DATA,
        None,
        r"pools before the weights of layer 2: \[\['max', \[2, 2\], \[2, 2\]\]\], not \[\['sum'",
    ),
    "eps": (Model(eps=1e-3), DATA, None, "eps of layer 1: 1e-05, not 0.001"),
    "momentum": (Model(momentum=0.2), DATA, None, "momentum of layer 1: 0.1, not 0.2"),
    "dropout": (Model(drop=0.5), DATA, None, "dropout of the currents of layer 1: 0.1, not 0.5"),
    "images": (Model(), ((inverted(TRAIN), LABELS), DATA[1]), None, "other training images: put back"),
    "labels": (Model(), ((TRAIN, 3 - LABELS), DATA[1]), None, "other training labels: put back"),
    "fewer": (Model(), ((TRAIN[:150], LABELS[:150]), DATA[1]), None, "number of training images: 203, not 150; other"),
    "order": (
        Model(),
        ((TRAIN.flip(0), LABELS.flip(0)), DATA[1]),
        None,
        "other training images; other training labels",
    ),
    "test images": (Model(), (DATA[0], (inverted(TEST), TEST_LABELS)), None, "other test images: put"),
    "test labels": (Model(), (DATA[0], (TEST, 3 - TEST_LABELS)), None, "other test labels: put"),
    "teacher": (Model(), DATA, teacher(9), "number of the teacher's parameters: 556, not 625; other structure of the"),
    "slope": (Model(), DATA, teacher(slope=0.2), "other structure of the teacher: put back"),
    "kind": (Model(), DATA, nn.Linear(1, 1), "kind of the teacher: 'Sequential', not 'Linear'"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_is_refused_by_name(what, run):
    model, data, other, said = OTHERS[what]
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(RunError, match=f"copy was started with (.*; )?{said}"):
        SpQuantTrainer.resume(run, model, data, teacher=other, quiet=True)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_the_same_goes_on_with_other_first_weights(run):
    again = Model()
    for parameter in again.parameters():
        parameter.data.mul_(2)
    again.lif2.v_threshold.data.fill_(1.0)  # of a neuron that is not trained, a setting
    again.lif1.v_threshold.data.fill_(1.0)
    busy = teacher(seed=3)
    busy(TRAIN[:2])
    SpQuantTrainer.resume(run, again, DATA, teacher=busy, quiet=True).train()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


def test_what_goes_on_in_train_is_looked_at_too(run):
    trainer = SpQuantTrainer.resume(run, Model(), DATA, teacher=teacher(), quiet=True)
    object.__setattr__(trainer.data.train, "labels", 3 - trainer.data.train.labels)
    with pytest.raises(RunError, match="was started with other training labels"):
        trainer.train()


def test_a_configuration_that_was_edited_is_refused(run):
    path = run / "config.toml"
    path.write_text(path.read_text().replace("learning_rate = 0.004", "learning_rate = 0.04"))
    with pytest.raises(RunError, match=r"copy was started with learning_rate: 0\.004, not 0\.04: put back"):
        SpQuantTrainer.resume(run, Model(), DATA, teacher=teacher(), quiet=True)


@pytest.mark.parametrize("edited", [None, [], {"model": 3}])
def test_a_record_that_does_not_say_it_is_damaged(edited, run):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"fingerprint": edited}))
    with pytest.raises(FileFormatError, match=r"run\.json is damaged: it does not say what the run was started"):
        SpQuantTrainer.resume(run, Model(), DATA, teacher=teacher(), quiet=True)


def test_a_named_run_is_held_to_its_configuration_and_model_in_every_command(spquant, tmp_path):
    trained = ("--model", "8C3-P2-FC10", "--dataset", "digits", "--epochs", "1", "--out", "run")
    assert spquant("train", *trained)[0] == 0
    commands = [("eval", "run", "--backend", "torch"), ("verify", "run"), ("export", "run", "--out", "x.spq")]
    assert [spquant(*command)[0] for command in commands] == [0, 0, 0]
    config, record = (tmp_path / "run" / name for name in ("config.toml", "run.json"))
    kept = config.read_text(), record.read_text()
    config.write_text(kept[0].replace("leak = 0.5", "leak = 0.75"))
    for command in (*commands, ("train", "--resume", "run")):
        code, _, said = spquant(*command)
        assert code != 0
        assert "run was started with leak: 0.5, not 0.75" in " ".join(said.split())
    config.write_text(kept[0])
    record.write_text(kept[1].replace('"stride of layer 1": [\n        1,', '"stride of layer 1": [\n        2,'))
    for command in commands:
        code, _, said = spquant(*command)
        assert code != 0
        assert "run was started with stride of layer 1: [2, 1], not [1, 1]" in " ".join(said.split())


def test_a_folder_of_data_with_other_content_is_refused(monkeypatch):
    """Data sets that have a name too."""
    small = {"epochs": 1, "validation": 20, **SMALL}
    SpQuantTrainer("8C3-P2-FC10", "digits", 2, out="run", **small).train()
    data = as_splits("digits")
    object.__setattr__(data.train, "images", data.train.images[..., ::-1])
    monkeypatch.setattr("spquant_snn.train.resolve.as_splits", lambda *args, **options: data)
    with pytest.raises(RunError, match="run was started with other training images"):
        SpQuantTrainer.resume("run", quiet=True)


def test_a_teacher_in_a_folder_is_found_from_another(run, tmp_path, monkeypatch):
    SpQuantTrainer("lenet-snn:0.1", DATA, 2, out="twin", **SMALL).train(epochs=1)
    SpQuantTrainer("lenet-snn:0.1", DATA, 2, out="taught", teacher="twin", init="twin", **SMALL).train(epochs=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = SpQuantTrainer.resume("../taught", dataset=DATA, quiet=True)
    assert again.config.teacher == again.config.init == str(tmp_path / "twin")
    again.train()


def test_the_digest_is_of_a_bounded_number_of_items_the_ends_among_them():
    pixels, labels = images(5000)
    large = pixels.repeat(1, 1, 8, 8)  # 20 MB
    data = as_splits(((large, labels), (large[:9], labels[:9])))
    before, begin = fingerprint.data_print(data), time.perf_counter()
    fingerprint.data_print(data)
    assert time.perf_counter() - begin < 5
    for place in (0, -1):
        changed = large.clone()
        changed[place] = 255 - changed[place]
        other = fingerprint.data_print(as_splits(((changed, labels), (large[:9], labels[:9]))))
        assert departures_from({"data": before}, {"data": other}) == ["other training images"]


def test_no_more_is_said_than_can_be_read():
    found = departures_from({"a": {str(i): 0 for i in range(99)}}, {"a": {str(i): 1 for i in range(99)}})
    assert found == [*(f"{i}: 0, not 1" for i in range(4)), "95 more differences"]


def test_structures_do_not_hold_gates_or_weights():
    plain = SpQuantTrainer("8C3-8C3-P2-FC4", DATA, 2, **SMALL)
    gated = SpQuantTrainer("8C3-8C3-P2-FC4", DATA, 2, target_ops=0.5, seed=4, **SMALL)
    assert fingerprint.model_print(plain.network) == fingerprint.model_print(gated.network)
