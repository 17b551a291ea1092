"""Comparison of structures: whether a network has the layers of an integer graph, and whether two graphs of one
structure have the same integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..dtypes import Int64
from ..errors import ModelError
from ..integer.connection import Connection
from ..integer.graph import Graph, Layer, Readout, Term
from ..integer.neuron import TableStore
from .branched_stage import BranchedReadout, BranchedStage
from .drive import FoldedTerm
from .fold import connection_of, integrator_leak
from .network import SpikingNetwork
from .stage import NeuronStage, Stage

_LAST_BITS = 2.0**-20  # of constants of 30 bits


def check_same_layers(graph: Graph, network: SpikingNetwork) -> bool:
    """Refuse a graph that is of another structure; whether all weights, stored codes and time steps have the widths of
    the network too.

    Raises:
        ModelError: it differs; the message says where.
    """
    counts = [(len(graph.layers), len(network.hidden)), (len(graph.readouts), len(network.readouts))]
    for (there, here), what in zip(counts, ("layers of neurons", "readouts"), strict=True):
        if there != here:
            raise ModelError(f"it has {there} {what}, this network {here}")
    if [(i.shape, i.signed) for i in graph.inputs] != [(i.shape, i.signed) for i in network.inputs]:
        shapes = ("x".join(map(str, given[0].shape)) for given in (graph.inputs, network.inputs))
        raise ModelError("it takes inputs of {}, this network of {}, or others in their signs".format(*shapes))
    for given, mine in zip(graph.inputs, network.inputs, strict=True):
        if not np.isclose(given.scale, mine.scale, rtol=1e-9):
            raise ModelError(f"a one of its input stands for {given.scale:g}, of this network's for {mine.scale:g}")
    said, wanted = graph.readout.output_format, network.output_format
    if said is not None and wanted is not None and (said.gains, said.offsets) != (wanted.gains, wanted.offsets):
        raise ModelError("its answers stand for other numbers, those of the labels that it was trained on")
    stages: list[tuple[NeuronStage, Layer | Readout]] = [
        *zip(network.hidden, graph.layers, strict=True),
        *zip(network.readouts, graph.readouts, strict=True),
    ]
    exact = graph.timesteps == network.config.timesteps
    for stage, part in stages:
        found = _terms_of(stage, len(network.inputs))
        if len(found) != len(part.terms):
            raise ModelError(f"layer {part.name!r} sums {len(part.terms)} terms there and {len(found)} here")
        for one, term in zip(found, part.terms, strict=True):
            _check_same_term(part.name, one, term)
            exact = exact and one.connection.bits == term.connection.bits
        if isinstance(part, Readout):
            _check_same_integrator(stage, part)
            continue
        if part.gate is not None:
            raise ModelError(f"layer {part.name!r} skips blocks of neurons, which begin at no integers")
        exact = exact and part.neuron.bits == network.config.state_bits
    return exact


def _terms_of(stage: NeuronStage, inputs: int) -> list[FoldedTerm]:
    """The terms of a stage as they stand, without gains."""
    if not isinstance(stage, Stage):
        drive = cast(BranchedStage | BranchedReadout, stage).drive
        return drive.fold(np.ones(drive.channels))[0]
    none = np.ones(0)
    main = replace(connection_of(stage.name, stage.synapse), pools=stage.pools)
    found = [FoldedTerm(stage.source, 0, main, none)]
    if stage.shortcut is not None:
        beside = connection_of(stage.shortcut.name, stage.shortcut.synapse)
        found.append(FoldedTerm(inputs + stage.shortcut.source, 0, beside, none))
    return found


def _check_same_term(name: str, here: FoldedTerm, there: Term) -> None:
    a, b = here.connection, there.connection
    if a.codes.shape != b.codes.shape:
        shapes = (" x ".join(map(str, x.codes.shape)) for x in (b, a))
        raise ModelError("layer {!r} has weights of {} there and of {} here".format(name, *shapes))
    if (here.source, here.delay) != (there.source, there.delay):
        raise ModelError(f"layer {name!r} takes the spikes of other layers there than here")
    if _geometry(a) != _geometry(b):
        raise ModelError(f"layer {name!r} has another stride, padding, dilation, pool or groups there than here")


def _geometry(x: Connection) -> tuple[object, ...]:
    return x.stride, x.padding, x.groups, x.dilation, x.spread, x.pools, x.sum_pool


def _check_same_integrator(stage: NeuronStage, readout: Readout) -> None:
    here = stage.integrator if isinstance(stage, BranchedReadout) else None
    if (here is None) != (readout.leak is None):
        raise ModelError(f"layer {readout.name!r} integrates over time in one of the two alone")
    if here is not None and readout.leak is not None:
        leak, shift, over_time = integrator_leak(here, len(readout.leak))
        if (shift, over_time) != (readout.leak_shift, readout.over_time) or not np.array_equal(leak, readout.leak):
            raise ModelError(f"layer {readout.name!r} has another leak, or answers by another step, there than here")


def first_other_layer(a: Graph, b: Graph, nearly: bool = False) -> str | None:
    """The first layer or readout of whose integers two graphs of one structure differ; None where all are the same.
    Multipliers of channels without weights, and the scales of readouts, are not looked at.

    Args:
        nearly: let constants of 30 bits differ in their last ones.
    """
    pairs: list[tuple[Layer | Readout, Layer | Readout]] = [
        *zip(a.layers, b.layers, strict=True),
        *zip(a.readouts, b.readouts, strict=True),
    ]
    for one, two in pairs:
        (plain, products), (others, other_products) = _integers(one), _integers(two)
        if not all(map(np.array_equal, plain, others)):
            return one.name
        for x, y in zip(products, other_products, strict=True):
            room = np.abs(x) * _LAST_BITS + 2 if nearly else 0
            if bool((np.abs(x - y) > room).any()):
                return one.name
    return None


def _integers(part: Layer | Readout) -> tuple[list[Any], list[Int64]]:
    """All of them; apart, those of products in fixed point."""
    found: list[Any] = []
    products: list[Int64] = []
    for term in part.terms:
        codes = term.connection.codes
        live = codes.reshape(len(codes), -1).any(1)
        factor = np.ones(len(codes)) if term.multiplier is None else term.multiplier
        found += [codes, term.source, term.delay, term.shift, np.where(live, factor, 0)]
    if isinstance(part, Readout):
        return [*found, part.fraction, part.bias, -1 if part.leak is None else part.leak], products
    neuron = part.neuron
    for store in (neuron.store, None if neuron.current is None else neuron.current.store):
        if isinstance(store, TableStore):
            found += [store.decay, store.edges]
        elif store is not None:
            found += [store.decay_shift, store.shift]
            products += [x.astype(np.int64) for x in (store.decay, store.gain, store.offset)]
    return [*found, neuron.fraction, neuron.fire, neuron.drop], products
