"""``spquant sweep`` on the digits: trained, killed, gone on with, skipped, told, compared and refused."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spquant_snn import SpQuantTrainer
from spquant_snn.cli import sweep as sweeping
from spquant_snn.train.run import RunFolder

KILLED = Path(__file__).parents[1] / "shared" / "killed_training.py"
FILES = ("config.toml", "model.safetensors", "model.spq", "metrics.jsonl")
SHARED = {"precision": "fp32", "epochs": 2, "timesteps": 1}
TEXT = """
model = "lenet-snn:0.1"
dataset = "digits"
precision = "fp32"
epochs = 2
timesteps = 1
[cross]
quantization_bits = [2, 32]
"""
TWO = TEXT.replace("[2, 32]", "[2, 4]")


@pytest.fixture
def sweep(spquant, tmp_path):
    """A function: the answer to ``spquant sweep x.toml`` with these options, where x.toml holds this text."""

    def call(text, *options):
        (tmp_path / "x.toml").write_text(text, "utf-8")
        return spquant("sweep", "x.toml", *options)

    return call


@pytest.fixture
def started(monkeypatch):
    """What would be trained, and the commands, in place of training it: all of it fails."""
    calls = []

    def train_all(places, command, jobs, tell):
        calls.extend(list(command(place, place.status())) for place in places)
        return tuple(places)

    monkeypatch.setattr("spquant_snn.sweep.processes.train_all", train_all)
    return calls


@pytest.mark.slow
def test_a_killed_point_is_told_and_goes_on_to_the_same_end(sweep, tmp_path):
    """With a point that always fails, so that it is seen to stop no other."""
    text, launcher = TEXT + '[[point]]\ninit = "nowhere"', shlex.join([sys.executable, str(KILLED), "w2s2"])
    code, out, err = sweep(text, "--jobs", 2, "--threads", 2, "--launcher", launcher)
    assert code == 1
    assert err == "spquant: 2 of 3 points failed: w2s2, init-nowhere\n"
    assert "w2s2: failed, ended by SIGKILL; all of it in runs/x/w2s2/train.log\n" in out
    assert re.search(r"^init-nowhere: failed, exit code 2: .*nowhere", out, re.MULTILINE)
    assert re.search(r"^1  w32s32 +32/32 +1 ", out, re.MULTILINE)
    assert not re.search(r"^\d  w2s2 ", out, re.MULTILINE)
    assert len(RunFolder(tmp_path / "runs/x/w2s2").metrics.read_text("utf-8").splitlines()) == 1

    code, out, err = sweep(TEXT, "--threads", 1)
    accuracy = SpQuantTrainer("lenet-snn:0.1", "digits", 2, out="whole", quiet=True, **SHARED).train().evaluate()
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(rf"^w2s2: goes on\nw2s2: {accuracy:.2f} %, \d+ s\nw32s32: .* finished before$", out, re.MULTILINE)
    assert re.search(rf"^1  w2s2 +2/2 +1  {accuracy:.2f} ", out, re.MULTILINE)
    page = tmp_path / "runs/x/report.html"
    assert out.endswith(f"\npage: runs/x/report.html ({page.stat().st_size:,} bytes)\n")
    assert "2 runs on digits" in page.read_text("utf-8")
    for name in FILES:
        assert (tmp_path / "runs/x/w2s2" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    states = [line.split()[:3] for line in sweep(TEXT, "--list")[1].splitlines()[::2]]
    assert states == [["0", "w2s2", "finished"], ["1", "w32s32", "finished"]]

    one = TEXT.replace("[2, 32]", "[32]")  # a sweep of one, after a change of the file
    code, out, err = sweep(one)
    assert (code, err) == (0, "")
    assert out.startswith("left alone in runs/x, of no point of x.toml: w2s2\nw32s32: ")
    assert "1 run on digits" in page.read_text("utf-8")


def test_the_list_has_the_command_of_each_point_and_trains_nothing(sweep, started, tmp_path):
    shared = "--model lenet-snn:0.1 --dataset digits --precision fp32 --epochs 2 --timesteps 1"
    code, out, err = sweep(TWO, "--out", "a b", "--list", "--threads", 3, "--device", "cpu", "--data-dir", "d")
    more = "--data-dir d --device cpu --threads 3"
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "0  w2s2  new",
        f"    spquant train {shared} --weight-bits 2 --state-bits 2 --out 'a b/w2s2' {more}",
        "1  w4s4  new",
        f"    spquant train {shared} --weight-bits 4 --state-bits 4 --out 'a b/w4s4' {more}",
    ]
    assert (started, [path.name for path in tmp_path.iterdir()]) == ([], ["x.toml"])
    assert sweep(TWO, "--out", "a b", "--list", "--point", 1)[1].startswith("1  w4s4  new\n")


def test_a_point_alone_is_trained_as_the_list_says_and_nothing_is_compared(sweep, started, monkeypatch):
    monkeypatch.setattr("spquant_snn.cli.report.compare_runs", lambda *args: pytest.fail("compared"))
    code, out, err = sweep(TWO, "--point", 1, "--launcher", "torchrun --nproc-per-node 2")
    assert (code, out, err) == (1, "", "spquant: 1 of 1 points failed: w4s4\n")
    (call,) = started
    assert call[:6] == ["torchrun", "--nproc-per-node", "2", "-m", "spquant_snn", "train"]
    listed = sweep(TWO, "--point", 1, "--list")[1].splitlines()[1]
    assert shlex.split(listed) == ["spquant", *call[5:]]


def test_points_that_run_at_a_time_share_the_threads(sweep, started):
    sweep(TWO, "--threads", 5, "--jobs", 2)
    sweep(TWO, "--threads", 1, "--jobs", 2)
    assert [call[-2:] for call in started] == [["--threads", "2"]] * 2 + [["--threads", "1"]] * 2
    started.clear()
    sweep(TWO)
    assert [call[0] for call in started] == [sys.executable] * 2
    assert all("--threads" not in call for call in started)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (TWO.replace("digits", "letters"), [], "unknown data set 'letters'"),
        (TWO.replace("lenet-snn:0.1", "lenet"), [], "model must be one of"),
        (TWO.replace("lenet-snn:0.1", "vgg11-snn"), [], "needs larger images than 8x8"),
        (TWO.replace("[2, 4]", "[2, 9]"), [], "x.toml: "),
        (TWO, ["--jobs", 0], "jobs must be at least 1, not 0"),
        (TWO, ["--threads", -1], "threads must be from 0 to 4096, not -1"),
        (TWO, ["--count", -1], "count must be at least 0, not -1"),
        (TWO, ["--point", 2], "there is no point 2: the sweep has 2, from 0 to 1"),
        (TWO, ["--point", -1], "there is no point -1"),
        (TWO, ["--launcher", "'"], "--launcher is no command line"),
        (TWO, ["--launcher", ""], "--launcher is empty"),
        (TWO, ["--out", "x.toml"], "x.toml is a file"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(text, options, words, sweep, started, tmp_path):
    code, out, err = sweep(text, *options)
    assert (code, out, started) == (2, "", [])
    assert err.startswith("spquant: ")
    assert words in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.toml"]


WITHOUT_LOCKS = """
import sys
sys.modules["fcntl"] = None
from spquant_snn.__main__ import main
for option in ("--list", "--jobs=1"):
    sys.argv = ["spquant", "sweep", "x.toml", option]
    print("exit code", main(), flush=True)
"""


@pytest.mark.slow
def test_a_system_without_locks_on_files_is_told_to_take_the_list(tmp_path):
    (tmp_path / "x.toml").write_text(TWO, "utf-8")
    call = [sys.executable, "-c", WITHOUT_LOCKS]
    ended = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout.splitlines()[-2:] == ["exit code 0", "exit code 2"]
    assert "    spquant train --model lenet-snn:0.1 --dataset digits " in ended.stdout
    assert ended.stderr.startswith("spquant: a sweep locks the folders of its runs by Python's fcntl, which")
    assert ended.stderr.endswith("by the commands that 'spquant sweep FILE --list' prints\n")
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.toml"]


def test_under_torchrun_it_says_what_to_do(sweep, started, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    code, _, err = sweep(TWO)
    assert (code, started) == (2, [])
    assert "torchrun is started for each point, not for the sweep: use --launcher" in err


def test_a_stopped_sweep_says_how_to_go_on(sweep, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("spquant_snn.sweep.processes.train_all", stop)
    code, out, err = sweep(TWO, "--out", "a b", "--jobs", 2)
    assert (code, err) == (130, "spquant: stopped\n")
    assert out.splitlines()[-1] == "stopped; to go on: spquant sweep x.toml --out 'a b' --jobs 2"


def test_only_what_can_be_compared_is(sweep, monkeypatch, tmp_path):
    """Runs of one data set, and of recordings those of as many frames."""
    (tmp_path / "x.toml").write_text(
        '[cross]\ndataset = ["digits", "gestures:32"]\ntimesteps = [2, 4]\nweight_bits = [2, 4]', "utf-8"
    )
    monkeypatch.setattr("spquant_snn.cli.report.compare_runs", lambda runs, test_set: [run.name for run in runs])
    monkeypatch.setattr("spquant_snn.cli.source.open_run", lambda path: path)
    wanted = sweeping.Sweep(tmp_path / "x.toml", tmp_path / "out")
    pages = sweeping.compare_points(wanted, wanted.places().points, 0)
    assert {page.name: names for page, names in pages.items()} == {
        "report-digits.html": ["w2-digits-T2", "w4-digits-T2", "w2-digits-T4", "w4-digits-T4"],
        "report-gesturesx32-T2.html": ["w2-gesturesx32-T2", "w4-gesturesx32-T2"],
        "report-gesturesx32-T4.html": ["w2-gesturesx32-T4", "w4-gesturesx32-T4"],
    }
    assert sweeping.compare_points(wanted, [], 0) == {}
    assert os.listdir(tmp_path) == ["x.toml"]
