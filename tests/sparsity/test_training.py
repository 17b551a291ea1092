"""Penalties on rates, the schedule, and whole trainings: targets met, stops that change nothing, what is kept."""

import json
import shutil
from typing import get_args

import pytest
import torch

from spquant_snn import ConfigError, ModelError, SpQuantTrainer, load
from spquant_snn.sparsity.gates import COLD, WARM, channel_gates
from spquant_snn.sparsity.goals import ChannelChoice, Goals
from spquant_snn.sparsity.training import SparseTraining, rate_penalty, synops_penalty
from spquant_snn.train import step as training_step
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.console import Display
from spquant_snn.train.loading import load_network

SMALL = {"precision": "fp32", "quiet": True, "model": "lenet-snn:0.25", "dataset": "digits"}
IMAGES = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)  # of no account where no block is skipped


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs go into a folder of the test."""
    monkeypatch.chdir(tmp_path)


def trainer(bits=2, **options):
    options = SMALL | options
    return SpQuantTrainer(options.pop("model"), options.pop("dataset"), bits, **options)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def step(sparse, network, images, moment):
    """The penalty of one step, after its backward pass."""
    sparse.begin_step(moment)
    network.train()(images, watch=sparse.watch)
    penalty = sparse.penalty(moment)
    if penalty.requires_grad:
        penalty.backward()
    return float(penalty.detach())


# The schedule.


def test_gates_are_open_then_learned_then_frozen(row, noise):
    network, images = row(), noise(8, 1, 8, 8)
    sparse = SparseTraining(network, Goals(ops=0.2), 10)
    assert sparse.freezes == 6
    for moment, learning, temperature in [(0, False, WARM), (1.99, False, WARM), (2, True, WARM), (5.99, True, COLD)]:
        step(sparse, network, images, moment)
        assert {gate.learning for gate in sparse.gates} == {learning}
        assert sparse.gates[0].temperature == pytest.approx(temperature, rel=0.01)
    for epoch in range(1, 6):
        sparse.end_epoch(epoch, IMAGES)
        assert not sparse.frozen
    sparse.end_epoch(6, IMAGES)
    assert sparse.frozen
    assert sparse.summary()["ops_share"] <= 0.2
    assert step(sparse, network, images, 6.0) == 0


def test_the_allowed_share_falls_to_the_target(row, noise):
    network, images = row(), noise(8, 1, 8, 8)
    sparse = SparseTraining(network, Goals(ops=0.1), 10)
    found = [step(sparse, network, images, moment) for moment in (1.9, 2.0, 3.0, 4.0, 5.2, 5.8)]
    assert found[0] == found[1] == 0
    assert found[1] < found[2] < found[3] < found[4]
    assert found[4] == pytest.approx(found[5], rel=0.2)


@pytest.mark.parametrize("epochs", range(1, 30))
def test_gates_are_learned_before_they_are_frozen_and_frozen_in_time(row, epochs):
    sparse = SparseTraining(row(), Goals(ops=0.5), epochs)
    assert 1 <= sparse.freezes <= epochs
    assert sparse.freezes > 0.2 * epochs


@pytest.mark.parametrize("goals", [Goals(rate=0.01), Goals(synops=10), Goals(rate=0.01, weight=2)])
def test_what_rates_may_be_falls_to_the_target(row, noise, goals):
    network, images = row(gates=False), noise(8, 1, 8, 8)
    sparse = SparseTraining(network, goals, 10)
    found = [step(sparse, network, images, moment) for moment in (0.0, 0.1, 2.0, 4.0, 4.9, 9.0)]
    assert found[0] == found[1] == 0  # nearly all neurons may fire still
    assert found[2] < found[3] < found[4]
    assert found[4] == pytest.approx(found[5], rel=0.05)
    assert network.hidden[0].synapse.weight.grad.abs().sum() > 0


def test_closed_channels_do_not_count_as_a_low_rate(row, noise, calibrate):
    images = noise(8, 1, 8, 8)
    network = calibrate(row(), images)
    sparse = SparseTraining(network, Goals(rate=0.05), 10)
    for gate in sparse.gates:
        gate.freeze(torch.arange(len(gate.logits)) < 3)
    sparse.begin_step(5)
    rates = []
    network.train()(images, watch=lambda i, s: (sparse.watch(i, s), rates.append(s[:, :, :3].mean())))
    torch.testing.assert_close(torch.stack(sparse._open_rates()), torch.stack(rates))


# Whole trainings.


@pytest.mark.slow
@pytest.mark.parametrize("bits", ["ternary", 2, 8, 32])
def test_the_target_is_met_and_the_run_holds_the_smaller_network(bits, tmp_path):
    made = trainer(bits, target_ops=0.3, out="x").train(epochs=5)
    assert made.evaluate() > 50
    found = lines(tmp_path / "x")
    assert [line["ops_share"] for line in found[:1]] == [1.0]
    assert found[2]["ops_share"] <= 0.3  # frozen after three of five epochs
    assert [line["channels"] for line in found[3:]] == [found[2]["channels"]] * 2
    small = load_network(tmp_path / "x")
    widths = {stage.name: len(stage.synapse.weight) for stage in small.hidden}
    assert widths == {name: opened for name, (opened, _) in found[-1]["channels"].items()}
    assert made.run.read_record()["best"]["epoch"] >= 3
    assert len(made.network.hidden[0].synapse.weight) == 8  # the training's own network keeps its shape
    if bits != 32:
        program, test = load(tmp_path / "x" / "model.spq"), made.data.test
        assert [layer.channels for layer in program.graph.layers] == list(widths.values())
        correct = (program.predict(test.images) == test.labels).mean()
        assert 100 * correct == pytest.approx(made.evaluate())


@pytest.mark.slow
def test_controls_meet_the_target_too(tmp_path):
    for choice in ("random", "magnitude"):
        made = trainer(target_ops=0.3, channel_choice=choice, out=choice).train(epochs=5)
        found = lines(tmp_path / choice)
        assert [line["ops_share"] == 1 for line in found[:2]] == [choice == "magnitude"] * 2
        assert 0.15 < found[2]["ops_share"] <= 0.3
        assert [line["channels"] for line in found[3:]] == [found[2]["channels"]] * 2
        assert made.run.read_record()["best"]["epoch"] >= 3
        widths = {stage.name: len(stage.synapse.weight) for stage in load_network(tmp_path / choice).hidden}
        assert widths == {name: opened for name, (opened, _) in found[-1]["channels"].items()}
        made.train(epochs=1)  # with the same channels
        assert lines(tmp_path / f"{choice}-2")[0]["channels"] == found[-1]["channels"]


@pytest.mark.slow
@pytest.mark.parametrize("choice", get_args(ChannelChoice))
def test_a_run_without_its_first_checkpoint_begins_as_it_would_have(choice, tmp_path, monkeypatch):
    options = {"target_ops": 0.3, "channel_choice": choice}
    trainer(out="whole", **options).train(epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr("spquant_snn.trainer.make_optimizer", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trainer(out="killed", **options).train(epochs=2)
    assert (tmp_path / "killed" / "config.toml").exists()
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()
    SpQuantTrainer.resume(tmp_path / "killed", quiet=True).train()
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_target_of_one_changes_nothing(tmp_path):
    options = {"target_ops": 1.0, "target_rate": 1.0, "target_synops": 0.0, "channel_choice": "random"}
    for out, given in (("a", {}), ("b", options)):
        trainer(out=out, model="lenet-snn:0.1", **given).train(epochs=2)
    for name in ("model.safetensors", "metrics.jsonl", "model.spq"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("choice", get_args(ChannelChoice))
def test_a_stopped_training_goes_on_bit_for_bit(choice, monkeypatch, tmp_path):
    options = {"target_ops": 0.3, "target_rate": 0.1, "finetune_epochs": 1, "channel_choice": choice}
    trainer(out="whole", **options).train(epochs=3)
    objective = training_step.objective
    for stop_at in (5, 60, 100, 140) if choice == "learned" else (60, 140):  # steps; an epoch has 41
        steps = []

        def interrupted(*args, steps=steps, stop_at=stop_at):
            steps.append(1)
            if len(steps) == stop_at:
                raise KeyboardInterrupt
            return objective(*args)

        out = tmp_path / f"stopped-{stop_at}"
        with monkeypatch.context() as patch:
            patch.setattr(training_step, "objective", interrupted)
            with pytest.raises(KeyboardInterrupt):
                trainer(out=out, **options).train(epochs=3)
        SpQuantTrainer.resume(out, quiet=True).train()
        for name in ("model.safetensors", "model.spq", "metrics.jsonl"):
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_training_again_keeps_the_channels(tmp_path):
    made = trainer(target_ops=0.3, out="x").train(epochs=3)
    before = [gate.opened().clone() for gate in channel_gates(made.network)]
    made.train(epochs=3)
    assert all(torch.equal(a, g.opened()) for a, g in zip(before, channel_gates(made.network), strict=True))
    found = lines(tmp_path / "x-2")
    best = max(found, key=lambda line: (line["val_accuracy"], -line["val_loss"]))
    assert made.run.read_record()["best"]["epoch"] == best["epoch"]


@pytest.mark.slow
def test_only_epochs_with_the_channels_asked_for_can_be_the_best(tmp_path, monkeypatch):
    made = trainer(target_ops=0.2, out="x").train(epochs=5)
    found = lines(tmp_path / "x")
    best = made.run.read_record()["best"]
    assert best["val_accuracy"] == max(line["val_accuracy"] for line in found[2:])
    assert all(bool(gate.frozen) for gate in channel_gates(made.network))


@pytest.mark.slow
@pytest.mark.parametrize("goal", [{"target_rate": 0.01}, {"target_synops": 100.0}], ids=["rate", "synops"])
def test_an_epoch_before_rates_are_down_cannot_be_the_best(tmp_path, goal):
    made = trainer(out="x", learning_rate=1e-12, **goal).train(epochs=5)  # nothing is learned: the first is as good
    best = made.run.read_record()["best"]
    assert best["epoch"] >= 3
    assert best["val_accuracy"] == max(line["val_accuracy"] for line in lines(tmp_path / "x")[2:])


@pytest.mark.slow
def test_a_run_that_was_stopped_early_can_be_evaluated(monkeypatch, tmp_path):
    made = trainer(target_ops=0.2, out="x")
    end = Display.end

    def stop(self, epoch, *args):
        end(self, epoch, *args)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Display, "end", stop)
    with pytest.raises(KeyboardInterrupt):
        made.train(epochs=5)
    assert load_network(tmp_path / "x").eval().freeze().frozen
    assert 0 <= made.evaluate() <= 100


@pytest.mark.slow
def test_rates_are_held_down(tmp_path):
    for out, options in (
        ("free", {}),
        ("held", {"target_rate": 0.05}),
        ("synops", {"target_synops": 1000.0}),
    ):
        trainer(out=out, **options).train(epochs=4)
    free, held, synops = (
        [layer["rate"] for layer in lines(tmp_path / out)[-1]["val_layers"]] for out in ("free", "held", "synops")
    )
    assert max(held) < 0.11 < 0.2 < max(free)
    assert sum(synops) < 0.7 * sum(free)
    assert "channels" not in lines(tmp_path / "held")[-1]


@pytest.mark.slow
def test_commands_see_the_smaller_network(spquant, tmp_path):
    options = ["--model", "lenet-snn:0.25", "--dataset", "digits", "--precision", "fp32", "--epochs", 2]
    code, out, err = spquant("train", *options, "--target-ops", 0.2, "--out", "x")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    said = [line for line in out.splitlines() if "channels kept" in line]
    assert len(said) == 2
    assert "% of the operations left" in said[1]
    accuracy = out.splitlines()[-1]
    for backend in ("torch", "reference", "native"):
        assert spquant("eval", "x", "--backend", backend)[:2] == (0, accuracy + "\n")
    for backend in ("reference", "native"):
        assert spquant("verify", "x", "--count", 100, "--backend", backend)[0] == 0
    assert spquant("export", "x", "--out", "y.spq")[0] == 0
    assert (tmp_path / "y.spq").read_bytes() == (tmp_path / "x" / "model.spq").read_bytes()
    shutil.rmtree(tmp_path / "x")
    assert spquant("train", *options, "--target-ops", 0, "--out", "x")[0] == 2
    assert not (tmp_path / "x").exists()


# What is refused.


def test_a_target_that_cannot_be_met_is_refused_before_anything_is_written(tmp_path):
    made = trainer(target_ops=0.001, out="x")
    with pytest.raises(ModelError, match=r"target_ops 0\.001 cannot be met without emptying layer 'conv1'") as refused:
        made.train(epochs=2)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("target_ops", 0),
        ("target_ops", 1.5),
        ("target_ops", float("nan")),
        ("target_ops", "0.2"),
        ("target_rate", 0),
        ("target_rate", -0.1),
        ("target_synops", -1),
        ("rate_weight", float("inf")),
    ],
)
def test_options_that_do_not_exist_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"^{option} must be .* not "):
        TrainConfig(**{option: value})


def test_channels_are_closed_in_training_form():
    with pytest.raises(ConfigError, match="target_ops needs epochs in training form"):
        TrainConfig(target_ops=0.5, epochs=0, finetune_epochs=1)


def test_nothing_is_lost_below_the_target():
    rates = [torch.tensor(0.05), torch.tensor(0.1)]
    assert rate_penalty(rates, 0.1) == 0
    assert synops_penalty([torch.tensor(40.0), torch.tensor(50.0)], 100) == 0


def test_the_excess_counts_in_square_and_in_relation_to_the_target():
    assert float(rate_penalty([torch.tensor(0.3), torch.tensor(0.1)], 0.1)) == pytest.approx(2.0)
    assert float(synops_penalty([torch.tensor(150.0), torch.tensor(50.0)], 100)) == pytest.approx(
        4 * 0.6931**2, rel=1e-3
    )


def test_silence_has_a_finite_gradient():
    count = torch.zeros((), requires_grad=True)
    synops_penalty([count], 10).backward()
    assert count.grad == 0


@pytest.mark.parametrize(
    "penalty", [lambda x: rate_penalty([x * 0.1, x * 0.02], 0.05), lambda x: synops_penalty([x], 0.5)]
)
def test_the_gradient_by_finite_differences(penalty):
    x = torch.tensor(1.3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(penalty, x)
    penalty(x).backward()
    assert x.grad > 0
