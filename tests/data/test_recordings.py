"""Frames in the cache: made once, the same for every process, and never taken for others or for whole when they are
not."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.data.events import Events
from spquant_snn.data.frames import Framing, to_frames
from spquant_snn.data.recordings import Recordings, framed
from spquant_snn.errors import ConfigError, DataError

FRAMING = Framing(steps=4)


def events(seed, count=200):
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(0, 10_000, count))
    x, y, p = (draw.integers(0, most, count).astype(np.uint8) for most in (8, 6, 2))
    return Events(t, x, y, p, (6, 8))


class Counted:
    """Recordings that count how often they are read."""

    def __init__(self, **changes):
        self.passes = 0
        self.recordings = replace(Recordings("toy train", (6, 8), (0, 1, 2, 1), {"seed": 3}, self.read), **changes)

    def read(self):
        self.passes += 1
        return map(events, range(4))


def quietly(counted, cache, framing=FRAMING):
    return framed(counted.recordings, framing, cache, progress=False)


def test_frames_are_made_once_and_then_mapped(tmp_path):
    counted = Counted()
    first, again = quietly(counted, tmp_path), quietly(counted, tmp_path)
    assert counted.passes == 1
    expected = np.stack([to_frames(events(seed), FRAMING).counts for seed in range(4)])
    for found in (first, again):
        assert np.array_equal(found.images, expected)
        assert found.labels.tolist() == [0, 1, 2, 1]
        assert found.frames == 4
    assert [path.name.split("-")[:2] for path in tmp_path.iterdir()] == [["toy", "train"]]


@pytest.mark.parametrize(
    ("changes", "framing"),
    [
        ({"identity": {"seed": 4}}, FRAMING),
        ({"labels": (0, 1, 2, 2)}, FRAMING),
        ({"name": "toy test"}, FRAMING),
        ({}, Framing(steps=5)),
        ({}, Framing(steps=4, window=1000)),
        ({}, Framing(steps=4, events=10)),
        ({}, Framing(steps=4, shrink=2)),
    ],
)
def test_every_parameter_has_frames_of_its_own(tmp_path, changes, framing):
    quietly(Counted(), tmp_path)
    other = Counted(**changes)
    quietly(other, tmp_path, framing)
    assert other.passes == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pass_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield events(0)
        raise DataError("the second is damaged")

    with pytest.raises(DataError, match="the second is damaged"):
        quietly(Counted(read=broken), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(quietly(Counted(), tmp_path)) == 4


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("frames.npy", lambda b: b[:-1], r"is damaged \(frames.npy does not have 1664 bytes\): delete the folder"),
        ("frames.npy", lambda b: b"?" + b[1:], "is damaged"),
        ("about.json", lambda b: b[:20], "is damaged"),
        ("about.json", lambda b: b"[]", "is damaged"),
        ("about.json", lambda b: b.replace(b'"labels": [0', b'"labels": [2'), "its labels are others"),
        ("about.json", lambda b: b.replace(b'"seed": 3', b'"seed": 9'), "holds frames of other parameters than its"),
        ("about.json", lambda b: b.replace(b"1664", b"99"), "does not have 99 bytes"),
    ],
)
def test_a_damaged_cache_is_refused_in_words(tmp_path, file, change, message):
    quietly(Counted(), tmp_path)
    (folder,) = tmp_path.iterdir()
    content = (folder / file).read_bytes()
    assert change(content) != content
    (folder / file).write_bytes(change(content))
    with pytest.raises(DataError, match=message):
        quietly(Counted(), tmp_path)


@pytest.mark.parametrize("file", ["frames.npy", "about.json"])
def test_a_folder_that_lacks_a_file_is_refused_in_words(tmp_path, file):
    quietly(Counted(), tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / file).unlink()
    with pytest.raises(DataError, match=r"cannot be read .*: delete the folder, it is made anew"):
        quietly(Counted(), tmp_path)


def test_what_a_killed_process_left_is_deleted_after_a_day(tmp_path):
    old, new = tmp_path / ".0123.part", tmp_path / ".4567.part"
    for part in (old, new):
        part.mkdir()
        (part / "frames.npy").write_bytes(b"half")
    os.utime(old, (0, time.time() - 90_000))
    quietly(Counted(), tmp_path)
    assert (old.exists(), new.exists()) == (False, True)


def test_frames_of_a_data_set_need_one_number_of_them(tmp_path):
    with pytest.raises(ConfigError, match="as many frames each: give steps"):
        quietly(Counted(), tmp_path, Framing(window=100))


def test_a_recording_of_another_camera_is_refused_in_words(tmp_path):
    with pytest.raises(DataError, match="toy train: recording 0 is of another camera"):
        quietly(Counted(sensor=(7, 8)), tmp_path)


def test_a_folder_that_cannot_be_written_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .* or set XDG_CACHE_HOME to a folder"):
        quietly(Counted(), tmp_path / "file" / "cache")


def test_another_process_that_was_faster_is_believed(tmp_path):
    slow, fast = Counted(), Counted()

    def read():
        quietly(fast, tmp_path)
        return slow.read()

    found = quietly(Counted(read=read), tmp_path)
    assert (slow.passes, fast.passes) == (1, 1)
    assert np.array_equal(found.images, quietly(fast, tmp_path).images)
    assert len(list(tmp_path.iterdir())) == 1


PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_recordings import Counted, quietly
print(int(quietly(Counted(), Path(sys.argv[2])).images.sum()))
"""


@pytest.mark.slow
def test_two_processes_at_once_agree(tmp_path):
    here = __file__.rpartition("/")[0]
    call = [sys.executable, "-c", PROCESS, here, tmp_path]
    processes = [subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert {out for out, _ in answers} == {"800\n"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_change_of_the_frames_in_memory_does_not_reach_the_cache(tmp_path):
    counted = Counted()
    quietly(counted, tmp_path).images.fill(0)
    assert int(quietly(counted, tmp_path).images.sum()) == 800


def test_lost_events_are_told_and_noted(tmp_path, capsys):
    def read():
        one = Events(*(np.zeros(1000, kind) for kind in ("i8", "u1", "u1", "u1")), (6, 8))
        return iter([one])

    counted = Counted(read=read, labels=(0,))
    framed(counted.recordings, Framing(steps=1), tmp_path, progress=True)
    told = capsys.readouterr().err
    assert "toy train: 745 of 1,000 events (74.50%) lie above the 255 that a count can hold" in told
    (about,) = tmp_path.glob("*/about.json")
    assert json.loads(about.read_text())["lost"] == 745


def test_frames_come_out_with_time_first_for_a_network(tmp_path):
    found = quietly(Counted(), tmp_path)
    assert found.inputs(slice(3)).shape == (4, 3, 2, 6, 8)
    assert np.array_equal(found.inputs()[2, 3], found.images[3, 2])
    assert found.inputs(np.array([3, 0])).shape[1] == 2
