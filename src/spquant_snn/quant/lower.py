"""From a frozen torch network to an integer graph."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ModelError
from ..integer.graph import Graph
from .network import SpikingNetwork, as_network


def lower(network: SpikingNetwork) -> Graph:
    """The integer graph of a frozen network: the integer model, which ``save`` writes and ``verify`` compares.

    Args:
        network: what ``prepare`` gave, after ``freeze()``.

    Raises:
        ModelError: the network is not frozen, or an integer would leave its width.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(weight_bits=2), input_shape=(1, 8, 8))
        >>> graph = lower(network.eval().freeze())
        >>> graph.shapes
        ((32, 4, 4), (64, 2, 2), (128,))
    """
    network = as_network(network)
    if not network.frozen:
        raise ModelError("the network is still in training form: call freeze() before lower()")
    for stage in network.hidden:
        skips = stage.skipping is not None and stage.skipping.rule(stage.channels) is not None
        if skips and stage.gate is not None and not bool(stage.gate.opened().all()):
            raise ModelError(
                f"layer {stage.name!r} has pruned channels, and blocks that are skipped are made of kept ones: "
                "call compact() before lower()"
            )
    layers = tuple(folded.layer for folded in network.fold())
    first, *others = network.fold_readouts()
    first = replace(first, output_format=network.output_format)
    return Graph(network.inputs, network.config.timesteps, layers, (first, *others))
