"""An output of a network: how sums become answers over time, and answers values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..data.task import OutputFormat
from ..dtypes import Array, Float64, Int32, Int64
from .connection import INT32, check
from .term import Term

LONGEST = 1 << 20  # time steps

OverTime = Literal["last", "largest", "sum", "all"]


@dataclass(frozen=True, eq=False)
class Readout:
    """An output of the network: terms that are summed at every step, and integrated over time. With

        z = (sums << fraction) + bias
        m = ((m * leak + half) >> leak_shift) + z          half = 2**leak_shift / 2, or 0 without a shift

    the answer is m at the last step, its largest value, its sum over the steps, or m at every step. Without a leak m
    is the sum of all z; with a leak of zero it is z.

    Args:
        name: path of the layer in the model.
        terms: at least one.
        fraction: number of fractional bits of z.
        bias: [O], in the unit of z.
        scale: the value of an answer of 1, in the units of training.
        leak: [O], 0 .. 2**leak_shift; None: no leak.
        leak_shift: fractional bits of the leak, 0 to 16.
        over_time: which m is the answer: "last", "largest", "sum", or "all" of them.
        output_format: the task that it was trained for, and how answers become values in the units of its labels;
            None: answers are logits of classes.

    Raises:
        ModelError: a part is out of range.
    """

    name: str
    terms: tuple[Term, ...]
    fraction: int
    bias: Int32
    scale: float
    leak: Int32 | None = None
    leak_shift: int = 0
    over_time: OverTime = "last"
    output_format: OutputFormat | None = None

    def __post_init__(self) -> None:
        name, outputs = self.name, len(self.bias)
        check(len(self.terms) > 0, name, "it has no term")
        for part, array in (("bias", self.bias), ("leak", self.leak)):
            check(
                array is None or (array.dtype == np.int32 and array.shape == (outputs,)),
                name,
                f"the {part} is not int32 ({outputs},)",
            )
        check(0 <= self.fraction <= 8, name, f"a fraction of {self.fraction} bits is out of range")
        check(0 <= self.leak_shift <= 16, name, f"a leak shifted by {self.leak_shift} bits is out of range")
        check(
            self.leak is None or (int(self.leak.min()) >= 0 and int(self.leak.max()) <= 1 << self.leak_shift),
            name,
            "a leak is not between zero and one",
        )
        check(self.over_time in ("last", "largest", "sum", "all"), name, f"there is no {self.over_time!r} over time")
        wanted = outputs if self.output_format is None else self.output_format.task.outputs
        exact = self.output_format is None or self.output_format.task.kind != "classification"
        check(wanted == outputs or (wanted < outputs and not exact), name, f"{outputs} outputs answer to {wanted}")
        check_scale(self.scale, name)

    @property
    def sums_all(self) -> bool:
        """Whether the answer is the sum of all steps."""
        return self.leak is None and self.over_time == "last"

    def values(self, answers: Array, steps: int) -> Float64:
        """Integer answers [N, O, ...], or [T, N, O, ...] of all steps, as values in the units of the labels that the
        network was trained on; answers that are sums over ``steps`` become means."""
        summed = self.sums_all or self.over_time == "sum"
        found: Float64 = answers.astype(np.float64) * (self.scale / (steps if summed else 1))
        axis = 2 if self.over_time == "all" else 1
        return found if self.output_format is None else self.output_format.in_units(found, axis)

    def longest(self, reach: Int64) -> int:
        """The largest number of time steps for which answers are proven to fit int32, with sums up to ``reach`` [O]."""
        twice = 2 * ((reach << self.fraction) + np.abs(self.bias.astype(np.int64))) + 1  # halves, for what is rounded
        if self.leak is None:
            room = INT32 // np.maximum(twice // 2, 1)  # how often z fits
            kept = np.full_like(room, LONGEST)
        else:  # a leak below one holds what is kept below a multiple of z, however long it goes on
            room = 2 * INT32 // twice
            lost = (1 << self.leak_shift) - self.leak.astype(np.int64)
            kept = np.where(lost > 0, -(-(1 << self.leak_shift) // np.maximum(lost, 1)), LONGEST)
        steps = np.where(kept <= room, LONGEST, room)
        if self.over_time == "sum":  # of 1, 2, 3 .. times z, but of no more than are kept
            growing = (np.sqrt(8 * room + 1).astype(np.int64) - 1) // 2
            steps = np.minimum(steps, np.maximum(growing, room // kept))
        return min(int(steps.min()), LONGEST)


def check_scale(scale: float, name: str) -> None:
    """Refuse what is no scale.

    Raises:
        ModelError: it is not positive and finite; the message begins with ``name``.
    """
    check(bool(np.isfinite(scale)) and scale > 0, name, f"the scale must be a positive number, not {scale!r}")
