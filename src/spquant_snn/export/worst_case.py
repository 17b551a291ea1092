"""An upper bound of the instructions of an inference or a step, for each layer, that no input can exceed.

Every way that the runtime takes is decided by shapes or by a few things that inputs change. The program itself, with
other constants in the places of its own, is run where each of them costs most:

    events      every input of every layer is active in every step: thresholds so low that all neurons fire. Listing,
                looking for and adding an event cost instructions, its absence costs none. Of the first layer only so
                many fire at each place as can (most_spikes.py)
    potentials  no neuron is at rest, and none is spared a comparison: those that are computed in lanes once with codes
                at the top and once at the bottom, layer by layer, for that layer does not fire then; others, one after
                the other, fire and look for a new code besides, which no neuron does
    blocks      no gate passes over any

What remains is added: ``_SLACK``. An event more never makes the rest cheaper but in one way: where lanes are emptied
when they are full, a row may have to be taken up again after that, and with all inputs active this may fall together
with its end. Where spikes are the most in the mean, sums of more and of fewer of them may empty lanes once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Array, Int64
from ..errors import RunError
from ..integer.graph import Graph
from ..runtime.packed import lane_constants
from ..runtime.plan import PACKED, ConnectionPlan, LayerPlan, NetworkPlan, TermPlan
from .c import Plans
from .elf import replace_constants
from .interface import layer_names
from .most_spikes import most_spikes
from .naming import Names
from .qemu import Ended
from .render import Model, identifiers
from .toolchain import Built

_SUBTRACT = 20  # bytes: where a neuron's struct says that it subtracts
_FRAMES = 3  # steps, from the second of which on potentials are those that the constants make
_LOW, _HIGH = -(1 << 31), (1 << 31) - 1

# ---- instructions, each more than any compiler here makes of them ----
_RESUMED = 24  # a row that is taken up again after lanes were emptied
_EMPTIED = 400  # lanes that are emptied into wider ones, and their being wide at all
_SLACK = 6  # a choice between two values: the sign of a product, a clamp, the larger of two


@dataclass(frozen=True)
class WorstCase:
    """Instructions that no input exceeds.

    Args:
        layers: of each layer, then of each readout.
        around: of what comes before the first.
    """

    layers: tuple[int, ...]
    around: int

    @property
    def all(self) -> int:
        return sum(self.layers) + self.around


def find_worst_case(
    graph: Graph, small: bool, called: Names, built: Built, work: Path, run: Callable[[Built], Ended], streams: bool
) -> WorstCase:
    """The bound of a program that tells its layers apart.

    Args:
        small: exported for little flash.
        called: what its parts are called.
        work: where programs find their files, which are written over.
        run: what runs a program there and counts its instructions.
        streams: of a step of a sequence, not of an image.

    Raises:
        RunError: a program fails.
    """
    plans = Plans.of(graph, small, called.shared)
    plan = plans.frames if streams else plans.images
    most = [most_spikes(graph, streams), *[None] * len(plan.hidden)]
    _write_inputs(graph, work, _FRAMES if streams else 1)
    symbols = _Symbols.of(graph, plans, called, built)
    found = np.zeros(built.layers + 1, np.int64)
    for number, (constants, counted) in enumerate(_cases(plan, most, symbols)):
        path = work / f"worst-{number}.elf"
        replace_constants(built.path, path, constants)
        ended = run(replace(built, path=path))
        path.unlink()
        if ended.code != 0 or len(ended.layers) != len(found):
            raise RunError(f"the firmware failed with all inputs active (code {ended.code}): export it again")
        each = np.array([layer.most for layer in ended.layers])
        found[counted] = np.maximum(found[counted], each[counted])
    found[:-1] += [_left(plan, i) for i in range(built.layers)]
    if most[0] is not None:
        found[:-1] += [
            plan.timesteps * _EMPTIED * sum(map(_tile_sums, _connections(plan, i))) for i in range(built.layers)
        ]
    return WorstCase(tuple(found[:-1].tolist()), int(found[-1]))


def _write_inputs(graph: Graph, work: Path, frames: int) -> None:
    """Of which none is zero."""
    parts = [np.full(math.prod(given.shape), given.largest, np.uint8) for given in graph.inputs]
    (work / "images.bin").write_bytes(np.tile(np.concatenate(parts), frames).tobytes())
    (work / "lengths.bin").write_bytes(np.array([frames], "<u4").tobytes())


@dataclass(frozen=True, eq=False)
class _Symbols:
    """Where the constants of a program lie."""

    tables: dict[int, int]  # addresses, by the identity of arrays
    neurons: tuple[int, ...]  # of the structs of all neurons

    @classmethod
    def of(cls, graph: Graph, plans: Plans, called: Names, built: Built) -> _Symbols:
        model = Model(called)
        for kind, plan in (("images", plans.images), ("frames", plans.frames)):
            model.network(plan, identifiers(layer_names(graph)), kind)
        symbols, kind = built.program.symbols, f"{called.runtime}_neuron"
        tables = {key: symbols[table.name] for key, table in model.tables.items() if table.name in symbols}
        places = (place for (own, _), place in model.places.items() if own == kind)
        return cls(tables, tuple(symbols[place] for place in places if place in symbols))

    def put(self, table: Array | None, content: Array, into: dict[int, bytes]) -> None:
        """Replace a table by what has its shape."""
        if table is not None:
            into[self.tables[id(table)]] = content.astype(table.dtype.newbyteorder("<")).tobytes()


def _cases(
    plan: NetworkPlan, most: list[int | None], symbols: _Symbols
) -> Iterator[tuple[dict[int, bytes], list[int]]]:
    """Constants to be replaced, and the layers that then take most; the last number is what comes before them.

    Args:
        most: neurons of a layer that fire at each place; None: all.
    """
    firing: dict[int, bytes] = {address + _SUBTRACT: b"\1\0\0\0" for address in symbols.neurons}
    count = len(plan.hidden) + max(1, len(plan.readouts))
    for layer, some in zip(plan.hidden, most, strict=False):
        _fire(layer, some, symbols, firing)
    yield firing, list(range(count + 1))
    for i, layer in enumerate(plan.hidden):
        if most[i] is not None:
            all_firing = dict(firing)
            _fire(layer, None, symbols, all_firing)
            yield all_firing, [i]
        if layer.connection.decides:
            for top in (True, False):
                held = dict(firing)
                _hold(layer, top, symbols, held)
                yield held, [i]


def _fire(layer: LayerPlan, some: int | None, symbols: _Symbols, into: dict[int, bytes]) -> None:
    """Let so many neurons of each place of a layer, or all, fire in every step, and no block be passed over."""
    connection, neuron, packed = layer.connection, layer.neuron, layer.connection.packed
    assert neuron is not None  # a hidden layer
    real = connection.outputs
    if connection.decides and packed is not None:
        symbols.put(packed.constants, _lanes(connection, real if some is None else some, top=True), into)
        if some is not None:  # as low as they can be, for lanes that are full fire
            symbols.put(packed.words, np.zeros_like(packed.words), into)
    else:
        symbols.put(neuron.fire, _among(_among(neuron.fire, real, _HIGH), real if some is None else some, _LOW), into)
        symbols.put(neuron.drop, _among(neuron.drop, real, 0), into)
        symbols.put(neuron.decay, _among(neuron.decay, real, 0), into)
        if neuron.edges is not None:
            symbols.put(neuron.edges, _among(neuron.edges, real, _LOW), into)
        if neuron.gain is not None and neuron.offset is not None:  # a code between the least and the largest
            symbols.put(neuron.gain, _among(neuron.gain, real, 0), into)
            middle = (neuron.low + neuron.high) // 2 << neuron.shift
            symbols.put(neuron.offset, _among(neuron.offset, real, middle), into)
    if layer.blocks is not None:
        for table, value in ((layer.blocks.least, _LOW), (layer.blocks.silent, -1)):
            if table is not None:
                symbols.put(table, np.full_like(table, value), into)


def _hold(layer: LayerPlan, top: bool, symbols: _Symbols, into: dict[int, bytes]) -> None:
    """Let no neuron of a packed layer fire nor come to rest; its weights are as low as they can be."""
    packed = layer.connection.packed
    assert packed is not None  # its neurons decide in lanes
    symbols.put(packed.words, np.zeros_like(packed.words), into)
    symbols.put(packed.constants, _lanes(layer.connection, 0, top), into)


def _lanes(c: ConnectionPlan, firing: int, top: bool) -> NDArray[np.uint32]:
    """Constants of neurons of which so many fire, and the others keep the largest code or the least."""
    packed = c.packed
    assert packed is not None
    high = (1 << packed.lanes - 1) - 1
    rows: Int64 = np.zeros((2 * packed.levels - 1, c.outputs), np.int64)
    rows[packed.levels - 1] = np.where(np.arange(c.outputs) < firing, ~high, high)
    rows[packed.levels :] = ~high if top else high
    return lane_constants(rows, packed.lanes, packed.units)


def _among(table: Array, real: int, value: int) -> Array:
    """A value for all channels of a table [..., C] but those that fill it up."""
    found, bounds = table.copy(), np.iinfo(table.dtype)
    found[..., :real] = np.clip(value, bounds.min, bounds.max)
    return found


# ---- what no run shows ----


def _left(plan: NetworkPlan, index: int) -> int:
    """Instructions that some inputs take in a layer or a readout and those of the runs do not."""
    steps = plan.timesteps
    if index >= len(plan.hidden):
        readouts = plan.readouts
        if not readouts:
            return steps * _resumed(plan.layers[-1].connection)
        readout = readouts[index - len(plan.hidden)]
        return steps * (sum(map(_of_term, readout.terms.terms)) + 3 * _SLACK * readout.answers)
    layer = plan.layers[index]
    c, neuron = layer.connection, layer.neuron
    assert neuron is not None
    outputs = c.out_height * c.out_width * c.units * 16
    found = 0 if c.decides else _SLACK * outputs * (1 + neuron.scaled + (layer.stored == 2))
    if layer.terms is not None:
        return steps * (found + sum(map(_of_term, layer.terms.terms)))
    found += _resumed(c) + sum(_SLACK * p.height * p.width * p.kernel**2 * c.channels for p in c.pools)
    if not c.wide:
        found += _SLACK * outputs
    if layer.shortcut is not None:
        found += _resumed(layer.shortcut.connection)
    return steps * found


def _connections(plan: NetworkPlan, index: int) -> Iterator[ConnectionPlan]:
    """What a layer or a readout adds up."""
    if index >= len(plan.layers) or (index >= len(plan.hidden) and plan.readouts):
        yield from (term.connection for term in plan.readouts[index - len(plan.hidden)].terms.terms)
        return
    layer = plan.layers[index]
    yield from [layer.connection] if layer.terms is None else (term.connection for term in layer.terms.terms)
    if layer.shortcut is not None:
        yield layer.shortcut.connection


def _tile_sums(c: ConnectionPlan) -> int:
    """Sums that a step makes in lanes which are emptied when they are full."""
    p = c.packed
    return c.out_height * c.out_width * c.tiles if c.form == PACKED and p is not None and p.bits in (2, 4) else 0


def _of_term(term: TermPlan) -> int:
    c = term.connection
    pools = sum(w.height * w.width * w.kernel_height * w.kernel_width for w in term.pools)
    outputs = c.out_height * c.out_width * c.units * 16
    window = term.sum_pool
    summed = 0 if window is None else window.height * window.width * window.kernel_height * window.kernel_width
    weighed = 3 * outputs * (term.shift > 0)
    return _resumed(c, c.kernel_width) + _SLACK * (pools * c.channels + summed * c.units * 16 + weighed)


def _resumed(c: ConnectionPlan, parts: int = 1) -> int:
    """Of rows, in so many parts each, that are taken up again in the sums of all places."""
    p, sums = c.packed, _tile_sums(c)
    if p is None or not sums:
        return 0
    inputs = c.window**2 * c.kernel_height * c.kernel_width * c.channels
    emptied = inputs // (p.few if p.bits == 2 else p.many)
    rows = c.window**2 * c.kernel_height * parts
    return _RESUMED * sums * min(emptied, rows)
