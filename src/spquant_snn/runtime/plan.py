"""The plan of a graph: what ``csrc/spq.h`` asks for, as plain numbers and arrays under the same names.

The native runtime hands a plan to C by pointers, an exporter can write it out as C. ``layout`` makes plans.

``structs`` reads the structs of C off the annotations: an ``int`` is an int32_t, unless annotated with another type; an
array, a tuple of any length and what may be None lie behind pointers; all else is part of the struct. No plan can be
run by a C source whose structs are others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import numpy as np

from ..dtypes import Int8, Int16, Int32, Int64, UInt32

Unsigned = Annotated[int, np.uint32]

LANES = 32  # SPQ_LANES
UNIT = 16  # SPQ_UNIT
WORDS = 16  # SPQ_WORDS
MOST_PLANES = 16  # SPQ_MOST_PLANES
MOST_PARTS = 24  # SPQ_MOST_PARTS
TOGETHER = 128  # SPQ_TOGETHER
BEYOND = 64  # SPQ_BEYOND
RUN_BYTES = 12  # of a spq_run, and of a spq_line
ADD8, ADD16, MULTIPLY, GROUPED, DENSE, SLICED, PACKED, MULTIPLY16, IDENTITY, TERMS, PRODUCTS = range(11)
SUM, LARGEST, REPEAT = range(3)  # SPQ_SUM, ...
LAST, GREATEST, TOTAL = range(3)  # SPQ_LAST, ...
ALIGNMENT = 64  # bytes, a line of cache and the widest vector


class Body(IntEnum):
    """What a build of the source can use, in rising order; every build can use packed codes, which are for devices."""

    PACKED = -1
    PORTABLE = 0
    NEON = 1
    AVX2 = 2
    AVX512 = 3
    AVX512_SLICED = 4

    @property
    def description(self) -> str:
        """What runs, and what of the CPU it takes."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    Body.PACKED: "packed codes, for small devices",
    Body.PORTABLE: "portable C, for a CPU without AVX2, AVX-512 or NEON",
    Body.NEON: "16-bit lanes of NEON",
    Body.AVX2: "16-bit lanes of AVX2",
    Body.AVX512: "16-bit lanes of AVX-512 BW, without bit slices, which take VBMI2",
    Body.AVX512_SLICED: "bit slices on AVX-512 BW and VBMI2",
}


@dataclass(frozen=True)
class Region:
    """A part of an arena, in bytes from its start."""

    offset: Unsigned
    size: Unsigned


@dataclass(frozen=True)
class PoolPlan:
    largest: int
    kernel: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class SlicesPlan:
    slots: int
    spread: int
    vectors: int
    passes: int
    block: int
    blocks: int
    stride: int
    lift: int
    largest: int
    planes: int
    rows: UInt32
    totals: Int32


@dataclass(frozen=True, eq=False)
class QuadsPlan:
    least: int
    window: int
    slide_height: int
    slide_width: int
    kernel_height: int
    kernel_width: int
    count: int
    limit: int
    wide: int
    codes: Int8


@dataclass(frozen=True, eq=False)
class PackedPlan:
    bits: int
    units: int
    grain: int
    lift: int
    few: int
    many: int
    lanes: int
    levels: int
    fraction: int
    pitch: int
    words: UInt32
    constants: UInt32 | None

    def row(self, outputs: int) -> int:
        """The codes of an input, in units of ``grain`` bytes."""
        return -(-outputs * self.bits // 8) if self.grain == 1 else self.units * self.bits // 2


@dataclass(frozen=True, eq=False)
class ConnectionPlan:
    source_height: int
    source_width: int
    channels: int
    pool_count: int
    pools: tuple[PoolPlan, ...]
    height: int
    width: int
    kernel_height: int
    kernel_width: int
    pad_height: int
    pad_width: int
    step_height: int
    step_width: int
    window: int
    slide_height: int
    slide_width: int
    out_height: int
    out_width: int
    outputs: int
    tiles: int
    units: int
    form: int
    limit: int
    wide: int
    row: int
    codes8: Int8 | None
    codes16: Int16 | None
    group_start: UInt32 | None
    slices: SlicesPlan | None
    quads: QuadsPlan | None
    packed: PackedPlan | None

    @property
    def rows(self) -> int:
        """Rows of the input under one output."""
        return (self.window - 1) * self.slide_height + self.kernel_height

    @property
    def row_words(self) -> int:
        """Words of the spikes of a row of neurons."""
        return self.out_width * self.tiles

    @property
    def words(self) -> int:
        """Words of its neurons' spikes."""
        return self.out_height * self.row_words

    @property
    def rows_at_once(self) -> int:
        """Rows of which the neurons behind a gate are computed together, in bit slices."""
        return max(1, min(WORDS, self.out_height, TOGETHER // self.row_words))

    @property
    def row_of_sums(self) -> int:
        """Bytes of the sums of a row of outputs."""
        return (4 if self.wide else 2) * UNIT * self.units * self.out_width

    @property
    def events(self) -> int:
        """The most events that its lists hold."""
        return self.rows * self.width * self.channels

    @property
    def weighed(self) -> bool:
        """Whether its events have values."""
        values = self.packed is not None and self.packed.bits == 16
        return values or self.form in (MULTIPLY, MULTIPLY16, GROUPED, PRODUCTS)

    @property
    def decides(self) -> bool:
        """Whether its neurons are computed without sums in memory."""
        return self.packed is not None and self.packed.lanes > 0


@dataclass(frozen=True, eq=False)
class NeuronPlan:
    bits: int
    low: int
    high: int
    levels: int
    fraction: int
    subtract: int
    scaled: int
    fire: Int32
    drop: Int32
    decay: Int32
    edges: Int32 | None
    gain: Int32 | None
    offset: Int64 | None
    decay_shift: int
    shift: int
    narrow: Int16 | None
    planes: UInt32 | None
    plane_count: int
    plane_rows: int
    plane_decay: int
    plane_edge: int


@dataclass(frozen=True, eq=False)
class BlocksPlan:
    channels: int
    count: Int32 | None
    code: Int32 | None
    least: Int32 | None
    silent: Int32 | None
    rest: UInt32 | None


@dataclass(frozen=True, eq=False)
class ShortcutPlan:
    source: int
    shift: int
    connection: ConnectionPlan


@dataclass(frozen=True)
class WindowPlan:
    kind: int
    kernel_height: int
    kernel_width: int
    step_height: int
    step_width: int
    dilation_height: int
    dilation_width: int
    pad_height: int
    pad_width: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class TermPlan:
    source: int
    past: Region
    pool_count: int
    pools: tuple[WindowPlan, ...]
    connection: ConnectionPlan
    dilation_height: int
    dilation_width: int
    spread_height: int
    spread_width: int
    rows: int
    sum_pool: WindowPlan | None
    multiplier: Int32 | None
    shift: int

    @property
    def direct(self) -> bool:
        """Whether its sums are added as they are."""
        return self.sum_pool is None and self.multiplier is None and self.shift == 0


@dataclass(frozen=True, eq=False)
class TermsPlan:
    count: int
    terms: tuple[TermPlan, ...]
    still: Region
    gate: WindowPlan | None
    current: NeuronPlan | None
    current_state: Region


@dataclass(frozen=True, eq=False)
class LayerPlan:
    connection: ConnectionPlan
    neuron: NeuronPlan | None
    blocks: BlocksPlan | None
    shortcut: ShortcutPlan | None
    terms: TermsPlan | None
    state: Region
    spikes: Region

    @property
    def stored(self) -> int:
        """Codes that a neuron stores."""
        return 2 if self.terms is not None and self.terms.current is not None else 1


@dataclass(frozen=True)
class ScratchPlan:
    pooled: tuple[Region, Region]
    starts: Region
    events: Region
    values: Region
    lines: Region
    runs: Region
    sums: Region
    frame: Region
    columns: Region
    heads: Region
    shifts: Region
    beside_starts: Region
    beside_events: Region
    beside_values: Region
    beside_sums: Region
    marks: Region
    planes: Region
    open: Region


@dataclass(frozen=True)
class InputPlan:
    offset: int
    signs: int
    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """Its bytes in a frame."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class PastPlan:
    source: int
    region: Region


@dataclass(frozen=True, eq=False)
class ReadoutPlan:
    terms: TermsPlan
    connection: ConnectionPlan
    fraction: int
    bias: Int32
    leak: Int32 | None
    leak_shift: int
    over_time: int
    answer: int
    integrator: Region

    @property
    def answers(self) -> int:
        """How many numbers it says."""
        return self.connection.out_height * self.connection.out_width * self.connection.outputs


@dataclass(frozen=True, eq=False)
class GeneralPlan:
    input_count: int
    inputs: tuple[InputPlan, ...]
    past_count: int
    pasts: tuple[PastPlan, ...]
    readout_count: int
    readouts: tuple[ReadoutPlan, ...]
    answers: int
    each_step: int
    map: Region
    part: Region
    values: tuple[Region, Region]
    active: Region


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    timesteps: int
    steps: int
    shared: int
    layer_count: int
    layers: tuple[LayerPlan, ...]
    fraction: int
    bias: Int32 | None
    logits: Region
    scratch: ScratchPlan
    general: GeneralPlan | None
    arena_size: Unsigned

    @property
    def hidden(self) -> tuple[LayerPlan, ...]:
        """The layers of neurons."""
        return tuple(layer for layer in self.layers if layer.neuron is not None)

    @property
    def answers(self) -> int:
        """Numbers that are said of an image, or of each of its steps."""
        last = None if self.general is not None and self.general.readouts else self.layers[-1].connection
        return last.outputs if last is not None else sum(readout.answers for readout in self.readouts)

    @property
    def readouts(self) -> tuple[ReadoutPlan, ...]:
        """Those in the general form."""
        return () if self.general is None else self.general.readouts

    @property
    def frame_size(self) -> int:
        """Bytes of a frame: those of the inputs, one behind the other."""
        if self.general is not None:
            return sum(given.size for given in self.general.inputs)
        first = self.layers[0].connection
        return first.channels * first.source_height * first.source_width
