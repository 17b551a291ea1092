"""Options that several commands have, each declared once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import ConfigError

# An option without which a command does what its help says: "None" would say nothing.
unset = partial(tyro.conf.arg, help_behavior_hint="")

Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
FolderOrFile = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|FILE")]
OptionalSource = Annotated[Path | None, tyro.conf.Positional, unset(metavar="[FOLDER|FILE]")]
OptionalFolder = Annotated[Path | None, unset(metavar="FOLDER")]
OptionalName = Annotated[str | None, unset(metavar="NAME")]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
AsJson = Annotated[Flag, tyro.conf.arg(name="json", help="print one JSON object.")]
DataDir = Annotated[Path | None, unset(metavar="FOLDER", help="where the data sets lie; $SPQUANT_DATA by default.")]
Device = Annotated[str | None, unset(metavar="NAME", help="cpu, cuda ...; a GPU where there is one by default.")]
Threads = Annotated[int, tyro.conf.arg(help="threads of the processor; 0 takes all.")]

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
