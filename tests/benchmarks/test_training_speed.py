"""``python -m benchmarks train`` on small networks, end to end; neurons of others, and bytes counted."""

import functools
import json
import re
import sys

import pytest
import torch

from benchmarks.harness.other_neurons import LoopNeuron
from benchmarks.harness.saved_bytes import peak_bytes, saved_for_backward
from benchmarks.harness.training_speed import COMPILED, TrainingPlan, TrainingReport, gpu_plan, measure_training_speed
from benchmarks.harness.training_steps import (
    FOLDED,
    LOOP,
    OURS,
    OURS_RECOMPUTED,
    OUTERMOST,
    PLAIN,
    SNNTORCH,
    SPIKINGJELLY,
    TrainingWorkload,
    forms_of,
    training_step,
)
from spquant_snn.errors import ConfigError
from spquant_snn.nn.lif import LIF

pytestmark = pytest.mark.slow  # they train

SMALL = TrainingWorkload("small", "4C3-P2-6C3-FC10", (1, 8, 8), 2, 4)


@pytest.fixture(autouse=True)
def in_small(monkeypatch):
    others = ("snntorch", "spikingjelly")
    for name in (*others, *(name for name in sys.modules if name.startswith(tuple(f"{other}." for other in others)))):
        monkeypatch.setitem(sys.modules, name, None)  # parts too, which other tests may have imported
    plan = functools.partial(
        TrainingPlan, neurons=(2, 3, 4, 4), steps=(2,), workloads=((SMALL, 0.5, 0.55),), counted=(SMALL,)
    )
    monkeypatch.setattr("benchmarks.train.TrainingPlan", plan)
    monkeypatch.setattr("benchmarks.harness.timing._BLOCK", 100_000)


def test_the_tables_fit_80_columns(benchmark):
    code, out, err = benchmark("train", "--rounds", 1, "--no-compiled")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    plain = " ".join(out.split())
    assert "ms, 1 thread, processor time" in plain
    assert "ms, 2 threads, wall time" in plain
    assert plain.count("not measured: spikingjelly is not there") == 1
    assert plain.count("not measured: snntorch is not there") == 1
    assert re.search(r"this package, 2-bit 1\.0[01] 1\.05 yes", plain)


def test_json_holds_times_ratios_and_goals(benchmark):
    code, out, err = benchmark("train", "--rounds", 2, "--threads", 1, "--no-compiled", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert set(result) == {"host", "gpu", "rounds", "rows", "saved", "peaks"}
    neurons = [row for row in result["rows"] if row["workload"].startswith("neuron [2, 2, 3, 4, 4]")]
    assert [(row["against"], row["target"]) for row in neurons[:3]] == [
        (LOOP, 0.15),
        (SPIKINGJELLY, None),
        (SNNTORCH, None),
    ]
    assert neurons[0]["ratio"] == neurons[0]["ours"] / neurons[0]["theirs"]
    assert neurons[1]["ratio"] is None
    steps = [row for row in result["rows"] if row["workload"] == "small"]
    assert [(row["against"], row["target"]) for row in steps] == [(PLAIN, 0.55), (SPIKINGJELLY, 0.5), (SNNTORCH, 0.5)]
    assert steps[0]["met"] == (steps[0]["ours"] <= 0.55 * steps[0]["theirs"])
    assert {found["engine"]: found["units"] for found in result["saved"] if found["units"] is not None} == {
        f"{OURS}, float": pytest.approx(1, abs=0.05),
        f"{OURS}, 2-bit": pytest.approx(1, abs=0.05),
        LOOP: pytest.approx(3.75, abs=0.3),
    }
    assert [found["bytes"] is None for found in result["peaks"]] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("given", "said"),
    [({"rounds": 0}, "rounds must be at least 1"), ({"threads": (0,)}, "from 1"), ({"threads": ()}, "from 1")],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        measure_training_speed(TrainingPlan(**given))


@pytest.mark.parametrize("engine", [OURS, OURS_RECOMPUTED, PLAIN, LOOP])
def test_a_step_moves_the_weights(engine):
    for form in forms_of(engine):
        step = training_step(SMALL, engine, form)
        network = next(c.cell_contents for c in step.__closure__ if isinstance(c.cell_contents, torch.optim.SGD))
        weights = [p for group in network.param_groups for p in group["params"]]
        before = [weight.detach().clone() for weight in weights]
        step(0)
        assert any(not torch.equal(a, b) for a, b in zip(before, weights, strict=True))


def test_the_loop_is_the_neuron_of_this_package_in_floating_point():
    current = 2 * torch.rand(5, 3, 7, generator=torch.Generator().manual_seed(0))
    layer = LoopNeuron()
    assert torch.equal(layer(current), LIF()(current))
    first = layer.potential
    layer.reset()
    parts = torch.cat([layer(part) for part in current.split(2)])  # the potential is kept between calls
    assert torch.equal(parts, LIF()(current))
    assert torch.equal(layer.potential, first)


def closed_over(function):
    return {n: c.cell_contents for n, c in zip(function.__code__.co_freevars, function.__closure__, strict=True)}


def test_both_forms_of_a_peer_are_the_same_network():
    """With fixed statistics; in training each form normalises over what it is given at once."""
    assert forms_of(LOOP) == (FOLDED, OUTERMOST)
    logits = []
    for form in forms_of(LOOP):
        forward = closed_over(closed_over(training_step(SMALL, LOOP, form))["turn"])["forward"]
        network = closed_over(forward)["network"]
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.constant_(module.weight, 4.0)  # so that neurons fire
        network.eval()
        logits.append(forward())
    assert logits[0].std() > 0.01
    assert torch.allclose(*logits, atol=1e-6)


@pytest.mark.parametrize("early", [False, True])
def test_a_compiler_that_fails_is_named_and_the_rest_is_measured(monkeypatch, early):
    def fails(*given, **options):
        raise RuntimeError("no working C++ compiler\nand more")

    monkeypatch.setattr(torch, "compile", fails if early else lambda layer, dynamic: fails)
    report = measure_training_speed(
        TrainingPlan(neurons=(2, 3), steps=(2,), workloads=(), counted=(), rounds=1, threads=(1,))
    )
    by = {row.against: row for row in report.rows[1]}
    assert by[LOOP].ratio is not None
    said = "torch.compile does not work here (no working C++ compiler): repair it, or leave it out with --no-compiled"
    assert by[COMPILED].missing == said


def test_bytes_are_counted_once():
    x = torch.ones(1000, requires_grad=True)
    assert saved_for_backward(lambda: (x * x).sum()) == 4000
    assert saved_for_backward(lambda: x.exp().sum()) == 4000
    assert saved_for_backward(lambda: (x.exp().exp() * x).sum()) == 12000


def test_the_peak_is_of_what_lives_at_once():
    def call(k):
        for _ in range(3):
            torch.ones(100_000)  # freed at once
        a, b = torch.ones(50_000), torch.ones(100_000)
        return float(a[0] + b[0])

    assert peak_bytes(call) == pytest.approx(600_000, rel=0.01)


def test_a_step_that_keeps_bits_holds_less():
    workload = TrainingWorkload("deep", "16C3-16C3-16C3-16C3-16C3-FC10", (1, 16, 16), 4, 8)
    ours, again, plain = (peak_bytes(training_step(workload, engine)) for engine in (OURS, OURS_RECOMPUTED, PLAIN))
    assert again < 0.6 * ours < 0.6 * plain


def test_a_report_without_rows_is_a_table_too():
    from benchmarks.harness.training_tables import training_json, training_tables

    report = TrainingReport({"cpu": "x", "cores": 1, "load": None, "compiler": "cc", "versions": {}}, 1)
    assert training_json(report)["rows"] == []
    assert list(training_tables(report))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(benchmark):
    with pytest.raises(ConfigError, match="there is no GPU here: leave --device out"):
        measure_training_speed(gpu_plan(1, compiled=False))
    code, out, err = benchmark("train", "--device", "cuda")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "there is no GPU here" in err
