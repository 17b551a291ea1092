"""The test images that a command works on, as its options name them; torch is not needed to load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import ConfigError, RunError
from .options import DataDir, OptionalName

if TYPE_CHECKING:
    from ..data import Labelled


@dataclass(frozen=True)
class TestSet:
    """Test images of a data set.

    Args:
        dataset: another data set than the one trained on.
        images: how many of the test images; 0 takes all.
        data_dir: where the data sets lie.
    """

    dataset: OptionalName = None
    images: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    data_dir: DataDir = None

    def name_for(self, source: Path, trained_on: str | None) -> str:
        """The name of the data set that was asked for, or else of the one that ``source`` was trained on.

        Raises:
            ConfigError: neither is known, or so many images cannot be.
            RunError: it was given in Python, and has no name.
        """
        from ..train.config import CUSTOM

        name = trained_on if self.dataset is None else self.dataset
        if name is None:
            raise ConfigError(f"{source} does not say what it was trained on: add --dataset")
        if name == CUSTOM:
            raise RunError(
                f"the data set of {source} was given in Python: name another with --dataset, or use SpQuantTrainer "
                "there"
            )
        if self.images < 0:
            raise ConfigError(f"images must be at least 0, not {self.images}")
        return name

    def load(self, name: str, timesteps: int) -> Labelled:
        """The first ``images`` test images of the data set ``name``; recordings as so many frames.

        Raises:
            DataError, FileFormatError, MissingDependencyError: as ``data.load``.
        """
        from ..data import Labelled, load

        test = load(name, self.data_dir, timesteps=timesteps).test
        return Labelled(test.images[: self.images], test.labels[: self.images]) if self.images else test
