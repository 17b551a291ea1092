"""``python -m benchmarks runtime`` on a small network, end to end."""

import functools
import json
import platform

import numpy as np
import pytest

from benchmarks.harness import runtime_speed as runtime
from benchmarks.harness.runtime_speed import AVX2, ModelShape, measure_runtime_speed
from spquant_snn.data import Labelled, Splits, Task
from spquant_snn.errors import ConfigError, UnequalError
from spquant_snn.integer.file import save
from spquant_snn.runtime.native import NativeProgram

SMALL = ModelShape("small", "vgg9-snn:0.1", (3, 8, 8))


@pytest.fixture(autouse=True)
def in_small(monkeypatch, no_peers):
    monkeypatch.setattr(
        "benchmarks.runtime.measure_runtime_speed", functools.partial(measure_runtime_speed, shape=SMALL)
    )
    monkeypatch.setattr("benchmarks.harness.timing._BLOCK", 100_000)


def rows(out):
    """Cells of the table of ratios."""
    lines = out.split("one thread\n")[1].split("\n*")[0].splitlines()[2:]
    return [[cell for cell in line.split("  ") if cell.strip()] for line in lines]


def test_the_tables_fit_80_columns(benchmark):
    code, out, err = benchmark("runtime", "--rounds", 1, "--rates", 10, 50)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    found = rows(out)
    assert [cells[0].strip() for cells in found[:5]] == [
        "small 1.58 bits 10 %",
        "small 1.58 bits 10 %",
        "small 1.58 bits 5 %",
        "small 4 bits 10 %",
        "small 8 bits 10 %",
    ]
    assert len(found) == 16
    plain = " ".join(out.split())
    assert "not measured: onnx is not installed: make a second environment with this package and the peers" in plain
    assert "not measured: give --lenet FOLDER|FILE" in plain
    assert plain.count("r2 = ") == 2
    assert "times as fast (goal: at least 1.8, " in plain


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX2 is of x86")
def test_all_are_held_to_avx2(benchmark, monkeypatch):
    for name, value in AVX2.items():
        monkeypatch.setenv(name, value)
    code, out, err = benchmark("runtime", "--rounds", 1, "--rates", 10, 50, "--avx2")
    assert (code, err) == (0, "")
    assert "AVX2" in out.split("one thread\n")[0]
    assert "AVX-512" not in out.split("one thread\n")[0].splitlines()[-1]
    assert "ONNX Runtime" not in out
    assert [cells[0].strip() for cells in rows(out)][-1] == "LeNet"


def test_the_environment_that_holds_them_is_set_before_they_are_loaded(benchmark, monkeypatch):
    for name in AVX2:
        monkeypatch.delenv(name, raising=False)
    started = []

    def start(program, arguments, environment):
        started.append((arguments[1:], environment))
        raise ConfigError("started again")

    monkeypatch.setattr("os.execve", start)
    assert benchmark("runtime", "--avx2", "--rounds", 3)[0] == 2
    ((arguments, environment),) = started
    assert arguments == ["-m", "benchmarks", "runtime", "--avx2", "--rounds", "3"]
    assert AVX2.items() <= environment.items()


def test_json_holds_times_ratios_and_targets(benchmark):
    code, out, err = benchmark("runtime", "--rounds", 2, "--rates", 10, 20, 50, "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert set(result) == {"host", "rounds", "timesteps", "rows", "density", "threads", "networks", "times"}
    assert {"cpu", "cores", "compiler", "instructions", "versions"} <= set(result["host"])
    medians = {(t["workload"], t["engine"], t["form"]): t["median_us"] for t in result["times"]}
    measured = {row["against"]: row for row in result["rows"] if row["ratio"] is not None}
    assert set(measured) == {"torch eager SNN", "NumPy reference"}
    for row in measured.values():
        theirs = medians[row["of"], row["against"], row["form"]]
        assert row["ratio"] == pytest.approx(medians[row["workload"], "native", ""] / theirs)
        assert row["met"] == (row["ratio"] <= row["target"])
    missing = [row for row in result["rows"] if row["ratio"] is None]
    assert len(missing) == 14
    assert all(row["missing"] and row["met"] is None for row in missing)
    for network in result["networks"]:
        wanted = float(network["name"].split()[-2]) / 100
        assert network["rates"] == pytest.approx([wanted] * 8, rel=0.1)
    assert [density["bits"] for density in result["density"]] == [1.58, 8]
    assert [point["percent"] for point in result["density"][0]["points"]] == [10, 20, 50]
    threads = result["threads"]
    assert threads["speedup"] == pytest.approx(threads["one"] / threads["two"])


@pytest.mark.slow
def test_a_trained_network_is_timed_beside(small, benchmark, tmp_path, monkeypatch):
    graph, images = small(weight_bits=2)
    save(graph, tmp_path / "model.spq")
    test = Labelled(images, np.zeros(len(images), np.int64))
    splits = {"mnist": Splits("mnist", test, test, Task("classification", 10))}
    monkeypatch.setattr("spquant_snn.data.catalog.load", lambda name, *args, **given: splits[name])
    call = ["runtime", "--lenet", "model.spq", "--rates", 5, 10, "--rounds", 1, "--json"]
    code, out, err = benchmark(*call)
    assert (code, err) == (0, "")
    result = json.loads(out)
    named = [row for row in result["rows"] if row["workload"] == "LeNet 2 bits MNIST"]
    assert [row["target"] for row in named] == [0.12, 0.7, 0.06, 0.01, None, None]
    assert [row["ratio"] is None for row in named] == [True, True, False, False, True, True]
    neurons = sum(map(np.prod, graph.shapes))
    assert result["networks"][-1]["spikes"] == pytest.approx(0.1 * neurons * 4, rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--rates 10", "at least two of them"),
        ("--rates 0 10", "percentages above 0"),
        ("--rates 10 100", "below 100"),
        ("--rounds 0", "rounds must be at least 1"),
        ("--lenet nowhere", "there is no nowhere"),
        ("--lenet .", "is not the folder of a run"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(arguments, words, benchmark):
    code, out, err = benchmark("runtime", *arguments.split())
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_trained_network_takes_four_steps(small):
    with pytest.raises(ConfigError, match="takes 4 time steps, this one takes 2"):
        measure_runtime_speed(small(timesteps=2))


def test_a_native_runtime_that_is_wrong_is_not_timed(benchmark, monkeypatch):
    right = NativeProgram.trace

    def wrong(self, images):
        trace = right(self, images)
        trace.logits[-1, 3] += 1
        return trace

    monkeypatch.setattr(NativeProgram, "trace", wrong)
    code, out, err = benchmark("runtime")
    assert (code, out) == (1, "")
    assert "the native runtime is wrong and was not timed, logit of layer 'logits'" in err
    with pytest.raises(UnequalError):
        measure_runtime_speed(None, shape=SMALL)


@pytest.mark.parametrize("command", ["runtime", "train"])
def test_help_fits_80_columns(command, benchmark):
    code, out, err = benchmark(command, "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80


def test_the_defaults_of_the_command_are_those_of_the_function(benchmark, monkeypatch):
    given = []
    monkeypatch.setattr(
        "benchmarks.runtime.measure_runtime", lambda *args: given.append(args) or measure_runtime_speed(*SHORT)
    )
    assert benchmark("runtime")[0] == 0
    assert given == [(None, runtime.RATES, 15, None, False)]


SHORT = (None, (5, 10), 1, lambda doing: None, SMALL)
