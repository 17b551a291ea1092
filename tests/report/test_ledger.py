"""Sizes, the tables, and the command."""

import json
import re

import numpy as np
import pytest
from rich.console import Console

from spquant_snn import SpQuantTrainer
from spquant_snn.integer.file import save
from spquant_snn.integer.program import Program
from spquant_snn.report.ledger import make_ledger
from spquant_snn.report.ledger_tables import ledger_json, ledger_tables
from spquant_snn.report.sizes import sizes
from spquant_snn.runtime.layout import plan_network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 2 bits on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "low"
    options = {"precision": "fp32", "quiet": True, "epochs": 1, "timesteps": 2}
    SpQuantTrainer("lenet-snn:0.1", "digits", 2, out=folder, **options).train()
    return folder


def test_sizes(two_layers):
    found = sizes(two_layers)
    assert (found.weights, found.state, found.largest_state) == (
        3 + 2,
        1,
        1,
    )  # 12 and 6 codes, 3 stored codes of 2 bits
    assert (found.float_weights, found.float_state) == (4 * 18, 4 * 3)
    assert found.smaller == 14
    assert found.arena == plan_network(two_layers).arena_size
    assert found.stream_arena == plan_network(two_layers, streams=True).arena_size


def test_layers_share_one_place_for_their_state(random_graph):
    graph = next(g for g in map(random_graph, range(40)) if len(g.layers) > 2)
    found = sizes(graph)
    assert found.largest_state < found.state


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize("seed", [0, 1, 2, 7, 9])
def test_every_ledger_can_be_printed_and_is_plain_data(random_graph, random_images, seed):
    graph = random_graph(seed)
    ledger = make_ledger(graph, random_images(graph, 2), title="noise")
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(*ledger_tables(ledger), sep="\n")
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(layer.name in capture.get() for layer in ledger.counts.layers)
    plain = json.loads(json.dumps(ledger_json(ledger), allow_nan=False))
    assert [network["name"] for network in plain["networks"]][:2] == ["this network", "fp32 SNN"]
    for network in plain["networks"]:
        for found in network["energy"].values():
            parts = [found[part] for part in ("arithmetic", "weights", "state", "activations", "sums")]
            assert found["total"] == pytest.approx(sum(parts))
            assert found["total"] > 0
    assert plain["savings"]["range"] == list(ledger.savings)
    assert plain["counts"]["accuracy"] is None


@pytest.mark.usefixtures("by_reference")
def test_both_ends_of_the_range_and_every_assumption_are_printed(two_layers):
    ledger = make_ledger(two_layers, np.ones((1, 1, 2, 2), np.uint8))
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(*ledger_tables(ledger), sep="\n")
    text = " ".join(capture.get().split())
    low, high = (f"{100 * end:.1f}" for end in ledger.savings)
    assert f"memory included: {low} to {high} %" in text
    assert all(" ".join(line.split()) in text for line in ledger_json(ledger)["assumptions"])
    assert "ISSCC 2014" in text


def test_the_command_on_a_run_and_on_its_file(run, spquant):
    code, out, err = spquant("report", run, "--count", 20)
    assert (code, err) == (0, "")
    assert max(map(len, out.replace(str(run), "run").splitlines())) <= 80  # however long the folder is called
    assert " ".join(out.split()).startswith(f"{run} on digits: T = 2, 20 images,")
    assert re.search(r"memory included: \S+ to \S+\s%", out)
    answers = [spquant("report", run, "--count", 20, "--json")]
    answers.append(spquant("report", run / "model.spq", "--dataset", "digits", "--count", 20, "--json"))
    first, second = (json.loads(answer[1]) for answer in answers)
    assert first.pop("title") != second.pop("title")
    assert [drift["from"] for drift in first.pop("drift")] == ["training form"]
    assert second.pop("drift") == []  # a file has none
    assert first == second
    assert first["counts"]["images"] == 20
    assert len(first["networks"]) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nowhere", "there is no nowhere: give the folder of a run, or an .spq file"),
        ("{run}/..", "is not the folder of a run"),
        ("{run}/run.json --dataset digits", "is not a .spq file"),
        ("{run} --count -1", "count must be at least 0"),
        ("{run} --dataset minst", "unknown data set"),
        ("{other} --dataset digits", "this network takes images [N, 1x2x2]"),
        ("{unfinished}", "is not finished: resume it"),
        ("{fp32}", "is a floating-point run, without integers"),
    ],
)
def test_a_wrong_call_is_answered_in_one_sentence(arguments, words, run, two_layers, spquant, tmp_path):
    save(two_layers, tmp_path / "other.spq")
    config = (run / "config.toml").read_text("utf-8")
    for name, text in (("unfinished", config), ("fp32", re.sub(r"_bits = .*", "_bits = 32", config))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(text, "utf-8")
    places = {
        "run": run,
        "other": tmp_path / "other.spq",
        "unfinished": tmp_path / "unfinished",
        "fp32": tmp_path / "fp32",
    }
    code, out, err = spquant("report", *arguments.format(**places).split())
    assert (code, out) == (2, "")
    assert err.startswith("spquant: ")
    assert err.count("\n") == 1
    assert words in err


def test_a_notebook_shows_the_tables_of_a_program_and_one_image(two_layers):
    ledger = make_ledger(Program(two_layers), np.ones((1, 2, 2), np.uint8), title="<t>")
    shown = ledger._repr_html_()
    assert shown.count("<table") == shown.count("</table>") >= 4
    assert "&lt;t&gt;: T = 2, 1 images" in shown
    assert "energy saved against the fp32 SNN" in shown
