"""``spquant eval`` against time steps, and at a margin."""

import json

import pytest


def test_eval_with_early_exit_is_a_table_of_80_columns(runs, spquant):
    code, out, err = spquant("eval", runs / "low", "--early-exit")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert max(map(len, lines)) <= 80
    assert "143 images of the validation set and 360 test images" in " ".join(lines)
    assert "recording" not in out
    assert [line.split()[:3] for line in lines if line.startswith("all after")] == [["all", "after", n] for n in "12"]
    assert sum(line.startswith("margin ") for line in lines) == 3
    assert lines[-1] + "\n" == spquant("eval", runs / "low")[1]


def test_eval_with_early_exit_as_json(runs, spquant):
    plain = json.loads(spquant("eval", runs / "low", "--json")[1])
    result = json.loads(spquant("eval", runs / "low", "--early-exit", "--json")[1])
    found = result.pop("early_exit")
    del plain["accuracy_of_each"]
    assert result == plain
    assert (found["validation"], found["test"]) == (143, 360)
    assert found["after"][-1]["test"] == {"steps": 2.0, "accuracy": plain["accuracy"]}
    assert [row["given_up"] for row in found["at"]] == [0.0, 0.5, 2.0]
    few = json.loads(spquant("eval", runs / "low", "--early-exit", "--count", 50, "--json")[1])
    assert few["early_exit"]["test"] == few["images"] == 50
    assert [row["margin"] for row in few["early_exit"]["at"]] == [row["margin"] for row in found["at"]]


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_eval_at_a_margin_stops_where_early_exit_says(runs, spquant, backend):
    found = json.loads(spquant("eval", runs / "low", "--early-exit", "--json")[1])["early_exit"]
    for margin, row in [*((row["margin"], row) for row in found["at"]), (0, found["after"][0])]:
        said = json.loads(spquant("eval", runs / "low", "--margin", margin, "--backend", backend, "--json")[1])
        assert {"steps": said["steps"], "accuracy": said["accuracy"]} == row["test"]
        assert (said["margin"], said["backend"]) == (margin, backend)
    code, out, err = spquant("eval", runs / "low", "--margin", 0)
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["time steps until decided: 1.00"]
