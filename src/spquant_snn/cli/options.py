"""Options that several commands have."""

from __future__ import annotations

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
