"""What ``spquant sweep`` does, as functions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..data import load, of_events
from ..errors import ConfigError
from ..nn.models import build_model
from ..report.comparison import Comparison
from ..sweep.points import Point, read_sweep
from ..sweep.processes import train_all
from ..sweep.status import PointRun, Status, SweepRuns, find_runs
from ..train.config import TrainOptions
from .commands import compare_runs


@dataclass(frozen=True)
class Sweep:
    """A sweep as the command line asks for it.

    Args:
        file: that lists the points.
        out: folder of their runs.
        data_dir, device, threads: of every training, as ``spquant train`` takes them; None and 0 leave it to that.
    """

    file: Path
    out: Path
    data_dir: Path | None = None
    device: str | None = None
    threads: int = 0

    def places(self) -> SweepRuns:
        """Its points, checked, and where they stand."""
        return find_runs(read_sweep(self.file), self.out)

    def arguments(self, place: PointRun, standing: Status) -> list[str]:
        """What follows ``spquant`` to train a point to its end; of a finished one, what trained it."""
        if standing == "begun":
            words = ["train", "--resume", str(place.run.path)]
        else:
            words = ["train", *_flags(place.point), "--out", str(place.run.path)]
        words += [] if self.data_dir is None else ["--data-dir", str(self.data_dir)]
        words += [] if self.device is None else ["--device", self.device]
        return words + ([] if not self.threads else ["--threads", str(self.threads)])


def one_of(places: Sequence[PointRun], index: int | None) -> Sequence[PointRun]:
    """The place of that number; all of them, if none is given.

    Raises:
        ConfigError: there is none.
    """
    if index is None:
        return places
    if not 0 <= index < len(places):
        raise ConfigError(f"there is no point {index}: the sweep has {len(places)}, from 0 to {len(places) - 1}")
    return [places[index]]


def train_points(
    sweep: Sweep, places: Sequence[PointRun], jobs: int, launcher: str | None, tell: Callable[[str], None]
) -> tuple[PointRun, ...]:
    """Train what is not finished; returns the points that failed.

    Args:
        jobs: how many at a time.
        launcher: a command line that runs a Python module, up to ``-m``; this Python by default.

    Raises:
        ConfigError, DataError, RunError: what is asked for does not exist; nothing was trained then.
        KeyboardInterrupt: it was stopped.
    """
    try:
        start = [sys.executable] if launcher is None else shlex.split(launcher)
    except ValueError as error:
        raise ConfigError(f"--launcher is no command line ({error}): quote it as a shell does") from None
    if not start:
        raise ConfigError("--launcher is empty: name a command that runs a Python module, or leave it out")
    _try([place.point for place in places if place.standing() != "finished"], sweep.data_dir)
    return train_all(places, lambda *which: [*start, "-m", "spquant_snn", *sweep.arguments(*which)], jobs, tell)


def compare_points(sweep: Sweep, places: Sequence[PointRun], images: int) -> dict[Path, Comparison]:
    """Finished points beside one another, by the page that they go on: report.html; or one for each data set, and for
    recordings one for each number of time steps, since only those of one can be compared."""
    groups: dict[str, list[Path]] = {}
    for place in places:
        name, steps = place.point.config.dataset, place.point.config.timesteps
        title = f"{name}-T{steps}" if of_events(name) else name
        groups.setdefault(title.replace(":", "x"), []).append(place.run.path)
    return {
        sweep.out / ("report.html" if len(groups) == 1 else f"report-{title}.html"): compare_runs(
            runs, None, images, sweep.data_dir
        )
        for title, runs in groups.items()
    }


def _flags(point: Point) -> list[str]:
    words: list[str] = []
    for name, value in point.options.items():
        if value == "" == getattr(TrainOptions, name):
            continue  # none, as by default; on a command line nothing is empty
        flag = name.replace("_", "-")
        words += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def _try(points: Sequence[Point], data_dir: Path | None) -> None:
    """Read each data set once and lay out each model for it, so that a wrong name shows before anything is trained."""
    needed: dict[tuple[str, int], set[str]] = {}
    for config in (point.config for point in points):
        key = config.dataset, config.timesteps if of_events(config.dataset) else 1
        needed.setdefault(key, set()).add(config.model)
    for (dataset, timesteps), models in needed.items():
        data = load(dataset, data_dir, timesteps=timesteps)
        with torch.device("meta"):
            for model in sorted(models):
                build_model(model, data.shape, data.classes)
