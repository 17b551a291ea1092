"""Wrong command lines: every option of every subcommand, empty or out of range, is refused in one sentence."""

import os
import typing
from dataclasses import is_dataclass

import pytest

from cases import case
from once import made_once
from spquant_snn import ConfigError, SpQuantTrainer
from spquant_snn.cli.export import command as export
from spquant_snn.cli.main import COMMANDS, command_of

LONG = "x" * 300
POSITIONAL = {"source", "run", "firmware", "file", "sources"}
BEFORE = {
    "train": ["--dataset=digits", "--model=lenet-snn:0.1"],
    "calibrate": ["{run}", "--out=x.spq"],
    "eval": ["{run}"],
    "export": ["{run}", "--out=x.spq"],
    "run-firmware": ["{firmware}"],
    "verify": ["{run}"],
    "report": ["{run}", "--no-html"],
    "sweep": ["{sweep}"],
}


def options(function):
    """Names and types of what a command takes, flags and choices left out."""
    found = typing.get_type_hints(function)
    del found["return"]
    for name in [name for name, kind in found.items() if is_dataclass(kind)]:
        found |= typing.get_type_hints(found.pop(name))
    return {
        ("" if name in POSITIONAL else "--") + name.replace("_", "-"): str(kind)
        for name, kind in found.items()
        if "bool" not in str(kind) and "Literal" not in str(kind)
    }


def cases(wanted):
    """Pairs of a command and an option whose type is wanted."""
    every = ((name, *option) for name in COMMANDS for option in options(command_of(name)).items())
    return [(name, option) for name, option, kind in every if wanted(kind)]


NAMES = cases(lambda kind: "str" in kind or "Path" in kind)
NUMBERS = cases(lambda kind: "int" in kind and "Path" not in kind)
PATHS = cases(lambda kind: "Path" in kind)


@pytest.fixture(scope="module")
def places(shared):
    """A run, its firmware and a sweep."""

    def make(folder):
        quiet = {"quiet": True, "epochs": 1, "precision": "fp32"}
        SpQuantTrainer("lenet-snn:0.1", "digits", 2, out=folder / "run", **quiet).train().evaluate()
        (folder / "sweep.toml").write_text('dataset = "digits"\n[cross]\nweight_bits = [2, 3]\n', "utf-8")
        export(folder / "run", folder / "firmware", "c")

    folder = made_once(shared, "places", make)
    return {"run": folder / "run", "firmware": folder / "firmware", "sweep": folder / "sweep.toml"}


@pytest.fixture
def call(spquant, places):
    """A function: the answer to a command with one more option or, in place of its first argument, another."""

    def answer(command, option, value):
        before = [word.format(**places) for word in BEFORE.get(command, [])]
        words = [value, *before[1:]]
        if option.startswith("--"):
            words = [*(word for word in before if not word.startswith(f"{option}=")), f"{option}={value}"]
        return spquant(*command.split(), *words)

    return answer


def refused(answer, *words):
    code, out, err = answer
    assert (code, out) == (2, "")
    assert err.startswith("spquant: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert all(word in err for word in words), err
    return True


def test_the_table_holds_every_command():
    assert {name for name, _ in NAMES} >= {*COMMANDS}
    assert {name for name, _ in NUMBERS} >= {"train", "eval", "run-firmware", "verify", "report", "sweep"}
    assert len(NAMES) + len(NUMBERS) > 50


def test_an_empty_value_is_never_the_default(call, tmp_path):
    for command, option in NAMES + NUMBERS:
        with case(command, option):
            assert refused(call(command, option, ""), "is empty: give a value, or leave it out")
            assert list(tmp_path.iterdir()) == []


def test_an_empty_word_after_an_option_is_one_too(spquant):
    assert refused(spquant("train", "--device", ""), "--device is empty")
    assert refused(spquant("eval", "", "--count", "3"), "an argument is empty")
    assert refused(spquant("eval", "a\0b"), "a character of number 0")


@pytest.mark.parametrize(("command", "option"), NUMBERS, ids=str)
def test_a_number_below_its_range_is_refused(command, option, call, tmp_path):
    assert refused(call(command, option, "-2"))  # -1 of workers lets the training choose
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "option"),
    [case for case in NUMBERS if case[1] not in ("--count", "--jobs", "--rounds")],  # more than there is, is all
    ids=str,
)
def test_a_number_above_its_range_is_refused(command, option, call, tmp_path):
    assert refused(call(command, option, "9" * 30))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [LONG, "{run}/config.toml/x", "\udcff\x1b[31m", "nowhere"], ids=repr)
@pytest.mark.parametrize(("command", "option"), [case for case in PATHS if case[1] in POSITIONAL], ids=str)
def test_a_path_that_cannot_be_is_refused(command, option, value, call, places, tmp_path):
    code, out, err = call(command, option, value.format(**places))
    assert refused((code, out, err))
    assert "\x1b" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [LONG, "{run}/config.toml/x", "{run}", "{run}/config.toml"], ids=repr)
@pytest.mark.parametrize("command", ["train", "export", "report"])
def test_nothing_is_written_where_it_cannot_or_must_not_be(command, value, spquant, places, tmp_path):
    run, out = places["run"], value.format(**places)
    before = {path: path.read_bytes() for path in run.iterdir()}
    words = {"train": ["--dataset", "digits", "--model", "lenet-snn:0.1"]}.get(command, [run])
    assert refused(spquant(command, *words, "--out", out))
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--data-dir", "--out", "--resume", "--init", "--teacher", "--device", "--dataset"])
def test_a_training_takes_no_name_that_is_too_long(option, spquant, tmp_path):
    words = [] if option in ("--dataset", "--data-dir") else ["--dataset", "digits"]
    code, _, err = spquant("train", "--model", "lenet-snn:0.1", *words, option, LONG)
    assert code == 2
    assert err.splitlines()[-1].startswith("spquant: ")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["c", "web"])
@pytest.mark.parametrize("out", [".", "..", "{run}", "{run}/config.toml", LONG])
def test_an_export_replaces_nothing_that_is_not_its_own(target, out, spquant, places, tmp_path):
    (tmp_path / "main.c").write_text("mine", "utf-8")
    run = places["run"]
    before = {path: path.read_bytes() for path in [*run.iterdir(), tmp_path / "main.c"]}
    words = ["export", run, "--target", target, "--out", out.format(**places), "--force"]
    if target == "web":
        pytest.importorskip("ziglang")
    assert refused(spquant(*words))
    assert {path: path.read_bytes() for path in [*run.iterdir(), tmp_path / "main.c"]} == before


@pytest.mark.parametrize("name", ["out", "data_dir"])
def test_in_python_an_empty_name_is_refused_too(name):
    with pytest.raises(ConfigError, match=f"{name} is empty"):
        SpQuantTrainer("lenet-snn:0.1", "digits", 2, quiet=True, **{name: ""})


def test_in_python_an_empty_device_is_not_the_default():
    with pytest.raises(ConfigError, match="device '' cannot be used"):
        SpQuantTrainer("lenet-snn:0.1", "digits", 2, quiet=True, device="")


def test_an_os_error_that_nobody_expected_is_a_sentence(spquant, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error", "x/y")

    monkeypatch.setattr(os.path, "exists", fail)
    assert refused(spquant("eval", "x"), "x/y cannot be used (Input/output error): choose another path")
