"""Candidates timed in turn, so that what else happens on the machine happens to all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Call = Callable[[int], object]
Clock = Callable[[], int]
Name = TypeVar("Name", bound=Hashable)

SINGLE_THREAD: tuple[Clock, ...] = (time.process_time_ns, time.perf_counter_ns)
SEVERAL_THREADS: tuple[Clock, ...] = (time.perf_counter_ns,)

_BLOCK = 20_000_000  # nanoseconds that a candidate is timed for in a round, at least
_MOST = 10_000  # calls in a block


@dataclass(frozen=True)
class Times:
    """Microseconds per call, one number per round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        return min(self.rounds)


def interleave(calls: Mapping[Name, Call], rounds: int, clocks: Sequence[Clock] = SINGLE_THREAD) -> dict[Name, Times]:
    """Time every candidate in every round, each round beginning with another.

    A candidate is called once untimed, then as often as fills a block; a call gets the number of calls before it, to
    take one image after the other.

    Args:
        clocks: nanoseconds; the one that says least counts. By default processor time of the process, which others
            disturb little, or wall time, in which threads that only wait for work (as those of a BLAS) do not count.
    """

    def now() -> tuple[int, ...]:
        return tuple(clock() for clock in clocks)

    def since(start: tuple[int, ...]) -> int:
        return min(end - begin for begin, end in zip(start, now(), strict=True))

    names = list(calls)
    counts = {}
    for name in names:
        calls[name](0)
        start = now()
        calls[name](1)
        counts[name] = max(1, min(_MOST, -(-_BLOCK // max(since(start), 1))))
    taken: dict[Name, list[float]] = {name: [] for name in names}
    gc.collect()
    for number in range(rounds):
        first = number % max(len(names), 1)
        for name in (*names[first:], *names[:first]):
            call, count = calls[name], counts[name]
            call(0)  # its code and data may have left the caches since the last round
            start = now()
            for k in range(count):
                call(k)
            taken[name].append(since(start) / count / 1000)
    return {name: Times(tuple(values)) for name, values in taken.items()}
