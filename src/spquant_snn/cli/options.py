"""Options that several commands have."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import ConfigError

OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
OptionalSource = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE")]
OptionalName = Annotated[str | None, tyro.conf.arg(metavar="NAME")]


_MOST_THREADS = 4096


def check_threads(threads: int) -> None:
    """Raise ConfigError unless so many threads can be; 0 stands for all."""
    if not 0 <= threads <= _MOST_THREADS:
        raise ConfigError(f"threads must be from 0 to {_MOST_THREADS}, not {threads}")


def use_threads(threads: int) -> None:
    """Let torch take so many threads; 0: all.

    Raises:
        ConfigError: there cannot be so many.
    """
    check_threads(threads)
    if threads:
        import torch

        torch.set_num_threads(threads)


def keep_freed_memory(keep: bool = True) -> None:
    """Let glibc hand freed blocks out again instead of giving them back to the system: a training step frees and takes
    the same blocks over and over, and a fifth of its time went into fresh pages, far more with blocks above 32 MiB. Or,
    where memory is shorter than time, let it give back all from 1 MiB on."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim_threshold, mmap_threshold, mmap_max = -1, -3, -4  # as in malloc.h
    if keep:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
    else:
        mallopt(mmap_threshold, 1 << 20)
        mallopt(trim_threshold, 1 << 20)
