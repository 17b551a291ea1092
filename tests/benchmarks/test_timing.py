"""Times by clocks that the tests hold in their hands."""

import pytest

from benchmarks.harness.timing import SEVERAL_THREADS, SINGLE_THREAD, Times, interleave


class World:
    """Two clocks, and candidates that move them and are written down."""

    def __init__(self):
        self.processor, self.wall, self.called = 0, 0, []

    def candidate(self, name, processor, wall=None):
        def call(k):
            self.called.append((name, k))
            self.processor += processor
            self.wall += processor if wall is None else wall

        return call

    @property
    def clocks(self):
        return (lambda: self.processor, lambda: self.wall)


def test_times_are_microseconds_per_call():
    world = World()
    calls = {"fast": world.candidate("fast", 30_000), "slow": world.candidate("slow", 90_000_000)}
    times = interleave(calls, 3, world.clocks)
    assert times["fast"].rounds == (30.0, 30.0, 30.0)
    assert times["slow"].median == times["slow"].least == 90_000.0


def test_candidates_take_turns_and_fill_their_blocks():
    world = World()
    calls = {name: world.candidate(name, 10_000_000) for name in "abc"}
    interleave(calls, 4, world.clocks)
    warm, blocks = world.called[:6], world.called[6:]
    assert warm == [(name, k) for name in "abc" for k in (0, 1)]
    assert "".join(name for name, _ in blocks[::3]) == "abcbcacababc"
    assert [k for _, k in blocks] == [0, 0, 1] * 12  # once untimed, then for 20 ms


def test_the_clock_that_says_least_counts():
    world = World()
    calls = {"waiting": world.candidate("", 80_000, 50_000), "disturbed": world.candidate("", 50_000, 80_000)}
    assert [values.median for values in interleave(calls, 1, world.clocks).values()] == [50.0, 50.0]


def test_the_median_forgets_a_bad_round():
    times = Times((3.0, 900.0, 4.0))
    assert (times.median, times.least) == (4.0, 3.0)


@pytest.mark.parametrize("clocks", [SINGLE_THREAD, SEVERAL_THREADS], ids=["single", "several"])
def test_the_clocks_of_this_machine_run(clocks):
    times = interleave({"sum": lambda k: sum(range(2000 + k))}, 2, clocks)["sum"]
    assert 0 < times.least <= times.median < 10_000


def test_nobody_takes_part():
    assert interleave({}, 3) == {}
