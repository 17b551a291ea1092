"""The deployed neuron: batch normalisation, threshold, leak and grid folded into integer constants.

With ``v = leak * u + gain * acc + offset`` and one positive gain per channel, dividing by the gain turns every
constant into accumulator units, so that a time step is an addition and a few comparisons:

    V      = (acc << fraction) + decay[k]
    spike  = V >= fire
    k'     = reset code if spike, else low + number of edges at or below V          (1.58 to 4 bits)
    k'     = clamp((V * gain + offset) >> shift, low, high)                         (5 to 8 bits)

With ``reset="subtract"`` a neuron that spiked lowers V by ``drop`` and stores like the others; with "none" it stores V
as it is. A neuron with a synaptic current stores a second code, kI, on a grid of its own:

    J      = (acc << fraction) + current decay[kI]            in place of (acc << fraction) above
    kI'    = the current's code of J

J stands for (i - offset) / gain of a current i, V for (v - offset) / gain of a potential v. What such neurons store is
held in one array [N, 2, C, ...]: potentials, then currents. Torch is not needed here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Bools, Float64, Int32, Int64
from ..errors import ModelError
from .connection import INT32, check
from .grids import CURRENT_GRIDS, STATE_GRIDS, TERNARY, Grid

Reset = Literal["zero", "subtract", "none"]  # what a neuron that fires does with its potential

LIMIT = 1 << 30  # potentials and constants stay below this, so that no sum of two overflows int32
_LARGEST_TABLE_BITS = 4
_MOST_FRACTION = 6


@dataclass(frozen=True)
class TableStore:
    """Look-up form of K codes: any rule at all, without a multiplication."""

    decay: Int32  # [K, C]    what a stored code leaves after the leak
    edges: Int32  # [K-1, C]  potentials at which the stored code rises by one


@dataclass(frozen=True)
class ScaledStore:
    """Fixed-point form for fine grids: one multiplication and shift each way, halves rounding up."""

    decay: Int32  # [C]  what a code of one leaves after the leak, times 2**decay_shift
    decay_shift: int
    gain: Int32  # [C]   codes per unit of potential, times 2**shift
    offset: Int64  # [C]  the code at potential zero plus one half, times 2**shift
    shift: int


@dataclass(frozen=True)
class Current:
    """Integer constants of the synaptic currents of a layer: the codes that are stored of them."""

    bits: float  # those of the neuron
    store: TableStore | ScaledStore

    @property
    def low(self) -> int:
        return CURRENT_GRIDS[self.bits].low

    @property
    def high(self) -> int:
        return CURRENT_GRIDS[self.bits].high


@dataclass(frozen=True)
class Neuron:
    """Integer constants of a layer of C neuron channels; potentials in units of ``2**-fraction`` accumulator counts."""

    bits: float
    fraction: int
    reset: Reset
    fire: Int32  # [C]  potential at which the neuron spikes
    drop: Int32  # [C]  what a spike takes from the potential under reset="subtract"; zeros otherwise
    store: TableStore | ScaledStore
    current: Current | None = None

    @property
    def low(self) -> int:
        return STATE_GRIDS[self.bits].low

    @property
    def high(self) -> int:
        return STATE_GRIDS[self.bits].high

    @property
    def stored_bits(self) -> float:
        """Bits of all codes that a neuron stores."""
        return self.bits if self.current is None else self.bits + self.current.bits

    def stored_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the codes that neurons of a shape (C, ...) store."""
        return shape if self.current is None else (2, *shape)


def check_neuron(neuron: Neuron, name: str) -> None:
    """Refuse constants of the layer ``name`` that do not fit one another.

    Raises:
        ModelError: they do not.
    """
    channels = len(neuron.fire)
    check(neuron.bits in STATE_GRIDS, name, f"a state of {neuron.bits!r} bits does not exist")
    check(
        0 <= neuron.fraction <= _MOST_FRACTION and neuron.reset in get_args(Reset),
        name,
        "the neuron's fraction or reset is out of range",
    )
    _check_array(neuron.fire, (channels,), np.int32, "neuron's fire", name)
    _check_array(neuron.drop, (channels,), np.int32, "neuron's drop", name)
    check(
        neuron.reset == "subtract" or not neuron.drop.any(),
        name,
        f"a neuron with reset {neuron.reset!r} subtracts something",
    )
    _check_store(neuron.store, neuron.high - neuron.low + 1, channels, "neuron", name)
    current = neuron.current
    if current is not None:
        check(current.bits == neuron.bits, name, f"a current of {current.bits!r} bits meets a state of {neuron.bits!r}")
        _check_store(current.store, current.high - current.low + 1, channels, "current", name)


def _check_store(store: TableStore | ScaledStore, levels: int, channels: int, what: str, name: str) -> None:
    if isinstance(store, TableStore):
        check(levels <= 16, name, "a state of more than 4 bits is stored by a table")
        _check_array(store.decay, (levels, channels), np.int32, f"{what}'s decay", name)
        _check_array(store.edges, (levels - 1, channels), np.int32, f"{what}'s edges", name)
        return
    check(0 <= store.decay_shift <= 16 and 0 <= store.shift <= 40, name, f"a shift of the {what} is out of range")
    _check_array(store.decay, (channels,), np.int32, f"{what}'s decay", name)
    _check_array(store.gain, (channels,), np.int32, f"{what}'s gain", name)
    _check_array(store.offset, (channels,), np.int64, f"{what}'s offset", name)


def _check_array(array: NDArray[Any], shape: tuple[int, ...], dtype: type, what: str, name: str) -> None:
    check(
        array.dtype == dtype and array.shape == shape,
        name,
        f"the {what} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}",
    )


def check_bounds(neuron: Neuron, sums: int, name: str) -> None:
    """Prove that no potential and no current of the layer ``name`` leaves int32 (nor its fixed-point form int64) for
    sums up to ``sums``, without their signs.

    Raises:
        ModelError: one could.
    """
    check(
        sums <= INT32 and largest_potential(neuron, sums, name) + _largest(neuron.drop) <= INT32,
        name,
        "a potential leaves 32 bits",
    )
    for part in _stores(neuron):
        if isinstance(part.store, ScaledStore):
            most = INT32 * _largest(part.store.gain) + _largest(part.store.offset)
            check(most < 1 << 63, name, "a scaled potential leaves 64 bits")


def largest_potential(neuron: Neuron, sums: int, name: str) -> int:
    """What no potential of the layer ``name`` passes before a spike lowers it, for sums up to ``sums``; without signs.

    Raises:
        ModelError: what a stored code leaves is more than 32 bits hold.
    """
    return (sums << neuron.fraction) + sum(_largest_remainder(part, name) for part in _stores(neuron)) + 1


def _stores(neuron: Neuron) -> tuple[Neuron | Current, ...]:
    return (neuron,) if neuron.current is None else (neuron, neuron.current)


def _largest_remainder(part: Neuron | Current, name: str) -> int:
    store = part.store
    if isinstance(store, TableStore):
        return _largest(store.decay)
    product = max(-part.low, part.high) * _largest(store.decay) + ((1 << store.decay_shift) >> 1)
    check(product <= INT32, name, "the decay of a stored code leaves 32 bits")
    return product >> store.decay_shift


def _largest(constants: NDArray[np.signedinteger]) -> int:
    """The largest absolute value, of the lowest int64 too."""
    return max(abs(int(constants.max())), abs(int(constants.min())))


def fold_neuron(
    bits: float,
    gain: Float64,
    offset: Float64,
    threshold: float | Float64,
    leak: float | Float64,
    reset: Reset,
    reach: Int64,
    resolution: int = 16,
    reset_by: float | Float64 | None = None,
    synaptic_leak: float | Float64 | None = None,
) -> tuple[Neuron, Bools]:
    """Fold the affine ``gain * acc + offset`` and the recurrence of the training form into integer constants.

    Args:
        bits: of the stored state, 1.58 or 2 to 8.
        gain, offset: [C] potential per accumulator count, and potential of an accumulator of zero.
        threshold, leak: of the layer, or [C].
        reset: of the layer.
        reach: [C] the largest absolute value that an accumulator can take.
        resolution: units of potential that a threshold should have, at least, in the median channel.
        reset_by: what reset="subtract" subtracts, of the layer or [C]; None: the threshold.
        synaptic_leak: of a synaptic current, of the layer or [C]; None: there is no such current.

    Returns:
        The neuron, and a mask [C] of channels whose gain is so small that no input can move them: their weights must
        be set to zero.

    Raises:
        ModelError: a gain is negative, a constant is not a finite number, or does not fit 32 bits.
    """
    grid, currents = STATE_GRIDS[bits], CURRENT_GRIDS[bits]
    threshold, leak, reset_by, slow = (
        np.broadcast_to(np.asarray(x, np.float64), gain.shape)
        for x in (
            threshold,
            leak,
            threshold if reset_by is None else reset_by,
            0.0 if synaptic_leak is None else synaptic_leak,
        )
    )
    if not all(np.isfinite(x).all() for x in (gain, offset, threshold, leak, reset_by, slow)):
        raise ModelError(
            "a weight scale, a batch normalisation, a threshold or a leak is not a finite number: "
            "train again from a good checkpoint"
        )
    if (gain < 0).any():
        raise ModelError(
            f"every gain must be positive, channel {int(np.argmin(gain))} has {gain.min():g}: flip its weight codes"
        )
    left = leak * _reach(grid) * threshold  # of a stored potential
    if synaptic_leak is not None:
        left = left + slow * _reach(currents) * threshold
    # To subtract more than takes the largest potential below the lowest code is all the same.
    most_taken = gain * reach + np.abs(offset) + left + _reach(grid) * threshold
    taken = np.minimum(reset_by, most_taken) if reset == "subtract" else np.zeros_like(gain)
    held = np.maximum(left, taken)  # what a potential holds beside its sum
    # A channel whose inputs cannot move it by 1/256 of its threshold keeps only its offset, on a scale of its own; so
    # does one that they cannot move by 1/4 if its constants would not fit.
    strength = gain * reach
    dead = (strength < threshold / 256) | ((strength < threshold / 4) & (gain * LIMIT < 4 * held))
    gain = np.where(dead, threshold * 2.0**-12, gain)
    usual = float(np.median(threshold))
    counts = float(np.median((gain * (usual / threshold))[~dead])) if not dead.all() else 0.0
    coarse = 1.0 if dead.all() else resolution * counts / usual
    most = float(np.where(dead, 0, reach).max(initial=0))
    fraction = _fraction(bits, most, float((held / gain).max(initial=0)), coarse)
    unit = np.ldexp(1.0 / gain, fraction)  # [C] potential units per unit of v
    neuron = Neuron(
        bits,
        fraction,
        reset,
        fire=_int32(np.ceil((threshold - offset) * unit)),
        drop=_int32(np.floor(taken * unit + 0.5)),
        store=_store(bits, grid, leak, threshold, unit, offset),
        current=None if synaptic_leak is None else Current(bits, _store(bits, currents, slow, threshold, unit, offset)),
    )
    return neuron, dead


def with_silent(neuron: Neuron, live: Bools) -> Neuron:
    """The neuron with silent channels put between its own.

    A silent channel has weights of zero, so that its sums are zero. Its decay is zero too: the potential is zero at
    every step, which lies below ``fire`` and stores code zero. It never fires and never changes.

    Args:
        neuron: constants of the live channels.
        live: [C] which channels of the result are those.
    """

    def spread(constants: NDArray[np.signedinteger], silent: Int64 | int) -> NDArray[np.signedinteger]:
        wide = np.empty((*constants.shape[:-1], len(live)), constants.dtype)
        wide[...] = np.reshape(silent, (-1, 1)) if constants.ndim == 2 else silent
        wide[..., live] = constants
        return wide

    def spread_store(part: Neuron | Current) -> TableStore | ScaledStore:
        store = part.store
        if isinstance(store, TableStore):
            below = np.arange(part.low, part.high) < 0  # edges that a potential of zero has passed
            return TableStore(spread(store.decay, 0), spread(store.edges, np.where(below, -LIMIT, LIMIT)))
        return replace(store, decay=spread(store.decay, 0), gain=spread(store.gain, 0), offset=spread(store.offset, 0))

    current = neuron.current
    return replace(
        neuron,
        fire=spread(neuron.fire, LIMIT),
        drop=spread(neuron.drop, 0),
        store=spread_store(neuron),
        current=None if current is None else replace(current, store=spread_store(current)),
    )


def _reach(grid: Grid) -> float:
    """The largest absolute value on a grid, in units of the threshold."""
    return max(abs(grid.low), abs(grid.high)) * float(grid.step)


def _store(
    bits: float, grid: Grid, leak: Float64, threshold: Float64, unit: Float64, offset: Float64
) -> TableStore | ScaledStore:
    """What is stored on a grid, and what a leak [C] leaves of it; ``unit`` [C] is in potential units per unit of v."""
    if bits > _LARGEST_TABLE_BITS:
        return _scaled(leak, float(grid.step) * threshold, unit, offset, grid.high + 1)
    codes = np.arange(grid.low, grid.high + 1)
    edges = np.array([float(edge) for edge in grid.boundaries])[:, None] * threshold
    return TableStore(
        decay=_int32(np.floor(leak * float(grid.step) * threshold * codes[:, None] * unit + 0.5)),
        edges=_int32(np.ceil((edges - offset) * unit)),
    )


def _fraction(bits: float, reach: float, remainder: float, coarse: float) -> int:
    """Fractional bits of the potential: two fewer than the state has; more where a threshold is so few counts of the
    accumulator, ``coarse`` times fewer than it should be, that what constants lose when they are rounded would matter,
    as in layers whose few inputs seldom spike; fewer where the largest accumulator or remainder leaves no room."""
    wanted = 0 if bits == TERNARY else int(bits) - 2
    wanted = max(wanted, min(int(np.ceil(np.log2(max(coarse, 1.0)))), _MOST_FRACTION))
    room = LIMIT / max(2 * reach, 4 * remainder, 1.0)
    if room < 1 and reach >= remainder:
        raise ModelError(
            f"accumulators of up to {reach:,.0f} do not fit 32 bits: use fewer inputs or fewer weight bits"
        )
    if room < 1:
        raise ModelError(
            f"stored potentials, or what a reset takes from them, of up to {remainder:,.0f} accumulator counts do not "
            "fit 32 bits: subtract less, or use fewer inputs or fewer weight bits"
        )
    return min(wanted, int(np.floor(np.log2(room))))


def _scaled(leak: Float64, delta: Float64, unit: Float64, offset: Float64, most: int) -> ScaledStore:
    per_code = leak * delta * unit  # [C]
    decay_shift = _shift(float(per_code.max()) * most, 16)
    per_unit = 1.0 / (delta * unit)  # [C]
    shift = _shift(float(per_unit.max()), 40)
    return ScaledStore(
        decay=_int32(np.floor(np.ldexp(per_code, decay_shift) + 0.5)),
        decay_shift=decay_shift,
        gain=_int32(np.floor(np.ldexp(per_unit, shift) + 0.5)),
        offset=np.floor(np.ldexp(np.clip(offset / delta + 0.5, -(2.0**20), 2.0**20), shift) + 0.5).astype(np.int64),
        shift=shift,
    )


def _shift(largest: float, most: int) -> int:
    """The largest shift up to ``most`` that keeps ``largest * 2**shift`` below the limit."""
    return max(0, min(most, int(np.floor(np.log2(LIMIT / max(largest, 2.0**-60))))))


def _int32(x: Float64) -> Int32:
    """Constants beyond the reach of any potential are clipped: a comparison with them stays as it is."""
    return np.clip(x, -LIMIT, LIMIT).astype(np.int32)
