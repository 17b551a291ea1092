"""The deployed neuron: batch normalisation, threshold, leak and grid folded into integer constants.

With ``v = leak * u + gain * acc + offset`` and one positive gain per channel, dividing by the gain turns every
constant into accumulator units, so that a time step is an addition and a few comparisons:

    V      = (acc << fraction) + decay[k]
    spike  = V >= fire
    k'     = reset code if spike, else low + number of edges at or below V          (1.58 to 4 bits)
    k'     = clamp((V * gain + offset) >> shift, low, high)                         (5 to 8 bits)

With ``reset="subtract"`` a neuron that spiked lowers V by ``drop`` and stores like the others. Torch is not needed
here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Bools, Float64, Int32, Int64
from ..errors import ModelError
from .connection import INT32, check
from .grids import STATE_GRIDS, TERNARY

Reset = Literal["zero", "subtract"]  # what a neuron that fires does with its potential


_LIMIT = 1 << 30  # potentials and constants stay below this, so that no sum of two overflows int32
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
class Neuron:
    """Integer constants of a layer of C neuron channels; potentials in units of ``2**-fraction`` accumulator counts."""

    bits: float
    fraction: int
    reset: Reset
    fire: Int32  # [C]  potential at which the neuron spikes
    drop: Int32  # [C]  what a spike takes from the potential under reset="subtract"; zeros otherwise
    store: TableStore | ScaledStore

    @property
    def low(self) -> int:
        return STATE_GRIDS[self.bits].low

    @property
    def high(self) -> int:
        return STATE_GRIDS[self.bits].high

    @property
    def stored_bits(self) -> float:
        """Bits of all codes that a neuron stores."""
        return self.bits


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
    store, levels = neuron.store, neuron.high - neuron.low + 1
    wanted: dict[str, tuple[NDArray[np.signedinteger], tuple[int, ...], type]] = {
        "fire": (neuron.fire, (channels,), np.int32),
        "drop": (neuron.drop, (channels,), np.int32),
    }
    if isinstance(store, TableStore):
        check(levels <= 16, name, "a state of more than 4 bits is stored by a table")
        wanted |= {
            "decay": (store.decay, (levels, channels), np.int32),
            "edges": (store.edges, (levels - 1, channels), np.int32),
        }
    else:
        check(0 <= store.decay_shift <= 16 and 0 <= store.shift <= 40, name, "a shift of the neuron is out of range")
        wanted |= {
            "decay": (store.decay, (channels,), np.int32),
            "gain": (store.gain, (channels,), np.int32),
            "offset": (store.offset, (channels,), np.int64),
        }
    for field, (array, shape, dtype) in wanted.items():
        check(
            array.dtype == dtype and array.shape == shape,
            name,
            f"the neuron's {field} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}",
        )


def check_bounds(neuron: Neuron, sums: int, name: str) -> None:
    """Prove that no potential of the layer ``name`` leaves int32 (nor its fixed-point form int64) for sums up to
    ``sums``, without their signs.

    Raises:
        ModelError: one could.
    """
    store = neuron.store
    if isinstance(store, TableStore):
        remainder = int(np.abs(store.decay.astype(np.int64)).max())
    else:
        product = max(-neuron.low, neuron.high) * int(np.abs(store.decay.astype(np.int64)).max()) + (
            (1 << store.decay_shift) >> 1
        )
        check(product <= INT32, name, "the decay of a stored code leaves 32 bits")
        remainder = product >> store.decay_shift
    potential = (sums << neuron.fraction) + remainder + 1
    check(
        sums <= INT32 and potential + int(np.abs(neuron.drop.astype(np.int64)).max()) <= INT32,
        name,
        "a potential leaves 32 bits",
    )
    if isinstance(store, ScaledStore):
        most = INT32 * int(np.abs(store.gain.astype(np.int64)).max()) + max(abs(int(x)) for x in store.offset)
        check(most < 1 << 63, name, "a scaled potential leaves 64 bits")


def fold_neuron(
    bits: float,
    gain: Float64,
    offset: Float64,
    threshold: float,
    leak: float,
    reset: Reset,
    reach: Int64,
    resolution: int = 16,
) -> tuple[Neuron, Bools]:
    """Fold the affine ``gain * acc + offset`` and the recurrence of the training form into integer constants.

    Args:
        bits: of the stored state, 1.58 or 2 to 8.
        gain, offset: [C] potential per accumulator count, and potential of an accumulator of zero.
        threshold, leak, reset: of the layer.
        reach: [C] the largest absolute value that an accumulator can take.
        resolution: units of potential that a threshold should have, at least, in the median channel.

    Returns:
        The neuron, and a mask [C] of channels whose gain is so small that no input can move them: their weights must
        be set to zero.

    Raises:
        ModelError: a gain is negative or a constant is not a finite number.
    """
    if not (np.isfinite(gain).all() and np.isfinite(offset).all() and np.isfinite([threshold, leak]).all()):
        raise ModelError(
            "a weight scale, a batch normalisation, a threshold or a leak is not a finite number: "
            "train again from a good checkpoint"
        )
    if (gain < 0).any():
        raise ModelError(
            f"every gain must be positive, channel {int(np.argmin(gain))} has {gain.min():g}: flip its weight codes"
        )
    grid = STATE_GRIDS[bits]
    largest = max(abs(grid.low), abs(grid.high)) * float(grid.step) * threshold  # of a stored potential
    held = max(leak * largest, threshold if reset == "subtract" else 0.0)  # what a potential holds beside its sum
    # A channel whose inputs cannot move it by 1/256 of its threshold keeps only its offset, on a scale of its own; so
    # does one that they cannot move by 1/4 if its constants would not fit.
    strength = gain * reach
    dead = (strength < threshold / 256) | ((strength < threshold / 4) & (gain * _LIMIT < 4 * held))
    gain = np.where(dead, threshold * 2.0**-12, gain)
    coarse = 1.0 if dead.all() else resolution * float(np.median(gain[~dead])) / threshold
    most = float(np.where(dead, 0, reach).max(initial=0))
    fraction = _fraction(bits, most, float((held / gain).max(initial=0)), coarse)
    unit = np.ldexp(1.0 / gain, fraction)  # [C] potential units per unit of v
    codes = np.arange(grid.low, grid.high + 1)
    fire = np.ceil((threshold - offset) * unit)
    drop = np.floor(threshold * unit + 0.5) if reset == "subtract" else np.zeros_like(unit)
    store: TableStore | ScaledStore
    if bits <= _LARGEST_TABLE_BITS:
        edges = np.array([float(edge) for edge in grid.boundaries]) * threshold
        store = TableStore(
            decay=_int32(np.floor(leak * float(grid.step) * threshold * codes[:, None] * unit + 0.5)),
            edges=_int32(np.ceil((edges[:, None] - offset) * unit)),
        )
    else:
        store = _scaled(leak, float(grid.step) * threshold, unit, offset, grid.high + 1)
    return Neuron(bits, fraction, reset, _int32(fire), _int32(drop), store), dead


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

    store = neuron.store
    if isinstance(store, TableStore):
        below = np.arange(neuron.low, neuron.high) < 0  # edges that a potential of zero has passed
        store = TableStore(spread(store.decay, 0), spread(store.edges, np.where(below, -_LIMIT, _LIMIT)))
    else:
        store = replace(store, decay=spread(store.decay, 0), gain=spread(store.gain, 0), offset=spread(store.offset, 0))
    return replace(neuron, fire=spread(neuron.fire, _LIMIT), drop=spread(neuron.drop, 0), store=store)


def _fraction(bits: float, reach: float, remainder: float, coarse: float) -> int:
    """Fractional bits of the potential: two fewer than the state has; more where a threshold is so few counts of the
    accumulator, ``coarse`` times fewer than it should be, that what constants lose when they are rounded would matter,
    as in layers whose few inputs seldom spike; fewer where the largest accumulator or remainder leaves no room."""
    wanted = 0 if bits == TERNARY else int(bits) - 2
    wanted = max(wanted, min(int(np.ceil(np.log2(max(coarse, 1.0)))), _MOST_FRACTION))
    room = _LIMIT / max(2 * reach, 4 * remainder, 1.0)
    if room < 1:
        raise ModelError(
            f"accumulators of up to {reach:,.0f} do not fit 32 bits: use fewer inputs or fewer weight bits"
        )
    return min(wanted, int(np.floor(np.log2(room))))


def _scaled(leak: float, delta: float, unit: Float64, offset: Float64, most: int) -> ScaledStore:
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
    return max(0, min(most, int(np.floor(np.log2(_LIMIT / max(largest, 2.0**-60))))))


def _int32(x: Float64) -> Int32:
    """Constants beyond the reach of any potential are clipped: a comparison with them stays as it is."""
    return np.clip(x, -_LIMIT, _LIMIT).astype(np.int32)
