"""What a command is given: the folder of a run, or an .spq file; torch is not needed to read either."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError, RunError

if TYPE_CHECKING:
    from ..integer.graph import Graph
    from ..train.config import TrainConfig


@dataclass(frozen=True)
class Source:
    """A trained network.

    Args:
        path: of the folder of a run, or of an .spq file, which holds the integer model alone.
        config: of the run; None for a file.
    """

    path: Path
    config: TrainConfig | None

    @property
    def dataset(self) -> str | None:
        """What it was trained on, where that is known."""
        return None if self.config is None else self.config.dataset

    @property
    def floating(self) -> bool:
        """Whether it is a run in floating point, which has no integer model."""
        return self.config is not None and not self.config.quant.integer

    def need_integers(self, remedy: str) -> None:
        """Raise ModelError, which ends with ``remedy``, unless it has an integer model."""
        if self.floating:
            raise ModelError(f"{self.path} is a floating-point run, without integers: {remedy}")

    def graph(self) -> Graph:
        """The integer model.

        Raises:
            RunError: the run is not finished.
            FileFormatError: the file is damaged, or of another kind.
        """
        from ..integer.file import load_graph
        from ..train.run import RunFolder

        if self.config is None:
            return load_graph(self.path)
        file = RunFolder(self.path).integers
        if not os.path.exists(file):
            raise RunError(
                f"{self.path} is not finished: resume it, or write its integer model with "
                f"spquant export {self.path} --out {file}"
            )
        return load_graph(file)


def open_source(path: Path) -> Source:
    """The run or the file at a path; of a file nothing is read yet.

    Raises:
        RunError: there is nothing, or a folder of another kind.
        FileFormatError: the configuration of the run is damaged.
    """
    if not os.path.exists(path):
        raise RunError(f"there is no {path}: give the folder of a run, or an .spq file")
    return open_run(path) if os.path.isdir(path) else Source(path, None)


def open_run(folder: Path) -> Source:
    """The run in a folder.

    Raises:
        RunError: it is not the folder of a run.
        FileFormatError: its configuration is damaged.
    """
    from ..train.config import load_config
    from ..train.run import RunFolder

    return Source(folder, load_config(RunFolder(folder).config))
