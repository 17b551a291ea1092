"""From an integer graph back to a network in training form: the inverse of ``lower``, to train on from what ships.

Codes become weights that are rounded to them, and each channel's constants become a slope and an offset that give
these constants again. What lies between, how far a weight is from its next code and how a potential divides into mean,
deviation and normalisation, no integer says: weights lie in the middle of what is rounded to their codes, and means and
deviations are measured.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..dtypes import Bools, Float64, Int8
from ..errors import ModelError
from ..integer.graph import Graph, Layer, Readout, Term, largest_of
from ..integer.grids import FLOAT, WEIGHT_GRIDS
from ..nn.lif import LIF
from .begin_norm import Statistics, begin_at_offset, begin_at_slope
from .branched_stage import BranchedReadout, BranchedStage
from .drive import Drive, DroppedSums, NormalisedSums, PooledSums, Summed, Through, Weights
from .fold import in_units, reach_of, readout_units
from .lower import lower
from .network import SpikingNetwork
from .normalize import uniform_distance
from .same_layers import check_same_layers, first_other_layer
from .shortcut import TrainableShortcut
from .signals import SignalPart, parts_of
from .stage import NeuronStage, Norm, Stage
from .synapse import Synapse
from .unfold import ConstantRegion, region_of

Wanted = dict[Weights | Through, Float64]  # of the leaves of a drive, their gains [C]

_MEASURED = 32  # images at a time
_HALVINGS = 30
_TURNS = 256  # of looking for parameters that give very fine constants


def lift(graph: Graph, network: SpikingNetwork, images: Tensor | None = None) -> bool:
    """Let a network in training form begin at the integers of a graph.

    Lowered at once, a network of the same widths of bits gives the graph again: every weight code, threshold and
    stored code, and so every spike and every integer logit; the scale of a readout is the nearest that float32 has. At
    other widths of weights its codes are those nearest to what the graph computes with.

    Args:
        graph: as ``lower`` gives it of such a network.
        network: in training form, without pruned channels; its own thresholds and leaks are kept.
        images: some that it will be trained on, as it takes them, by which means and deviations are measured; None
            leaves 0 and 1, which are of no use for training.

    Returns:
        Whether the network, lowered at once, gives the graph again. False at other widths or time steps, and where
        constants of 30 bits, by which potentials of 5 bits or more are stored, differ in their last ones: a layer whose
        terms are scaled by parameters of their own, without batch normalisation, cannot always meet them.

    Raises:
        ModelError: the network has other layers, or other neurons, or cannot hold these integers.
    """
    if network.config.weight_bits == FLOAT:
        raise ModelError("weights in floating point begin at no codes: train with weights of 1.58 to 8 bits")
    exact = check_same_layers(graph, network)
    known: dict[Norm, Statistics] = {}
    if images is not None:
        _Lifted(graph, network, known, turns=1).run()  # nearly what is wanted, which is enough to measure
        known = _measured(network, images)
    _Lifted(graph, network, known, _TURNS).run()
    if not exact:
        return False
    again = lower(copy.deepcopy(network).eval().freeze())
    if (name := first_other_layer(graph, again, nearly=True)) is not None:
        raise ModelError(f"layer {name!r}: its constants cannot be met by these parameters")
    return first_other_layer(graph, again) is None


class _Lifted:
    """One pass over all stages, with what is known of means and variances."""

    def __init__(self, graph: Graph, network: SpikingNetwork, known: dict[Norm, Statistics], turns: int) -> None:
        self.graph, self.network, self.known, self.turns = graph, network, known, turns

    def run(self) -> None:
        for stage, layer in zip(self.network.hidden, self.graph.layers, strict=True):
            self._named(stage, layer)
        for stage, readout in zip(self.network.readouts, self.graph.readouts, strict=True):
            self._named(stage, readout)

    def _named(self, stage: NeuronStage, part: Layer | Readout) -> None:
        try:
            if isinstance(part, Readout):
                self._readout(stage, part)
            elif isinstance(stage, Stage):
                self._row(stage, part)
            else:
                self._branches(cast(BranchedStage, stage), part)
        except ModelError as error:
            raise ModelError(f"layer {part.name!r}: {error}") from None

    def statistics(self, norm: Norm) -> Statistics:
        zeros = np.zeros(len(norm.weight))
        return self.known.get(norm, Statistics(zeros, zeros + 1))

    # ---- layers of neurons ----

    def _row(self, stage: Stage, layer: Layer) -> None:
        main, *beside = layer.terms
        if stage.shortcut is not None:
            _take_shortcut(stage.shortcut, beside[0])
        dead, neuron = _dead(layer.terms), layer.neuron
        region = region_of(neuron, cast(LIF, stage.lif), dead)
        ends = region.units()
        gain = self._settled(layer, cast(LIF, stage.lif), *ends)
        synapse, codes, bits = stage.synapse, main.connection.codes, main.connection.bits
        if stage.norm is None:
            worth = take_codes(synapse, codes, bits, gain * stage.divisor) / stage.divisor
            _take_bias(synapse.bias, *region.offsets(np.where(dead, gain, worth) * 2.0**-neuron.fraction))
            return
        worth = take_codes(synapse, codes, bits) / stage.divisor
        if synapse.bias is not None:
            _fill(synapse.bias, np.zeros(len(codes)))
        known, left = self.statistics(stage.norm), np.ones(len(codes), np.bool_)
        for turn in range(self.turns):
            slope = begin_at_slope(stage.norm, _usual_where(dead, gain / worth), known, left, turn)
            unit = np.ldexp(np.where(dead, gain, worth * slope), -neuron.fraction)
            near = begin_at_offset(stage.norm, slope, *region.offsets(unit), known, left)
            left &= ~(near & _inside(unit, *ends))
            if not left.any():
                break

    def _branches(self, stage: BranchedStage, layer: Layer) -> None:
        dead, neuron, lif = _dead(layer.terms), layer.neuron, stage.lif
        region = region_of(neuron, lif, dead)
        self._hold(region, stage.drive, layer)
        ends = region.units()
        gain = self._settled(layer, lif, *ends)
        exact, wanted = self._codes(stage.drive, layer.terms, _usual_where(dead, gain))
        threshold = np.broadcast_to(lif.threshold.detach().double().cpu().numpy(), gain.shape)
        left, found, extra = np.ones(len(gain), np.bool_), gain, np.zeros_like(gain)
        for turn in range(self.turns):
            self._give(stage.drive, wanted, left, turn)
            if exact:
                folded, offset = stage.drive.fold(np.ones(len(gain)))
                _, units, shifted = in_units(folded, offset, threshold, self.network.inputs)
                found, extra = np.where(dead, gain, units), shifted - offset
            unit = np.ldexp(found, -neuron.fraction)
            low, high = region.offsets(unit)
            near = self._offsets(stage.drive, low - extra, high - extra, left)
            left &= ~(near & _inside(unit, *ends))
            if not left.any():
                break

    def _settled(self, layer: Layer, lif: LIF, low: Float64, high: Float64) -> Float64:
        """[C] gains between units at which potentials get as many fractional bits as they have."""
        neuron, reach = layer.neuron, reach_of(layer.terms, self.network.inputs)
        left, right, gain = 0.0, 1.0, low
        for _ in range(_HALVINGS):
            share = (left + right) / 2
            gain = np.ldexp(low ** (1 - share) * high**share, neuron.fraction)
            found = lif.fold(neuron.bits, gain, np.zeros_like(gain), reach)[0].fraction
            if found == neuron.fraction:
                break
            left, right = (left, share) if found > neuron.fraction else (share, right)
        return gain

    def _hold(self, region: ConstantRegion, drive: Drive, layer: Layer) -> None:
        """Hold the units to the gains of leaves that nothing scales."""
        fixed, folded = set(_fixed(drive)), drive.fold(np.ones(drive.channels))[0]
        if not fixed:
            return
        given, fraction = self.network.inputs, layer.neuron.fraction
        ratios = np.stack([_ratio(term, drive.channels) for term in layer.terms])
        reach = np.stack([term.connection.reach(*largest_of(given, term.source)) for term in layer.terms])
        strongest, start = (np.abs(ratios) * reach).argmax(0), 0
        for leaf in drive.leaves():
            term, gain, ratio = layer.terms[start], np.ldexp(folded[start].gain, -fraction), ratios[start]
            if leaf in fixed:
                if term.multiplier is not None:
                    region.rounded(np.ldexp(gain, term.shift), term.multiplier)
                sure = (strongest == start) | (term.multiplier is None)
                held = gain / np.where(ratio > 0, ratio, 1)
                region.within(np.where(sure, held, 0.0), np.where(sure, held, np.inf))
            start += len(parts_of(leaf.signal, leaf.sources))

    # ---- readouts ----

    def _readout(self, stage: NeuronStage, readout: Readout) -> None:
        unit, half = float(np.ldexp(readout.scale, readout.fraction)), 0.5 * 2.0**-readout.fraction
        bias = np.ldexp(readout.bias.astype(np.float64), -readout.fraction)
        if isinstance(stage, Stage):
            if stage.norm is not None:
                raise ModelError("a readout behind batch normalisation begins at no integers")
            first = readout.terms[0].connection
            worth = take_codes(stage.synapse, first.codes, first.bits, np.full(1, unit * stage.divisor)) / stage.divisor
            _take_bias(stage.synapse.bias, *(worth * (bias + side) for side in (-half, half)))
            return
        drive = cast(BranchedReadout, stage).drive
        exact, wanted = self._codes(drive, readout.terms, np.full(drive.channels, unit))
        everything, extra = np.ones(drive.channels, np.bool_), 0.0
        self._give(drive, wanted, everything, 0)
        if exact:
            terms, unit = readout_units(drive.fold(np.ones(drive.channels))[0])
            extra = 0.5 * unit * sum(term.shift > 0 for term in terms)
        self._offsets(drive, unit * (bias - half) - extra, unit * (bias + half) - extra, everything)

    # ---- drives ----

    def _codes(self, drive: Drive, terms: Sequence[Term], unit: Float64) -> tuple[bool, Wanted]:
        """Take the codes of terms that are worth ``unit`` [C]; whether they are the same as there, and the gains that
        are wanted of the leaves."""
        wanted, exact, start = {}, True, 0
        for leaf in drive.leaves():
            own = terms[start : start + len(parts_of(leaf.signal, leaf.sources))]
            start += len(own)
            ratios = [_ratio(term, len(unit)) for term in own]
            if any(not np.array_equal(ratio, ratios[0]) for ratio in ratios):
                raise ModelError("parts of one signal are weighted differently there")
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

    def _give(self, drive: Drive, wanted: Wanted, left: Bools, turn: int) -> None:
        """Let each leaf of a drive have the gain [C] that is wanted of it."""
        if isinstance(drive, Summed):
            for inner in cast(Iterable[Drive], drive.drives):
                self._give(inner, wanted, left, turn)
        elif isinstance(drive, DroppedSums):
            self._give(drive.inner, wanted, left, turn)
        elif isinstance(drive, PooledSums):
            self._give(drive.inner, {leaf: gain * drive.divisor for leaf, gain in wanted.items()}, left, turn)
        elif isinstance(drive, NormalisedSums):
            self._normalise(drive, wanted, left, turn)
        elif isinstance(drive, Weights):
            gain = wanted[drive] * _divisor(drive)
            if bool((gain <= 0).any()):
                raise ModelError("its sums are turned round there")
            _rescale(drive.synapse, gain)
        elif not np.allclose(_first_gains(drive)[0], wanted[next(drive.leaves())], rtol=1e-3):
            raise ModelError("what is passed on as it is has another weight there")

    def _normalise(self, drive: NormalisedSums, wanted: Wanted, left: Bools, turn: int) -> None:
        leaves = list(drive.leaves())
        gains, sought = _first_gains(drive.inner), [wanted[leaf] for leaf in leaves]
        main = int(np.argmax([np.abs(gain).sum() for gain in sought]))
        nothing = sought[main] == 0
        slope = _usual_where(nothing, sought[main] / gains[main])
        for leaf, gain, target in zip(leaves, gains, sought, strict=True):
            more = target / (slope * gain)
            if leaf is leaves[main] or np.allclose(more, 1, rtol=1e-6):
                continue
            if not isinstance(leaf, Weights) or bool((more <= 0).any()):
                raise ModelError("terms of one normalisation are weighted differently there")
            _rescale(leaf.synapse, more * leaf.synapse.scale().detach().cpu().double().numpy())
        _fill(drive.sign, np.where(nothing, 1.0, np.sign(slope)))
        for module in drive.inner.modules():
            if isinstance(module, Synapse) and module.bias is not None:
                _fill(module.bias, np.zeros(len(module.bias)))
        begin_at_slope(drive.norm, np.where(nothing, 0.0, slope), self.statistics(drive.norm), left, turn)

    def _offsets(self, drive: Drive, low: Float64, high: Float64, left: Bools) -> Bools:
        """Let a drive have an offset in between, [C] each; whether it is well inside."""
        carriers = list(_carriers(drive))
        for carrier in carriers:
            if isinstance(carrier, NormalisedSums):
                slope = _slope(carrier)
                within = carrier.inner.fold(np.ones(carrier.channels))[1] * slope
                begin_at_offset(carrier.norm, slope, -within - 1, -within + 1, self.statistics(carrier.norm), left)
            else:
                _fill(cast(Tensor, carrier.synapse.bias), np.zeros(carrier.channels))
        others = drive.fold(np.ones(drive.channels))[1]
        first = next((each for each in carriers if isinstance(each, NormalisedSums)), None)
        if first is None:
            biased = cast(Weights | None, carriers[0] if carriers else None)
            _take_bias(None if biased is None else biased.synapse.bias, low - others, high - others)
            return np.ones_like(left)
        slope, mine = _slope(first), first.norm.bias.detach().cpu().double().numpy()
        others = others - (mine - slope * first.norm.running_mean.cpu().double().numpy())
        return begin_at_offset(first.norm, slope, low - others, high - others, self.statistics(first.norm), left)


def take_codes(synapse: Synapse, codes: Int8, bits: float, scale: Float64 | None = None) -> Float64:
    """Let weights begin at codes [O, ...] of so many bits, each worth ``scale`` [O] or [1] in the sums; None: as usual
    where batch normalisation follows. What a code is worth now, float64, of that shape."""
    quantizer, device = synapse.quantizer, synapse.weight.device
    assert quantizer is not None
    if scale is None:
        grid = WEIGHT_GRIDS[bits]
        usual = uniform_distance(float(grid.step), (grid.low, grid.high)) / np.sqrt(codes[0].size)
        scale = np.full(len(quantizer.scale), usual)
    there, sought = (torch.from_numpy(x).to(device) for x in (codes, _alike(scale, len(quantizer.scale))))
    with torch.no_grad():
        if quantizer.bits == bits:
            synapse.weight.copy_(quantizer.begin_at(there, sought))
            return quantizer.positive_scale().cpu().double().numpy()
        synapse.weight.copy_(sought.view(-1, *[1] * (codes.ndim - 1)) * there)
        quantizer.fit(synapse.weight)
    return scale


def _rescale(synapse: Synapse, scale: Float64) -> None:
    """Let the codes that weights have be worth ``scale`` [O] each."""
    quantizer = synapse.quantizer
    assert quantizer is not None
    sought = torch.from_numpy(_alike(scale, len(quantizer.scale))).to(synapse.weight.device)
    with torch.no_grad():
        synapse.weight.copy_(quantizer.begin_at(quantizer.codes(synapse.weight), sought))


def _alike(scale: Float64, count: int) -> Float64:
    """[O] scales as ``count`` of them, all the same where there is one."""
    scale = np.broadcast_to(scale, max(len(scale), count))
    if count == 1 and not np.allclose(scale, scale[0], rtol=1e-6):
        raise ModelError("its channels have scales of their own there, and one scale here")
    return scale[:count].copy()


def _take_shortcut(shortcut: TrainableShortcut, term: Term) -> None:
    if term.left_shift != shortcut.shift:
        raise ModelError(
            f"its shortcut is shifted by {term.left_shift} bits there and by {shortcut.shift} here, as its "
            "weights have other bits"
        )
    take_codes(shortcut.synapse, term.connection.codes, term.connection.bits)


def _take_bias(bias: Tensor | None, low: Float64, high: Float64) -> None:
    """Let a bias lie between two bounds [O]."""
    if bias is not None:
        _fill(bias, (low + high) / 2)
    elif bool(((low > 0) | (high < 0)).any()):
        raise ModelError("its sums have an offset there, and neither bias nor normalisation here")


def _inside(unit: Float64, low: Float64, high: Float64) -> Bools:
    found: Bools = (low <= unit * (1 + 1e-12)) & (unit <= high * (1 + 1e-12))
    return found


def _fill(tensor: Tensor, values: Float64) -> None:
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.array(np.broadcast_to(values, tuple(tensor.shape)))))


def _dead(terms: Sequence[Term]) -> Bools:
    """[O] the channels without a weight."""
    found: Bools = ~np.any([t.connection.codes.reshape(len(t.connection.codes), -1).any(1) for t in terms], axis=0)
    return found


def _usual_where(which: Bools, values: Float64) -> Float64:
    """[C] values, with the usual size of the others in some places."""
    usual = float(np.median(np.abs(values[~which]))) if not which.all() else 1.0
    return np.where(which, usual, values)


def _ratio(term: Term, channels: int) -> Float64:
    """[C] what a sum of a term is worth in units of its layer."""
    factor = np.ones(channels) if term.multiplier is None else term.multiplier.astype(np.float64)
    return np.ldexp(factor, -term.shift)


def _carriers(drive: Drive) -> Iterator[NormalisedSums | Weights]:
    """The parts of a drive that can be given an offset of the whole."""
    if isinstance(drive, NormalisedSums) or (isinstance(drive, Weights) and drive.synapse.bias is not None):
        yield drive
    elif isinstance(drive, Summed):
        for inner in cast(Iterable[Drive], drive.drives):
            yield from _carriers(inner)
    elif isinstance(drive, DroppedSums | PooledSums):
        yield from _carriers(drive.inner)


def _fixed(drive: Drive) -> Iterator[Weights | Through]:
    """The leaves of a drive that no parameter scales."""
    if isinstance(drive, Summed):
        for inner in cast(Iterable[Drive], drive.drives):
            yield from _fixed(inner)
    elif isinstance(drive, DroppedSums | PooledSums):
        yield from _fixed(drive.inner)
    elif not isinstance(drive, NormalisedSums | Weights):
        yield from drive.leaves()


def _slope(drive: NormalisedSums) -> Float64:
    norm = drive.norm
    weight, variance, sign = (x.detach().cpu().double().numpy() for x in (norm.weight, norm.running_var, drive.sign))
    found: Float64 = sign * np.abs(weight) / np.sqrt(variance + norm.eps)
    return found


def _first_gains(drive: Drive) -> list[Float64]:
    """[C] the gain of each leaf of a drive, of the first of its parts."""
    folded, start, found = drive.fold(np.ones(drive.channels))[0], 0, []
    for leaf in drive.leaves():
        found.append(folded[start].gain)
        start += len(parts_of(leaf.signal, leaf.sources))
    return found


def _divisor(leaf: Weights) -> float:
    found = {part.divisor for part in parts_of(leaf.signal, leaf.sources)}
    if len(found) > 1:
        raise ModelError("parts of its signal have scales of their own")
    return found.pop()


def _assembled(leaf: Weights, terms: Sequence[Term]) -> Int8:
    """The codes of a leaf, of those of its parts."""
    weight, parts = leaf.synapse.weight, parts_of(leaf.signal, leaf.sources)
    codes = np.zeros(tuple(weight.shape), np.int8)
    for part, term in zip(parts, terms, strict=True):
        _part_of(leaf, part, codes)[...] = term.connection.codes
    for part, term in zip(parts, terms, strict=True):
        if not np.array_equal(_part_of(leaf, part, codes), term.connection.codes):
            raise ModelError("signals that are added meet other weights each there")
    return codes


def _part_of(leaf: Weights, part: SignalPart, codes: Int8) -> Int8:
    if leaf.synapse.groups > 1:
        if part.first or codes.shape[1] * leaf.synapse.groups != part.size:
            raise ModelError("weights in groups meet a part of a signal")
        return codes
    return codes[:, part.first : part.first + part.size]


@torch.no_grad()
def _measured(network: SpikingNetwork, images: Tensor) -> dict[Norm, Statistics]:
    """Means and variances of what meets each normalisation, while the network computes what it computes."""
    network_copy = copy.deepcopy(network).use_plain_path().eval()
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    copies = [module for module in network_copy.modules() if isinstance(module, Norm)]
    totals = [np.zeros((3, len(norm.weight))) for norm in norms]

    def add(total: Float64) -> object:
        def hook(_: Norm, given: tuple[Tensor]) -> None:
            x = given[0].transpose(0, 1).flatten(1).double()
            total[:] += np.stack(
                [part.cpu().numpy() for part in (x.new_ones(x.shape).sum(1), x.sum(1), (x * x).sum(1))]
            )

        return hook

    for norm, total in zip(copies, totals, strict=True):
        norm.register_forward_pre_hook(add(total))  # type: ignore[arg-type]
    for part in images.split(_MEASURED, images.dim() - 4):  # type: ignore[no-untyped-call]
        network_copy(part)
    means = [total[1] / total[0] for total in totals]
    variances = [np.maximum(total[2] / total[0] - mean**2, 0.0) for total, mean in zip(totals, means, strict=True)]
    return {norm: Statistics(*found) for norm, *found in zip(norms, means, variances, strict=True)}
