"""Graphs whose sums, potentials or logits lie at the very ends of the integers that hold them."""

import numpy as np

from rows import Last, Part, row
from spquant_snn.integer.graph import PIXEL, Connection
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import Neuron, TableStore, fold_neuron

_INT32 = (1 << 31) - 1
_ENDS = (126, 127, 128, 129, 255, 256, 32766, 32767, 32768)  # of int8, uint8 and int16


def extreme_graph(rng, weight_bits, state_bits, reset):
    """A graph of one of two kinds: spikes whose sums end where a narrow lane does, or pixels whose potentials end
    where int32 does. The logits of either end where int32 does."""
    first = _spiking(rng, weight_bits, state_bits, reset) if rng.random() < 0.7 else _bright(rng, weight_bits)
    inputs = len(first[-1].connection.codes)
    last = Connection("readout", _summing(inputs, [inputs, -inputs, 0], weight_bits), weight_bits)
    timesteps, fraction = int(rng.integers(1, 10)), int(rng.integers(0, 9))
    room = _INT32 // timesteps - (int(last.reach(1).max()) << fraction)
    bias = np.array([room, -room, 0], np.int32)
    channels = first[0].connection.codes.shape[1]
    return row((channels, 1, 1), timesteps, first, Last(last, fraction, bias, 1.0))


def _spiking(rng, bits, state_bits, reset):
    """Every neuron of the first layer spikes at every step; the sums of the second are the largest there can be."""
    end = int(rng.choice(_ENDS))
    count = -(-end // WEIGHT_GRIDS[bits].high)
    always = Connection("always", np.ones((count, 1, 1, 1), np.int8), bits)
    least = np.full(count, -_INT32 - 1, np.int32)
    levels = WEIGHT_GRIDS[2].high - WEIGHT_GRIDS[2].low + 1
    store = TableStore(np.zeros((levels, count), np.int32), np.zeros((levels - 1, count), np.int32))
    sums = Connection("sums", _summing(count, [end, -end, end - 1, 1 - end, 0], bits), bits)
    reach = sums.reach(1)
    gain = rng.uniform(0.3, 1.2, 5) / np.maximum(reach, 1)
    neuron, _ = fold_neuron(state_bits, gain, rng.normal(0, 0.3, 5), 1.0, 0.5, reset, reach)
    return Part(always, Neuron(2, 0, "zero", least, np.zeros(count, np.int32), store)), Part(sums, neuron)


def _bright(rng, bits):
    """White pixels drive the potentials to the ends of int32, exactly onto some of the thresholds."""
    fraction = int(rng.integers(3, 7))
    room = ((_INT32 - 1) >> fraction) // PIXEL  # in codes
    count = min(-(-room // WEIGHT_GRIDS[bits].high), 9000)
    end = min(room, count * WEIGHT_GRIDS[bits].high)
    connection = Connection("bright", _summing(count, [end, end, -end, -end, 0], bits)[:, :, None, None], bits)
    fire = np.array([1, 1, -1, -1, 0]) * (end * PIXEL << fraction) + [0, 1, 0, 1, 0]
    levels = WEIGHT_GRIDS[2].high - WEIGHT_GRIDS[2].low + 1
    edges = fire + np.arange(1 - levels, 0)[:, None]
    store = TableStore(np.zeros((levels, 5), np.int32), np.clip(edges, -_INT32, _INT32).astype(np.int32))
    return (Part(connection, Neuron(2, fraction, "zero", fire.astype(np.int32), np.zeros(5, np.int32), store)),)


def _summing(count, totals, bits):
    """int8 [O, count]: codes that add up to each of the totals, as many as can be at the end of their grid."""
    grid, codes = WEIGHT_GRIDS[bits], np.zeros((len(totals), count), np.int64)
    for line, total in zip(codes, totals, strict=True):
        end = grid.high if total > 0 else grid.low
        whole, rest = divmod(abs(total), abs(end))
        line[:whole] = end
        if rest:
            line[whole] = rest if total > 0 else -rest
    return codes.astype(np.int8)
