"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from .errors import ConfigError

OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
OptionalSource = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE")]
OptionalName = Annotated[str | None, tyro.conf.arg(metavar="NAME")]


def use_threads(threads: int) -> None:
    """Let torch take so many threads; 0: all."""
    if threads < 0:
        raise ConfigError(f"threads must be at least 0, not {threads}")
    if threads:
        import torch

        torch.set_num_threads(threads)
