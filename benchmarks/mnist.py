"""LeNet-SNN on MNIST at every precision: trains, verifies and prints the table of docs/results/mnist.md.

    python -m benchmarks mnist train                 # all rows and seeds; skips finished runs, resumes stopped ones
    python -m benchmarks mnist train --rows 2/2      # one row
    python -m benchmarks mnist train --timesteps 4 --out runs/mnist-T4
    python -m benchmarks mnist table                 # what is finished, as Markdown

The epoch is chosen on 5,000 held-out training images; the test set is used once for each run, at its end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from spquant_snn import SpQuantTrainer
from spquant_snn.cli.test_set import TestSet
from spquant_snn.cli.verify import verify_run
from spquant_snn.train.config import load_config
from spquant_snn.train.loading import load_network

ROWS: dict[str, dict[str, Any]] = {
    "fp32": {"weight_bits": 32, "state_bits": 32},
    "8/8": {"weight_bits": 8, "state_bits": 8},
    "3/3": {"weight_bits": 3, "state_bits": 3},
    "4/4": {"weight_bits": 4, "state_bits": 4},
    "2/2": {"weight_bits": 2, "state_bits": 2},
    "1.58/1.58": {"weight_bits": 1.58, "state_bits": 1.58},
}


def folder(parent: Path, row: str, seed: int) -> Path:
    return parent / f"{row.replace('/', '-')}-s{seed}"


def run(parent: Path, row: str, seed: int, epochs: int, timesteps: int, data_dir: Path | None) -> None:
    out = folder(parent, row, seed)
    record = out / "run.json"
    if (out / "config.toml").exists() and (found := load_config(out / "config.toml").timesteps) != timesteps:
        raise SystemExit(f"{out} is a run of {found} time steps, not {timesteps}: choose another folder by --out")
    if record.exists() and "verified" in json.loads(record.read_text()):
        return
    began = time.monotonic()
    if (out / "config.toml").exists():
        trainer = SpQuantTrainer.resume(out, options={"epochs": epochs}, data_dir=data_dir)
    else:
        trainer = SpQuantTrainer(
            "lenet-snn", "mnist", out=out, data_dir=data_dir, seed=seed, epochs=epochs, timesteps=timesteps, **ROWS[row]
        )
    trainer.train()
    minutes = (time.monotonic() - began) / 60
    print(f"{row}, seed {seed}: Test Accuracy: {trainer.evaluate():.2f}%, {minutes:.1f} minutes", flush=True)
    verdict = None if row == "fp32" else verify_run(out, TestSet(data_dir=data_dir), "reference")
    assert trainer.run is not None
    trainer.run.note(minutes=minutes, verified=str(verdict))
    print(verdict, flush=True)


def table(parent: Path) -> str:
    columns = (
        "weights / state",
        "test accuracy, % (seeds)",
        "weights, B",
        "state, B",
        "spike rate",
        "minutes",
        "integers = torch",
    )
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in ROWS:
        runs = [path.parent for path in sorted(parent.glob(f"{row.replace('/', '-')}-s*/run.json"))]
        records = [json.loads((run / "run.json").read_text()) for run in runs]
        done = [(run, record) for run, record in zip(runs, records, strict=True) if "verified" in record]
        if done:
            lines.append("| " + " | ".join([row, *cells(*zip(*done, strict=True))]) + " |")
    return "\n".join(lines)


def cells(runs: tuple[Path, ...], records: tuple[dict[str, Any], ...]) -> list[str]:
    """A row of the table; rates and sizes are those of the first run, minutes those of the slowest."""
    scores = [record["test_accuracy"] for record in records]
    spread = f" ± {statistics.stdev(scores):.2f}" if len(scores) > 1 else ""
    epochs = [json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    layers = epochs[records[0]["best"]["epoch"] - 1]["val_layers"]
    equal = all(record["verified"].startswith("equal") for record in records)
    network = load_network(runs[0])
    return [
        f"{statistics.mean(scores):.2f}{spread} ({', '.join(f'{score:.2f}' for score in scores)})",
        f"{network.weight_bytes:,.0f}",
        f"{network.state_bytes:,.0f}",
        " / ".join(f"{100 * layer['rate']:.0f}" for layer in layers) + " %",
        f"{max(record['minutes'] for record in records):.0f}",
        ("on all 10,000 images" if equal else "NO") if network.config.integer else "-",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["train", "table"])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.action == "train":
        for row in args.rows:
            for seed in args.seeds:
                run(args.out, row, seed, args.epochs, args.timesteps, args.data_dir)
    print(table(args.out))


if __name__ == "__main__":
    main()
