"""Weight quantisers compared: the default, LSQ, the default about the mean of each channel, and plain fp32.

    python -m benchmarks quantizers                            # brightness, sums, tables, digits: minutes
    python -m benchmarks quantizers --tasks mnist --epochs 3   # LeNet-SNN; half an hour of one core
    python -m benchmarks quantizers --tasks cifar10 --epochs 6 # VGG-9 with a quarter of its channels; hours

Prints a table: accuracy in percent on images held out of training, after the last epoch, mean over the seeds. A test
set is not used. Finished trainings are kept in --out and skipped. The tables (iris, wine, breast cancer) are so small
that a third of them is held out, another one for each seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spquant_snn import LIF, SpQuantTrainer
from spquant_snn.io.writing import replace_file
from spquant_snn.quant.synapse import Synapse
from spquant_snn.quant.weight import Normalized

Pair = tuple[Tensor, Tensor]
WIDTHS = ("8", "4", "2", "ternary")
VARIANTS = ("normalized", "learned", "centred")
TABLES = ("iris", "wine", "breast_cancer")
CHEAP = ("brightness", "sum", *TABLES, "digits")
EPOCHS = {"brightness": 5, "sum": 30, "digits": 20, "mnist": 6, "cifar10": 6} | dict.fromkeys(TABLES, 60)


class Centred(Normalized):
    """The default about the mean of each channel: no channel sees what its inputs have in common."""

    def codes(self, weight: Tensor) -> Tensor:
        flat = weight.flatten(1)
        return super().codes((flat - flat.mean(1, keepdim=True)).view_as(weight))


def brightness(seed: int) -> tuple[Pair, Pair]:
    """Bright and dark pictures of noise."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, 3000)
    pixels = np.where(labels, 150, 105)[:, None, None, None] + draw.normal(0, 40, (3000, 1, 8, 8))
    return split(np.clip(pixels, 0, 255), labels, 2000)


def sums(seed: int) -> tuple[Pair, Pair]:
    """Four inputs: is their sum large?"""
    draw = np.random.default_rng(seed)
    inputs = draw.integers(0, 256, (1536, 4, 1, 1))
    return split(inputs, (inputs.sum((1, 2, 3)) > 4 * 127.5).astype(int), 1024)


def table(name: str, seed: int) -> tuple[Pair, Pair]:
    """A table of scikit-learn, its columns scaled to bytes."""
    import sklearn.datasets

    found = getattr(sklearn.datasets, f"load_{name}")()
    order = np.random.default_rng(seed).permutation(len(found.target))
    rows, count = found.data[order], 2 * len(order) // 3
    low, high = rows[:count].min(0), rows[:count].max(0)
    scaled = np.clip(255 * (rows - low) / (high - low), 0, 255)
    return split(scaled[:, :, None, None], found.target[order], count)


def split(inputs: Any, labels: Any, count: int) -> tuple[Pair, Pair]:
    x, y = torch.from_numpy(np.asarray(inputs).round().astype(np.uint8)), torch.from_numpy(np.asarray(labels))
    return (x[:count], y[:count]), (x[count:], y[count:])


def perceptron(inputs: int, classes: int) -> nn.Module:
    hidden = nn.Linear(inputs, 64)
    return nn.Sequential(nn.Flatten(), hidden, nn.BatchNorm1d(64), LIF(), nn.Linear(64, classes))


def task(name: str, seed: int) -> tuple[Callable[[], nn.Module] | str, Any, dict[str, Any]]:
    """Model, data and options of a task."""
    if name in ("mnist", "digits"):
        return "lenet-snn" if name == "mnist" else "lenet-snn:0.5", name, {}
    if name == "cifar10":
        options = {"timesteps": 4, "batch_size": 128, "learning_rate": 2e-3, "label_smoothing": 0.05}
        return "vgg9-snn:0.25", name, options
    data = {"brightness": brightness, "sum": sums}[name](seed) if name not in TABLES else table(name, seed)
    inputs, classes = data[0][0][0].numel(), int(data[0][1].max()) + 1
    options = {"timesteps": 4, "batch_size": 32, "validation": len(data[0][0]) // 10}
    return lambda: perceptron(inputs, classes), data, options


def score(args: argparse.Namespace, name: str, variant: str, bits: str, seed: int) -> float:
    """Accuracy in percent on what was held out, trained now or before."""
    out: Path = args.out / f"{name}-{args.epochs or EPOCHS[name]}-{bits}-{variant}-s{seed}"
    kept = out.with_suffix(".json")
    if kept.exists():
        return float(json.loads(kept.read_text()))
    model, data, options = task(name, seed)
    torch.manual_seed(seed)
    trainer = SpQuantTrainer(
        model if isinstance(model, str) else model(),
        data,
        bits,
        out=out,
        seed=seed,
        epochs=args.epochs or EPOCHS[name],
        weight_quantizer="learned" if variant == "learned" else "normalized",
        data_dir=args.data_dir,
        device="cpu",
        quiet=True,
        **options,
    )
    if variant == "centred":
        for synapse in (module for module in trainer.network.modules() if isinstance(module, Synapse)):
            old = synapse.quantizer
            if type(old) is Normalized:
                width = 1.58 if bits == "ternary" else float(bits)
                synapse.quantizer = Centred(synapse.weight, width, old.gain.requires_grad, old.per_tensor)
    trainer.train()
    if isinstance(data, str):
        lines = (out / "metrics.jsonl").read_text().splitlines()
        found = float(json.loads(lines[-1])["val_accuracy"])
    else:
        found = trainer.evaluate()
    replace_file(kept, json.dumps(found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=[*CHEAP, "mnist", "cifar10"], default=list(CHEAP))
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=0, help="another number than the task's own")
    parser.add_argument("--out", type=Path, default=Path("runs/quantizers"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    columns = [("fp32", "32"), *itertools.product(args.variants, args.widths)]
    rows = [["task", *(v if v == "fp32" else f"{v} {w}" for v, w in columns)], ["---"] * (1 + len(columns))]
    for name in args.tasks:
        cells = [name]
        for variant, bits in columns:
            cells.append(f"{statistics.mean(score(args, name, variant, bits, seed) for seed in args.seeds):.1f}")
            print(name, variant, bits, cells[-1], flush=True)
        rows.append(cells)
    print("\n".join("| " + " | ".join(row) + " |" for row in rows))


if __name__ == "__main__":
    main()
