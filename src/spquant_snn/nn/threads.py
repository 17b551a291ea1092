"""Work of the C sources on several threads: they run without Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")


def on_threads(parts: Sequence[Callable[[], T]]) -> list[T]:
    """What the parts return, as many at a time as torch has threads, the first by this one."""
    if len(parts) < 2 or torch.get_num_threads() == 1:
        return [part() for part in parts]
    others = [_pool(torch.get_num_threads()).submit(part) for part in parts[1:]]
    return [parts[0](), *(other.result() for other in others)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait for the next step, of whichever layer: to start them takes as long as what they do."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of its parent's threads
    return ThreadPoolExecutor(threads, "spquant-training")
