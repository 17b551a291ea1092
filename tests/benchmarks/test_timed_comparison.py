"""Ratios, fastest forms and what is missing."""

import pytest

from benchmarks.harness.timed_comparison import Candidate, ComparedTimes, TimedComparison, TimeRatio
from benchmarks.harness.timing import Times
from spquant_snn.errors import MissingDependencyError, RunError


@pytest.fixture
def outcome():
    times = {
        Candidate("net", "native"): Times((9.0, 10.0, 80.0)),
        Candidate("other", "native"): Times((30.0,)),
        Candidate("net", "engine", "slow"): Times((200.0, 200.0, 20.0)),
        Candidate("net", "engine", "fast"): Times((100.0, 100.0, 300.0)),
    }
    return ComparedTimes(times, {("net", "absent"): "it is not here"})


def test_a_ratio_is_that_of_medians_with_the_fastest_form(outcome):
    row = outcome.row("net", "engine", 0.12, "native")
    assert (row.ours, row.theirs, row.form, row.ratio, row.met) == (10.0, 100.0, "fast", 0.1, True)
    assert outcome.row("net", "engine", 0.09, "native").met is False
    assert outcome.row("net", "engine", 0.1, "native").met is True


def test_another_work_can_be_the_measure(outcome):
    row = outcome.row("other", "engine", None, "native", of="net")
    assert (row.ratio, row.met, row.of) == (0.3, None, "net")


def test_what_is_missing_says_why(outcome):
    row = outcome.row("net", "absent", 0.5, "native")
    assert (row.ratio, row.met, row.missing) == (None, None, "it is not here")
    assert row == TimeRatio("net", "absent", "net", 0.5, missing="it is not here")
    assert outcome.row("net", "unknown", 0.5, "native").missing == "it did not take part"


def test_a_peer_is_missing_only_if_all_its_forms_are():
    def prepare(module, images):
        if module == "bad":
            raise RunError("engine failed")
        if module == "absent":
            raise MissingDependencyError("engine is not installed")
        return lambda k: module

    comparison = TimedComparison()
    comparison.add_engine("net", "half", prepare, {"a": "bad", "b": "good"}, None)
    comparison.add_engine("net", "none", prepare, {"a": "absent", "b": "bad"}, None)
    outcome = comparison.run(1)
    assert set(outcome.times) == {Candidate("net", "half", "b")}
    assert outcome.missing == {("net", "none"): "engine is not installed"}
