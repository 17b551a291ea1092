"""What two processes of one thread take for a training step, against one process of two threads, and of one.

    python -m benchmarks processes                      LeNet-SNN, 2/2 bits, batches of 256 images of noise
    python -m benchmarks processes --rounds 5 --steps 20

Rounds alternate. Wall-clock time is the median over the steps of all rounds; processor time is that of all threads and
processes together, where threads that wait for one another count as busy; against one thread it tells what was computed
twice.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise

import torch

from spquant_snn.train.augment import default_augmentation
from spquant_snn.train.checkpoint import Progress
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.console import Display
from spquant_snn.train.distributed import join
from spquant_snn.train.loading import build_network
from spquant_snn.train.loop import Training, fit
from spquant_snn.train.metrics import Metrics
from spquant_snn.train.optimizer import make_optimizer
from spquant_snn.train.tensors import LabelledTensors

BATCH, WARM = 256, 3


class Clock(Display):
    """Notes when each step ended."""

    def __init__(self) -> None:
        super().__init__(1, quiet=True)
        self.times: list[tuple[float, float]] = []

    def step(self, loss: float, accuracy: float | None) -> None:
        self.times.append((time.perf_counter(), time.process_time()))


def keep(progress: Progress, loss: float, accuracy: float | None, metrics: Metrics) -> Progress:
    """Nothing is kept of the only epoch."""
    return Progress(progress.epochs + 1)


def train(args: argparse.Namespace) -> None:
    """One process of a training; the first prints seconds of the steps, and processor seconds a step of all."""
    world, count = join(), BATCH * (args.steps + WARM)
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=draw)
    data = LabelledTensors(images, torch.randint(10, (count,), generator=draw))
    config = TrainConfig(model=args.model, epochs=1, batch_size=BATCH, precision=args.precision, validation=1)
    network, clock = build_network(config, (1, 28, 28), 10), Clock()
    few = LabelledTensors(data.images[:1], data.labels[:1])
    optimizer, augmentation = make_optimizer(network, config), default_augmentation("mnist")
    training = Training(network, optimizer, config, augmentation, world=world)
    fit(training, data, few, start=Progress(), keep=keep, display=clock)
    wall, work = zip(*clock.times[WARM - 1 :], strict=True)
    used = world.gather((work[-1] - work[0]) / args.steps)
    if world.first:
        print(json.dumps([[b - a for a, b in pairwise(wall)], sum(used)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--model", default="lenet-snn")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        train(args)
        return
    one = [sys.executable]
    two = [*one, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    two += ["--rdzv-endpoint", "localhost:0"]
    variants = {
        "1 process, 2 threads": (one, "2"),
        "1 process, 1 thread": (one, "1"),
        "2 processes, 1 thread": (two, "1"),
    }
    walls: dict[str, list[float]] = {name: [] for name in variants}
    works: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(args.rounds):
        for name, (start, threads) in variants.items():
            call = [*start, "-m", "benchmarks", "processes", "--worker", *sys.argv[1:]]
            environment = os.environ | {"OMP_NUM_THREADS": threads}
            said = subprocess.run(call, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            steps, work = json.loads(said.splitlines()[-1])
            walls[name] += steps
            works[name].append(work)
    wall = {name: statistics.median(times) for name, times in walls.items()}
    work = {name: statistics.median(times) for name, times in works.items()}
    for name in variants:
        print(f"{name:22} {1000 * wall[name]:8.1f} ms a step, {1000 * work[name]:8.1f} ms of processors")
    *others, last = variants
    for name in others:
        print(f"against {name:21} {wall[last] / wall[name]:5.2f} {work[last] / work[name]:20.2f}")


if __name__ == "__main__":
    main()
