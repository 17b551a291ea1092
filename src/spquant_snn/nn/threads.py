"""Work of the C sources on several threads: they run without Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")


def on_threads(parts: Sequence[Callable[[], T]]) -> list[T]:
    """What the parts return, as many at a time as torch has threads, of which this is one."""
    threads = min(torch.get_num_threads(), len(parts))

    def compute(first: int) -> list[T]:
        return [part() for part in parts[first::threads]]

    if threads < 2:
        return [part() for part in parts]
    others = [_pool(torch.get_num_threads()).submit(compute, first) for first in range(1, threads)]
    try:
        found = [compute(0)]
    finally:
        wait(others)  # what they write to is the caller's
    found += [other.result() for other in others]
    return [found[i % threads][i // threads] for i in range(len(parts))]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait for the next step, of whichever layer: to start them takes as long as what they do."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads
    return ThreadPoolExecutor(threads - 1, "spquant-training")
