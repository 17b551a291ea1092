"""Learning curves: what a training writes is what is read, and what is damaged is refused by its line."""

import json

import pytest

from spquant_snn.errors import FileFormatError
from spquant_snn.report.curves import read_epochs
from spquant_snn.train.metrics import LayerActivity, Metrics
from spquant_snn.train.run import RunFolder


def write(folder, epochs, sparsity=None):
    run = RunFolder(folder)
    for number in range(1, epochs + 1):
        layers = (LayerActivity("a", 0.1 * number, 0.2, 0.3), LayerActivity("b", 0.4, 0.5, 0.6))
        run.log_epoch(number, 2.0 / number, 90.0 + number, Metrics(80.0 + number, 1.0, layers), sparsity)
    return run


def test_what_a_training_writes_is_read(tmp_path):
    first, second = read_epochs(write(tmp_path, 2))
    assert (first.number, first.train_loss, first.train_accuracy) == (1, 2.0, 91.0)
    assert (second.number, second.val_loss, second.val_score) == (2, 1.0, 82.0)
    assert (second.rates, second.saturated, second.dead) == (
        {"a": 0.2, "b": 0.4},
        {"a": 0.2, "b": 0.5},
        {"a": 0.3, "b": 0.6},
    )
    assert (second.channels, second.ops_share) == ({}, None)


def test_closed_channels_are_read(tmp_path):
    summary = {"channels": {"a": [3, 8], "b": [4, 4]}, "expected_ops": 10.0, "ops_share": 0.25}
    (epoch,) = read_epochs(write(tmp_path, 1, summary))
    assert (epoch.channels, epoch.ops_share) == ({"a": (3, 8), "b": (4, 4)}, 0.25)


def test_a_run_without_metrics_has_no_curves(tmp_path):
    assert read_epochs(RunFolder(tmp_path)) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda line: "",
        lambda line: line[:40],
        lambda line: "[1, 2]",
        lambda line: line.replace('"train_loss"', '"loss"'),
        lambda line: line.replace('"train_loss": 1.0', '"train_loss": NaN'),
        lambda line: line.replace('"train_loss": 1.0', '"train_loss": "low"'),
        lambda line: line.replace('"train_loss": 1.0', '"train_loss": Infinity'),
        lambda line: line.replace('"train_loss": 1.0', f'"train_loss": {"1" * 400}'),
        lambda line: line.replace('"train_loss": 1.0', f'"train_loss": {"1" * 5000}'),
        lambda line: line.replace('"train_loss": 1.0', f'"train_loss": {"[" * 100_000}'),
        lambda line: line.replace('"epoch": 2', '"epoch": Infinity'),
        lambda line: line.replace('"epoch": 2', '"epoch": null'),
        lambda line: line.replace('"val_layers": [', '"val_layers": [3, '),
        lambda line: line[:-1] + ', "channels": {"a": [1e400, 2]}}',
        lambda line: line.replace('"name": "b"', '"name": "c"'),
        lambda line: json.dumps(json.loads(line) | {"ops_share": 0.5}),
    ],
)
def test_a_damaged_line_is_named(change, tmp_path):
    run = write(tmp_path, 3)
    path = run.metrics
    lines = path.read_text("utf-8").splitlines()
    lines[1] = change(lines[1])
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(FileFormatError, match=r"metrics.jsonl is damaged, its line 2 is not the record of an epoch"):
        read_epochs(run)
