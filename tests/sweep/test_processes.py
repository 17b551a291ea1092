"""Trainings as processes, stood in for by small programs: how many run, what is told of those that fail, and stops."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spquant_snn import RunError
from spquant_snn.sweep import processes
from spquant_snn.sweep.points import read_sweep
from spquant_snn.sweep.processes import train_all
from spquant_snn.sweep.status import PointRun
from spquant_snn.train.run import RunFolder

FINISH = """
import json, pathlib, sys, time
run = pathlib.Path(sys.argv[1])
for name in ("config.toml", "checkpoint.pt", "model.spq"):
    (run / name).touch()
(run / "run.json").write_text(json.dumps({"best": {}, "test_accuracy": 97.5}))
"""
TIMED = "import time\nbegan = time.time()\ntime.sleep(0.8)\n" + FINISH
TIMED += "(run / 'times').write_text(f'{began} {time.time()}')"
SLEEP = """
import pathlib, sys, time
(pathlib.Path(sys.argv[1]) / "runs").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    (pathlib.Path(sys.argv[1]) / "stopped").touch()
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)" + SLEEP


def python(program):
    return lambda place, status: [sys.executable, "-S", "-c", program, str(place.run.path)]


def train(places, program, jobs=1):
    """What was told, and the names of what failed."""
    told = []
    failed = train_all(places, python(program), jobs, told.append)
    return told, [place.name for place in failed]


def until(there):
    """Wait for something."""
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("jobs", [1, 2])
def test_so_many_run_at_a_time(jobs, places):
    made = places(3)
    told, failed = train(made, TIMED, jobs)
    assert failed == []
    assert sorted(line.split(",")[0] for line in told) == sorted(
        line for place in made for line in (f"{place.name}: begins", f"{place.name}: 97.50 %")
    )
    times = [tuple(map(float, (place.run.path / "times").read_text().split())) for place in made]
    together = [sum(a <= began < b for a, b in times) for began, _ in times]
    assert max(together) == jobs


def test_one_that_fails_is_told_and_the_others_go_on(places):
    made = places(5)
    programs = {
        "w2": "import sys; print('much'); sys.exit('spquant: no room')",
        "w3": "import os; os.kill(os.getpid(), 9)",
        "w4": "pass",
        "w5": FINISH,
        "w6": "1 / 0",
    }
    made[0].run.path.mkdir(parents=True)
    made[0].log.write_text("of an earlier process\n")
    made[2].run.path.mkdir()
    made[2].log.write_text("of an earlier process\n")
    told = []
    failed = train_all(made, lambda place, _: python(programs[place.name])(place, _), 1, told.append)
    assert [place.name for place in failed] == ["w2", "w3", "w4", "w6"]
    said = {line.split(": ")[0]: line for line in told}
    assert said["w2"] == f"w2: failed, exit code 1: no room; all of it in {made[0].log}"
    assert "failed, ended by SIGKILL;" in said["w3"]
    assert "failed, exit code 0: nothing said;" in said["w4"]
    assert "97.50 %" in said["w5"]
    assert "exit code 1: ZeroDivisionError: division by zero;" in said["w6"]
    assert made[0].log.read_text() == "of an earlier process\nmuch\nspquant: no room\n"


def test_finished_ones_are_skipped_and_others_go_on(places, written):
    made, asked = places(3), []
    for place, status in zip(made, ("finished", "begun", "new"), strict=True):
        written(place.run.path, place.point.config, status)

    def command(place, status):
        asked.append((place.name, status, place.run.config.exists()))
        return python(FINISH)(place, status)

    told = []
    assert train_all(made, command, 1, told.append) == ()
    assert asked == [("w3", "begun", True), ("w4", "new", False)]  # what a kill left half made is made again
    assert told[:2] == ["w2: 97.50 %, finished before", "w3: goes on"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_stops_all_of_them(number, places):
    made = places(3)
    before = signal.getsignal(signal.SIGTERM)

    def stop():
        until(lambda: all((place.run.path / "runs").exists() for place in made[:2]))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        train(made, SLEEP, 2)
    thread.join()
    assert [(place.run.path / "stopped").exists() for place in made] == [True, True, False]
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_that_does_not_stop_is_killed(places, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 0.2)
    (place,) = places(1)

    def stop():
        until((place.run.path / "runs").exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train([place], STUBBORN)
    assert time.monotonic() - began < 30
    assert not (place.run.path / "stopped").exists()


SLOW = "import pathlib, sys, time\n(pathlib.Path(sys.argv[1]) / 'runs').touch()\ntime.sleep(2)" + FINISH
ORPHANED = """
import pathlib, sys
sys.path[:0] = sys.argv[3:]
import test_processes
test_processes.orphan(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def orphan(file, out):
    """Train the points of a file slowly: what the sweep does that is killed below."""
    points = [PointRun(point, RunFolder(out / point.name)) for point in read_sweep(file)]
    train_all(points, python(SLOW), 1, print)


def test_trainings_of_a_killed_sweep_are_waited_for(places, tmp_path):
    (place,) = places(1)
    folder = str(Path(__file__).parent)
    call = [sys.executable, "-c", ORPHANED, tmp_path / "x.toml", tmp_path / "out", folder]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as sweep:
        assert "w2: begins" in sweep.stdout.readline()
        until((place.run.path / "runs").exists)
        sweep.kill()
    told, failed = train([place], "1 / 0")
    assert failed == []
    assert told == ["w2: another process trains it; waiting for that", "w2: 97.50 %, finished before"]


def test_a_command_that_is_not_there_and_a_folder_that_cannot_be_made_are_told(places, tmp_path):
    (place,) = places(1)
    with pytest.raises(RunError, match=r"no-such cannot be started \(No such file or directory\): name another"):
        train_all([place], lambda *_: ["no-such"], 1, print)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written or locked"):
        train([PointRun(place.point, RunFolder(tmp_path / "file" / "w2"))], FINISH)
