"""Gains and offsets that give integer neurons: the inverse of ``fold_neuron``.

Every constant of a neuron is a rounded number, so a channel's gain g and offset h lie in a region: intervals of each,
from what is stored, and strips between two lines, from potentials that are compared. With ``unit`` = g * 2**-fraction

    E = ceil((e - h) / unit)                 h >= e - E * unit    and    h < e - (E - 1) * unit
    D = floor(a / unit + 1/2)                a / (D + 1/2) < unit <= a / (D - 1/2)

A point far inside of it survives being rounded to the parameters of torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..dtypes import Bools, Float64, Int32
from ..errors import ModelError
from ..integer.grids import CURRENT_GRIDS, STATE_GRIDS, Grid
from ..integer.neuron import LIMIT, Current, Neuron, TableStore
from ..nn.lif import LIF

_WIDEST = 1e30
_OPEN = 2.0  # in logarithms: how far units go on that nothing bounds above
_TURNS = 120  # of a search that leaves two thirds in each
_DEAD = 2.0**-12  # thresholds, as ``fold_neuron`` has the gain of channels that nothing moves
_SCALED_OFFSET = 2.0**20


@dataclass(eq=False)
class ConstantRegion:
    """What the units and the offsets of C channels may be, for the constants to come out as they are."""

    lowest_unit: Float64
    highest_unit: Float64
    lowest_offset: Float64
    highest_offset: Float64
    above: list[tuple[Float64, Float64]] = field(default_factory=list)  # h >= e - E * unit
    below: list[tuple[Float64, Float64]] = field(default_factory=list)  # h < e - E * unit

    def offsets(self, unit: Float64) -> tuple[Float64, Float64]:
        """[C] the lowest and the highest offset at these units; where there is none, the first is larger."""
        low, high = self.lowest_offset.copy(), self.highest_offset.copy()
        for value, edge in self.above:
            low = np.maximum(low, value - edge * unit)
        for value, edge in self.below:
            high = np.minimum(high, value - edge * unit)
        return low, high

    def units(self) -> tuple[Float64, Float64]:
        """[C] the lowest and the highest units that leave room for an offset."""
        low, high = np.log(self.lowest_unit), np.log(self.highest_unit)
        for _ in range(_TURNS):  # the room is concave in the unit
            third = (high - low) / 3
            left, right = self._room(np.exp(low + third)), self._room(np.exp(high - third))
            low, high = np.where(left < right, low + third, low), np.where(left < right, high, high - third)
        peak = (low + high) / 2
        ends = [self._last_with_room(peak, np.log(bound)) for bound in (self.lowest_unit, self.highest_unit)]
        return np.exp(ends[0]), np.exp(np.minimum(ends[1], ends[0] + _OPEN))

    def _last_with_room(self, inside: Float64, bound: Float64) -> Float64:
        """[C] how far one may go to a bound, in logarithms."""
        for _ in range(_TURNS // 2):
            tried = (inside + bound) / 2
            room = self._room(np.exp(tried)) > 0
            inside, bound = np.where(room, tried, inside), np.where(room, bound, tried)
        return inside

    def _room(self, unit: Float64) -> Float64:
        low, high = self.offsets(unit)
        return high - low

    def within(self, low: Float64, high: Float64) -> None:
        """Narrow the units."""
        self.lowest_unit = np.maximum(self.lowest_unit, low)
        self.highest_unit = np.minimum(self.highest_unit, high)

    def rounded(self, amount: Float64, constant: Int32) -> None:
        """Take in constants floor(amount / unit + 1/2)."""
        amount, constant = np.abs(amount), np.abs(constant.astype(np.float64))
        nothing = amount == 0
        if bool((nothing & (constant != 0)).any()):
            raise ModelError("something is left where the leak leaves nothing")
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(constant >= LIMIT, 0.0, amount / (constant + 0.5))
            high = np.where(constant > 0, amount / (constant - 0.5), _WIDEST)
        self.within(np.where(nothing, 0.0, low), np.where(nothing, _WIDEST, high))

    def compared(self, value: Float64, constant: Int32) -> None:
        """Take in constants ceil((value - offset) / unit), those beyond the limit clipped."""
        edge = constant.astype(np.float64)
        self.above.append((np.where(constant >= LIMIT, -np.inf, value), edge))
        self.below.append((np.where(constant <= -LIMIT, np.inf, value), edge - 1))


def region_of(neuron: Neuron, lif: LIF, dead: Bools) -> ConstantRegion:
    """Of neurons of a training form whose threshold, leak and reset are known.

    Args:
        dead: [C] the channels whose weights are all zero.

    Raises:
        ModelError: the constants are not of this leak, threshold or reset.
    """
    if lif.leak_logit is not None:
        raise ModelError("its leak is trained, which integers say in rounded products only: fix it, by leak=")
    if neuron.reset != lif.reset:
        raise ModelError(f"its neurons reset by {neuron.reset!r} there and by {lif.reset!r} here")
    if (neuron.current is None) != (lif.synaptic_leak is None):
        raise ModelError("its neurons have a synaptic current in one of the two alone")
    channels = len(neuron.fire)
    threshold, leak, taken, slow = (
        np.broadcast_to(_numbers(x), channels)
        for x in (
            lif.threshold,
            lif.leak,
            lif.threshold if lif.reset_by is None else lif.reset_by,
            0.0 if lif.synaptic_leak is None else lif.synaptic_leak,
        )
    )
    none = np.full(channels, 1 / _WIDEST)
    region = ConstantRegion(none, 1 / none, -1 / none, 1 / none)
    region.compared(threshold, neuron.fire)
    if neuron.reset == "subtract":
        region.rounded(taken, neuron.drop)
    _take_store(region, neuron, STATE_GRIDS[neuron.bits], leak, threshold)
    if neuron.current is not None:
        _take_store(region, neuron.current, CURRENT_GRIDS[neuron.bits], slow, threshold)
    known = np.ldexp(_DEAD * threshold, -neuron.fraction)
    region.lowest_unit, region.highest_unit = (
        np.where(dead, known, bound) for bound in (region.lowest_unit, region.highest_unit)
    )
    low, high = region.offsets(np.sqrt(np.multiply(*region.units())))
    if not bool(((low < high) & (region.lowest_unit <= region.highest_unit)).all()):
        raise ModelError("its neurons have another leak or threshold there than here")
    return region


def _take_store(region: ConstantRegion, part: Neuron | Current, grid: Grid, leak: Float64, threshold: Float64) -> None:
    store, delta = part.store, float(grid.step) * threshold
    if isinstance(store, TableStore):
        for code, decay in zip(range(grid.low, grid.high + 1), store.decay, strict=True):
            region.rounded(leak * delta * code, decay)
        for edge, constant in zip(grid.boundaries, store.edges, strict=True):
            region.compared(float(edge) * threshold, constant)
        return
    region.rounded(leak * np.ldexp(delta, store.decay_shift), store.decay)
    gain, offset, one = store.gain.astype(np.float64), store.offset.astype(np.float64), np.ldexp(1.0, -store.shift)
    region.within((gain - 0.5) * one * delta, (gain + 0.5) * one * delta)
    clipped = np.abs(offset) * one >= _SCALED_OFFSET
    low, high = (((offset + half) * one - 0.5) * delta for half in (-0.5, 0.5))
    region.lowest_offset = np.where(clipped & (offset < 0), region.lowest_offset, low)
    region.highest_offset = np.where(clipped & (offset > 0), region.highest_offset, high)


def _numbers(constant: object) -> Float64:
    value = constant.detach().cpu().double().numpy() if hasattr(constant, "detach") else constant
    return np.asarray(value, np.float64)
