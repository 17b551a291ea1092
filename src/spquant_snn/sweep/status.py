"""Where the points of a sweep stand: each is one ordinary run, in a folder of its own below the sweep's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..data.scores import ACCURACY, metric_of
from ..errors import RunError
from ..io.fields import Fields
from ..io.reading import guarded
from ..train.config import UNRESOLVED, TrainConfig, anchored, departures, load_config
from ..train.run import RunFolder, refuse_as_parent
from .points import Point

Status = Literal["new", "begun", "finished"]


@dataclass(frozen=True)
class PointRun:
    """A point and the folder of its run, which may not be there yet."""

    point: Point
    run: RunFolder

    @property
    def name(self) -> str:
        return self.run.path.name

    @property
    def log(self) -> Path:
        """What its processes print."""
        return self.run.path / "train.log"

    @property
    def shown(self) -> str:
        """The metric of a finished run on the test set, in words."""
        with guarded(self.run.record, "train again"):
            record = Fields(self.run.read_record())
            said = self.run.read_format()
            metric = ACCURACY if said is None else metric_of(said.task)
            limit = 100.0 if metric.percent else 1e300
            value = record.number(f"test_{metric.key}", 0, limit)
        return f"{value:.2f} %" if metric is ACCURACY else f"{metric.name} {metric.shown(value)}"

    def status(self) -> Status:
        """How far it has come; as long as nothing can be gone on with, it is new."""
        run = self.run
        if not _begun(run):
            return "new"
        record: dict[str, Any] = run.read_record() if run.record.exists() else {}
        whole = run.integers.exists() or not self.point.config.quant.integer
        tested = any(name.startswith("test_") for name in record)
        return "finished" if whole and tested and "best" in record else "begun"


@dataclass(frozen=True)
class SweepRuns:
    """All of a sweep: its points, and the names of runs in its folder that are of no point."""

    points: tuple[PointRun, ...]
    others: tuple[str, ...]


def find_runs(points: Sequence[Point], out: Path) -> SweepRuns:
    """The folder of each point: that of its name; or where another name has its very training, as after a change of
    the file, that one.

    Raises:
        RunError: the folder of a name holds another training, or ``out`` is no folder for runs.
        FileFormatError: the configuration of a run is damaged.
    """
    refuse_as_parent(out, "points")
    held = {path.name: load_config(RunFolder(path).config) for path in _runs(out)}
    named = {point.name for point in points}
    free = {name: config for name, config in held.items() if name not in named}
    alike: dict[object, list[str]] = {}
    for name, config in free.items():
        alike.setdefault(_decided(config), []).append(name)
    runs = []
    for point in points:
        name = point.name
        if name not in held or not _is(point, held[name]):
            likely = alike.get(_decided(point.config), [])
            moved = next((other for other in likely if other in free and _is(point, free[other])), None)
            if moved is None and name in held:
                changed = "; ".join(departures(held[name], asdict(point.config)))
                raise RunError(
                    f"{out / name} was started with {changed}: choose another --out, or the options of that run"
                )
            if moved is not None:
                name = moved
                del free[moved]
        runs.append(PointRun(point, RunFolder(out / name)))
    return SweepRuns(tuple(runs), tuple(free))


def _decided(config: TrainConfig) -> object:
    """What runs of one point have in common, to look them up by: all options but those that a training resolves."""
    resolved = {name for name, _ in UNRESOLVED}
    return tuple(value for name, value in anchored(vars(config)).items() if name not in resolved)


def _is(point: Point, config: TrainConfig) -> bool:
    return not departures(config, asdict(point.config))


def _runs(out: Path) -> list[Path]:
    return sorted(path for path in out.iterdir() if _begun(RunFolder(path))) if os.path.isdir(out) else []


def _begun(run: RunFolder) -> bool:
    """Whether anything is there that a training could go on with; a process that was killed while it made the folder
    may have left less."""
    return os.path.exists(run.config) and (os.path.exists(run.checkpoint) or os.path.exists(run.weights))
