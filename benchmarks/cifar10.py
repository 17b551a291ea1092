"""VGG-SNN on CIFAR-10 at every precision, for a GPU: trains, verifies and prints the table of docs/results/cifar10.md.

    python -m benchmarks cifar10 train --device cuda     # teacher and all rows; skips what is finished, resumes
    python -m benchmarks cifar10 verify                  # torch = native runtime on all test images, on a CPU
    python -m benchmarks cifar10 files --count 1000      # NumPy = native runtime of the files in examples/cifar10
    python -m benchmarks cifar10 table                   # what is finished, as Markdown

The network is the paper's VGG-9 (64-128-P-256-256-P-512-512-P-512-512-P, one linear layer). An ordinary residual
network (cifar10_teacher.py) is trained first; all rows imitate it, and those of few bits start from the
weights of the fp32 row. The epoch is chosen on 5,000 held-out training images; the test set is used once for each
network, at its end.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import cifar10_teacher
from spquant_snn import SpQuantTrainer
from spquant_snn.cli.test_set import TestSet
from spquant_snn.cli.verify import verify_run
from spquant_snn.data import load
from spquant_snn.integer.compare import compare_backends as compare
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.file import load_graph
from spquant_snn.io.writing import replace_file
from spquant_snn.runtime.native import NativeProgram
from spquant_snn.train.loading import load_network
from spquant_snn.train.run import RunFolder
from spquant_snn.train.tensors import as_tensors

MODEL = "64C3-128C3-P2-256C3-256C3-P2-512C3-512C3-P2-512C3-512C3-P2-FC10"
BASELINE = "fp32"
ROWS: dict[str, dict[str, Any]] = {
    BASELINE: {"weight_bits": 32, "state_bits": 32},
    "4/2": {"weight_bits": 4, "state_bits": 2},
    "2/2": {"weight_bits": 2, "state_bits": 2},
    "1.58/1.58": {"weight_bits": 1.58, "state_bits": 1.58},
}
RECIPE: dict[str, Any] = {
    "timesteps": 4,
    "batch_size": 512,
    "loss": "tet",
    "label_smoothing": 0.1,
    "weight_decay": 0.05,
    "check_every": 4,
}


def folder(parent: Path, row: str) -> Path:
    return parent / row.replace("/", "-")


def teach(args: argparse.Namespace) -> cifar10_teacher.Teacher:
    """The teacher, trained if it is not there yet."""
    path = args.out / "teacher.pt"
    if not path.exists():
        began, data = time.monotonic(), load("cifar10", args.data_dir)
        network = cifar10_teacher.train(data.train, args.device, args.teacher_epochs, args.seed)
        score, minutes = cifar10_teacher.accuracy(network, as_tensors(data.test)), (time.monotonic() - began) / 60
        replace_file(args.out / "teacher.json", json.dumps({"test_accuracy": score, "minutes": minutes}) + "\n")
        cifar10_teacher.save(network, path)
        print(f"teacher: Test Accuracy: {score:.2f}%, {minutes:.1f} minutes", flush=True)
    return cifar10_teacher.load_teacher(path)


def run(args: argparse.Namespace, row: str) -> None:
    out = folder(args.out, row)
    record = out / "run.json"
    if record.exists() and "test_accuracy" in json.loads(record.read_text()):
        return
    began = time.monotonic()
    teacher, first = teach(args), row == BASELINE
    epochs = args.baseline_epochs if first else args.epochs
    if (out / "config.toml").exists():
        places = {"data_dir": args.data_dir, "device": args.device}
        trainer = SpQuantTrainer.resume(out, teacher=teacher, options={"epochs": epochs}, **places)
    else:
        trainer = SpQuantTrainer(
            args.model,
            "cifar10",
            out=out,
            data_dir=args.data_dir,
            device=args.device,
            seed=args.seed,
            teacher=teacher,
            init="" if first else str(folder(args.out, BASELINE)),
            epochs=epochs,
            learning_rate=args.baseline_rate if first else args.rate,
            schedule="onecycle" if first else "cosine",
            **ROWS[row],
            **(RECIPE | {"timesteps": args.timesteps}),
        )
    trainer.train()
    minutes, score = (time.monotonic() - began) / 60, trainer.evaluate()
    assert trainer.run is not None
    trainer.run.note(minutes=minutes)
    print(f"{row}: Test Accuracy: {score:.2f}%, {minutes:.1f} minutes", flush=True)


def check(args: argparse.Namespace, row: str) -> None:
    out = folder(args.out, row)
    record = json.loads((out / "run.json").read_text()) if (out / "run.json").exists() else {}
    if row == BASELINE or "test_accuracy" not in record or "verified" in record:
        return
    verdict = verify_run(out, TestSet(data_dir=args.data_dir), "native")
    print(f"{row}: {verdict}", flush=True)
    RunFolder(out).note(verified=str(verdict))


def compare_files(args: argparse.Namespace) -> None:
    """The files that ship, by the reference and by C."""
    images = load("cifar10", args.data_dir).test.images[: args.count]
    for path in sorted((Path(__file__).parents[1] / "examples/cifar10").glob("*.spq")):
        graph = load_graph(path)
        verdict = compare(partial(reference_trace, graph), NativeProgram(graph).trace, images)
        print(f"{path.name}: {verdict}", flush=True)


def table(parent: Path) -> str:
    columns = (
        "weights / state",
        "test accuracy, %",
        "weights, B",
        "state, B",
        "spike rate",
        "minutes",
        "native = torch",
    )
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in ROWS:
        out = folder(parent, row)
        if not (out / "run.json").exists() or "test_accuracy" not in (
            record := json.loads((out / "run.json").read_text())
        ):
            continue
        epochs = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        (layers,) = (line["val_layers"] for line in epochs if line["epoch"] == record["best"]["epoch"])
        network = load_network(out)
        cells = (
            row,
            f"{record['test_accuracy']:.2f}",
            f"{network.weight_bytes:,.0f}",
            f"{network.state_bytes:,.0f}",
            " / ".join(f"{100 * layer['rate']:.0f}" for layer in layers) + " %",
            f"{record['minutes']:.1f}",
            record.get("verified", "-" if row == BASELINE else "not yet compared"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["train", "verify", "files", "table"])
    parser.add_argument("--count", type=int, default=1000, help="test images that files are compared on")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teacher-epochs", type=int, default=40)
    parser.add_argument("--baseline-epochs", type=int, default=60)
    parser.add_argument("--baseline-rate", type=float, default=2e-3)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=Path("runs/cifar10"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.action == "files":
        compare_files(args)
        return
    for row in args.rows if args.action != "table" else ():
        (run if args.action == "train" else check)(args, row)
    print(table(args.out))


if __name__ == "__main__":
    main()
