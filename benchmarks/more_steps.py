"""Accuracy of a shipped network shown an image for other numbers of time steps, and stopped when decided.

    python -m benchmarks more_steps examples/cifar10/vgg9-2-2.spq --dataset cifar10 --validation 5000

No weight is trained. What is chosen is chosen on training images that were held out, as in the network's training: the
fewest steps that come within 0.1 points of the best number, and the lowest margin, as a share of the median lead behind
so many steps, that loses nothing there. Then the test images are met: at the steps of the training, at those chosen,
and with the margin.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spquant_snn import Program, load
from spquant_snn.data import Labelled, hold_out
from spquant_snn.data import load as load_data

STEPS = (2, 3, 4, 5, 6, 8, 12)
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of the median lead
NEAR = 0.1  # points


def accuracy(program: Program, data: Labelled, threads: int) -> float:
    return 100 * float((program.predict(data.images, threads=threads) == data.labels).mean())


def stopped(program: Program, data: Labelled, margin: int, threads: int) -> tuple[float, float]:
    """Accuracy in percent, and the steps that an image takes in the mean."""
    found = program.stop_early(data.images, margin, threads=threads)
    return 100 * float((found.classes == data.labels).mean()), float(found.steps.mean())


def margins(program: Program, data: Labelled, threads: int) -> list[int]:
    logits = np.sort(program.logits(data.images, threads=threads).astype(np.int64), 1)
    return [int(np.median(logits[:, -1] - logits[:, -2]) * share) for share in SHARES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help=".spq file")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--validation", type=int, default=5000, help="images held out, as in its training")
    parser.add_argument("--seed", type=int, default=0, help="of its training, which drew them")
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    data, trained = load_data(args.dataset, args.data_dir), load(args.network).timesteps
    validation = hold_out(data.train, args.validation, args.seed)[1]
    found = {}
    for steps in args.steps:
        found[steps] = accuracy(load(args.network, timesteps=steps), validation, args.threads)
        print(f"validation, T = {steps}: {found[steps]:.2f} %", flush=True)
    chosen = min(steps for steps, right in found.items() if right >= max(found.values()) - NEAR)
    program, best = load(args.network, timesteps=chosen), None
    for margin in margins(program, validation, args.threads):
        right, taken = stopped(program, validation, margin, args.threads)
        print(f"validation, T = {chosen}, margin {margin:,}: {right:.2f} %, {taken:.2f} steps", flush=True)
        best = margin if best is None and right >= found[chosen] else best
    for steps in sorted({trained, chosen}):
        right = accuracy(load(args.network, timesteps=steps), data.test, args.threads)
        print(f"test, T = {steps}: {right:.2f} %", flush=True)
    if best is not None:
        right, taken = stopped(program, data.test, best, args.threads)
        print(f"test, T = {chosen}, margin {best:,}: {right:.2f} %, {taken:.2f} steps", flush=True)


if __name__ == "__main__":
    main()
