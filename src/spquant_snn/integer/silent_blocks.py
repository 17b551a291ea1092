"""Blocks of neurons whose sums need not be computed: what proves that they do as if nothing had come in.

Between two of its constants a potential fires and stores the same. So for each stored code there is a distance that an
input must bridge to matter; the largest weight bounds what one input adds; and up to

    silent = min over codes of floor(distance / largest weight)

inputs that are not zero, whatever they are, the neuron does what it does without input. For a block of channels the
least of its neurons' bounds holds. Then only the stored codes decide, and the next ones are looked up.
"""

from __future__ import annotations

import numpy as np

from ..dtypes import Bools, Int32, Int64
from . import reference
from .connection import INT32
from .graph import BLOCK, Connection, blocks_of
from .neuron import Neuron, TableStore


def silent_inputs(connection: Connection, neuron: Neuron, largest: int) -> Int32 | None:
    """[B] how many inputs that are not zero a block can meet and still do as if there were none.

    Args:
        connection: the only term of a layer, added as it is.
        neuron: of the layer, whose blocks are 32 neighbouring channels at one place.
        largest: the largest value of an input, 255 for pixels, 1 for spikes.

    Returns:
        At least 0, at most 2^31 - 1 where no input matters; None where codes are too many to be looked up.
    """
    if not isinstance(neuron.store, TableStore) or neuron.current is not None:
        return None
    rise, fall = (distance >> neuron.fraction for distance in _distances(neuron, neuron.store))
    often = connection.largest_input(largest) * (connection.sum_pool.area if connection.sum_pool else 1)
    codes = connection.codes.reshape(len(connection.codes), -1).astype(np.int64)
    silent: Int64 = np.full(len(codes), INT32, np.int64)
    for distance, most in ((rise, codes.max(1)), (fall, -codes.min(1))):
        silent = np.where(most > 0, np.minimum(silent, distance // np.maximum(most * often, 1)), silent)
    filled = np.full(blocks_of(len(codes)) * BLOCK, INT32, np.int64)
    filled[: len(codes)] = silent
    least: Int32 = filled.reshape(-1, BLOCK).min(1).astype(np.int32)
    return least


def at_rest(neuron: Neuron) -> tuple[Bools, Int32]:
    """[K, C] spikes and next codes, of each stored code from the lowest on, of neurons that meet no input."""
    held = np.repeat(np.arange(neuron.low, neuron.high + 1, dtype=np.int32)[:, None], len(neuron.fire), 1)
    return reference.step(neuron, np.zeros_like(held), held)


def _distances(neuron: Neuron, table: TableStore) -> tuple[Int64, Int64]:
    """[C] how far the potential of a neuron without input can rise and fall before it fires or stores otherwise, the
    least over all stored codes."""
    fire, drop = neuron.fire.astype(np.int64), neuron.drop.astype(np.int64)
    edges, held = table.edges.astype(np.int64), table.decay.astype(np.int64)
    # A neuron that fires stores zero, or what its lowered potential does: other bounds hold above the threshold.
    bounds = [fire[None], np.where(edges < fire, edges, fire)]
    if neuron.reset != "zero":
        bounds.append(np.where(edges + drop > fire, edges + drop, fire))
    all_bounds = np.concatenate(bounds)[None]  # [1, bounds, C]
    reached = held[:, None] >= all_bounds
    far = np.int64(1) << 40
    rise = np.where(reached, far, all_bounds - 1 - held[:, None]).min((0, 1))
    fall = np.where(reached, held[:, None] - all_bounds, far).min((0, 1))
    return rise, fall
