"""Two processes that train one network: the same as one, on a machine that may lose one of them."""

import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import torchrun_jobs
from once import made_once
from spquant_snn import ConfigError, DataError, RunError, SpQuantTrainer
from spquant_snn.quant.sharded_batch import BatchShard, batch_norm
from spquant_snn.quant.stage import Norm
from spquant_snn.sparsity.gates import channel_gates, insert_gates
from spquant_snn.train.augment import Augmentation
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.device import usable_device
from spquant_snn.train.distributed import World, join
from spquant_snn.train.run import RunFolder
from spquant_snn.train.run_owner import begun_before

CONFIG = TrainConfig(model="custom", dataset="custom", epochs=2, batch_size=16, precision="fp32", validation=1)
DIGITS = {"model": "lenet-snn:0.1", "dataset": "digits", "quantization_bits": 2, "precision": "fp32", "quiet": True}
DIGITS |= {"epochs": 3, "batch_size": 250}
CHANGED = Augmentation(shift=1, rotate=10.0, cutout=2)
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "localhost:0"]
REFUSED = {"too many parts": {"batch_size": 16, "accumulate": 7}, "skipping": {"batch_size": 16, "target_skip": 0.2}}


def torchrun(*arguments, cwd):
    """A finished call of torchrun."""
    return subprocess.run([*TORCHRUN, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=240)


@pytest.fixture(scope="module")
def jobs(tiny, quadrants):
    """Trainings with everything that looks at a whole batch; the last of 37 images are 12 and 13 in a batch."""
    train, validation = quadrants(37), quadrants(700, seed=1)
    gated = tiny()
    insert_gates(gated)
    made = {
        "plain": (tiny(), CONFIG),
        "dropout": (tiny(drop=0.3), CONFIG),
        "parts": (tiny(drop=0.3), replace(CONFIG, accumulate=3, clip_norm=0.5)),
        "again": (tiny(drop=0.3), replace(CONFIG, accumulate=2, checkpoint_time=True)),
        "gates": (gated, replace(CONFIG, epochs=5, target_ops=0.5, target_rate=0.1)),
        "distant": (tiny(), replace(CONFIG, target_synops=100.0, epochs=3)),
        "float": (tiny(bits=32), replace(CONFIG, precision="bf16")),
    }
    return {name: torchrun_jobs.Job(net, train, validation, config, CHANGED) for name, (net, config) in made.items()}


@pytest.fixture(scope="module")
def together(jobs, shared):
    """What two processes found, and their folder."""

    def train(folder):
        torchrun_jobs.stop_after(1)
        with pytest.raises(KeyboardInterrupt):
            SpQuantTrainer(**DIGITS, out=folder / "one").train()
        torch.save({"jobs": jobs, "refused": REFUSED, "trainer": DIGITS}, folder / "jobs.pt")
        ended = torchrun(torchrun_jobs.__file__, "jobs", folder, cwd=folder)
        assert ended.returncode == 0, ended.stderr

    folder = made_once(shared, "together", train)
    return torch.load(folder / "outcome.pt", weights_only=False), folder


@pytest.fixture(scope="module")
def alone(shared):
    """The folder of a training by one process."""
    made = made_once(shared, "alone", lambda folder: SpQuantTrainer(**DIGITS, out=folder / "run").train().evaluate())
    return RunFolder(made / "run")


def losses(run):
    return [json.loads(line)["train_loss"] for line in run.metrics.read_text("utf-8").splitlines()]


# Equality.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "dropout", "parts", "again", "gates", "distant", "float"])
def test_two_processes_train_as_one(jobs, together, name):
    steps, metrics, state = together[0][name]
    expected_steps, expected_metrics, expected = torchrun_jobs.run(jobs[name])
    tight = 1e-5 if name != "float" else 1e-3  # products of bf16 are rounded by the shape that they are taken in
    assert len(steps) == len(expected_steps) == 3 * jobs[name].config.epochs
    for (loss, accuracy), (expected_loss, expected_accuracy) in zip(steps, expected_steps, strict=True):
        assert loss == pytest.approx(expected_loss, rel=tight)
        assert accuracy == pytest.approx(expected_accuracy)
    assert state.keys() == expected.keys()
    for key in state:
        torch.testing.assert_close(state[key], expected[key], rtol=100 * tight, atol=100 * tight)
    for found, right in zip(metrics, expected_metrics, strict=True):
        assert found.score == pytest.approx(right.score, abs=0.3)
        assert [layer.rate for layer in found.layers] == pytest.approx([layer.rate for layer in right.layers], rel=0.01)


def test_the_jobs_use_what_they_are_for(jobs):
    assert jobs["dropout"].network.readout.drop_spikes or any(s.drop_spikes for s in jobs["dropout"].network.hidden)
    assert channel_gates(jobs["gates"].network)
    plain, dropped = (torchrun_jobs.run(jobs[name])[0][-1][0] for name in ("plain", "dropout"))
    assert plain != pytest.approx(dropped, rel=1e-3)


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize(("count", "accumulate"), [(16, 1), (37, 3), (21, 3), (7, 1)])
def test_parts_cover_a_batch_once(tiny, size, count, accumulate):
    network, rows, weight, shares = tiny(), [], 0.0, []
    for rank in range(size):
        mine, owned = [], []
        for part in World(rank, size).parts(network, count, accumulate):
            rows += range(count)[part.rows]
            mine += range(count)[part.rows]
            owned += range(count)[part.own]
            weight += part.weight
            shares.append(network.hidden[0].norm.shard.count)
        assert owned == list(range(len(mine)))
        assert network.hidden[0].norm.shard is None
    assert sorted(rows) == list(range(count))
    assert weight == pytest.approx(1)
    assert max(shares) - min(shares) <= 1 + (accumulate > 1)
    assert min(shares) >= 1


def test_alone_a_network_hears_of_no_other(tiny):
    network = tiny()
    for part in World().parts(network, 5, 1):
        assert (part.rows, part.weight) == (slice(0, 5), 1.0)
        assert network.hidden[0].norm.shard is None


class Whole(BatchShard):
    """All of a batch, in one process."""

    def add(self, x):
        return x


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5), (12, 3, 2, 2)])
def test_shared_normalisation_is_that_of_torch(shape):
    def through(shard):
        torch.manual_seed(0)
        norm = Norm(torch.nn.BatchNorm2d(3))
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, -2.0, 1.0]))
            norm.bias.normal_()
        norm.shard = shard
        x = (3 * torch.randn(shape) + 2).requires_grad_()
        y = norm(x)
        (y * torch.randn(shape)).sum().backward()
        return y.detach(), x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var

    for found, right in zip(through(Whole(0, 6, 6)), through(None), strict=True):
        torch.testing.assert_close(found, right, rtol=2e-5, atol=2e-5)


def test_the_gradient_of_shared_normalisation_is_that_of_its_function():
    x, weight, bias = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 2, 3), (2,), (2,)))

    def function(x, weight, bias):
        return batch_norm(x, torch.zeros(2).double(), torch.ones(2).double(), weight, bias, 0.1, 1e-5, Whole(0, 4, 4))

    assert torch.autograd.gradcheck(function, (x, weight, bias))


# What they say to one another.


@pytest.mark.slow
def test_an_error_of_one_is_an_error_of_all_and_told_once(together):
    outcome = together[0]
    assert outcome["numbers"] == [(0, 2, 0, 2), (1, 2, 1, 2)]
    words = "in process 1 of 2: no data here"
    assert outcome["one fails"] == [(DataError, words, False), (DataError, words, True)]
    assert outcome["all fail"] == [(DataError, "no data", False), (DataError, "no data", True)]
    assert outcome["first fails"] == [(RunError, "no room", False), (RunError, "no room", True)]
    assert outcome["from first"] == ["of 0", "of 0"]


@pytest.mark.slow
def test_what_one_cannot_read_ends_all_of_them_in_its_sentence(together):
    outcome = together[0]
    words = "in process 1 of 2: no second one"
    assert outcome["unread"] == [(DataError, words, False), (DataError, words, True)]
    assert "1 of 2 processes have no more training batches" in outcome["ended"][0][1]
    assert outcome["read"] == [0, 1, 2]
    for what, item in (("training", 37), ("validation", 7)):
        (kind, text, reported), other = outcome[f"unread in {what}"]
        assert f"{what} item {item} cannot be read" in text
        assert "torn" in text
        assert other == (kind, text, True)
        assert (kind, reported) == (DataError, False)


@pytest.mark.slow
def test_what_two_cannot_train_is_refused(together):
    outcome = together[0]
    assert "too few for 2 processes with accumulate 7: choose a larger batch_size" in outcome["too many parts"][0][1]
    assert "target_skip is not trained by several processes, and there are 2" in outcome["skipping"][0][1]


@pytest.mark.slow
def test_a_run_of_one_goes_on_with_two(alone, together, tmp_path):
    outcome, folder = together
    assert losses(RunFolder(folder / "one")) == pytest.approx(losses(alone), rel=1e-3)
    assert outcome["resumed"] == pytest.approx(alone.read_record()["test_accuracy"], abs=2)


@pytest.mark.slow
def test_a_run_of_two_goes_on_with_one(alone, together, tmp_path):
    outcome, folder = together
    assert outcome["stopped"]
    run = RunFolder(shutil.copytree(folder / "two", tmp_path / "two"))
    assert len(losses(run)) == 1
    SpQuantTrainer.resume(run.path, quiet=True).train()
    assert losses(run) == pytest.approx(losses(alone), rel=1e-3)
    assert run.config.read_text() == alone.config.read_text()


@pytest.mark.slow
def test_two_processes_share_what_they_read_and_learn_as_one(tmp_path):
    ended = torchrun(torchrun_jobs.__file__, "shares", tmp_path, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    outcome = torch.load(tmp_path / "outcome.pt", weights_only=False)
    for name in ("items", "stream"):
        first, second = (found[0] for found in outcome[name])
        assert [len(batch) for batch in first + second] == [8] * 8
        assert sorted(itertools.chain(*first, *second)) == list(range(64))  # each item once, by one of them
    for name, data in torchrun_jobs.SETS.items():
        states = [found[1] for found in outcome[name]]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        alone = torchrun_jobs.trainer_on(tmp_path / f"{name} alone", *data).train()
        assert losses(RunFolder(tmp_path / name)) == pytest.approx(losses(alone.run), rel=1e-4), name


# torchrun.


@pytest.mark.slow
def test_a_worker_that_dies_is_started_again_and_the_first_alone_speaks(alone, tmp_path):
    options = [f"--{name.replace('_', '-')}={DIGITS[name]}" for name in ("model", "dataset", "precision", "epochs")]
    command = ["train", *options, f"--batch-size={DIGITS['batch_size']}", "--weight-bits=2", "--state-bits=2"]
    ended = torchrun("--max-restarts", 1, torchrun_jobs.__file__, "dies", *command, "--out", "run", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "exitcode: -9" in ended.stderr
    assert "Traceback" not in ended.stderr
    lines = ended.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    assert sum(line.startswith("lenet-snn:0.1 on digits") for line in lines) == 2  # before and after
    assert [line for line in lines if line.startswith("Test Accuracy")] == [lines[-1]]
    run = RunFolder(tmp_path / "run")
    assert losses(run) == pytest.approx(losses(alone), rel=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.slow
def test_a_data_set_that_there_is_not_is_told_of_once(tmp_path):
    ended = torchrun("-m", "spquant_snn", "train", "--dataset=nothing", "--out=run", cwd=tmp_path)
    assert ended.returncode != 0
    assert sum(line.startswith("spquant: ") for line in ended.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_job_finds_its_run_again_and_no_other(monkeypatch, tmp_path):
    def job(name, restarts, most=3):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", name)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restarts))
        monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", str(most))

    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert begun_before(None, CONFIG) is None
    run = RunFolder(tmp_path / "run")
    job("night", 0)
    with pytest.raises(ConfigError, match="torchrun may restart this training"):
        begun_before(None, CONFIG)
    assert begun_before(run.path, CONFIG) is None
    run.create(CONFIG, (1, 8, 8), 4, job="night")
    assert begun_before(run.path, CONFIG) == run
    with pytest.raises(RunError, match="was started with seed: 0, not 1: choose another folder"):
        begun_before(run.path, replace(CONFIG, seed=1))
    job("day", 2)
    assert begun_before(run.path, CONFIG) is None
    job("none", 0, 0)
    assert begun_before(None, CONFIG) is None


def test_several_processes_that_torchrun_did_not_start_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join() == World()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match=r"WORLD_SIZE is 2, but RANK is no number or not set: start .* with torchrun"):
        join()


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="has 1 GPUs for 2 processes: start as many, or choose --device cpu"):
        usable_device("cuda", World(0, 2, 0, 2))
    with pytest.raises(ConfigError, match="'cuda:0' is one GPU for 2 processes: choose cuda"):
        usable_device("cuda:0", World(1, 2, 1, 2))
    assert usable_device("cpu", World(1, 2, 1, 2)).type == "cpu"
