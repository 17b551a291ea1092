"""What reading data costs beside the steps of a training: against a plain loop of torch, and of 200,000 lazy items.

    python -m benchmarks loading                                # all three
    python -m benchmarks loading items --workers 2 --rounds 7   # a cheap item read by worker processes
    python -m benchmarks loading memory                         # MNIST by name, which lies in memory
    python -m benchmarks loading lazy --items 200000            # floats 3x64x64: time and memory to the first step

``items`` and ``memory`` take the same step of the same network on batches of ours and on those of a plain loop, epoch
after epoch in turn: torch's own DataLoader with as many workers, or slices of shuffled tensors. Throughput is theirs in
time over ours: wall-clock, and processor time of all processes, which others on the machine disturb little. Workers
start anew with each epoch, in both.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from spquant_snn import LIF, SpQuantTrainer
from spquant_snn.train.batches import DataPass
from spquant_snn.train.optimizer import make_optimizer
from spquant_snn.train.step import Step

PARTS = ("items", "memory", "lazy")
BATCH = 64
Pairs = Iterable[tuple[Tensor, Tensor]]


class Cheap(Dataset[tuple[Tensor, int]]):
    """Images that lie in memory."""

    def __init__(self, items: int) -> None:
        self.images = torch.randint(0, 256, (items, 1, 28, 28), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], index % 10


class Lazy(Dataset[tuple[Tensor, int]]):
    """Images that are made when they are asked for."""

    def __init__(self, items: int) -> None:
        self.items = items

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.rand(3, 64, 64) * 0.5 + 0.5 * (index % 2), index % 2


class FirstStep(Exception):
    """The first step is done."""


def small(channels: int, outputs: int, side: int) -> nn.Module:
    convolution = nn.Conv2d(channels, 8, 4, stride=4), nn.BatchNorm2d(8), LIF()
    return nn.Sequential(*convolution, nn.Flatten(), nn.Linear(8 * (side // 4) ** 2, outputs))


@dataclass(frozen=True)
class Seconds:
    """By the clock, and of processors."""

    wall: float
    processors: float

    def __sub__(self, start: Seconds) -> Seconds:
        return Seconds(self.wall - start.wall, self.processors - start.processors)

    def __str__(self) -> str:
        return f"{self.wall:.2f} s, {self.processors:.2f} s of processors"


def now() -> Seconds:
    """Of this process, and of workers that have ended."""
    return Seconds(time.perf_counter(), sum(os.times()[:4]))


def epoch_of(trainer: SpQuantTrainer) -> Callable[[Pairs], Seconds]:
    """Trains for an epoch on batches, and says how long that took."""
    config = trainer.config
    network, optimizer = trainer.network.train(), make_optimizer(trainer.network, config)
    step = Step(network, config, None, None, True)

    def run(batches: Pairs) -> Seconds:
        start = now()
        for images, labels in batches:
            optimizer.zero_grad(set_to_none=True)
            step(images, labels, 0.0, 1.0)
            optimizer.step()
        return now() - start

    return run


def in_turn(
    what: str, rounds: int, run: Callable[[Pairs], Seconds], ours: Callable[[int], Pairs], plain: Pairs
) -> None:
    """Epochs of both in turn; each round's ratio of times, and their medians."""
    ratios = []
    run(ours(0)), run(plain)
    for number in range(1, rounds + 1):
        pair = [ours(number), plain]
        times = [run(batches) for batches in (pair if number % 2 else pair[::-1])]
        mine, theirs = times if number % 2 else times[::-1]
        ratios.append((theirs.wall / mine.wall, theirs.processors / mine.processors))
        print(f"  round {number}: ours {mine}; plain {theirs}", flush=True)
    for clock, found in zip(("the clock", "processor time"), zip(*ratios, strict=True), strict=True):
        spread = f"{min(found):.3f} to {max(found):.3f} in {rounds} rounds"
        print(f"{what}: throughput {statistics.median(found):.3f} of the plain loop's by {clock} ({spread})")


def read_by_workers(args: argparse.Namespace) -> None:
    data = Cheap(args.items or 20_000)
    options = {"batch_size": BATCH, "workers": args.workers, "precision": "fp32", "quiet": True, "validation": 1}
    trainer = SpQuantTrainer(small(1, 10, 28), (data, data), 2, timesteps=2, device="cpu", **options)
    streams = trainer._streams
    assert streams is not None

    def ours(number: int) -> Pairs:
        drawn = streams.train.drawn(torch.Generator().manual_seed(number), BATCH, DataPass(number))
        return ((batch.inputs(), batch.labels) for batch in drawn)

    plain = DataLoader(data, BATCH, shuffle=True, num_workers=args.workers)
    in_turn(f"items by {args.workers} workers", args.rounds, epoch_of(trainer), ours, plain)


class Shuffled:
    """Slices of tensors in a new order each time."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __iter__(self):  # type: ignore[no-untyped-def]
        for rows in torch.randperm(len(self.images)).split(BATCH):
            yield self.images[rows], self.labels[rows]


def in_memory(args: argparse.Namespace) -> None:
    options: dict[str, Any] = {"timesteps": 2, "device": "cpu", "batch_size": BATCH, "validation": 5000}
    options |= {"precision": "fp32", "quiet": True}
    trainer = SpQuantTrainer(small(1, 10, 28), "mnist", 2, **options)
    train, _ = trainer._split()

    def ours(number: int) -> Pairs:
        drawn = train.drawn(torch.Generator().manual_seed(number), BATCH, DataPass(number))
        return ((batch.inputs(), batch.labels) for batch in drawn)

    in_turn("MNIST by name", args.rounds, epoch_of(trainer), ours, Shuffled(train.images, train.labels))  # type: ignore[attr-defined]


def to_the_first_step(args: argparse.Namespace) -> None:
    """Needs a process that held little before: run it by itself."""
    calls = count()

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        if next(calls):
            raise FirstStep
        return nn.functional.cross_entropy(outputs, labels)

    items = args.items or 200_000
    model, before, start = small(3, 2, 64), peak(), now()
    with tempfile.TemporaryDirectory() as folder:
        options = {"timesteps": 2, "quiet": True, "device": "cpu", "out": folder + "/run", "workers": args.workers}
        trainer = SpQuantTrainer(model, (Lazy(items), Lazy(500)), 2, loss=loss, **options)
        made = now() - start
        try:
            trainer.train(epochs=1)
        except FirstStep:
            first = now() - start
    grown = peak() - before
    print(f"{items:,} lazy items 3x64x64: made in {made}, first step behind {first}, {grown:.0f} MB more")


def peak() -> float:
    """The most memory that this process held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "part", nargs="*", choices=[*PARTS, []], metavar="part", help=f"{', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, help="of the data set; 20,000 cheap or 200,000 lazy ones by default")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = args.part or ["lazy", "items", "memory"]  # the first while nothing else is held
    for part in chosen:
        {"items": read_by_workers, "memory": in_memory, "lazy": to_the_first_step}[part](args)
