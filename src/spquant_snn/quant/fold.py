"""Folding: the integers of a stage, from its parameters as they are now.

Batch normalisation, scales and thresholds become constants of the neurons. Where the terms of a layer have gains of
their own, a channel counts in units of its strongest term, finer ones where its threshold would be few of them, and
each other term is multiplied by its gain in these units, in fixed point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..dtypes import Bools, Float64, Int32, Int64
from ..errors import ModelError
from ..integer.connection import Connection
from ..integer.graph import Input, Layer, Readout, Term, largest_of
from ..integer.grids import Bits
from ..integer.neuron import with_silent
from ..integer.readout import OverTime
from ..nn.integrator import LeakyIntegrator
from .branched_stage import BranchedReadout, BranchedStage
from .drive import FoldedTerm
from .finite_check import check_finite
from .shortcut import TrainableShortcut
from .stage import Stage
from .synapse import Synapse
from .uncompiled import uncompiled
from .weight import integer_codes

_READOUT_LIMIT = 1 << 30
_RESOLUTION = 8192  # units that a threshold has, at least, where terms are multiplied: each rounds to one of them
_FINEST = 12  # bits by which units may be finer for that
_ROOM = 1 << 28  # for sums in finer units
_READOUT_FINER = 6  # bits by which a readout counts finer where its terms are multiplied
_LEAK_SHIFT = 16  # of an integrator
_FACTOR_BITS = 15  # of a multiplier


@dataclass(frozen=True, eq=False)
class Folded:
    """A layer in integers: its potentials V stand for ``gain * V * 2**-fraction + offset``, [C] each."""

    layer: Layer
    gain: Float64
    offset: Float64


@uncompiled
def fold_stage(
    stage: Stage,
    given: Sequence[Input],
    bits: Bits,
    inputs: Tensor | None = None,
    sources: Tensor | None = None,
) -> Folded:
    """The layer of a stage of one row of synapses, and a shortcut.

    Pruned channels become silent ones: weights of zero before neurons that never fire. No constant of a kept channel
    depends on a closed one, so that without them the integers are the same.

    Args:
        given: the inputs of the network; the stage's own source counts them, its shortcut's does not.
        bits: of the state.
        inputs: [I] bool over the second axis of the weight, the inputs that can be other than zero; None: all.
        sources: [I] bool, the channels at the source of the shortcut that can; None: all.

    Raises:
        ModelError: the constants do not fit 32 bits, or are not finite.
    """
    check_finite(stage.name, stage)
    lif, synapse = stage.lif, stage.synapse
    assert lif is not None
    main = connection_of(stage.name, synapse, _live_codes(synapse, inputs))
    main = replace(main, pools=stage.pools)
    terms = [Term(main, stage.source)]
    if stage.shortcut is not None:
        terms.append(_shortcut_term(stage.shortcut, len(given), _live_codes(stage.shortcut.synapse, sources)))
    gain, offset = (x.numpy() for x in stage.affine())
    reach = reach_of(terms, given)
    live = np.ones(len(gain), np.bool_) if stage.gate is None else stage.gate.opened().cpu().numpy()
    try:
        neuron, dead = lif.fold(float(bits), gain[live], offset[live], reach[live], live)
    except ModelError as error:
        raise ModelError(f"layer {stage.name!r}: {error}") from None
    unmoved = ~live
    unmoved[live] = dead
    # Blocks are of kept channels, and those of a graph of all of them: `lower` wants the others gone.
    gate = stage.skipping.rule(len(live)) if stage.skipping is not None and live.all() else None
    neuron = neuron if live.all() else with_silent(neuron, live)
    return Folded(Layer(stage.name, _without(terms, unmoved), neuron, gate), gain, offset)


@uncompiled
def fold_branches(stage: BranchedStage, given: Sequence[Input], bits: Bits) -> Folded:
    """The layer of a stage of any drive; the rest is as for ``fold_stage``."""
    check_finite(stage.name, stage)
    lif = stage.lif
    folded, offset = stage.drive.fold(np.ones(stage.drive.channels))
    threshold = np.broadcast_to(lif.threshold.detach().double().cpu().numpy(), offset.shape)
    terms, gain, offset = in_units(folded, offset, threshold, given)
    try:
        neuron, dead = lif.fold(float(bits), gain, offset, reach_of(terms, given))
    except ModelError as error:
        raise ModelError(f"layer {stage.name!r}: {error}") from None
    return Folded(Layer(stage.name, _without(terms, dead), neuron), gain, offset)


@uncompiled
def fold_readout(stage: Stage, given: Sequence[Input], timesteps: int, inputs: Tensor | None = None) -> Readout:
    """The readout of a last stage of one row of synapses, with as many fractional bits (at most 8) as ``timesteps``
    sums leave room for; ``inputs`` as for ``fold_stage``.

    Raises:
        ModelError: a logit does not fit 32 bits, or a number is not finite.
    """
    check_finite(stage.name, stage)
    connection = connection_of(stage.name, stage.synapse, _live_codes(stage.synapse, inputs))
    terms = (Term(replace(connection, pools=stage.pools), stage.source),)
    gain, offset = (x.numpy() for x in stage.affine())
    return _readout(stage.name, terms, float(gain[0]), offset, given, timesteps)


@uncompiled
def fold_branched_readout(stage: BranchedReadout, given: Sequence[Input], timesteps: int) -> Readout:
    """The same of any drive."""
    check_finite(stage.name, stage)
    folded, offset = stage.drive.fold(np.ones(stage.drive.channels))
    terms, unit = readout_units(folded)
    offset = offset + 0.5 * unit * sum(term.shift > 0 for term in terms)
    squared = stage.integrator is not None and stage.integrator.over_time == "mean"  # a sum of what is a sum
    readout = _readout(stage.name, terms, unit, offset, given, timesteps**2 if squared else timesteps)
    if stage.integrator is None:
        return readout
    leak, shift, over_time = integrator_leak(stage.integrator, stage.drive.channels)
    return replace(readout, leak=leak, leak_shift=shift, over_time=over_time)


def readout_units(folded: Sequence[FoldedTerm]) -> tuple[tuple[Term, ...], float]:
    """Terms of a readout that add up in one common unit, and what that is worth."""
    unit = max(float(np.abs(term.gain).max()) for term in folded) or 1.0
    if not all(_exact_powers(term.gain / unit) for term in folded):
        unit = float(np.ldexp(unit, -_READOUT_FINER))  # what is multiplied is rounded to one of them
    return _multiplied(folded, np.full(len(folded[0].gain), unit)), unit


def integrator_leak(integrator: LeakyIntegrator, outputs: int) -> tuple[Int32, int, OverTime]:
    """The leak of outputs in fixed point, by how many bits it is shifted, and what happens over time."""
    leak = np.full(outputs, round(integrator.leak * (1 << _LEAK_SHIFT)), np.int32)
    return leak, _LEAK_SHIFT, "sum" if integrator.over_time == "mean" else integrator.over_time


def _readout(
    name: str, terms: tuple[Term, ...], gain: float, offset: Float64, given: Sequence[Input], timesteps: int
) -> Readout:
    most = (int(reach_of(terms, given).max()) + float(np.abs(offset / gain).max())) * max(timesteps, 64)
    room = _READOUT_LIMIT / max(most, 1.0)
    if room < 1:
        raise ModelError(
            f"layer {name!r}: logits of up to {most:,.0f} do not fit 32 bits: use fewer inputs, bits or time steps"
        )
    fraction = min(8, int(np.floor(np.log2(room))))
    bias = np.floor(np.ldexp(offset / gain, fraction) + 0.5).astype(np.int32)
    return Readout(name, terms, fraction, bias, float(np.ldexp(gain, -fraction)))


def in_units(
    folded: Sequence[FoldedTerm], offset: Float64, threshold: Float64, given: Sequence[Input]
) -> tuple[tuple[Term, ...], Float64, Float64]:
    """Terms that add up in common units.

    Args:
        offset: [C] of the current.
        threshold: [C] of the neurons.
        given: the inputs of the network.

    Returns:
        The terms; [C] what a unit is worth, above zero; the offset, with what rounding down takes off on average.
    """
    gains = np.stack([term.gain for term in folded])
    if (gains == gains[0]).all() and (gains > 0).all():
        return tuple(Term(term.connection, term.source, term.delay) for term in folded), gains[0], offset
    reach = np.stack([term.connection.reach(*largest_of(given, term.source)) for term in folded])
    strongest = (np.abs(gains) * reach).argmax(0)
    unit = np.abs(np.take_along_axis(gains, strongest[None], 0)[0])
    unit = np.where(unit > 0, unit, threshold * 2.0**-20)
    finer = 0
    if not _exact_powers(gains / unit):
        coarse = float(np.median(threshold / unit))
        finer = int(np.clip(np.ceil(np.log2(max(_RESOLUTION / coarse, 1.0))), 0, _FINEST))
        while finer and float((np.abs(gains / unit) * reach).sum(0).max()) * 2.0**finer > _ROOM:
            finer -= 1
    unit = np.ldexp(unit, -finer)
    terms = _multiplied(folded, unit)
    return terms, unit, offset + 0.5 * unit * sum(term.shift > 0 for term in terms)


def _multiplied(folded: Sequence[FoldedTerm], unit: Float64) -> tuple[Term, ...]:
    """The terms, each with its gain in units [C]."""
    return tuple(_in_fixed_point(term, term.gain / unit) for term in folded)


def _in_fixed_point(term: FoldedTerm, ratio: Float64) -> Term:
    if _exact_powers(ratio):
        factor = None if (ratio == 1).all() else ratio.astype(np.int32)
        return Term(term.connection, term.source, term.delay, factor)
    most = float(np.abs(ratio).max())
    shift = int(np.clip(_FACTOR_BITS - np.ceil(np.log2(max(most, 2.0**-15))), 0, 30))
    factor = np.floor(np.ldexp(ratio, shift) + 0.5).astype(np.int64)
    pool = term.connection.sum_pool
    if pool is not None and pool.kind == "max":
        factor = np.where(factor == 0, 1, factor)  # which adds next to nothing
    limit = (1 << 31) - 1
    return Term(term.connection, term.source, term.delay, np.clip(factor, -limit, limit).astype(np.int32), shift)


def _exact_powers(ratio: Float64) -> bool:
    """Whether all are 1, 2, 4 ... up to 2**16, of either sign."""
    mantissa, exponent = np.frexp(np.abs(ratio))
    return bool(((mantissa == 0.5) & (exponent >= 1) & (exponent <= 17)).all())


def reach_of(terms: Sequence[Term], given: Sequence[Input]) -> Int64:
    """[O] the largest absolute value of the sum of terms."""
    total: Int64 = np.sum([term.reach(*largest_of(given, term.source)) for term in terms], axis=0)
    return total


def _without(terms: Sequence[Term], outputs: Bools) -> tuple[Term, ...]:
    """The terms with codes of zero for outputs [O] of a mask."""
    if not outputs.any():
        return tuple(terms)
    made: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.int8]]] = {}
    kept = []
    for term in terms:
        codes = term.connection.codes
        if id(codes) not in made:
            made[id(codes)] = np.where(outputs.reshape(-1, *[1] * (codes.ndim - 1)), np.int8(0), codes)
        kept.append(replace(term, connection=replace(term.connection, codes=made[id(codes)])))
    return tuple(kept)


def _shortcut_term(shortcut: TrainableShortcut, first: int, codes: Tensor) -> Term:
    connection = connection_of(shortcut.name, shortcut.synapse, codes)
    factor = np.full(len(codes), 1 << shortcut.shift, np.int32) if shortcut.shift else None
    return Term(connection, first + shortcut.source, multiplier=factor)


def connection_of(name: str, synapse: Synapse, codes: Tensor | None = None) -> Connection:
    """The connection of synapses, without the pools before them; of zeros where there are no codes yet."""
    codes = torch.zeros(synapse.weight.shape, dtype=torch.int8) if codes is None else codes
    return Connection(
        name,
        codes.cpu().numpy(),
        synapse.bits,
        synapse.stride,
        synapse.padding,
        synapse.groups,
        synapse.dilation,
        synapse.spread,
        sum_pool=synapse.pool,
    )


def _live_codes(synapse: Synapse, inputs: Tensor | None) -> Tensor:
    """The weight codes, int8 [O, I, ...], zero where the input is always zero."""
    assert synapse.quantizer is not None
    codes = integer_codes(synapse.quantizer, synapse.weight)
    if inputs is None:
        return codes
    axis = (-1, 1) if synapse.groups > 1 else (1, -1)  # of an identity, each output has its own input
    return codes * inputs.to(torch.int8).view(*axis, *[1] * (codes.dim() - 2))
