"""Points and folders of runs without any training."""

import json
import signal

import pytest

from spquant_snn.sweep.points import read_sweep
from spquant_snn.sweep.status import PointRun
from spquant_snn.train.config import save_config
from spquant_snn.train.run import RunFolder


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C is heard, also where the tests were started in the background, by which shells make it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def sweep(tmp_path):
    """A function: the points of a sweep of this text."""

    def read(text):
        (tmp_path / "x.toml").write_text(text, "utf-8")
        return read_sweep(tmp_path / "x.toml")

    return read


@pytest.fixture
def written():
    """A function: leaves in a folder what a training leaves there: so much of it."""

    def write(folder, config, status):
        run = RunFolder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_config(config, run.config)
        if status == "new":
            return run
        run.checkpoint.touch()
        run.record.write_text(json.dumps({"best": {}} if status == "begun" else {"best": {}, "test_accuracy": 97.5}))
        run.integers.touch()
        return run

    return write


@pytest.fixture
def places(sweep, tmp_path):
    """A function: places of points w2, w3 ... that are not there yet."""

    def make(count):
        points = sweep(f"[cross]\nweight_bits = {list(range(2, 2 + count))}")
        return [PointRun(point, RunFolder(tmp_path / "out" / point.name)) for point in points]

    return make
