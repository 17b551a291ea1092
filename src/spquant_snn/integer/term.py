"""A term of the sums of a layer or a readout: weights on what one source sends, at this step or the step before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..dtypes import Int32, Int64
from .connection import INT32, Connection, check


@dataclass(frozen=True, eq=False)
class Term:
    """A term of the sums of a layer or readout: ``(sums of the connection * multiplier) >> shift``.

    Args:
        connection: weights, the pools before them and a pool over their sums.
        source: where its input comes from: input ``source``, or layer ``source - I`` of a graph of I inputs.
        delay: 0: the source at this step; 1: at the step before, zeros at the first step.
        multiplier: [O] one factor per channel; None: 1. A negative factor after a maximum makes it a minimum.
        shift: right shift after the multiplication, 0 to 31, rounding down.

    Raises:
        ModelError: a part is out of range.
    """

    connection: Connection
    source: int
    delay: Literal[0, 1] = 0
    multiplier: Int32 | None = None
    shift: int = 0

    def __post_init__(self) -> None:
        name, factor, outputs = self.connection.name, self.multiplier, len(self.connection.codes)
        check(self.delay in (0, 1), name, f"a delay of {self.delay} steps is out of range")
        check(0 <= self.shift <= 31, name, f"a shift by {self.shift} bits is out of range")
        check(
            factor is None or (factor.dtype == np.int32 and factor.shape == (outputs,)),
            name,
            f"the multiplier is not int32 ({outputs},)",
        )
        pool = self.connection.sum_pool
        check(
            factor is None or pool is None or pool.kind == "sum" or bool((factor != 0).all()),
            name,
            "a multiplier of zero behind a largest value: make the codes zero",
        )

    @property
    def plain(self) -> bool:
        """Whether it has no delay, multiplier or shift."""
        return self.delay == 0 and self.multiplier is None and self.shift == 0

    @property
    def left_shift(self) -> int | None:
        """By how many bits all sums are shifted to the left; None where they are weighted otherwise."""
        if self.shift:
            return None
        if self.multiplier is None:
            return 0
        factor = int(self.multiplier[0])
        power = factor > 0 and factor & (factor - 1) == 0 and bool((self.multiplier == factor).all())
        return factor.bit_length() - 1 if power else None

    def reach(self, largest: int, signed: bool = False) -> Int64:
        """[O] the largest absolute value that it adds, of inputs up to ``largest``.

        Raises:
            ModelError: its sums, or what its multiplier makes of them, leave 32 bits.
        """
        reach = self.connection.reach(largest, signed)
        if self.multiplier is not None:
            reach = reach * np.abs(self.multiplier.astype(np.int64))
        if self.shift:
            reach = (reach >> self.shift) + 1
        check(int(reach.max()) <= INT32, self.connection.name, "a sum times its multiplier leaves 32 bits")
        return reach
