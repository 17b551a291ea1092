"""Drives that begin at the terms of an integer layer: codes, gains and offsets for the leaves of the tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
from torch import Tensor

from ..dtypes import Bools, Float64, Int8
from ..errors import ModelError
from ..integer.graph import Term
from .begin_norm import Statistics, begin_at_offset, begin_at_slope
from .drive import Drive, DroppedSums, NormalisedSums, PooledSums, Summed, Through, Weights
from .lift_weights import fill, rescale, take_bias, take_codes, usual_where
from .signals import SignalPart, parts_of
from .stage import Norm
from .synapse import Synapse

Wanted = dict[Weights | Through, Float64]  # of the leaves of a drive, their gains [C]


class DriveLift:
    """Sets the parameters of drives.

    Args:
        known: measured means and variances; 0 and 1 of a normalisation that is not among them.
    """

    def __init__(self, known: Mapping[Norm, Statistics]) -> None:
        self._known = known

    def statistics(self, norm: Norm) -> Statistics:
        """Mean and variance of what meets a normalisation."""
        zeros = np.zeros(len(norm.weight))
        return self._known.get(norm, Statistics(zeros, zeros + 1))

    def take_terms(self, drive: Drive, terms: Sequence[Term], unit: Float64) -> tuple[bool, Wanted]:
        """Set the weights of a drive to the codes of terms.

        Args:
            unit: [C] what a sum of one is worth in the layer.

        Returns:
            Whether the codes are exactly those of the terms; the gain [C] that each leaf must have.
        """
        wanted, exact, start = {}, True, 0
        for leaf in drive.leaves():
            own = terms[start : start + len(parts_of(leaf.signal, leaf.sources))]
            start += len(own)
            ratios = [ratio_of(term, len(unit)) for term in own]
            if any(not np.array_equal(ratio, ratios[0]) for ratio in ratios):
                raise ModelError("the graph weighs the parts of one signal differently, and this network cannot")
            worth: Float64 | float = 1.0
            if isinstance(leaf, Weights):
                bits = own[0].connection.bits
                worth = take_codes(leaf.synapse, _assembled(leaf, own), bits)
                same = leaf.synapse.bits == bits
                worth, exact = (
                    1.0 if same else leaf.synapse.scale().detach().cpu().double().numpy() / worth,
                    exact and same,
                )
            wanted[leaf] = unit * ratios[0] * worth
        return exact, wanted

    def give_gains(self, drive: Drive, wanted: Wanted, left: Bools, turn: int) -> None:
        """Set scales and normalisations so that each leaf has the gain [C] that is wanted of it, in channels that are
        ``left``; ``turn`` as in ``begin_at_slope``."""
        if isinstance(drive, Summed):
            for inner in cast(Iterable[Drive], drive.drives):
                self.give_gains(inner, wanted, left, turn)
        elif isinstance(drive, DroppedSums):
            self.give_gains(drive.inner, wanted, left, turn)
        elif isinstance(drive, PooledSums):
            self.give_gains(drive.inner, {leaf: gain * drive.divisor for leaf, gain in wanted.items()}, left, turn)
        elif isinstance(drive, NormalisedSums):
            self._normalise(drive, wanted, left, turn)
        elif isinstance(drive, Weights):
            gain = wanted[drive] * _divisor(drive)
            if bool((gain <= 0).any()):
                raise ModelError("the graph takes its sums with the other sign, and this network cannot")
            rescale(drive.synapse, gain)
        elif not np.allclose(_first_gains(drive)[0], wanted[next(drive.leaves())], rtol=1e-3):
            raise ModelError(
                "the graph gives spikes that are passed on another weight, and this network has none there"
            )

    def _normalise(self, drive: NormalisedSums, wanted: Wanted, left: Bools, turn: int) -> None:
        leaves = list(drive.leaves())
        gains, sought = _first_gains(drive.inner), [wanted[leaf] for leaf in leaves]
        main = int(np.argmax([np.abs(gain).sum() for gain in sought]))
        nothing = sought[main] == 0
        slope = usual_where(nothing, sought[main] / gains[main])
        for leaf, gain, target in zip(leaves, gains, sought, strict=True):
            more = target / (slope * gain)
            if leaf is leaves[main] or np.allclose(more, 1, rtol=1e-6):
                continue
            if not isinstance(leaf, Weights) or bool((more <= 0).any()):
                raise ModelError(
                    "the graph weighs the terms of one batch normalisation differently, and this network cannot"
                )
            rescale(leaf.synapse, more * leaf.synapse.scale().detach().cpu().double().numpy())
        fill(drive.sign, np.where(nothing, 1.0, np.sign(slope)))
        for module in drive.inner.modules():
            if isinstance(module, Synapse) and module.bias is not None:
                fill(module.bias, np.zeros(len(module.bias)))
        begin_at_slope(drive.norm, np.where(nothing, 0.0, slope), self.statistics(drive.norm), left, turn)

    def give_offsets(self, drive: Drive, low: Float64, high: Float64, left: Bools) -> Bools:
        """Set biases so that a drive has an offset between two bounds [C]; whether it is well inside."""
        carriers = list(_carriers(drive))
        for carrier in carriers:
            if isinstance(carrier, NormalisedSums):
                slope = _slope(carrier)
                within = carrier.inner.fold(np.ones(carrier.channels))[1] * slope
                begin_at_offset(carrier.norm, slope, -within - 1, -within + 1, self.statistics(carrier.norm), left)
            else:
                fill(cast(Tensor, carrier.synapse.bias), np.zeros(carrier.channels))
        others = drive.fold(np.ones(drive.channels))[1]
        first = next((each for each in carriers if isinstance(each, NormalisedSums)), None)
        if first is None:
            biased = cast(Weights | None, carriers[0] if carriers else None)
            take_bias(None if biased is None else biased.synapse.bias, low - others, high - others)
            return np.ones_like(left)
        slope, mine = _slope(first), first.norm.bias.detach().cpu().double().numpy()
        others = others - (mine - slope * first.norm.running_mean.cpu().double().numpy())
        return begin_at_offset(first.norm, slope, low - others, high - others, self.statistics(first.norm), left)


def ratio_of(term: Term, channels: int) -> Float64:
    """[C] the factor by which a term's sums count in its layer: multiplier / 2**shift."""
    factor = np.ones(channels) if term.multiplier is None else term.multiplier.astype(np.float64)
    return np.ldexp(factor, -term.shift)


def _carriers(drive: Drive) -> Iterator[NormalisedSums | Weights]:
    """The parts of a drive that hold a bias for all of it."""
    if isinstance(drive, NormalisedSums) or (isinstance(drive, Weights) and drive.synapse.bias is not None):
        yield drive
    elif isinstance(drive, Summed):
        for inner in cast(Iterable[Drive], drive.drives):
            yield from _carriers(inner)
    elif isinstance(drive, DroppedSums | PooledSums):
        yield from _carriers(drive.inner)


def unscaled_leaves(drive: Drive) -> Iterator[Weights | Through]:
    """The leaves of a drive that no parameter scales."""
    if isinstance(drive, Summed):
        for inner in cast(Iterable[Drive], drive.drives):
            yield from unscaled_leaves(inner)
    elif isinstance(drive, DroppedSums | PooledSums):
        yield from unscaled_leaves(drive.inner)
    elif not isinstance(drive, NormalisedSums | Weights):
        yield from drive.leaves()


def _slope(drive: NormalisedSums) -> Float64:
    norm = drive.norm
    weight, variance, sign = (x.detach().cpu().double().numpy() for x in (norm.weight, norm.running_var, drive.sign))
    found: Float64 = sign * np.abs(weight) / np.sqrt(variance + norm.eps)
    return found


def _first_gains(drive: Drive) -> list[Float64]:
    """The gain [C] of each leaf of a drive: that of its first part, as all have the same."""
    folded, start, found = drive.fold(np.ones(drive.channels))[0], 0, []
    for leaf in drive.leaves():
        found.append(folded[start].gain)
        start += len(parts_of(leaf.signal, leaf.sources))
    return found


def _divisor(leaf: Weights) -> float:
    found = {part.divisor for part in parts_of(leaf.signal, leaf.sources)}
    if len(found) > 1:
        raise ModelError("the parts of its signal have different scales, which one layer of weights cannot meet")
    return found.pop()


def _assembled(leaf: Weights, terms: Sequence[Term]) -> Int8:
    """The weight codes of a leaf, put together from the terms of its parts."""
    weight, parts = leaf.synapse.weight, parts_of(leaf.signal, leaf.sources)
    codes = np.zeros(tuple(weight.shape), np.int8)
    for part, term in zip(parts, terms, strict=True):
        _part_of(leaf, part, codes)[...] = term.connection.codes
    for part, term in zip(parts, terms, strict=True):
        if not np.array_equal(_part_of(leaf, part, codes), term.connection.codes):
            raise ModelError("the graph has different weights for signals that this network adds before its weights")
    return codes


def _part_of(leaf: Weights, part: SignalPart, codes: Int8) -> Int8:
    if leaf.synapse.groups > 1:
        if part.first or codes.shape[1] * leaf.synapse.groups != part.size:
            raise ModelError("weights in groups look at a part of a signal, which cannot be taken up")
        return codes
    return codes[:, part.first : part.first + part.size]
