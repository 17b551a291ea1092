"""Who runs against whom, in which forms, and what came out as ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from benchmarks.harness.other_engines import Float32, Prepare
from benchmarks.harness.timing import SINGLE_THREAD, Call, Clock, Times, interleave
from spquant_snn.errors import MissingDependencyError, RunError


@dataclass(frozen=True)
class Entry:
    """One candidate: what it runs, who runs it, and in which of its forms."""

    work: str
    engine: str
    form: str = ""


@dataclass(frozen=True)
class Row:
    """A ratio of two times and what it shall be at most, if anything.

    Args:
        work: what is run.
        against: the other engine, in its fastest form.
        of: what that runs.
        ours, theirs: microseconds; None where one was not measured.
        form: the other engine's fastest.
        missing: why nothing was measured.
    """

    work: str
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


class Contest:
    """Candidates, to be timed in one go."""

    def __init__(self) -> None:
        self._calls: dict[Entry, Call] = {}
        self._missing: dict[tuple[str, str], str] = {}

    def enter(self, work: str, engine: str, call: Call, form: str = "") -> None:
        self._calls[Entry(work, engine, form)] = call

    def enter_peer(
        self, work: str, engine: str, prepare: Prepare, forms: Mapping[str, nn.Module], images: Float32
    ) -> None:
        """An engine that runs the same work in several forms, of which the fastest counts; it may be missing."""
        self.enter_made(work, engine, {form: partial(prepare, module, images) for form, module in forms.items()})

    def enter_made(self, work: str, engine: str, forms: Mapping[str, Callable[[], Call]]) -> None:
        """The same, of forms that are made when this is called."""
        reasons = []
        for form, make in forms.items():
            try:
                self.enter(work, engine, make(), form)
            except (MissingDependencyError, RunError) as error:
                reasons.append(str(error))
        if len(reasons) == len(forms):
            self._missing[work, engine] = reasons[0]

    def run(self, rounds: int, clocks: Sequence[Clock] = SINGLE_THREAD) -> Outcome:
        return Outcome(interleave(self._calls, rounds, clocks), dict(self._missing))


@dataclass(frozen=True)
class Outcome:
    """What a contest came to."""

    times: dict[Entry, Times]
    missing: dict[tuple[str, str], str]

    def fastest(self, work: str, engine: str) -> tuple[Entry, float] | None:
        """The form of least median time, and that, in microseconds."""
        found = [(entry, t.median) for entry, t in self.times.items() if (entry.work, entry.engine) == (work, engine)]
        return min(found, key=lambda pair: pair[1], default=None)

    def row(self, work: str, against: str, target: float | None, engine: str, of: str | None = None) -> Row:
        """``engine`` on a work against another on the same, or on the work ``of``."""
        of = of or work
        ours, theirs = self.fastest(work, engine), self.fastest(of, against)
        if ours is None or theirs is None:
            missing = self.missing.get((of, against)) or self.missing.get((work, engine), "it did not take part")
            return Row(work, against, of, target, missing=missing)
        return Row(work, against, of, target, ours[1], theirs[1], theirs[0].form)
