"""``spquant sweep``: many trainings, each in a process of its own, and then a comparison."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import ConfigError
from ..io.output import say, say_error
from ..train.config import TrainOptions
from .options import DataDir, Device, Flag, OptionalFolder, check_threads, unset
from .test_set import TestSet

if TYPE_CHECKING:
    from ..report.comparison import Comparison
    from ..sweep.points import Point
    from ..sweep.status import PointRun, Status, SweepRuns


def command(
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")],
    out: OptionalFolder = None,
    jobs: int = 1,
    as_list: Annotated[Flag, tyro.conf.arg(name="list")] = False,
    point: Annotated[int | None, unset(metavar="K")] = None,
    launcher: Annotated[str | None, unset(metavar="COMMAND")] = None,
    count: int = 0,
    data_dir: DataDir = None,
    device: Device = None,
    threads: int = 0,
) -> int:
    """Train the points of a sweep, each in a process, and compare them.

    Args:
        file: TOML: options that all points share, lists below [cross], points below [[point]], seeds.
        out: folder of the runs; runs/<name of the file> by default.
        jobs: points at a time.
        as_list: print each point's number, name and command, and train nothing.
        point: train only the point of this number, and compare nothing; for the jobs of a cluster.
        launcher: what runs "-m spquant_snn train ..." for a point, as "torchrun --nproc-per-node 2"; this Python by
            default.
        count: how many of the test images points are compared on in the end; 0 takes all.
        threads: of the processor, for all points that run at a time; all by default.
    """
    wanted = Sweep(file, Path("runs") / file.stem if out is None else out, data_dir, device, _share(threads, jobs))
    if count < 0:
        raise ConfigError(f"count must be at least 0, not {count}")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError('torchrun is started for each point, not for the sweep: use --launcher "torchrun ..."')
    found = wanted.places()
    places = one_of(found.points, point)
    if as_list:
        for place in places:
            status = place.status()
            say(f"{found.points.index(place)}  {place.name}  {status}")
            say(f"    {shlex.join(['spquant', *wanted.arguments(place, status)])}")
        return 0
    if found.others:
        say(f"left alone in {wanted.out}, of no point of {file}: {', '.join(found.others)}")
    try:
        failed = train_points(wanted, places, jobs, launcher, lambda line: say(line, flush=True))
    except KeyboardInterrupt:
        say(f"stopped; to go on: {shlex.join(['spquant', *sys.argv[1:]])}")
        raise
    if point is None:
        _print_comparisons(wanted, [place for place in places if place not in failed], count)
    if failed:
        names = ", ".join(place.name for place in failed)
        say_error(f"spquant: {len(failed)} of {len(places)} points failed: {names}")
    return 1 if failed else 0


def _print_comparisons(wanted: Sweep, places: Sequence[PointRun], count: int) -> None:
    """Finished points beside one another, as tables and pages."""
    from ..io.terminal import print_tables
    from ..report.page import write_page
    from ..report.present import as_page, as_tables

    for page, comparison in compare_points(wanted, places, count).items():
        size = write_page(as_page(comparison), page)
        print_tables(as_tables(comparison))
        say()
        say(f"page: {page} ({size:,} bytes)")


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
        from ..sweep.points import read_sweep
        from ..sweep.status import find_runs

        return find_runs(read_sweep(self.file), self.out)

    def arguments(self, place: PointRun, status: Status) -> list[str]:
        """What follows ``spquant`` to train a point to its end; of a finished one, what trained it."""
        if status == "begun":
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
    from ..sweep.processes import train_all

    try:
        start = [sys.executable] if launcher is None else shlex.split(launcher)
    except ValueError as error:
        raise ConfigError(f"--launcher is no command line ({error}): quote it as a shell does") from None
    if not start:
        raise ConfigError("--launcher is empty: name a command that runs a Python module, or leave it out")
    _try([place.point for place in places if place.status() != "finished"], sweep.data_dir)
    return train_all(places, lambda *which: [*start, "-m", "spquant_snn", *sweep.arguments(*which)], jobs, tell)


def compare_points(sweep: Sweep, places: Sequence[PointRun], count: int) -> dict[Path, Comparison]:
    """Finished points beside one another, by the page that they go on: report.html; or one for each data set, and for
    recordings one for each number of time steps, since only those of one can be compared."""
    from ..data import of_events
    from ..data.catalog import title_of
    from .report import compare_runs
    from .source import open_run

    groups: dict[str, list[Path]] = {}
    for place in places:
        name, steps = place.point.config.dataset, place.point.config.timesteps
        title = f"{name}-T{steps}" if of_events(name) else title_of(name)
        groups.setdefault(title.replace(":", "x"), []).append(place.run.path)
    return {
        sweep.out / ("report.html" if len(groups) == 1 else f"report-{title}.html"): compare_runs(
            [open_run(run) for run in runs], TestSet(count=count, data_dir=sweep.data_dir)
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
    import torch

    from ..data import load, of_events
    from ..nn.models import build_model

    needed: dict[tuple[str, int], set[str]] = {}
    for config in (point.config for point in points):
        key = config.dataset, config.timesteps if of_events(config.dataset) else 1
        needed.setdefault(key, set()).add(config.model)
    for (dataset, timesteps), models in needed.items():
        data = load(dataset, data_dir, timesteps=timesteps)
        with torch.device("meta"):
            for model in sorted(models):
                build_model(model, data.shape, data.classes)


def _share(threads: int, jobs: int) -> int:
    """Threads of a point where so many run at a time; 0 leaves them to the training."""
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, not {jobs}")
    check_threads(threads)
    if jobs == 1:
        return threads
    import torch

    return max(1, (threads or torch.get_num_threads()) // jobs)
