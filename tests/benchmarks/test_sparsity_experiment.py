"""``python -m benchmarks sparsity`` on the digits: what is trained, skipped, taken over, counted and refused."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks.harness import variant_results
from benchmarks.harness.sparsity_experiment import run_sparsity_experiment
from benchmarks.harness.sparsity_variants import VARIANTS, SparsityPlan
from benchmarks.sparsity import PRUNED, measure_sparsity
from spquant_snn.data import hold_out, load
from spquant_snn.integer.file import load_graph
from spquant_snn.report.counts import count
from spquant_snn.sparsity.budget import layer_work, measure_density, operations
from spquant_snn.train import step
from spquant_snn.train.config import TrainConfig, TrainOptions, load_config
from spquant_snn.train.loading import load_network
from spquant_snn.train.run import RunFolder

pytestmark = pytest.mark.slow  # they train

OPTIONS = {"model": "lenet-snn:0.25", "dataset": "digits", "precision": "fp32", "epochs": 2, "target_ops": 0.3}
COMMAND = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]
NAMES = ["dense", "gates", "both", "random", "magnitude", "rates"]
FILES = ("config.toml", "model.safetensors", "model.spq", "metrics.jsonl")


class Met:
    """What a benchmark counts, and how much of it had been counted when each arm began to train."""

    def __init__(self, patch):
        self.seen, self.trained = [], []
        patch.setattr(variant_results, "count", self._count)
        patch.setattr("spquant_snn.trainer.SpQuantTrainer.evaluate", lambda self: pytest.fail("met in a training"))
        patch.setattr("benchmarks.sparsity.run_sparsity_experiment", self._run)

    def _count(self, graph, images, *args):
        self.seen.append(images)
        return count(graph, images, *args)

    def _run(self, plan, data, train, notify):
        def noted(*args):
            self.trained.append(len(self.seen))
            return train(*args)

        return run_sparsity_experiment(plan, data, noted, notify)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished benchmark of one seed: its folder, its report, and what it met."""
    out = tmp_path_factory.mktemp("benchmark") / "out"
    with pytest.MonkeyPatch.context() as patch:
        met = Met(patch)
        return out, measure_sparsity(TrainOptions(**OPTIONS), (), out, None, None, quiet=True), met


@pytest.fixture(scope="module")
def whole(made):
    """Its folder and its report."""
    return made[:2]


@pytest.fixture
def out(whole, tmp_path):
    """A copy of its folder."""
    return Path(shutil.copytree(whole[0], tmp_path / "out"))


def report_of(out, *more):
    return measure_sparsity(TrainOptions(**OPTIONS), more, out, None, None, quiet=True)


@pytest.fixture
def untrained(monkeypatch):
    """Whatever is trained or counted from now on fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("this was done before")

    monkeypatch.setattr("spquant_snn.trainer.fit", refuse)
    monkeypatch.setattr(variant_results, "count", refuse)


# What is trained.


def test_each_arm_is_a_run_that_differs_in_what_it_is_for(whole):
    out, report = whole
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)
    gates = asdict(load_config(out / "gates" / "config.toml"))
    expected = {
        "dense": {"target_ops": 1.0},
        "gates": {},
        "random": {"channel_choice": "random"},
        "magnitude": {"channel_choice": "magnitude"},
        "both": {"target_ops": 0.3**0.5, "target_synops": float(report.budgets["both"][0][0])},
        "rates": {"target_ops": 1.0, "target_synops": float(report.budgets["rates"][0][0])},
    }
    for name in NAMES:
        assert asdict(load_config(out / name / "config.toml")) == gates | expected[name]
        assert {path.name for path in (out / name).iterdir()} == {*FILES, "checkpoint.pt", "run.json"}


def test_rates_are_regulated_to_what_others_do_on_the_validation_set(whole):
    out, report = whole
    config, data = load_config(out / "gates" / "config.toml"), load("digits")
    images = hold_out(data.train, config.validation, config.seed)[1].images
    network = load_network(out / "gates").eval().freeze()
    work, densities, opened = layer_work(network), [1.0], [float(len(s.synapse.weight)) for s in network.hidden]
    network(
        torch.from_numpy(images), watch=lambda i, spikes: densities.append(measure_density(network, work, i, spikes))
    )
    asked, found = report.budgets["rates"][0]
    assert asked == pytest.approx(sum(operations(work, densities, opened)[1:]), abs=1)
    rates = count(load_graph(out / "rates" / "model.spq"), images)
    assert found == pytest.approx(sum(layer.folded for layer in rates.layers[1:]), abs=1)
    dense = count(load_graph(out / "dense" / "model.spq"), images)
    asked, _ = report.budgets["both"][0]
    assert asked == pytest.approx(0.3 * sum(layer.folded for layer in dense.layers[1:]), abs=1)


def test_what_is_finished_is_neither_trained_nor_counted_again(whole, out, untrained):
    again = report_of(out)
    for name in NAMES:
        a, b = asdict(whole[1].results[name][0]), asdict(again.results[name][0])
        assert a.pop("folder") != b.pop("folder")
        assert a == b
    assert again.budgets == whole[1].budgets


def test_the_test_images_are_met_once_by_each_arm_and_by_no_training(made):
    met, data = made[2], load("digits")
    held_out = len(data.train) // 10
    assert [len(images) for images in met.seen] == [held_out] * 4 + [len(data.test)] * 6
    assert met.trained == [0, 0, 0, 0, 1, 2]  # all of it before the test images are met


def test_a_stopped_benchmark_goes_on_to_the_same_end(whole, monkeypatch, tmp_path):
    steps, objective = [], step.objective

    def interrupted(*args):
        steps.append(1)
        if len(steps) == 150:  # in the second variant; an epoch has 41 steps
            raise KeyboardInterrupt
        return objective(*args)

    with monkeypatch.context() as patch:
        patch.setattr(step, "objective", interrupted)
        with pytest.raises(KeyboardInterrupt):
            report_of(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gates", "random"]
    for name in ("magnitude", "dense", "both", "rates"):
        shutil.copytree(whole[0] / name, tmp_path / "out" / name)
    report = report_of(tmp_path / "out")
    assert len(steps) == 150
    for name in NAMES:
        for file in FILES:
            assert (tmp_path / "out" / name / file).read_bytes() == (whole[0] / name / file).read_bytes()
    assert report.budgets == whole[1].budgets


def test_runs_of_spquant_train_are_taken_over(whole, spquant, benchmark, tmp_path, monkeypatch):
    synops = str(round(1.01 * whole[1].budgets["rates"][0][0]))
    shared = ["--model", "lenet-snn:0.25", "--dataset", "digits", "--precision", "fp32", "--epochs", 2]
    ways = {
        "random": ["--target-ops", 0.3, "--channel-choice", "random"],
        "rates": ["--target-synops", synops, "--rate-weight", 2],
    }
    for name, way in ways.items():
        assert spquant("train", *shared, *way, "--out", f"out/{name}")[0] == 0
    code, out, err = benchmark("sparsity", *COMMAND, "--rate-weight", 2, "--out", "out")
    assert (code, err) == (0, "")
    assert "random masks, seed 0: trained already, in out/random" in out
    assert "rate regulation, seed 0: trained already, in out/rates" in out
    for file in FILES:
        assert (tmp_path / "out" / "random" / file).read_bytes() == (whole[0] / "random" / file).read_bytes()
    assert load_config(tmp_path / "out" / "dense" / "config.toml").rate_weight == 1  # where it means nothing


def test_a_rate_regulated_to_something_else_is_refused(out, untrained):
    path = out / "rates" / "config.toml"
    synops = load_config(path).target_synops
    path.write_text(path.read_text("utf-8").replace(f"target_synops = {synops}", f"target_synops = {1.1 * synops}"))
    with pytest.raises(RuntimeError, match=r"rates was started with target_synops: .*, not .*: choose another --out"):
        report_of(out)


# What is reported.


def test_the_figures_are_those_of_the_runs(whole, spquant, benchmark, monkeypatch, out):
    answer = benchmark("sparsity", *COMMAND, "--out", "out", "--json")
    assert (answer[0], answer[2]) == (0, "")
    found = json.loads(answer[1])
    assert set(found) == {"config", "seeds", "out", "spiking_operations", "variants", "comparisons"}
    assert [variant["variant"] for variant in found["variants"]] == NAMES
    test, dense = load("digits").test, found["variants"][0]["runs"][0]
    for variant in found["variants"]:
        (run,) = variant["runs"]
        folder = RunFolder(Path(run["folder"]))
        counts = count(load_graph(folder.integers), test.images, test.labels)
        assert run["test"] == variant["test"]["mean"] == counts.accuracy
        assert json.loads(spquant("eval", folder.path, "--json")[1])["accuracy"] == pytest.approx(counts.accuracy)
        assert folder.read_record()["test_accuracy"] == counts.accuracy
        assert run["validation"] == folder.read_record()["best"]["val_accuracy"]
        assert run["done"] == sum(layer.done for layer in counts.layers)
        assert run["folded"] == sum(layer.folded for layer in counts.layers)
        assert run["dense"] == sum(layer.dense for layer in counts.layers)
        assert run["rate"] == pytest.approx(
            sum(layer.spikes for layer in counts.layers) / sum(layer.updates for layer in counts.layers)
        )
        assert variant["points_lost"]["mean"] == dense["test"] - run["test"]
        assert variant["fewer_dense"]["mean"] == dense["dense"] / run["dense"]
        assert variant["fewer_done"]["mean"] == dense["done"] / run["done"]
        assert variant["dense_over_done"]["mean"] == dense["dense"] / run["done"]
        assert variant["test"]["spread"] is None
        pruned = variant["variant"] in ("gates", "both", "random", "magnitude")
        assert (run["share"] < (0.6 if variant["variant"] == "both" else 0.35)) == pruned
        assert (run["channels"] < dense["channels"]) == pruned
        if pruned:
            lines = folder.metrics.read_text("utf-8").splitlines()
            line = json.loads(lines[run["epoch"] - 1])
            assert run["share"] == line["ops_share"]
            assert run["channels"] == sum(opened for opened, _ in line["channels"].values())
    assert [(comparison["ours"], comparison["theirs"]) for comparison in found["comparisons"]] == [
        (ours, theirs)
        for ours in ("trained gates", "gates and rates")
        for theirs in ("random masks", "magnitude pruning", "rate regulation")
    ]


def test_the_tables_fit_80_columns(benchmark, out, untrained):
    code, said, err = benchmark("sparsity", *COMMAND, "--out", "out")
    assert (code, err) == (0, "")
    assert max(map(len, said.splitlines())) <= 80
    rows = [line for line in said.splitlines() if line.startswith(tuple(variant.title for variant in VARIANTS))]
    assert [sum(row.startswith(f"{variant.title}  ") for row in rows) for variant in VARIANTS] == [2] * 6  # two tables
    plain = " ".join(said.split())
    for title in ("random masks", "magnitude pruning", "rate regulation"):
        assert f" {title}: " in plain
    assert "one seed: how far trainings differ by chance is not known" in plain


def test_seeds_have_folders_of_their_own_and_a_spread(benchmark, out):
    code, said, err = benchmark("sparsity", *COMMAND, "--more-seeds", 7, "--out", "out")
    assert (code, err) == (0, "")
    assert max(map(len, said.splitlines())) <= 80
    assert sorted(path.name for path in out.iterdir()) == sorted([*NAMES, *(f"{name}-s7" for name in NAMES)])
    assert all(load_config(out / f"{name}-s7" / "config.toml").seed == 7 for name in NAMES)
    assert said.count("trained already") == 6
    assert said.count(" ± ") > 15
    assert "one seed" not in said
    found = json.loads(benchmark("sparsity", *COMMAND, "--more-seeds", 7, "--out", "out", "--json")[1])
    for variant in found["variants"]:
        a, b = (run["test"] for run in variant["runs"])
        assert variant["test"] == {"mean": pytest.approx((a + b) / 2), "spread": pytest.approx(abs(a - b) / 2**0.5)}


def test_help_fits_80_columns(benchmark):
    code, said, err = benchmark("sparsity", "--help")
    assert (code, err) == (0, "")
    assert max(map(len, said.splitlines())) <= 80


def test_the_command_prunes_by_default(benchmark, monkeypatch):
    given = []

    def stop(plan, data, train, notify):
        given.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.sparsity.run_sparsity_experiment", stop)
    assert benchmark("sparsity", "--dataset", "digits")[0] == 130
    assert given == [SparsityPlan(TrainConfig(dataset="digits", target_ops=0.2), (), Path("runs/sparsity"))]
    assert TrainOptions(target_ops=0.2) == PRUNED


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--target-ops 1", "target_ops 1 prunes no channels, so there is nothing to compare"),
        ("--target-ops 0", "target_ops must be above 0 and at most 1, not 0"),
        ("--target-ops 1.5", "target_ops must be above 0 and at most 1, not 1.5"),
        ("--target-rate 0.1", "target_rate is what the variants differ in, not 0.1: leave it out"),
        ("--target-synops 100", "target_synops is what the variants differ in"),
        ("--channel-choice random", "channel_choice is what the variants differ in, not 'random'"),
        ("--weight-bits 32 --state-bits 32", "counted on integers, not floating point"),
        ("--more-seeds 1 0", "seeds must differ, not 0, 1, 0"),
        ("--more-seeds -1", "seed must be from 0"),
        ("--threads -1", "threads must be from 0 to 4096, not -1"),
        ("--dataset none", "unknown data set 'none'"),
        ("--model none --dataset digits", "model must be one of"),
        ("--model lenet-snn:0.25 --dataset digits --target-ops 0.001", "cannot be met without emptying layer 'conv1'"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence_and_writes_nothing(arguments, words, benchmark, tmp_path):
    code, said, err = benchmark("sparsity", "--out", "new", *arguments.split())
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert "epoch" not in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("epochs", 3, "out/dense was started with epochs: 2, not 3: choose another --out, or the options of that run"),
        ("target_ops", 0.25, "out/gates was started with target_ops: 0.3, not 0.25"),
        ("seed", 1, "out/dense was started with seed: 0, not 1"),
        ("batch_size", 64, "out/dense was started with batch_size: 32, not 64"),
    ],
)
def test_runs_of_another_configuration_are_refused(option, value, words, benchmark, out, untrained):
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    changed = [*COMMAND, f"--{option.replace('_', '-')}", value]
    code, _, err = benchmark("sparsity", *changed, "--out", "out")
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_run_or_a_file_cannot_hold_the_variants(benchmark, out, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    for path, what in (("out/dense", "the folder of a run"), ("file", "a file")):
        code, _, err = benchmark("sparsity", *COMMAND, "--out", path)
        assert code == 2
        assert f"{path} is {what}, and not a folder to hold the runs of all variants" in err


def test_a_damaged_note_is_named(out, untrained):
    run = RunFolder(out / "random")
    run.note(deployed={"images": 360})
    with pytest.raises(ValueError, match=r"run\.json is damaged .*: delete 'deployed' from it"):
        report_of(out)


def test_blocks_are_skipped_by_the_trained_gates_alone():
    plan = SparsityPlan(TrainConfig(dataset="digits", target_ops=0.2, target_skip=0.3), (), Path("nowhere"))
    skips = {variant.name: plan.training(variant, 0).target_skip for variant in VARIANTS}
    assert skips == {"dense": 0, "gates": 0.3, "both": 0.3, "random": 0, "magnitude": 0, "rates": 0}


def test_the_budget_s_count_is_that_of_the_epoch(tmp_path):
    """Also where not every epoch was looked at."""
    run = RunFolder(tmp_path)
    lines = ({"epoch": 2, "ops_share": 0.9}, {"epoch": 4, "ops_share": 0.5}, {"epoch": 5})
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert [variant_results._share(run, epoch) for epoch in (2, 4, 5)] == [0.9, 0.5, 1.0]
