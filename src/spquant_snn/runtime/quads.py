"""Weight codes four by four for spikes as bytes, what ``csrc/quads.c`` takes; and from how many spikes on that is
quicker than their list.

Zeros cost as much as spikes there, so that a layer takes as long whatever spikes. What either form costs is estimated
in clocks of a core, from what it loads of the codes; the constants were measured on Zen 5.
"""

from __future__ import annotations

import numpy as np

from ..dtypes import Int8, Int32
from .plan import LANES, Body, ConnectionPlan, QuadsPlan

_LARGEST = 11  # window of a sum-pool whose sums, as bytes, meet codes in pairs of 16 bits
_DENSE = {Body.AVX2: 1.1, Body.AVX512: 0.7, Body.AVX512_SLICED: 0.55}  # clocks for 64 products
_FEW = 4.0  # times as many where an output stands alone in its row, and nothing of the codes is shared
_SLICE = 2.0  # clocks for a register of bit slices
_ROW = 1.2  # clocks for a register of codes in lanes
_REGISTER = {Body.AVX2: 32, Body.AVX512: 64, Body.AVX512_SLICED: 64}  # bytes
_BYTE = 1 / 16  # clocks to make an input a byte


def plan_quads(
    plan: ConnectionPlan, codes: Int32, window: int, slide: tuple[int, int], body: Body, narrow: bool
) -> QuadsPlan | None:
    """The same connection for bytes, or None where lists are always quicker.

    Args:
        plan: the connection, for lists.
        codes: [O, I, kh, kw] of 8 bits at most, into which no pool is folded.
        window: of the sum-pool behind them; 1 where there is none.
        slide: of the kernel.
        narrow: the layer's neurons take sums of 16 bits.
    """
    if body not in _DENSE or window > _LARGEST:
        return None
    inputs = plan.height * plan.width * plan.channels
    places = plan.out_height * plan.out_width
    products = codes[0].size * plan.tiles * LANES * places
    alone = _FEW if plan.out_width < 4 else 1.0
    dense = alone * _DENSE[body] * products / 64 + _BYTE * inputs
    least = int(dense / _clocks_of_event(plan, body))
    counted = inputs // 2 if plan.slices is not None else inputs  # beyond half, slices count what is silent
    if least >= counted:
        return None
    most = max(1, int(np.abs(codes).max()))
    return QuadsPlan(
        least=least,
        window=window,
        slide_height=slide[0] if window > 1 else 1,
        slide_width=slide[1] if window > 1 else 1,
        kernel_height=codes.shape[2],
        kernel_width=codes.shape[3],
        count=-(-codes.shape[3] * plan.channels // 4),
        limit=32767 // (2 * window**2 * most),
        wide=int(not narrow),
        codes=_by_four(codes.astype(np.int8), plan.tiles),
    )


def _clocks_of_event(plan: ConnectionPlan, body: Body) -> float:
    """Of one spike in the form that lists it."""
    tall, wide = plan.kernel_height / plan.step_height, plan.kernel_width / plan.step_width
    area = plan.window**2 * tall * min(wide, plan.out_width)  # outputs that look at it
    if plan.slices is not None:
        slices = plan.slices
        return _SLICE * tall * slices.vectors * slices.passes * slices.blocks
    size = 1 if plan.codes8 is not None else 2
    return _ROW * min(area, plan.out_height * plan.out_width) * plan.row * size / _REGISTER[body]


def _by_four(codes: Int8, tiles: int) -> Int8:
    """[O, I, kh, kw] -> [tiles, kh, groups, 32, 4]: four inputs that lie side by side in a row, channels last."""
    outputs, inputs, height, width = codes.shape
    rows = codes.transpose(2, 3, 1, 0).reshape(height, width * inputs, outputs)
    padding = ((0, 0), (0, -width * inputs % 4), (0, tiles * LANES - outputs))
    rows = np.pad(rows, padding).reshape(height, -1, 4, tiles, LANES)
    return np.ascontiguousarray(rows.transpose(3, 0, 1, 4, 2))
