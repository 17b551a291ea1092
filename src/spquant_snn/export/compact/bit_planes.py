"""Ternary codes and neurons of the compact form in planes of bits, 32 channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dtypes import Array, Int32, Int64, UInt8, UInt16, UInt32
from ...integer import reference
from ...integer.neuron import Neuron, TableStore

_WIDE, _HALF = 32, 16  # channels of a group
_LEAST = 4  # planes of a counter


def groups(channels: int) -> tuple[int, int]:
    """How many groups of 32 channels there are, and of 16."""
    full, rest = divmod(channels, _WIDE)
    return (full, 0) if not rest else (full, 1) if rest <= _HALF else (full + 1, 0)


def plane_codes(codes: Int32) -> UInt8 | None:
    """The codes [O, I, kh, kw] as rows [column][row and input][bytes], and behind each column one of zeros: for each
    group of channels those that are not below zero, and those that are above it. None where codes are not ternary."""
    if np.abs(codes.astype(np.int64)).max(initial=0) > 1:
        return None
    ordered = codes.transpose(3, 2, 1, 0)
    ordered = ordered.reshape(len(ordered), -1, len(codes))
    groups_of_32, groups_of_16 = groups(len(codes))  # filled up by zeros, so that no sum leaves the numbers of planes
    ordered = np.pad(ordered, ((0, 0), (0, 0), (0, _WIDE * groups_of_32 + _HALF * groups_of_16 - len(codes))))
    wide, half = _words(np.stack([ordered >= 0, ordered > 0], -2))  # [kw, kh * I, 2, groups]
    parts = [np.ascontiguousarray(np.swapaxes(part, -1, -2)).view(np.uint8) for part in (wide, half)]
    rows = np.concatenate([part.reshape(*ordered.shape[:2], -1) for part in parts], -1)
    return np.pad(rows, ((0, 0), (0, 1), (0, 0)))


@dataclass(frozen=True, eq=False)
class NeuronPlanes:
    """Neurons that decide on planes.

    Args:
        thresholds: [groups, table] see spq_spiking.
        planes: of a number.
        bias: of potentials.
        edges: codes besides the lowest that are told apart.
        left_of, last_of: words to two parts of a group's table.
    """

    thresholds: UInt32
    planes: int
    bias: int
    edges: int
    left_of: int
    last_of: int


def neuron_planes(neuron: Neuron, reach: int, events: int, steps: int) -> NeuronPlanes | None:
    """Neurons as planes; None where they are of another kind.

    Args:
        reach: the largest sum.
        events: that a window may have in a step.
    """
    store, fraction = neuron.store, neuron.fraction
    if not isinstance(store, TableStore) or store.decay[-neuron.low].any():
        return None
    fire, drop = neuron.fire.astype(np.int64), neuron.drop.astype(np.int64)
    decay, edges = store.decay.astype(np.int64), store.edges.astype(np.int64)
    if steps == 1:
        decay, edges = decay[[-neuron.low]], edges[:0]
    subtracts = neuron.reset == "subtract"
    most = (reach << fraction) + int(np.abs(decay).max()) + 1  # which no potential reaches
    lowest = -most - (int(drop.max(initial=0)) if subtracts else 0)
    planes = max((most - lowest).bit_length(), fraction + max(_LEAST, (2 * events).bit_length()))

    def bits(numbers: Int64, others: int, low: int = lowest) -> Array:
        """[..., planes, groups] words; ``others``: of channels that fill up a group."""
        spread = np.moveaxis((numbers - low)[..., None] >> np.arange(planes), -1, -2) & 1
        fill = others - low >> np.arange(planes) & 1
        full, half = groups(len(fire))
        missing = _WIDE * full + _HALF * half - len(fire)
        rest = np.broadcast_to(fill[:, None], (*spread.shape[:-1], missing))
        return np.concatenate([part.astype(np.uint32) for part in _words(np.concatenate([spread, rest], -1) != 0)], -1)

    def by_code(numbers: Array) -> Array:
        """[planes, codes, groups] the first, and how each differs from the one before it."""
        found = numbers.copy()
        found[1:] ^= numbers[:-1]
        return found.swapaxes(0, 1)

    at = np.clip(fire, lowest, most)
    last = by_code(bits(np.clip(fire - decay, lowest, most), most))
    parts = [] if steps == 1 else [bits(at, most)]
    if parts and subtracts:
        parts.append(bits(drop, 0, 0))
    parts += list(bits(np.clip(edges, lowest, most), most)) if parts else []
    left = by_code(bits(decay, 0, 0)) if steps > 2 else None
    before = len(parts) * planes
    parts += [part.reshape(-1, part.shape[-1]) for part in (left, last) if part is not None]
    table = np.concatenate(parts)  # [table, groups]
    left_of = before + (0 if left is None else left.shape[0] * left.shape[1])
    return NeuronPlanes(np.ascontiguousarray(table.T), planes, -lowest, len(edges), before, left_of)


def quiet_spikes(neuron: Neuron, steps: int) -> UInt16:
    """What neurons do that nothing comes in to: [units, steps], the first of 16 channels in the highest bit."""
    drive = np.zeros((1, len(neuron.fire), 1, 1), np.int32)
    code, found = drive, list[Array]()
    for _ in range(steps):
        spikes, code = reference.step(neuron, drive, code)
        found.append(spikes.ravel() != 0)
    bits = np.pad(np.array(found), ((0, 0), (0, -len(neuron.fire) % _HALF)))
    units: UInt16 = np.packbits(bits, axis=-1).view(">u2").astype("<u2").T
    return np.ascontiguousarray(units)


def _words(bits: Array) -> tuple[UInt32, UInt16]:
    """[..., channels] -> [..., groups] of 32 and of 16 channels, the first in the highest bit."""
    full, half = groups(bits.shape[-1])
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, _WIDE * full + _HALF * half - bits.shape[-1])])
    found = []
    for part, size, kind in ((padded[..., : _WIDE * full], _WIDE, "u4"), (padded[..., _WIDE * full :], _HALF, "u2")):
        packed = np.packbits(part.reshape(*part.shape[:-1], -1, size), axis=-1) if part.size else None
        shape = (*part.shape[:-1], part.shape[-1] // size)
        words = np.zeros(shape) if packed is None else np.ascontiguousarray(packed).view(f">{kind}").reshape(shape)
        found.append(words.astype(f"<{kind}"))
    return found[0], found[1]
