"""The generated gestures: what they look like, and what is left of them without the order of their frames.

    python -m benchmarks gestures sheet --out gestures.png            # a row for each class, 16 frames side by side
    python -m benchmarks gestures train --model vgg9-snn:0.25         # three trainings, a table

Three networks of one configuration are trained and tested: on the frames in their order, on the frames of each
recording in an order drawn at random, and on the sum of all frames shown at every step.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from spquant_snn import SpQuantTrainer
from spquant_snn.data import Labelled, Splits, load
from spquant_snn.data.frames import Framing, to_frames
from spquant_snn.data.gestures import CLASSES, Studio
from spquant_snn.report.draw.png import indexed

VARIANTS = {"in their order": "order", "shuffled": "shuffle", "summed": "sum"}
_SHADES = 4  # of each polarity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser("sheet", help="write a picture of one recording of each class")
    sheet.add_argument("--out", type=Path, default=Path("gestures.png"))
    sheet.add_argument("--subject", type=int, default=0)
    sheet.add_argument("--trial", type=int, default=0)
    sheet.add_argument("--timesteps", type=int, default=16)
    train = commands.add_parser("train", help="train the three variants")
    train.add_argument("--dataset", default="gestures:32")
    train.add_argument("--model", default="lenet-snn:0.5")
    train.add_argument("--bits", default="2")
    train.add_argument("--timesteps", type=int, default=16)
    train.add_argument("--epochs", type=int, default=15)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", type=Path, default=Path("runs/gestures"))
    args = parser.parse_args()
    if args.command == "sheet":
        args.out.write_bytes(draw_sheet(args.subject, args.trial, args.timesteps))
        print(f"{args.out}: from top to bottom {', '.join(CLASSES)}")
    else:
        train_variants(args)


def train_variants(args: argparse.Namespace) -> None:
    data = load(args.dataset, timesteps=args.timesteps)
    table = Table(title=f"{args.model} on {args.dataset}, {args.bits} bits, T = {args.timesteps}, seed {args.seed}")
    table.add_column("frames")
    table.add_column("test accuracy, %", justify="right")
    for name, variant in VARIANTS.items():
        altered = Splits(data.name, alter(data.train, variant, 0), alter(data.test, variant, 1), data.task)
        trainer = SpQuantTrainer(
            args.model,
            altered,
            args.bits,
            timesteps=args.timesteps,
            seed=args.seed,
            out=args.out / f"{variant}-{args.model.replace(':', 'x')}-{args.bits}-s{args.seed}",
        )
        table.add_row(name, f"{trainer.train(epochs=args.epochs).evaluate():.2f}")
    Console().print(table)


def alter(data: Labelled, variant: str, seed: int) -> Labelled:
    """The sequences in their order, in an order drawn for each, or as their sum at every step."""
    if variant == "order":
        return data
    if variant == "shuffle":
        draws = torch.rand(data.images.shape[:2], generator=torch.Generator().manual_seed(seed))
        return replace(data, images=data.images[np.arange(len(data))[:, None], draws.argsort(1).numpy()])
    sums = np.minimum(data.images.sum(1, keepdims=True), 255).astype(np.uint8)
    return replace(data, images=np.repeat(sums, data.images.shape[1], axis=1))


def draw_sheet(subject: int, trial: int, steps: int) -> bytes:
    """A PNG: brighter events orange, darker ones blue."""
    rows = []
    for events in Studio().play([(label, subject, trial) for label in range(len(CLASSES))]):
        counts = np.minimum(to_frames(events, Framing(steps=steps)).counts, _SHADES - 1)
        frames = counts[:, 1] * _SHADES + counts[:, 0]  # [T, H, W]
        rows.append(np.concatenate([np.pad(f, ((0, 2), (0, 2)), constant_values=_SHADES**2) for f in frames], 1))
    grey, palette = (128, 128, 128, 255), []
    for on in range(_SHADES):
        palette += [(255 - 80 * off, 255 - 40 * (on + off), 255 - 80 * on, 255) for off in range(_SHADES)]
    return indexed(np.concatenate(rows).astype(np.uint8), [*palette, grey])


if __name__ == "__main__":
    main()
