"""A regression on a generated signal, the frequency of a noisy oscillation: 2-bit weights and membranes against fp32.

    python -m benchmarks regression --seeds 0 1 2

Windows of 64 samples hold an oscillation of any phase and amplitude in noise; what is asked for is its frequency, in Hz
at 100 samples a second. Both networks are the same, trained by the same recipe; errors are those of test windows, in
the form that ships. Prints a table.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from spquant_snn import LIF, SpQuantTrainer
from spquant_snn.data import Task

SAMPLES, RATE = 64, 100.0
HERTZ = Task("regression", 1, ("frequency",), "Hz")


def windows(count: int, seed: int, noise: float) -> tuple[Tensor, Tensor]:
    """Windows uint8 [N, 1, 1, 64], and their frequencies in Hz, float32 [N]."""
    draw = np.random.default_rng(seed)
    hertz = draw.uniform(1, 12, (count, 1))
    phase, size = draw.uniform(0, 2 * np.pi, (count, 1)), draw.uniform(0.4, 1, (count, 1))
    signal = size * np.sin(2 * np.pi * hertz * np.arange(SAMPLES) / RATE + phase)
    signal += draw.normal(0, noise, (count, SAMPLES))
    pixels = np.clip(np.rint(127.5 + 50 * signal), 0, 255).astype(np.uint8)
    return torch.from_numpy(pixels[:, None, None]), torch.from_numpy(hertz[:, 0].astype(np.float32))


def network(seed: int) -> nn.Module:
    """Two convolutions along the window, and two linear layers."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 32, (1, 9), padding=(0, 4), bias=False),
        nn.BatchNorm2d(32),
        LIF(),
        nn.AvgPool2d((1, 2)),
        nn.Conv2d(32, 32, (1, 9), padding=(0, 4), bias=False),
        nn.BatchNorm2d(32),
        LIF(),
        nn.AvgPool2d((1, 4)),
        nn.Flatten(),
        nn.Linear(256, 128, bias=False),
        nn.BatchNorm1d(128),
        LIF(),
        nn.Linear(128, 1),
    )


def error(bits: float, seed: int, args: argparse.Namespace, out: Path) -> float:
    """RMSE in Hz on test windows."""
    data = (windows(8000, 1, args.noise), windows(2000, 2, args.noise))
    trainer = SpQuantTrainer(
        network(seed),
        data,
        bits,
        task=HERTZ,
        timesteps=args.timesteps,
        seed=seed,
        batch_size=128,
        augment=False,
        quiet=True,
        out=out / f"{bits:g}-{seed}",
    )
    return trainer.train(epochs=args.epochs).evaluate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--noise", type=float, default=0.5, help="its deviation, beside amplitudes of 0.4 to 1")
    args = parser.parse_args()
    table = Table("seed", "RMSE at fp32, Hz", "at 2/2 bits, Hz", "times")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in args.seeds:
            found.append([error(bits, seed, args, Path(folder)) for bits in (32, 2)])
            table.add_row(str(seed), *(f"{x:.3f}" for x in found[-1]), f"{found[-1][1] / found[-1][0]:.2f}")
    plain, few = (fmean(column) for column in zip(*found, strict=True))
    table.add_row("mean", f"{plain:.3f}", f"{few:.3f}", f"{few / plain:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
