"""The test items that a command works on, as its options name them; torch is not needed to load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import ConfigError
from .options import DataDir, OptionalName
from .source import Source

if TYPE_CHECKING:
    from ..data.items import Items
    from ..integer.own_items import Interface
    from ..quant.network import SpikingNetwork


@dataclass(frozen=True)
class TestSet:
    """Test items: a user's own, or those of a data set.

    Args:
        dataset: another data set than the one trained on.
        images: own images: .npy, or .npz with images and labels.
        labels: own labels: .npy.
        count: how many of the test images; 0 takes all.
        data_dir: where the data sets lie.
    """

    dataset: OptionalName = None
    images: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    count: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    data_dir: DataDir = None

    def name_for(self, source: Source) -> str:
        """What ``items`` are of: the file or the data set that was asked for, or else what ``source`` was trained on.

        Raises:
            ConfigError: neither is known, or options do not go together.
        """
        from ..train.config import CUSTOM

        self.check()
        if self.images is not None:
            return str(self.images)
        name = source.dataset if self.dataset is None else self.dataset
        if name is None:
            raise ConfigError(f"{source.path} does not say what it was trained on: add --dataset, or --images")
        if name == CUSTOM:
            raise ConfigError(f"the data set of {source.path} was given in Python: add --images, or --dataset")
        return name

    def items(self, source: Source, network: Interface, purpose: str = "") -> Items:
        """The first ``count`` of them; recordings as so many frames as the network has steps.

        Args:
            network: that they are for.
            purpose: what needs labels, as the subject of a sentence; empty where nothing does.

        Raises:
            ConfigError: as ``name_for``; or there are no labels, and something needs them.
            DataError, FileFormatError, MissingDependencyError: as ``data.load`` and ``read_own``.
        """
        from ..data import load
        from ..data.items import Items
        from ..data.own_files import read_own
        from ..integer.own_items import own_items

        name = self.name_for(source)
        if self.images is None:
            found = Items.of(load(name, self.data_dir, timesteps=network.timesteps).test, name)
        else:
            found = own_items(*read_own(self.images, self.labels), network, name)
        if purpose and found.labels is None:
            raise ConfigError(f"{purpose} compares answers with labels, and {name} has none: add --labels")
        return found.first(self.count)

    def check(self) -> None:
        """Refuse options that cannot be, or do not go together."""
        if self.count < 0:
            raise ConfigError(f"count must be at least 0, not {self.count}")
        if self.images is None and self.labels is not None:
            raise ConfigError("--labels are those of --images: give both, or leave --labels out")
        if self.images is not None and self.dataset is not None:
            raise ConfigError("give either --images, for your own, or --dataset")


def interface_of(network: SpikingNetwork) -> Interface:
    """What a network of torch takes and says."""
    from ..integer.graph import Input
    from ..integer.own_items import Interface

    return Interface(Input(network.input_shape), network.config.timesteps, (network.outputs,))
