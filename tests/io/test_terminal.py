"""Bars: on a terminal alone, only of what takes longer than a moment, in the width that there is, whatever the name."""

import os
import pty
import re
import sys

import pytest
from rich import progress

from spquant_snn.io import terminal

UNMOVED = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class AtOnce:
    """A timer whose moment is over."""

    def __init__(self, seconds, function):
        self.start = function

    def cancel(self):
        pass

    def join(self):
        pass


class Never(AtOnce):
    """One whose moment does not come."""

    def __init__(self, seconds, function):
        self.start = self.cancel


@pytest.fixture
def seen(monkeypatch):
    """A function: what a person sees on a terminal of so many columns while something is done, line by line."""

    def run(act, timer=AtOnce, columns=80):
        above, below = pty.openpty()
        monkeypatch.setattr(terminal, "Timer", timer)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        with open(below, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            act()
            stream.write("end\n")
        found = b""
        while not found.endswith(b"end\r\n"):
            found += os.read(above, 4096)
        os.close(above)
        return UNMOVED.sub("\n", found.decode("utf-8")).split("\n")

    return run


def half(name, **more):
    def act():
        with terminal.progress(10, name, **more) as report:
            report(5)

    return act


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("name", ["counting", "{x} [red]a[/red]", "a long name of a folder " * 5])
def test_a_bar_fits_the_width_whatever_its_name(name, columns, seen):
    rows = seen(half(name), columns=columns)
    assert max(map(len, rows)) <= columns
    assert any(name.split()[0] in row for row in rows)


def test_what_is_done_within_a_moment_shows_nothing(seen):
    assert "".join(seen(half("counting"), Never)) == "end"


@pytest.mark.parametrize(("total", "quiet"), [(0, False), (10, True)])
def test_nothing_to_do_and_quiet_show_nothing(total, quiet, seen):
    def act():
        with terminal.progress(total, "counting", quiet=quiet) as report:
            report(1)

    assert "".join(seen(act)) == "end"


def test_nothing_is_shown_where_nobody_sees_it(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "Timer", AtOnce)
    half("counting")()
    assert capsys.readouterr() == ("", "")


def test_a_caller_s_own_function_takes_the_place_of_a_bar(seen):
    told = []

    def act():
        with terminal.progress_shown(told.append, 3, "counting") as report:
            report(2)

    assert "".join(seen(act)) == "end"
    assert told == [2]


def test_a_bar_follows_a_file_that_somebody_writes(tmp_path, seen, monkeypatch):
    monkeypatch.setattr(terminal, "_LOOK", 0.001)
    path = tmp_path / "answers"

    bars = []

    def act():
        with terminal.progress_of_file(path, 4, 8, "running"):
            path.write_bytes(bytes(12))
            while not any(task.completed == 3 for bar in bars for task in bar.tasks):
                pass

    class Watched(progress.Progress):
        def __init__(self, *columns, **options):
            super().__init__(*columns, **options)
            bars.append(self)

    monkeypatch.setattr(progress, "Progress", Watched)
    assert any("running" in row for row in seen(act))
