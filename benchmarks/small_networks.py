"""Networks for the smallest microcontrollers on MNIST, those in examples/mnist: trains them and prints their table.

    python -m benchmarks small_networks train                  # one after another; resumes, skips what is finished
    python -m benchmarks small_networks train --rows 3kb       # one of them
    python -m benchmarks small_networks table                  # of the files in examples/mnist

All are ternary in weights and state; one goes on from another and imitates it, at fewer spikes. The epoch is chosen on
5,000 held-out training images; the test set is used once for each network, at its end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from spquant_snn import SpQuantTrainer
from spquant_snn.data import load
from spquant_snn.integer.file import load_graph
from spquant_snn.runtime.native import NativeProgram

FILES = Path(__file__).parents[1] / "examples" / "mnist"
COMMON: dict[str, Any] = {"weight_bits": 1.58, "state_bits": 1.58}
ROWS: dict[str, dict[str, Any]] = {
    "first": {"model": "24C5s2-32C3-32C3-P2-32C3-P2-FC10", "epochs": 60, "batch_size": 128},
    "4kb": {
        "model": "24C5s2-32C3-32C3-P2-32C3-P2-FC10",
        "epochs": 30,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "target_synops": 380_000,
    },
    "light": {"model": "16C5s2-32C3s2-48C3s2-FC10", "epochs": 8, "batch_size": 128},
    "3kb": {"model": "16C5-P2-24C3-P2-32C3-P2-FC10", "epochs": 15},
}
AFTER = {"4kb": "first"}  # rows that start from another's weights and imitate it


def run(parent: Path, row: str, data_dir: Path | None) -> None:
    out = parent / row
    if (out / "run.json").exists() and "test_accuracy" in json.loads((out / "run.json").read_text()):
        return
    if row in AFTER:
        run(parent, AFTER[row], data_dir)
    if (out / "config.toml").exists():
        trainer = SpQuantTrainer.resume(out, data_dir=data_dir)
    else:
        before = str(parent / AFTER[row]) if row in AFTER else ""
        given = {"init": before, "teacher": before, **COMMON, **ROWS[row]}
        trainer = SpQuantTrainer(dataset="mnist", out=out, data_dir=data_dir, seed=0, **given)
    trainer.train()
    print(f"{row}: Test Accuracy: {trainer.evaluate():.2f}%", flush=True)


def table(data_dir: Path | None) -> str:
    """The files that ship, by the native runtime."""
    test = load("mnist", data_dir).test
    lines = ["| file | test accuracy, % | weights | at 2 bits, B | time steps |", "|---" * 5 + "|"]
    for path in sorted(FILES.glob("*.spq")):
        graph = load_graph(path)
        right = (NativeProgram(graph).logits(test.images).argmax(1) == test.labels).mean()
        codes = sum(connection.codes.size for connection in graph.connections)
        lines.append(f"| `{path.name}` | {100 * right:.2f} | {codes:,} | {codes / 4:,.0f} | {graph.timesteps} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["train", "table"])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--out", type=Path, default=Path("runs/small"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.action == "train":
        for row in args.rows:
            run(args.out, row, args.data_dir)
    print(table(args.data_dir))


if __name__ == "__main__":
    main()
