"""What is said of costs: the stack of functions that call each other, and times of a clock."""

import pytest

from spquant_snn.errors import ConfigError, RunError
from spquant_snn.export.outcome import ClockRate, Outcome, outcome_json, outcome_table
from spquant_snn.export.stack_depth import CallGraph


def _graph(tmp_path, text):
    (tmp_path / "a.ci").write_text(text)
    return CallGraph.read([tmp_path / "a.ci"])


def _node(name, size):
    return f'node: {{ title: "{name}" label: "{name}\\nx.c:1:2\\n{size} bytes (static)" }}\n'


def _call(source, target):
    return f'edge: {{ sourcename: "{source}" targetname: "{target}" label: "x.c:1:2" }}\n'


def test_a_stack_is_as_deep_as_the_longest_way(tmp_path):
    nodes = "".join(_node(*each) for each in (("main", 8), ("a", 16), ("x.c:b", 100), ("c", 40), ("dropped", 999)))
    calls = _call("main", "a") + _call("a", "x.c:b") + _call("main", "c") + _call("c", "__library")
    graph = _graph(tmp_path, nodes + calls)
    assert graph.deepest("main") == 8 + 16 + 100
    assert graph.deepest("c") == 40


def test_a_call_by_a_pointer_may_go_to_what_nobody_calls(tmp_path):
    nodes = "".join(_node(*each) for each in (("main", 8), ("x.c:seen", 64), ("x.c:called", 500), ("face", 999)))
    graph = _graph(tmp_path, nodes + _call("main", "__indirect_call") + _call("face", "x.c:called"))
    assert graph.deepest("main") == 8 + 64


def test_a_function_that_calls_itself_has_no_bound(tmp_path):
    graph = _graph(tmp_path, _node("main", 8) + _node("a", 8) + _call("main", "a") + _call("a", "a"))
    with pytest.raises(RunError, match="a of the firmware calls itself"):
        graph.deepest("main")


def test_times_are_a_range(tmp_path):
    clock = ClockRate.of("48MHz", (1.0, 1.8))
    assert clock.seconds(48e6) == (1.0, 1.8)
    assert clock.wording(480_000) == "10 to 18 ms"
    assert ClockRate.of("0.5 ghz", (1.5,)).seconds(1e9) == (3.0, 3.0)
    assert ClockRate.of(None, None) is None


@pytest.mark.parametrize(
    ("rate", "cycles", "said"),
    [
        ("48MHz", None, "count instructions, not cycles: add the other one"),
        (None, (1.0,), "add the other one"),
        ("fast", (1.0,), "--clock takes a rate as 48MHz, not 'fast'"),
        ("0MHz", (1.0,), "--clock takes a rate"),
        ("48MHz", (1.8, 1.0), "takes the least and the most, as 1.0 1.8, not 1.8 1.0"),
        ("48MHz", (float("nan"),), "takes the least and the most"),
        ("48MHz", (), "takes the least and the most"),
    ],
)
def test_a_clock_that_is_none_is_refused(rate, cycles, said):
    with pytest.raises(ConfigError, match=said):
        ClockRate.of(rate, cycles)


def test_a_time_stands_beside_the_instructions():
    outcome = Outcome("x", "qemu", "gcc", 2, None, 2, 4800.0, 1.0, 1.0, 9, 9, 9, 9, least=4000, most=5000)
    clock = ClockRate(48e6, 1.0, 2.0)
    assert outcome_json(outcome, clock)["seconds"] == {"mean": (1e-4, 2e-4), "bound": None}
    what, found = (list(column.cells) for column in outcome_table(outcome, clock).columns)
    assert found[what.index("time per inference at 48 MHz, 1 to 2 cycles an instruction")] == "0.1 to 0.2 ms"
    assert outcome_table(outcome).caption == "An emulator counts instructions, not cycles."
