"""Random numbers that follow from a seed, while those of the user go on as if nobody had drawn any.

What is random in a training is drawn from generators of its own where that can be. The first weights, dropout and the
items of a Dataset are drawn from the generators that all code of a process shares: these are seeded for a while, and
put back.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import get_worker_info


@contextmanager
def torch_kept() -> Iterator[None]:
    """Within it torch's random numbers may be seeded and drawn; afterwards they are as before."""
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(list(cuda)):
        yield


def seed_torch(seed: int) -> None:
    """Let torch's random numbers follow from the seed, on the processor and on the GPUs that are in use. Others keep
    theirs, which nothing here draws from."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it the random numbers of Python, NumPy and torch, on the processor, follow from the seed; afterwards they
    are as before, but for those of a worker, which draws no others."""
    if get_worker_info() is not None:
        _seed(seed)
        yield
        return
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # what users draw from
    with torch.random.fork_rng([]):
        _seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
