"""From an integer graph back to a network in training form: the inverse of ``lower``, to train on from what ships.

Weights are set so that they round to the graph's codes, and batch normalisation so that each channel's constants come
out again. The integers leave two things open: where between its neighbours a weight lies (the middle is taken), and how
a slope divides into weight and deviation, an offset into bias and mean (both are measured on images).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..dtypes import Bools, Float64
from ..errors import ModelError
from ..integer.graph import Graph, Layer, Readout, Term, largest_of
from ..integer.grids import FLOAT
from ..nn.lif import LIF
from .begin_norm import Statistics, begin_at_offset, begin_at_slope
from .branched_stage import BranchedReadout, BranchedStage
from .drive import Drive
from .fold import in_units, reach_of, readout_units
from .lift_drives import DriveLift, ratio_of, unscaled_leaves
from .lift_weights import fill, take_bias, take_codes, usual_where
from .lower import lower
from .network import SpikingNetwork
from .same_layers import check_same_layers, first_other_layer
from .shortcut import TrainableShortcut
from .signals import parts_of
from .stage import NeuronStage, Norm, Stage
from .unfold import ConstantRegion, region_of

_MEASURED = 32  # images at a time
_HALVINGS = 30
_TURNS = 256  # of looking for parameters that give very fine constants


def lift(graph: Graph, network: SpikingNetwork, images: Tensor | None = None) -> bool:
    """Set the parameters of a network in training form so that it computes what an integer graph computes.

    At the same bit widths, lowering the network at once gives the graph again: every weight code, threshold and stored
    code, and so every spike and every integer logit; the scale of a readout is the nearest number of float32. At other
    widths of weights, its codes are the nearest to what the graph computes with.

    Args:
        graph: lowered from a network of the same layers.
        network: in training form, without pruned channels; it keeps its own thresholds and leaks.
        images: some training images, in the shape that the network takes, to measure means and variances on; None
            leaves 0 and 1, which is of no use for training.

    Returns:
        Whether lowering the network at once gives the graph again. False at other widths or time steps, and where the
        last bits of 30-bit constants (of potentials of 5 bits or more) cannot be met: by a layer of several terms with
        scales of their own and no batch normalisation.

    Raises:
        ModelError: the network has other layers or other neurons, or cannot hold these integers.
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
    """One pass over all stages with given means and variances."""

    def __init__(self, graph: Graph, network: SpikingNetwork, known: dict[Norm, Statistics], turns: int) -> None:
        self.graph, self.network, self.turns = graph, network, turns
        self.drives = DriveLift(known)

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
            take_bias(synapse.bias, *region.offsets(np.where(dead, gain, worth) * 2.0**-neuron.fraction))
            return
        worth = take_codes(synapse, codes, bits) / stage.divisor
        if synapse.bias is not None:
            fill(synapse.bias, np.zeros(len(codes)))
        known, left = self.drives.statistics(stage.norm), np.ones(len(codes), np.bool_)
        for turn in range(self.turns):
            slope = begin_at_slope(stage.norm, usual_where(dead, gain / worth), known, left, turn)
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
        exact, wanted = self.drives.take_terms(stage.drive, layer.terms, usual_where(dead, gain))
        threshold = np.broadcast_to(lif.threshold.detach().double().cpu().numpy(), gain.shape)
        left, found, extra = np.ones(len(gain), np.bool_), gain, np.zeros_like(gain)
        for turn in range(self.turns):
            self.drives.give_gains(stage.drive, wanted, left, turn)
            if exact:
                folded, offset = stage.drive.fold(np.ones(len(gain)))
                _, units, shifted = in_units(folded, offset, threshold, self.network.inputs)
                found, extra = np.where(dead, gain, units), shifted - offset
            unit = np.ldexp(found, -neuron.fraction)
            low, high = region.offsets(unit)
            near = self.drives.give_offsets(stage.drive, low - extra, high - extra, left)
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
        """Narrow the region of units to those in which leaves without a trained scale have the gain that they have."""
        fixed, folded = set(unscaled_leaves(drive)), drive.fold(np.ones(drive.channels))[0]
        if not fixed:
            return
        given, fraction = self.network.inputs, layer.neuron.fraction
        ratios = np.stack([ratio_of(term, drive.channels) for term in layer.terms])
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
                raise ModelError("a readout with batch normalisation cannot take up the integers of a graph")
            first = readout.terms[0].connection
            worth = take_codes(stage.synapse, first.codes, first.bits, np.full(1, unit * stage.divisor)) / stage.divisor
            take_bias(stage.synapse.bias, *(worth * (bias + side) for side in (-half, half)))
            return
        drive = cast(BranchedReadout, stage).drive
        exact, wanted = self.drives.take_terms(drive, readout.terms, np.full(drive.channels, unit))
        everything, extra = np.ones(drive.channels, np.bool_), 0.0
        self.drives.give_gains(drive, wanted, everything, 0)
        if exact:
            terms, unit = readout_units(drive.fold(np.ones(drive.channels))[0])
            extra = 0.5 * unit * sum(term.shift > 0 for term in terms)
        self.drives.give_offsets(drive, unit * (bias - half) - extra, unit * (bias + half) - extra, everything)


def _take_shortcut(shortcut: TrainableShortcut, term: Term) -> None:
    if term.left_shift != shortcut.shift:
        raise ModelError(
            f"its shortcut is shifted by {term.left_shift} bits in the graph and by {shortcut.shift} in this network, "
            "whose weights have another width"
        )
    take_codes(shortcut.synapse, term.connection.codes, term.connection.bits)


def _inside(unit: Float64, low: Float64, high: Float64) -> Bools:
    found: Bools = (low <= unit * (1 + 1e-12)) & (unit <= high * (1 + 1e-12))
    return found


def _dead(terms: Sequence[Term]) -> Bools:
    """[C] mask of the channels whose weights are all zero."""
    found: Bools = ~np.any([t.connection.codes.reshape(len(t.connection.codes), -1).any(1) for t in terms], axis=0)
    return found


@torch.no_grad()
def _measured(network: SpikingNetwork, images: Tensor) -> dict[Norm, Statistics]:
    """Mean and variance of the inputs of each batch normalisation, [C] each, in evaluation on images."""
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
