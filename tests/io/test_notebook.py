"""Bars below the cell of a notebook, by a kernel that writes down what it shows."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from spquant_snn.io import notebook, terminal
from spquant_snn.train.console import Display


class Shown:
    """What lies below a cell; IPython's handle of it."""

    def __init__(self):
        self.lines = []

    def update(self, line):
        self.lines.append((repr(line), line._repr_html_()))


@pytest.fixture
def kernel(monkeypatch):
    """What a kernel shows, with a clock that goes on by 10 s at each look."""
    shown, clock = Shown(), iter(range(0, 10_000, 10))

    def display(line, display_id):
        assert display_id
        shown.update(line)
        return shown

    ipython, module = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(notebook.time, "monotonic", lambda: float(next(clock)))
    return shown


def test_a_bar_with_the_time_left_lies_below_the_cell_and_goes(kernel, capsys):
    with terminal.progress(4, "counting <b>") as report:
        for done in (1, 2, 4):
            report(done)
    said, shown = zip(*kernel.lines, strict=True)
    assert said == (
        "counting <b>: 1 of 4, 0:30 left",
        "counting <b>: 2 of 4, 0:20 left",
        "counting <b>: 4 of 4",
        "",
    )
    assert shown[0].startswith('<progress value="1" max="4"')
    assert "counting &lt;b&gt;: 1 of 4" in shown[0]
    assert shown[-1] == ""
    assert capsys.readouterr() == ("", "")


def test_bytes_are_megabytes(kernel):
    with terminal.progress(3_000_000, "fetching", in_bytes=True) as report:
        report(1_500_000)
    assert kernel.lines[0][0] == "fetching: 1.5 of 3.0 MB, 0:10 left"


def test_a_training_has_one_too(kernel, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels do
    with Display(2) as display:
        for epoch in range(2):
            display.begin(epoch, 2)
            display.step(0.5, 90.0)
            display.step(0.25, None)
        display.say("[a line]")
    said = [line for line, _ in kernel.lines]
    assert [line.partition(", loss")[0].split(",")[0] for line in said[:-1]] == [
        f"training: {n} of 4" for n in range(1, 5)
    ]
    assert said[0].endswith("left, loss 0.500  90.0 %")
    assert said[-1] == ""
    assert capsys.readouterr() == ("[a line]\n", "")


def test_what_is_quick_or_quiet_shows_nothing(kernel, monkeypatch):
    with terminal.progress(4, "counting", quiet=True) as report:
        report(2)
    monkeypatch.setattr(notebook.time, "monotonic", lambda: 0.0)
    with terminal.progress(4, "counting") as report:
        report(2)
    assert kernel.lines == []


def test_a_shell_on_a_terminal_is_no_notebook(monkeypatch):
    assert not notebook.in_notebook()
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not notebook.in_notebook()
    ipython.get_ipython = lambda: None
    assert not notebook.in_notebook()
