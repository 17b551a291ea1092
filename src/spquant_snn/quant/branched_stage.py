"""Stages of any drive: several terms, each with weights and batch normalisation of its own, of any earlier layers."""

from __future__ import annotations

from torch import Tensor

from ..nn.integrator import LeakyIntegrator
from ..nn.lif import LIF
from .drive import Drive
from .signals import parts_of
from .stage import Look, NeuronStage


class BranchedStage(NeuronStage):
    """A drive and the neurons that it reaches.

    Args:
        name: of the layer.
        drive: what reaches them.
        lif: the neurons.
    """

    lif: LIF

    def __init__(self, name: str, drive: Drive, lif: LIF) -> None:
        super().__init__(name, lif)
        self.drive = drive

    @property
    def sources(self) -> list[tuple[int, int]]:
        return sources_of(self.drive)

    @property
    def channels(self) -> int:
        return self.drive.channels

    def current_of(self, look: Look) -> Tensor:
        return self.drive.current(look)


class BranchedReadout(NeuronStage):
    """A drive that is read out.

    Args:
        name: of the layer.
        drive: what is read.
        integrator: of what is read; None: steps are summed.
    """

    def __init__(self, name: str, drive: Drive, integrator: LeakyIntegrator | None = None) -> None:
        super().__init__(name, None)
        self.drive, self.integrator = drive, integrator

    @property
    def channels(self) -> int:
        return self.drive.channels

    @property
    def sources(self) -> list[tuple[int, int]]:
        return sources_of(self.drive)

    def current_of(self, look: Look) -> Tensor:
        return self.drive.current(look)


def sources_of(drive: Drive) -> list[tuple[int, int]]:
    """The sources of a drive, and their delays."""
    found = [(part.source, part.delay) for leaf in drive.leaves() for part in parts_of(leaf.signal, leaf.sources)]
    return list(dict.fromkeys(found))
