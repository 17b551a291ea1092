"""What a torch network does, in training form or in floating point: its counts, and how often each neuron fires.

Operations depend on the shapes and on which inputs are zero, not on what the weights are; so a floating-point network
is counted as an integer graph is. None of its weights is exactly zero, so that every operation done is effective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..dtypes import Float64, UInt8
from ..integer.compare import Trace, Tracer
from ..integer.connection import Connection, image
from ..integer.grids import FLOAT
from ..integer.pool import Pool
from ..integer.term_names import names_of, source_names
from ..io.terminal import Report, unseen
from ..quant.branched_stage import BranchedReadout, BranchedStage
from ..quant.network import SpikingNetwork
from ..quant.stage import NeuronStage, Stage
from ..quant.synapse import Synapse
from .counts import Counts, count_traces
from .wiring import WiredTerm, Wiring

_BATCH = 250


def count_floating(
    network: SpikingNetwork,
    images: UInt8,
    labels: NDArray[np.integer[Any]] | None = None,
    progress: Report = unseen,
    watch: Callable[[Trace], None] = lambda trace: None,
) -> Counts:
    """The counts of a network in floating point; its layers have weights and state of 32 bits.

    Args:
        network: without gates.
        images: uint8 [N, C, H, W], or sequences [T, N, C, H, W].
        labels: [N] the right classes.
        progress: called with the number of images done.
        watch: called with the trace of each batch.
    """
    steps = network.config.timesteps if images.ndim == 4 else len(images)
    counts = count_traces(_wiring(network), "torch", _tracer(network), steps, (images,), labels, progress, watch)
    layers, others = (
        tuple(replace(layer, weight_bits=float(FLOAT)) for layer in rows) for rows in (counts.layers, counts.others)
    )
    return replace(counts, layers=layers, others=others)


def _wiring(network: SpikingNetwork) -> Wiring:
    inputs = tuple(image(shape) for shape in network.input_shapes)
    given = source_names(len(inputs), [stage.name for stage in network.hidden])
    terms = []
    for target, stage in enumerate((*network.hidden, *network.readouts)):
        found = list(_terms(stage))
        names = names_of(stage.name, [(given[source], delay) for source, delay, _ in found])
        for i, (name, (source, delay, connection)) in enumerate(zip(names, found, strict=True)):
            terms.append(WiredTerm(name, connection, source, target, i == 0, delay))
    bits = (float(FLOAT),) * len(network.hidden)
    return Wiring(inputs, tuple(network.shapes), bits, tuple(terms), tuple(given.largest for given in network.inputs))


def _terms(stage: NeuronStage) -> Iterator[tuple[int, int, Connection]]:
    """Source, delay and synapses of each term of a stage."""
    if isinstance(stage, Stage):
        yield stage.source, 0, _connection(stage.name, stage.synapse, stage.pools)
        if stage.shortcut is not None:
            yield stage.first + stage.shortcut.source, 0, _connection(stage.shortcut.name, stage.shortcut.synapse)
    elif isinstance(stage, BranchedStage | BranchedReadout):
        for term in stage.drive.fold(np.ones(stage.channels))[0]:
            shape = term.connection.codes.shape
            yield term.source, term.delay, replace(term.connection, codes=np.ones(shape, np.int8), bits=8)


def firing_rates(network: SpikingNetwork, images: UInt8) -> dict[str, Float64]:
    """Spikes per step of each neuron of each layer [neurons], in the form that the network is in.

    Args:
        images: uint8 [N, C, H, W], or sequences [T, N, C, H, W].
    """
    tracer, axis = _tracer(network), images.ndim - 4
    total = images.shape[axis]
    fired: dict[str, Float64] = {}
    for start in range(0, total, _BATCH):
        part = images.take(range(start, min(start + _BATCH, total)), axis)
        for name, spikes, _ in tracer(part).layers:
            found = spikes.sum((0, 1), dtype=np.int64).reshape(-1) / (len(spikes) * total)
            fired[name] = fired[name] + found if name in fired else found
    return fired


def _tracer(network: SpikingNetwork) -> Tracer:
    """What the network does, in evaluation; stored potentials are left out."""
    device = next(network.parameters()).device

    @torch.no_grad()
    def trace(images: UInt8) -> Trace:
        training, found = network.training, Trace()
        network.eval()
        logits = network.mean_logits(
            torch.from_numpy(images).to(device),
            lambda name, spikes, _: found.add(name, spikes.cpu().numpy(), np.zeros(0, np.int8)),
        )
        network.train(training)
        found.answers = [logits.cpu().numpy()]
        return found

    return trace


def _connection(name: str, synapse: Synapse, pools: tuple[Pool, ...] = ()) -> Connection:
    """The synapses of a stage or a shortcut, whatever their weights."""
    return Connection(
        name=name,
        codes=np.ones(synapse.weight.shape, np.int8),
        bits=8,
        stride=synapse.stride,
        padding=synapse.padding,
        groups=synapse.groups,
        dilation=synapse.dilation,
        spread=synapse.spread,
        pools=pools,
        sum_pool=synapse.pool,
    )
