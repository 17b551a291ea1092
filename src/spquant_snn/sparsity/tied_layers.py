"""Partners: layers whose channels are one and the same, because a shortcut adds the spikes of the one to the sums of
the other. They are opened and closed together."""

from __future__ import annotations

from ..quant.network import SpikingNetwork


def partners(network: SpikingNetwork) -> list[list[int]]:
    """The layers of neurons in groups, by their indices; a layer that has no partner is a group of its own."""
    group = list(range(len(network.hidden)))
    for index, stage in enumerate(network.hidden):
        if stage.shortcut is not None and stage.shortcut.identity:
            old, new = group[index], group[stage.shortcut.source]
            group = [new if each == old else each for each in group]
    return [[i for i, each in enumerate(group) if each == first] for first in dict.fromkeys(group)]
