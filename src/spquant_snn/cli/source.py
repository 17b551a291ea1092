"""What a command is given: the folder of a run or of firmware, or an .spq file; torch is not needed to read any."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError, RunError

if TYPE_CHECKING:
    from ..data.items import Items
    from ..integer.graph import Graph
    from ..train.config import TrainConfig


@dataclass(frozen=True)
class Source:
    """A trained network.

    Args:
        path: of the folder of a run or of firmware, or of an .spq file, which holds the integer model alone.
        file: where the integer model lies.
        config: of the run; None for anything else.
        dataset: what it was trained on, where that is known.
    """

    path: Path
    file: Path
    config: TrainConfig | None = None
    dataset: str | None = None

    @property
    def floating(self) -> bool:
        """Whether it is a run in floating point, which has no integer model."""
        return self.config is not None and not self.config.quant.integer

    def takes_torch(self) -> bool:
        """Whether torch can run it: a run whose model has a name, or whose integers are no choice. Of a run of a model
        that was given in Python its integers are taken, which is said."""
        from ..io.output import say_error
        from ..train.config import CUSTOM

        if self.config is None or self.config.model != CUSTOM or self.floating:
            return self.config is not None
        say_error(f"spquant: the model of {self.path} was given in Python: its {self.file.name} is taken")
        return False

    def need_integers(self, remedy: str) -> None:
        """Raise ModelError, which ends with ``remedy``, unless it has an integer model."""
        if self.floating:
            raise ModelError(f"{self.path} is a floating-point run, without integers: {remedy}")

    def sample(self) -> Items | None:
        """The sample of its data that the integer model keeps, if there is one.

        Raises:
            FileFormatError: the file is damaged, or of another kind.
        """
        from dataclasses import replace

        from ..integer.file import load_both

        found = load_both(self.file)[1] if os.path.exists(self.file) else None
        return None if found is None else replace(found, name=f"the sample in {self.file.name}")

    def graph(self) -> Graph:
        """The integer model.

        Raises:
            RunError: the run is not finished.
            FileFormatError: the file is damaged, or of another kind.
        """
        from ..integer.file import load_graph

        if self.config is not None and not os.path.exists(self.file):
            raise RunError(
                f"{self.path} is not finished: resume it, or write its integer model with "
                f"spquant export {self.path} --out {self.file}"
            )
        return load_graph(self.file)


def open_source(path: Path) -> Source:
    """The run or the file at a path; of a file nothing is read yet.

    Raises:
        RunError: there is nothing, or a folder of another kind.
        FileFormatError: the configuration of the run is damaged.
    """
    if not os.path.exists(path):
        raise RunError(f"there is no {path}: give the folder of a run, or an .spq file")
    return open_run(path) if os.path.isdir(path) else Source(path, path)


def open_run(folder: Path) -> Source:
    """The run in a folder.

    Raises:
        RunError: it is not the folder of a run.
        FileFormatError: its configuration is damaged.
    """
    from ..train.config import load_config
    from ..train.run import RunFolder

    config = load_config(RunFolder(folder).config)
    return Source(folder, RunFolder(folder).integers, config, config.dataset)
