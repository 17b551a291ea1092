"""What each of several processes does for test_distributed.py, and one alone for comparison.

torchrun ... torchrun_jobs.py jobs FOLDER      run the jobs of FOLDER/jobs.pt, write what came out into FOLDER
torchrun ... torchrun_jobs.py shares FOLDER    what each of them reads of data sets, and what all learn of it
torchrun ... torchrun_jobs.py dies COMMAND     the command line, of which process 1 dies by SIGKILL once, in epoch 3
"""

import copy
import io
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from spquant_snn import LIF, DataError, RunError, SpQuantError, SpQuantTrainer
from spquant_snn.__main__ import main
from spquant_snn.quant.network import SpikingNetwork
from spquant_snn.sparsity.training import SparseTraining
from spquant_snn.train.augment import Augmentation
from spquant_snn.train.batches import DataPass
from spquant_snn.train.checkpoint import Progress
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.console import Display
from spquant_snn.train.distributed import ALONE, World, join
from spquant_snn.train.loop import Training, fit
from spquant_snn.train.optimizer import make_optimizer
from spquant_snn.train.resolve import resolve
from spquant_snn.train.run_owner import BestCheckpoint
from spquant_snn.train.tensors import LabelledTensors


@dataclass
class Job:
    """A training of few steps."""

    network: SpikingNetwork
    train: LabelledTensors
    validation: LabelledTensors
    config: TrainConfig
    augmentation: Augmentation = field(default_factory=Augmentation)


class Recorder(Display):
    """Keeps what a person would see."""

    def __init__(self) -> None:
        super().__init__(1, Console(file=io.StringIO()), quiet=True)
        self.steps: list[tuple[float, float]] = []

    def step(self, loss, accuracy):
        self.steps.append((loss, accuracy))


def run(job: Job, world: World = ALONE):
    """Loss and accuracy of the epoch after each step, metrics of each epoch, and the weights in the end."""
    network, metrics, seen = copy.deepcopy(job.network), [], Recorder()

    def keep(progress, loss, accuracy, found):
        metrics.append(found)
        return Progress(progress.epochs + 1)

    sparse = SparseTraining(network, job.config.goals, job.config.epochs) if job.config.goals.any else None
    optimizer = make_optimizer(network, job.config)
    training = Training(network, optimizer, job.config, job.augmentation, None, sparse, world=world)
    fit(training, job.train, job.validation, start=Progress(), keep=keep, display=seen)
    return seen.steps, metrics, network.state_dict()


def fails(act, world: World):
    """The error of something that all processes do, as each of them meets it."""
    try:
        act()
    except SpQuantError as error:
        return world.gather((type(error), str(error), error.reported))
    return None


def refuse(error):
    raise error


class Items(Dataset):
    """Dark and bright images, one of which cannot be read."""

    def __init__(self, count: int, bad: int = -1) -> None:
        self.count, self.bad = count, bad

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.bad:
            raise OSError("torn")
        return torch.full((1, 8, 8), index % 2 * 200, dtype=torch.uint8), index % 2


class Numbered(Items):
    """Images whose first pixel is their number."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        image[0, 0, 0] = index
        return image, label


class Stream(IterableDataset):
    """The same, one after the other."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self):
        return (Numbered(self.count)[index] for index in range(self.count))


def varied(count: int, seed: int):
    """Dark and bright sequences of 1 to 4 frames."""
    lengths = torch.randint(1, 5, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    return [
        (torch.full((steps, 1, 8, 8), n % 2 * 3 + n % 3, dtype=torch.uint8), n % 2) for n, steps in enumerate(lengths)
    ]


def trainer_on(name: str | Path, *data: object) -> SpQuantTrainer:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), LIF(), nn.Dropout(0.2), nn.Linear(8, 2))
    settings = {"epochs": 1, "batch_size": 16, "device": "cpu", "quiet": True, "precision": "fp32", "workers": 0}
    settings["timesteps"] = 4 if isinstance(data[0], list) else 2
    settings["steps_per_epoch"] = 4 if isinstance(data[0], Stream) else 0
    return SpQuantTrainer(net, data, out=name, **settings)


def train_on(name: str, *data: object) -> None:
    trainer_on(name, *data).train()


SETS = {
    "items": (Numbered(64), Items(20), Items(20)),
    "stream": (Stream(64), Items(20), Items(20)),
    "lengths": (varied(60, 0), varied(20, 1)),
}


def shares(folder: Path) -> None:
    world, outcome = join(), {}
    for name, data in SETS.items():
        trainer = trainer_on(folder / name, *data)
        read = []
        if trainer._streams is not None:
            read = trainer._streams.train.drawn(torch.Generator().manual_seed(3), 16, DataPass(world=world))
        mine = [batch.images[:, 0, 0, 0].tolist() for batch in read]
        trainer.train()
        outcome[name] = world.gather((mine, trainer.network.state_dict()))
    if world.first:
        torch.save(outcome, folder / "outcome.pt")


def breaks(rank: int):
    """Numbers of which the second process can read one alone."""
    yield 1
    if rank:
        raise DataError("no second one")
    yield 2


def stop_after(epochs: int) -> None:
    """Let the next training stop once so many epochs are kept."""
    whole, done = BestCheckpoint.keep, []

    def stopping(self, *args):
        if len(done) == epochs:
            BestCheckpoint.keep = whole
            raise KeyboardInterrupt
        done.append(1)
        return whole(self, *args)

    BestCheckpoint.keep = stopping


def jobs(folder: Path) -> None:
    world, given = join(), torch.load(folder / "jobs.pt", weights_only=False)
    outcome = {name: run(job, world) for name, job in given["jobs"].items()}
    outcome["numbers"] = world.gather((world.rank, world.size, world.local_rank, world.local_size))
    outcome["one fails"] = fails(
        lambda: world.together(lambda: refuse(DataError("no data here")) if world.rank == 1 else 3), world
    )
    outcome["all fail"] = fails(lambda: world.together(lambda: refuse(DataError("no data"))), world)
    outcome["first fails"] = fails(lambda: world.from_first(lambda: refuse(RunError("no room"))), world)
    outcome["from first"] = world.gather(world.from_first(lambda: f"of {world.rank}"))
    for name, change in given["refused"].items():
        job = given["jobs"]["plain"]
        small = TrainConfig(model="custom", dataset="custom", **change)
        outcome[name] = fails(
            lambda small=small, job=job: world.together(
                lambda: resolve(small, len(job.train), job.network, torch.device("cpu"), world)
            ),
            world,
        )
    outcome["unread"] = fails(lambda: list(world.in_step(breaks(world.rank))), world)
    outcome["ended"] = fails(lambda: list(world.in_step(iter(range(2 + world.rank)))), world)
    outcome["read"] = list(world.in_step(iter(range(3))))
    os.chdir(folder)
    good = Items(20)
    outcome["unread in training"] = fails(lambda: train_on("a", Items(640, 37), good, good), world)
    outcome["unread in validation"] = fails(lambda: train_on("b", Items(64), Items(640, 7), good), world)
    outcome["resumed"] = SpQuantTrainer.resume("one", quiet=True).train().evaluate()
    stop_after(1)
    try:
        SpQuantTrainer(**given["trainer"], out="two").train()
    except KeyboardInterrupt:
        outcome["stopped"] = True
    if world.first:
        torch.save(outcome, folder / "outcome.pt")


def dies() -> int:
    whole, kept = BestCheckpoint.keep, []

    def dying(self, *args):
        kept.append(1)
        if len(kept) == 3 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, *args)

    BestCheckpoint.keep = dying
    sys.argv[1:] = sys.argv[2:]
    return main()


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "dies":
        sys.exit(dies())
    (shares if sys.argv[1] == "shares" else jobs)(Path(sys.argv[2]))
