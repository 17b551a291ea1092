"""What the documents promise runs as it stands."""

import doctest
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

import random_graphs
import recorded
from spquant_snn import load
from spquant_snn.cli.main import command_of
from spquant_snn.cli.parse import parse
from spquant_snn.data.frames import Framing, to_frames
from spquant_snn.integer import reference
from spquant_snn.integer.file import save
from spquant_snn.nn import lif

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_quick_start_of_the_readme_and_its_commands_run(spquant, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train = BLOCKS[0]
    assert 'SpQuantTrainer("lenet-snn", "digits", quantization_bits=2)' in train
    names = {}
    exec(train.replace("lenet-snn", "lenet-snn:0.1").replace("epochs=20", "epochs=1"), names)
    said = capsys.readouterr().out
    assert re.search(r"^Test Accuracy: \d+\.\d\d%$", said, re.MULTILINE)
    assert "equal on 360 images" in said
    assert names["classes"].shape == (360,)
    export, *others = commands_of_the_readme()
    code, _, err = spquant(*export)
    assert (code, err) == (0, "")
    for command, *words in others:  # tests of boards and of pages run them
        assert callable(parse(command_of(command), words, f"spquant {command}"))


def commands_of_the_readme():
    _, block = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line.startswith("spquant ")]


def test_the_model_of_the_readme_learns_and_is_equal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {}
    exec(BLOCKS[1], names)
    assert "equal on 360 images" in capsys.readouterr().out
    test = names["data"].test
    assert (load("model.spq").predict(test.images) == test.labels).mean() > 0.85


def test_the_readme_is_a_page():
    assert len(README.splitlines()) <= 150
    assert len(README.split()) <= 1200
    assert re.findall(r"\]\((?!https://)[^)]*\)", README) == []  # PyPI shows it, too


def test_the_stream_of_the_events_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = {(2, side, side): shrink for shrink, side in ((1, 34), (2, 17), (3, 12), (4, 9), (5, 7), (6, 6))}
    graph = next(graph for graph in map(random_graphs.random_graph, range(300)) if graph.input_shape in sizes)
    save(graph, Path("model.spq"))
    draw = np.random.default_rng(0)
    events = [(30_000 * (n // 9) + n, *draw.integers(0, (34, 34, 2)).tolist()) for n in range(90)]
    Path("recording.bin").write_bytes(recorded.nmnist(events))
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/events.md").read_text("utf-8"), re.DOTALL)
    names = {}
    exec(block, names)
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == [*map(str, range(1, 11)), "10"]
    assert re.fullmatch(r"10 pushes: median \d+\.\d us, worst \d+\.\d us", told[-1])
    frames = to_frames(names["recording"], Framing(window=30_000, shrink=sizes[graph.input_shape])).counts
    assert np.array_equal(names["logits"], reference.run(graph, frames[:, None])[0])


def test_the_example_of_the_calibration_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/calibration.md").read_text("utf-8"), re.DOTALL)
    exec(block, {})
    said = capsys.readouterr().out
    assert "of 256 answers are those of floating point" in said
    assert int(said.split()[-1]) <= 12_000


def test_the_block_on_features_runs():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/signals.md").read_text("utf-8"), re.DOTALL)
    names = {}
    exec(block, names)
    assert names["LogMel"](10)(names["samples"]).shape == (49, 10)


@pytest.mark.parametrize("module", [lif])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.attempted > 0
    assert result.failed == 0


def test_every_row_of_the_readme_s_results_names_a_command():
    results = README.split("## Results")[1].split("## Contributing")[0]
    rows = re.findall(r"^\| (?!what|---).*$", results, re.MULTILINE)
    assert len(rows) >= 5
    assert [row for row in rows if not re.search(r"`(python -m benchmarks|spquant) [^`]+` \|$", row)] == []


def test_files_that_documents_and_sources_name_are_there():
    package = ROOT / "src" / "spquant_snn"
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
    texts += [path for path in package.rglob("*") if path.suffix in {".py", ".c", ".h"}]
    missing = {
        f"{text.relative_to(ROOT)}: {named}"
        for text in texts
        for named in re.findall(r"(?<![\w/.<>*-])(?:\w+/)+\w+\.(?:py|c|h)\b", text.read_text("utf-8"))
        if not any((folder / named).exists() for folder in (ROOT, package, package / "runtime", text.parent))
    }
    assert missing == {"examples/README.md: examples/NAME.py"}  # which stands for any of them


@pytest.mark.slow
def test_the_page_on_data_runs_from_top_to_bottom(spquant, tmp_path, monkeypatch, capsys):
    pytest.importorskip("PIL")
    pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/howto/data.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    reached = re.findall(r"(\d+\.\d) %", capsys.readouterr().out)
    assert len(reached) == sum("evaluate():.1f} %" in block for block in blocks)
    assert min(map(float, reached)) > 60  # each of them has learned
    (commands,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in commands.splitlines():
        code, _, err = spquant(*line.split()[1:])
        assert (line, code, err) == (line, 0, err)


def test_the_page_on_tasks_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/tasks.md").read_text("utf-8"), re.DOTALL)
    exec(block, {})
    assert re.search(r"^RMSE \S+ m$", capsys.readouterr().out, re.MULTILINE)
