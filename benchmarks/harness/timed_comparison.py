"""Who runs against whom, in which forms, and what came out as ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from benchmarks.harness.other_engines import Prepare
from benchmarks.harness.timing import SINGLE_THREAD, Call, Clock, Times, interleave
from spquant_snn.dtypes import Float32
from spquant_snn.errors import MissingDependencyError, RunError


@dataclass(frozen=True)
class Candidate:
    """One candidate: what it runs, who runs it, and in which of its forms."""

    workload: str
    engine: str
    form: str = ""


@dataclass(frozen=True)
class TimeRatio:
    """A ratio of two times and what it shall be at most, if anything.

    Args:
        workload: what is run.
        against: the other engine, in its fastest form.
        of: what that runs.
        ours, theirs: microseconds; None where one was not measured.
        form: the other engine's fastest.
        missing: why nothing was measured.
    """

    workload: str
    against: str
    of: str
    target: float | None
    ours: float | None = None
    theirs: float | None = None
    form: str = ""
    missing: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.ours is None or self.theirs is None else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        return None if self.ratio is None or self.target is None else self.ratio <= self.target


class TimedComparison:
    """Candidates, to be timed in one go."""

    def __init__(self) -> None:
        self._calls: dict[Candidate, Call] = {}
        self._missing: dict[tuple[str, str], str] = {}

    def add(self, workload: str, engine: str, call: Call, form: str = "") -> None:
        self._calls[Candidate(workload, engine, form)] = call

    def add_engine(
        self, workload: str, engine: str, prepare: Prepare, forms: Mapping[str, nn.Module], images: Float32
    ) -> None:
        """An engine that runs the same workload in several forms, of which the fastest counts; it may be missing."""
        self.add_forms(workload, engine, {form: partial(prepare, module, images) for form, module in forms.items()})

    def add_forms(self, workload: str, engine: str, forms: Mapping[str, Callable[[], Call]]) -> None:
        """The same, of forms that are made when this is called."""
        reasons = []
        for form, make in forms.items():
            try:
                self.add(workload, engine, make(), form)
            except (MissingDependencyError, RunError) as error:
                reasons.append(str(error))
        if len(reasons) == len(forms):
            self._missing[workload, engine] = reasons[0]

    def run(self, rounds: int, clocks: Sequence[Clock] = SINGLE_THREAD) -> ComparedTimes:
        return ComparedTimes(interleave(self._calls, rounds, clocks), dict(self._missing))


@dataclass(frozen=True)
class ComparedTimes:
    """What a comparison came to."""

    times: dict[Candidate, Times]
    missing: dict[tuple[str, str], str]

    def fastest(self, workload: str, engine: str) -> tuple[Candidate, float] | None:
        """The form of least median time, and that, in microseconds."""
        found = [
            (entry, t.median) for entry, t in self.times.items() if (entry.workload, entry.engine) == (workload, engine)
        ]
        return min(found, key=lambda pair: pair[1], default=None)

    def row(self, workload: str, against: str, target: float | None, engine: str, of: str | None = None) -> TimeRatio:
        """``engine`` on a workload against another on the same, or on the workload ``of``."""
        of = of or workload
        ours, theirs = self.fastest(workload, engine), self.fastest(of, against)
        if ours is None or theirs is None:
            missing = self.missing.get((of, against)) or self.missing.get((workload, engine), "it did not take part")
            return TimeRatio(workload, against, of, target, missing=missing)
        return TimeRatio(workload, against, of, target, ours[1], theirs[1], theirs[0].form)
