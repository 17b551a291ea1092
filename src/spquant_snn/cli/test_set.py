"""The test items that a command works on, as its options name them; torch is not needed to load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import ConfigError, DataError, MissingDependencyError
from ..io.output import say_error
from .options import DataDir, OptionalName, unset
from .source import Source

if TYPE_CHECKING:
    from ..data.items import Items
    from ..integer.graph import Graph
    from ..integer.own_items import Interface
    from ..quant.network import SpikingNetwork

UseSample = Literal["never", "else", "first"]


@dataclass(frozen=True)
class TestSet:
    """Test items: a user's own, or those of a data set.

    Args:
        dataset: another data set than the one trained on.
        images: own images: .npy, .npz with images and labels, or a folder with one of images for each class.
        labels: own labels: .npy.
        count: how many of the test images; 0 takes all.
        data_dir: where the data sets lie.
    """

    dataset: OptionalName = None
    images: Annotated[Path | None, unset(metavar="FILE|FOLDER")] = None
    labels: Annotated[Path | None, unset(metavar="FILE")] = None
    count: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    data_dir: DataDir = None

    def name_for(self, source: Source, use: UseSample = "else") -> str:
        """What ``items`` are of: the file or the data set that was asked for, or what ``source`` was trained on, or the
        sample that it keeps.

        Raises:
            ConfigError: none is known, or options do not go together.
        """
        from ..train.config import CUSTOM

        self.check()
        if self.images is not None:
            return str(self.images)
        if self.dataset is not None:
            return self.dataset
        if source.dataset not in (None, CUSTOM) and use != "first":
            return str(source.dataset)
        if use != "never" and (sample := source.sample()) is not None:
            return sample.name
        if source.dataset not in (None, CUSTOM):
            return str(source.dataset)
        reason = (
            "does not say what it was trained on" if source.dataset is None else "was trained on data given in Python"
        )
        raise ConfigError(f"{source.path} {reason}: add --images, for your own, or --dataset")

    def unknown(self, source: Source) -> bool:
        """Whether no items are named, and none are known: neither a data set with a name nor a sample."""
        from ..train.config import CUSTOM

        named = self.images is not None or self.dataset is not None
        return not named and source.dataset in (None, CUSTOM) and source.sample() is None

    def items(self, source: Source, network: Interface, purpose: str = "", use: UseSample = "else") -> Items:
        """The first ``count`` of them; recordings as so many frames as the network has steps.

        Args:
            network: that they are for.
            purpose: what needs labels, as the subject of a sentence; empty where nothing does.
            use: the sample that ``source`` keeps, where no other items are named: "first", rather than its data set;
                "else", where it has none with a name, or that is not here, which is said; or "never".

        Raises:
            ConfigError: as ``name_for``; or there are no labels, and something needs them.
            DataError, FileFormatError, MissingDependencyError: as ``data.load`` and ``read_own``.
        """
        name = self.name_for(source, use)
        found = self._own(network, name) if self.images is not None else self._known(source, network, name, use)
        if purpose and found.labels is None:
            raise ConfigError(f"{purpose} compares answers with labels, and {name} has none: add --labels")
        return found.first(self.count)

    def _own(self, network: Interface, name: str) -> Items:
        from ..data.own_files import read_own
        from ..integer.own_items import own_items

        assert self.images is not None
        task = network.task
        outputs = task.outputs if task.kind == "classification" else 0
        images, labels = read_own(self.images, self.labels, network.given.shape, task.names, outputs)
        if images.dtype.kind == "f":  # values in the units of training
            images, clipped = network.given.format.quantize(images, f"the images of {name}")
            if clipped:
                low, high = (x * network.given.scale for x in (-network.given.largest, network.given.largest))
                reach = f"{low if network.given.signed else 0:.4g} to {high:.4g}"
                say_error(f"spquant: {clipped:.2%} of the values of {name} are clipped: inputs reach from {reach}")
        return own_items(images, labels, network, name)

    def _known(self, source: Source, network: Interface, name: str, use: UseSample) -> Items:
        """A data set with a name, or the sample."""
        from ..data import load
        from ..data.items import Items

        sample = None if use == "never" or self.dataset is not None else source.sample()
        if sample is not None and sample.name == name:
            if use == "else":
                say_error(f"spquant: {name} is used, {len(sample)} items: --images names others")
            return sample
        try:
            return Items.of(load(name, self.data_dir, timesteps=network.timesteps).test, name)
        except (DataError, MissingDependencyError) as error:
            if sample is None:
                raise
            say_error(f"spquant: {sample.name} is used, {len(sample)} items, because {error}")
            return sample

    def check(self) -> None:
        """Refuse options that cannot be, or do not go together."""
        if self.count < 0:
            raise ConfigError(f"count must be at least 0, not {self.count}")
        if self.images is None and self.labels is not None:
            raise ConfigError("--labels are those of --images: give both, or leave --labels out")
        if self.images is not None and self.dataset is not None:
            raise ConfigError("give either --images, for your own, or --dataset")


def noise(graph: Graph, count: int) -> Items:
    """Inputs of a network of which no data are known, drawn at random, the same each time; said on standard error."""
    import numpy as np

    from ..data.items import Items

    given, rng = graph.inputs[0], np.random.default_rng(0)
    low, high, dtype = (-127, 128, np.int8) if given.signed else (0, 256, np.uint8)
    say_error("spquant: noise is used, for no data of this network are known: --images names yours")
    return Items("noise", rng.integers(low, high, (count, *given.shape), dtype))


def interface_of(network: SpikingNetwork) -> Interface:
    """What a network of torch takes and says."""
    from ..data.task import Task
    from ..integer.own_items import Interface

    said = network.output_format
    task = Task("classification", network.outputs) if said is None else said.task
    return Interface(network.inputs[0], network.config.timesteps, task)
