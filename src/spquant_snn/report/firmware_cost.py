"""Instructions of an inference on a Cortex-M4, predicted from the counts of a ledger and the shapes of the layers.

The model is for what ``spquant export --target c`` writes, built by GCC: codes and neurons packed (up to 2 bits, reset
to zero), still images. Its constants were read off the inner loops that GCC 12.2 makes of ``csrc/packed.c``,
``sums.c``, ``events.c`` and ``run.c``, beside how often each ran; docs/results/microcontroller.md says on which
networks. Of two things a ledger knows only the mean, and how they are spread is assumed:

    rows    of the input under an output of a convolution: of ``_OCCUPIED`` of them, each holds an event with the chance
            1 - exp(-mean / _TOGETHER)
    events  that an output meets: more than m of them with the chance exp(-m / mean), for images are mostly blank
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..dtypes import UInt8
from ..errors import ModelError
from ..export.firmware import load_manifest
from ..export.outcome import Outcome
from ..integer.compare import Trace
from ..integer.file import load_graph
from ..integer.graph import Graph
from ..runtime.layout import plan_connections
from ..runtime.plan import PACKED, Body, ConnectionPlan, PackedPlan
from ..runtime.row import row_of
from .counts import LayerCounts, count

_BOARD, _COMPILER = "cortex-m4", "gcc"

_OCCUPIED = 0.75
_TOGETHER = 1.75

# ---- listing what is not zero ----
_LISTED_ROW = 55  # of the input
_LISTED_PIXEL = 9  # of an image
_LISTED_VALUE = 16  # of an image, zero or not
_LISTED_PLACE = 18  # of spikes
_LISTED_WORD = 9  # of spikes
_LISTED_EVENT = 10  # a spike

# ---- finding the events under an output ----
_TURN = 220  # a layer at a time step
_ROW = 150  # of outputs
_LINE = 24  # a row of the input under a row of outputs
_PLACE = 75  # of outputs
_SCAN = 25  # a row of the input under a place

# ---- adding codes, by the units of 16 outputs that a tile has ----
_TILE = 110  # what each sum of a tile takes, whatever it adds
_RUN = 6  # a row of the input that holds an event
_RUN_CODES = 20  # the same, fields of 2 and 4 bits
_ADD_PAIRS = (0, 8, 12)  # an event, fields of 2 bits
_ADD_NIBBLES = (0, 11, 19)  # an event, fields of 4 bits
_ADD_PRODUCTS = 23  # a pixel and 16 outputs
_RUN_PRODUCTS = 18  # a row of pixels and 16 outputs
_BREAK = 22  # where events are added in parts
_WIDEN = (0, 24, 54)  # lanes of 4 bits into lanes of 8
_PART = (0, 15, 30)  # fields of 4 bits into lanes of 8
_SPREAD = (0, 54, 102)  # lanes of 8 bits into lanes of 16

# ---- neurons, a unit of 16 ----
_SETTLE_PRODUCTS = 64  # sums of products into lanes
_SETTLE_WIDE = {8: 54, 16: 64}  # lanes of 16 bits into lanes that decide
_SETTLE_NARROW = {8: 20, 16: 42}  # lanes of 8 bits
_DECIDE_TILE = 42  # a tile at a step
_DECIDE_UNIT = 24
_AT_REST = {(8, 3): 57, (16, 3): 116, (8, 4): 77, (16, 4): 140}  # by bits of lanes and levels of the state
_DECIDE = {(8, 3): 119, (16, 3): 206, (8, 4): 123, (16, 4): 225}

# ---- the rest ----
_NETWORK = 350
_CLEARED_WORD = 5  # of the state
_READ_TILE = 100  # a readout's tile at a step
_READ_SUM = 20  # each of its sums
_LOGIT = 15  # a class at a step
_POOLED_WORD = 32  # spikes of a place behind a pool
_POOLED_ROW = 12  # of its window
_POOLED_TAP = 10  # each word that it looks at


def with_prediction(outcome: Outcome, folder: Path, images: UInt8) -> Outcome:
    """A measured outcome beside its prediction, or the reason why there is none.

    Args:
        folder: the firmware that was run.
        images: uint8 [N, C, H, W], that it was run on.

    Raises:
        RunError, FileFormatError: the folder holds no firmware, or a damaged one.
    """
    manifest = load_manifest(folder)
    if (outcome.board, outcome.compiler) != (_BOARD, _COMPILER):
        return replace(outcome, unpredicted=f"the model is of {_BOARD} and {_COMPILER}")
    if manifest["form"] == "compact":
        return replace(outcome, unpredicted="the model is not of the compact form")
    if len(manifest["sources"]) == 1:
        return replace(outcome, unpredicted="the source is one file, which the compiler treats otherwise")
    graph, small = load_graph(folder / "model.spq"), bool(manifest["small"])
    reason = unpredictable(graph, small)
    if reason is not None:
        return replace(outcome, unpredicted=reason)
    return replace(outcome, predicted=predict_instructions(graph, images, small))


def unpredictable(graph: Graph, small: bool = False) -> str | None:
    """Why there is no prediction for a network, as the end of a sentence; None where there is one.

    Args:
        small: exported for little flash.

    Raises:
        ModelError: the network is too large for the runtime.
    """
    try:
        row = row_of(graph)
    except ModelError:
        return "the model is of layers in a row"
    parts = plan_connections(graph, Body.PACKED, small)
    for i, (part, source) in enumerate(zip(parts, row.connections, strict=True)):
        c, p = part.connection, part.connection.packed
        if c.form != PACKED or p is None or (part.neuron is not None and not c.decides):
            return f"layer {source.name!r} is not computed packed (2 bits at most, reset to zero, no gate)"
        if p.bits == 8 or (p.bits == 16 and i):
            return f"layer {source.name!r} has fields of {p.bits} bits, which the model does not know"
        if i == 0 and c.pools:
            return f"layer {source.name!r} pools the image, which the model does not know"
    return None


def predict_instructions(graph: Graph, images: UInt8, small: bool = False) -> float:
    """Instructions of an inference on a Cortex-M4, by GCC, the mean over still images.

    Args:
        images: uint8 [N, C, H, W], on which is counted.
        small: exported for little flash.

    Raises:
        DataError: the images are not what the network takes.
        ModelError: there is no prediction, as ``unpredictable`` says, or the network is too large for the runtime.
    """
    reason = unpredictable(graph, small)
    if reason is not None:
        raise ModelError(f"there is no prediction of instructions: {reason}")
    rests = Rests(len(graph.layers))
    counts = count(graph, images, watch=rests.add)
    at_rest = [*(units / len(images) for units in rests.units), 0.0]  # the readout has no neurons
    parts = plan_connections(graph, Body.PACKED, small)
    works = (
        FirmwareWork.of(part.connection, layer, rest)
        for part, layer, rest in zip(parts, counts.layers, at_rest, strict=True)
    )
    return _NETWORK + sum(sum(work.costs().values()) for work in works)


class Rests:
    """Units of 16 neurons of which none holds a potential, summed over images, places and steps.

    The first step finds all of them at rest. Two units share a tile of 32 channels, four channels by turns.
    """

    def __init__(self, layers: int) -> None:
        self.units = [0] * layers

    def add(self, trace: Trace) -> None:
        """Add what a batch did."""
        for i, (_, _, codes) in enumerate(trace.layers):
            steps, images, channels = codes.shape[:3]
            channel = np.arange(channels)
            alone = channel // 32 == (channels - 1) // 32 if -(-channels // 16) % 2 else np.zeros(channels, np.bool_)
            unit = channel // 32 * 2 + np.where(alone, 0, channel // 4 % 2)
            held = (codes != 0).reshape(steps, images, channels, -1)
            for k in range(-(-channels // 16)):
                moved = held[:, :, unit == k].any(2)  # [T, N, places]
                self.units[i] += int(moved[0].size + (~moved[:-1]).sum())


@dataclass(frozen=True, eq=False)
class FirmwareWork:
    """What a layer does in an inference, as the constants count it.

    Args:
        connection: as it is laid out for devices.
        counted: what the layer did.
        visits: events times the places that they reach.
        lines: rows of the input under the rows of outputs, over all steps.
        scans: rows of the input under places, over all steps.
        runs: those of them that hold an event.
        rests: units of 16 neurons at rest, over all steps.
    """

    connection: ConnectionPlan
    counted: LayerCounts
    visits: float
    lines: int
    scans: int
    runs: float
    rests: float

    @classmethod
    def of(cls, connection: ConnectionPlan, counted: LayerCounts, rests: float) -> FirmwareWork:
        """Of a layer."""
        c = connection
        done = counted.folded if c.window == 1 else counted.done
        lines = counted.passes * _lines(c)
        scans = lines * c.out_width * c.window
        visits = done / c.outputs
        share = _OCCUPIED * -math.expm1(-visits / max(scans, 1) / _TOGETHER) if c.out_height * c.out_width > 1 else 1.0
        return cls(c, counted, visits, lines, scans, min(visits, scans * share), rests)

    @property
    def rows(self) -> int:
        """Rows of outputs, over all steps at which sums are computed."""
        return self.counted.passes * self.connection.out_height

    @property
    def places(self) -> int:
        """Places of outputs, over all steps at which sums are computed."""
        return self.rows * self.connection.out_width

    def costs(self) -> dict[str, float]:
        """Instructions by what they are for: listing, finding, adding, neurons or readout."""
        packed = self.connection.packed
        assert packed is not None  # unpredictable
        halves = packed.units % 2
        sums = [self._sum(packed, units) for units in [2] * (packed.units // 2) + [1] * halves]
        return {
            "listing": self._listing(),
            "finding": _TURN * self.counted.passes + _ROW * self.rows + _LINE * self.lines
            + _PLACE * self.places + _SCAN * self.scans,
            "adding": sum(added for added, _ in sums),
            "neurons": sum(settled for _, settled in sums) + self._neurons(packed),
            "readout": 0.0 if self.counted.neurons else self._readout(packed),
        }  # fmt: skip

    def _listing(self) -> float:
        """The rows above and below which no output looks are too few to matter."""
        c, passes = self.connection, self.counted.passes
        places = passes * c.height * c.width
        rows = _LISTED_ROW * passes * c.height
        if self.counted.pixels:
            return rows + places * (_LISTED_PIXEL + _LISTED_VALUE * c.channels)
        words = -(-c.channels // 32)
        pooled = sum(
            pool.height * pool.width * (_POOLED_WORD + pool.kernel * (_POOLED_ROW + _POOLED_TAP * pool.kernel))
            for pool in c.pools
        )
        return (
            passes * words * pooled
            + rows
            + places * (_LISTED_PLACE + _LISTED_WORD * words)
            + _LISTED_EVENT * self.counted.active
        )

    def _sum(self, p: PackedPlan, units: int) -> tuple[float, float]:
        """Of a tile at all places: what its sums take, and what makes lanes of them that can decide."""
        base = _TILE * self.places + _RUN * self.runs
        if p.bits == 16:
            added = units * (_ADD_PRODUCTS * self.visits + _RUN_PRODUCTS * self.runs)
            return base + added, units * _SETTLE_PRODUCTS * self.places
        base += _RUN_CODES * self.runs
        wide, visits = self._wide(p) if units == 2 else (1.0, self.visits)
        spreads = visits / p.many + wide * self.places / 2
        if p.bits == 4:
            added = _ADD_NIBBLES[units] * self.visits + _BREAK * (wide * self.runs + visits / p.many)
            added += _PART[units] * (spreads + (1 - wide) * self.places)
        else:
            widens = self.visits / p.few + self.places / 2
            added = _ADD_PAIRS[units] * self.visits + _BREAK * (self.runs + self.visits / p.few)
            added += _WIDEN[units] * widens
        if not p.lanes:
            return base + added + _SPREAD[units] * spreads, 0.0
        settled = wide * _SETTLE_WIDE[p.lanes] + (1 - wide) * _SETTLE_NARROW[p.lanes]
        return base + added + _SPREAD[units] * spreads, units * self.places * settled

    def _wide(self, p: PackedPlan) -> tuple[float, float]:
        """The share of places that meet more events than lanes of 8 bits hold, and how many these meet together."""
        if not self.visits:
            return 0.0, 0.0
        many = p.many * self.places / self.visits
        share = math.exp(-many)
        return share, self.visits * share * (1 + many)

    def _neurons(self, p: PackedPlan) -> float:
        """Neurons at all steps, and the state that is cleared before the first."""
        if not p.lanes:
            return 0.0
        c, kind, steps = self.connection, (p.lanes, p.levels), self.counted.steps
        places = c.out_height * c.out_width
        units = places * p.units * steps
        deciding = _AT_REST[kind] * self.rests + _DECIDE[kind] * (units - self.rests)
        return places * c.tiles * (steps * _DECIDE_TILE + 2 * _CLEARED_WORD) + units * _DECIDE_UNIT + deciding

    def _readout(self, p: PackedPlan) -> float:
        c = self.connection
        return self.counted.steps * (c.tiles * _READ_TILE + p.units * 16 * _READ_SUM + _LOGIT * c.outputs)


def _lines(c: ConnectionPlan) -> int:
    """Rows of the input under all rows of outputs."""
    row, slide, tap = np.ogrid[: c.out_height, : c.window, : c.kernel_height]
    y = row * c.step_height - c.pad_height + slide * c.slide_height + tap
    return int(((y >= 0) & (y < c.height)).sum())
