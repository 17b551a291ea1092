"""LeNet-SNN on MNIST at every precision: trains, verifies and prints the table of the README.

    python benchmarks/mnist.py train                 # all rows, all seeds, one after another; finished runs are skipped, stopped ones resumed
    python benchmarks/mnist.py train --rows 2/2      # one row
    python benchmarks/mnist.py table                 # what is finished, as Markdown

The epoch is chosen on 5,000 held-out training images; the test set is used once for each run, at its end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from spquant_snn import SpQuantTrainer
from spquant_snn.commands import verify_run
from spquant_snn.train.run import load_network

ROWS: dict[str, dict[str, float]] = {
    "fp32": {"weight_bits": 32, "state_bits": 32},
    "8/8": {"weight_bits": 8, "state_bits": 8},
    "4/4": {"weight_bits": 4, "state_bits": 4},
    "2/2": {"weight_bits": 2, "state_bits": 2},
    "1.58/1.58": {"weight_bits": 1.58, "state_bits": 1.58},
}


def folder(parent: Path, row: str, seed: int) -> Path:
    return parent / f"{row.replace('/', '-')}-s{seed}"


def run(parent: Path, row: str, seed: int, epochs: int, data_dir: Path | None) -> None:
    out = folder(parent, row, seed)
    record = out / "run.json"
    if record.exists() and "verified" in json.loads(record.read_text()):
        return
    began = time.monotonic()
    if record.exists():
        trainer = SpQuantTrainer.resume(out, data_dir=data_dir)
    else:
        trainer = SpQuantTrainer(
            "lenet-snn", "mnist", out=out, data_dir=data_dir, seed=seed, epochs=epochs, **ROWS[row]
        )
    trainer.train()
    minutes = (time.monotonic() - began) / 60
    print(f"{row}, seed {seed}: Test Accuracy: {trainer.evaluate():.2f}%, {minutes:.1f} minutes", flush=True)
    verdict = None if row == "fp32" else verify_run(out, None, 0, data_dir)
    assert trainer.run is not None
    trainer.run.note(minutes=minutes, verified=str(verdict))
    print(verdict, flush=True)


def table(parent: Path) -> str:
    lines = [
        "| weights / state bits | test accuracy, % (seeds) | weights, bytes | state, bytes | spikes per neuron and step | integers = torch |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for row in ROWS:
        records = [
            path
            for path in sorted(parent.glob(f"{row.replace('/', '-')}-s*/run.json"))
            if "verified" in path.read_text()
        ]
        if not records:
            continue
        scores = [json.loads(path.read_text())["test_accuracy"] for path in records]
        spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
        score = f"{statistics.mean(scores):.2f}{spread} ({', '.join(f'{s:.2f}' for s in scores)})"
        epochs = [json.loads(line) for line in (records[0].parent / "metrics.jsonl").read_text().splitlines()]
        layers = epochs[json.loads(records[0].read_text())["best"]["epoch"] - 1]["val_layers"]
        rates = " / ".join(f"{100 * layer['rate']:.1f}" for layer in layers) + " %"
        equal = all(json.loads(path.read_text())["verified"].startswith("equal") for path in records)
        exact = "-" if row == "fp32" else "all of 10,000 images" if equal else "NO"
        network = load_network(records[0].parent)
        lines.append(
            f"| {row} | {score} | {network.weight_bytes:,.0f} | {network.state_bytes:,.0f} | {rates} | {exact} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["train", "table"])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.action == "train":
        for row in args.rows:
            for seed in args.seeds:
                run(args.out, row, seed, args.epochs, args.data_dir)
    print(table(args.out))


if __name__ == "__main__":
    main()
