"""The synapses of a layer as the C source takes them.

Weights are laid out so that one event adds one run of output channels, or one row of bit slices; a sum-pool behind a
convolution is folded into its kernel; and the widths in which sums are added follow from bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Int16, Int32
from ..errors import ModelError
from ..integer.graph import PIXEL, Connection, Shape
from ..integer.pool import Pool, repeated_sums
from .neuron_plan import padded, plan_blocks, plan_gate, plan_neuron
from .packed import field_bits, plan_packed, plan_products
from .plan import (
    ADD8,
    ADD16,
    DENSE,
    GROUPED,
    IDENTITY,
    LANES,
    MULTIPLY,
    MULTIPLY16,
    PACKED,
    PRODUCTS,
    SLICED,
    UNIT,
    BlocksPlan,
    Body,
    ConnectionPlan,
    NeuronPlan,
    PoolPlan,
    ShortcutPlan,
    TermsPlan,
)
from .quads import plan_quads
from .row import RowLayer, RowShortcut
from .slices import plan_slices

Narrow = TypeVar("Narrow", np.int8, np.int16)

_INT32 = (1 << 31) - 1
_FEWEST = 8  # events that int8 lanes must hold to be worth emptying
_GROWTH = 4  # of the codes, at most, for a folded pool
_FOLDED = 1 << 25  # codes of a folded kernel, at most, as they lie in rows: more leave every cache, and save nothing


@dataclass(frozen=True)
class LayerParts:
    """A layer, or a readout, without its place in memory."""

    connection: ConnectionPlan
    neuron: NeuronPlan | None
    blocks: BlocksPlan | None
    shortcut: ShortcutPlan | None = None
    terms: TermsPlan | None = None

    @property
    def connections(self) -> tuple[ConnectionPlan, ...]:
        """Its own, and that of its shortcut; or those of its terms."""
        if self.terms is not None:
            return tuple(term.connection for term in self.terms.terms)
        return (self.connection,) if self.shortcut is None else (self.connection, self.shortcut.connection)


@dataclass(frozen=True)
class Values:
    """What a term's weights meet.

    Args:
        largest: without its sign.
        signed: there are values below zero.
        counted: they are values, not spikes.
    """

    largest: int
    signed: bool
    counted: bool


@dataclass(frozen=True)
class _Facts:
    """What decides on the form of a connection."""

    body: Body
    first: bool  # its inputs are pixels
    pooled: bool  # before the weights
    counts: bool  # its inputs are values, not spikes
    groups: int
    window: int  # of a sum-pool that is not folded
    reach: int  # the largest absolute value of a sum
    most: int  # the largest absolute value of a code
    packed: bool  # its codes fit fields of words
    sliced: bool  # its codes fit bit slices

    @property
    def short(self) -> bool:
        """Whether every sum fits 16 bits."""
        return self.reach < 1 << 15


# The forms of ``csrc/spq.h`` with what each asks for: the first that fits is taken. Identities are shortcuts' alone.
_FORMS: tuple[tuple[int, Callable[[_Facts], bool]], ...] = (
    (GROUPED, lambda it: it.groups > 1),
    (PACKED, lambda it: it.packed),
    (DENSE, lambda it: it.first and it.body >= Body.NEON and it.window == 1 and not it.pooled),
    (MULTIPLY16, lambda it: it.counts and it.short),
    (MULTIPLY, lambda it: it.counts),
    (SLICED, lambda it: it.sliced),
    (ADD8, lambda it: 127 // it.most >= _FEWEST and it.short),
    (ADD16, lambda it: True),
)


def plan_connection(
    connection: Connection,
    shape: Shape,
    layer: RowLayer | None,
    body: Body,
    first: bool,
    small: bool = False,
    source: Shape = (),
    beside: bool = False,
    values: Values | None = None,
) -> LayerParts:
    """The synapses of a layer, and its neurons.

    Args:
        shape: of the input.
        layer: whose synapses they are; None for the readout, and for a shortcut's.
        body: that will run them.
        first: the input is pixels, not spikes.
        small: do not fold a pool where packed codes would need wider fields.
        source: shape of the spikes at the source of the layer's shortcut.
        beside: they are a shortcut's, or a term's.
        values: that a term's meet.
    """
    channels, height, width = (*shape, 1, 1)[:3]
    pools = _plan_pools(connection, height, width)
    inner = (pools[-1].height, pools[-1].width) if pools else (height, width)
    codes = connection.codes.astype(np.int32)
    codes = codes if connection.convolves else codes.reshape(len(codes), channels, *inner)
    slide, sum_pool = connection.stride, connection.sum_pool or Pool("sum", (1, 1), (1, 1))
    step, window = (slide[0] * sum_pool.stride[0], slide[1] * sum_pool.stride[1]), sum_pool.kernel[0]
    unfolded, pooled = codes, window
    if window > 1 and (folded := _fold_pool(codes, window, slide)) is not None:
        wider = not first and field_bits(folded) > field_bits(codes)
        codes, window = (codes, window) if small and wider else (folded, 1)
    outputs = len(codes)
    out_height, out_width = (*connection.output_shape(shape)[1:], 1, 1)[:2]
    step = between(step[0], out_height), between(step[1], out_width)
    tiles, groups = words_of(outputs), connection.groups
    units = -(-outputs // UNIT) if body == Body.PORTABLE else 2 * tiles
    values = values or Values(PIXEL if first else 1, False, first or counts_of(pools))
    counts, largest = values.counted, values.largest
    most = max(1, int(np.abs(codes).max()))
    beside_it = None if layer is None else layer.shortcut
    reach = int((layer.reach(largest) if layer else connection.reach(largest, values.signed)).max())
    row = outputs // groups if groups > 1 else units * UNIT
    sizes = (codes[0, 0].size * channels * row, inner[1] * channels * row, channels * height * width)
    if max(sizes) > _INT32:
        raise too_large(connection.name, "a position in its weights or its input")
    slices = None
    gated = layer is not None and layer.gate is not None
    if body >= Body.AVX512_SLICED and layer is not None and window == groups == 1 and not counts:
        slices = plan_slices(codes, inner[0], connection.padding[0], step[1], out_width)
        if gated and slices is not None and slices.slots * slices.stride != codes.shape[3]:
            slices = None  # what lies beside the kernel would be counted too
    packed = None
    if body == Body.PACKED and groups == 1 and not gated:
        decides = None if beside_it else layer
        packed = plan_packed(codes, decides, reach, window**2, counts, readout=layer is None and not beside)
    full = body == Body.PACKED and counts and not (connection.convolves or gated) and field_bits(codes) <= 8
    products = plan_products(codes) if full and packed is None else None
    facts = _Facts(
        body, first, bool(pools), counts, groups, window, reach, most, packed is not None, slices is not None
    )
    form = next(form for form, fits in _FORMS if fits(facts))
    in_slices = form == SLICED and (beside_it is None or beside_it.connection.identity)
    form = form if products is None else PRODUCTS
    neuron = plan_neuron(layer, tiles * LANES, largest, body >= Body.PORTABLE, in_slices) if layer else None
    narrow = neuron is not None and neuron.narrow is not None and groups == 1
    if beside_it is not None:  # two sums are added, neither of which may saturate
        apart = beside_it.connection.identity or beside_it.connection.groups == 1
        narrow = narrow and apart and reach < 1 << 15
    fields = packed or products
    codes8 = _by_event(codes.astype(np.int8), groups, row) if form == ADD8 else None
    codes16 = None
    if form == DENSE:
        codes16 = _by_pair(codes.astype(np.int16), row)
    elif form in (GROUPED, MULTIPLY, MULTIPLY16, ADD16):
        codes16 = _by_event(codes.astype(np.int16), groups, row)
    starts = np.arange(channels) // codes.shape[1] * row
    plan = ConnectionPlan(
        source_height=height,
        source_width=width,
        channels=channels,
        pool_count=len(pools),
        pools=pools,
        height=inner[0],
        width=inner[1],
        kernel_height=codes.shape[2],
        kernel_width=codes.shape[3],
        pad_height=connection.padding[0],
        pad_width=connection.padding[2],
        step_height=step[0],
        step_width=step[1],
        window=window,
        slide_height=between(slide[0], window),
        slide_width=between(slide[1], window),
        out_height=out_height,
        out_width=out_width,
        outputs=outputs,
        tiles=tiles,
        units=units,
        form=form,
        limit=127 // most if form == ADD8 else 32767 // most,
        wide=int(not narrow or (form == SLICED and reach >= 1 << 15)),
        row=products.words.shape[-1] if products else packed.row(outputs) if packed else row,
        codes8=codes8,
        codes16=codes16,
        group_start=starts.astype(np.uint32) if form == GROUPED else None,
        slices=slices if form == SLICED else None,
        quads=None,
        packed=fields,
    )
    if layer is not None and form in (SLICED, ADD8, ADD16) and not (gated or first or beside_it):
        quads = plan_quads(plan, unfolded, pooled, slide, body, neuron is not None and neuron.narrow is not None)
        plan = replace(plan, quads=quads)
    blocks = plan_blocks(layer, largest) if layer and form not in (DENSE, SLICED, GROUPED, PACKED, PRODUCTS) else None
    if layer is not None and layer.gate is not None and form == SLICED:
        blocks = plan_gate(layer.gate, outputs)
    shortcut = None if beside_it is None else _plan_shortcut(beside_it, source, body, plan.wide)
    return LayerParts(plan, neuron, blocks, shortcut)


def _plan_shortcut(shortcut: RowShortcut, source: Shape, body: Body, wide: int) -> ShortcutPlan:
    """Sums as wide as those that they are added to, from lists of events; of an identity, one code for each channel."""
    plan = plan_connection(shortcut.connection, source, None, body, first=False, beside=True).connection
    plan = replace(plan, wide=wide)
    shift = shortcut.shift
    if shortcut.connection.identity:
        codes = padded(shortcut.connection.codes.ravel().astype(np.int16), plan.tiles * LANES, 0)
        if int(np.abs(codes).max()) << shift < 1 << 15:
            codes, shift = codes << shift, 0
        plan = as_identity(plan, codes)
    return ShortcutPlan(shortcut.source, shift, plan)


def between(distance: int, places: int) -> int:
    """From one place to the next; 1 where there is no next one, so that C never counts up to it."""
    return distance if places > 1 else 1


def as_identity(plan: ConnectionPlan, codes: Int16) -> ConnectionPlan:
    """An identity, by one code for each channel [tiles * 32]."""
    row = plan.units * UNIT
    return replace(plan, form=IDENTITY, row=row, codes8=None, codes16=codes, group_start=None, packed=None, limit=1)


def _plan_pools(connection: Connection, height: int, width: int) -> tuple[PoolPlan, ...]:
    pools = []
    for pool in connection.pools:
        assert isinstance(pool, Pool)
        height, width = pool.size(height, width)
        stride = between(pool.stride[0], max(height, width))
        pools.append(PoolPlan(int(pool.kind == "max"), pool.kernel[0], stride, height, width))
    return tuple(pools)


def _fold_pool(codes: Int32, window: int, slide: tuple[int, int]) -> Int32 | None:
    """The kernel [O, I, kh', kw'] that gives pooled sums at once, or None where that costs more than it saves."""
    height, width = codes.shape[2:]
    tall, wide = (window - 1) * slide[0] + height, (window - 1) * slide[1] + width
    if tall * wide > min(window**2, _GROWTH) * height * width:
        return None
    if tall * wide * codes.shape[1] * words_of(len(codes)) * LANES > _FOLDED:
        return None
    folded = repeated_sums(repeated_sums(codes, 2, window, slide[0]), 3, window, slide[1])
    return folded if np.abs(folded).max() < 1 << 15 else None


def _by_event(codes: NDArray[Narrow], groups: int, row: int) -> NDArray[Narrow]:
    """[O, I/groups, kh, kw] -> [kh, kw, I, row]: what an input adds lies together."""
    outputs, inputs, height, width = codes.shape
    split = codes.reshape(groups, outputs // groups, inputs, height, width)
    rows = split.transpose(3, 4, 0, 2, 1).reshape(height, width, groups * inputs, outputs // groups)
    return padded(rows, row, 0)


def _by_pair(codes: Int16, row: int) -> Int16:
    """[O, I, kh, kw] -> [kh, pairs, row, 2]: two inputs that lie side by side in a row of pixels, channels last."""
    outputs, inputs, height, width = codes.shape
    rows = codes.transpose(2, 3, 1, 0).reshape(height, width * inputs, outputs)
    rows = padded(np.pad(rows, ((0, 0), (0, width * inputs % 2), (0, 0))), row, 0)
    return np.ascontiguousarray(rows.reshape(height, -1, 2, row).swapaxes(2, 3))


def words_of(channels: int) -> int:
    """Words of a pixel's bitmap."""
    return -(-channels // LANES)


def counts_of(pools: tuple[PoolPlan, ...]) -> bool:
    """Whether what they leave is no longer binary."""
    return any(not pool.largest for pool in pools)


def too_large(name: str, what: str) -> ModelError:
    """The error of a network whose positions leave 31 bits."""
    return ModelError(f"layer {name!r}: {what} leaves 31 bits, the native runtime cannot run it: use the reference")
