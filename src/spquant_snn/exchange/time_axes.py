"""Where time and batch lie in a tensor, and what calls that shape it do to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import fx

from ..errors import ModelError
from ..nn.instant import value_of, where
from .step_expressions import Layout, Signal, flat

SWAPS: dict[Layout, Layout] = {"TN": "NT", "NT": "TN", "1N": "N1", "N1": "1N"}

LAYOUTS: dict[str, str] = {  # in words
    "step": "one step, [N, ...]",
    "TN": "all steps, [T, N, ...]",
    "NT": "all steps, [N, T, ...]",
    "T*N": "all steps as one batch, [T * N, ...]",
    "N*T": "all steps as one batch, [N * T, ...]",
    "1N": "one step, [1, N, ...]",
    "N1": "one step, [N, 1, ...]",
    "any": "a constant",
}


@dataclass
class Written:
    """A tensor of a shape, with time in front or behind the batch, into which a loop writes step by step."""

    shape: tuple[int, ...]
    layout: Layout = "TN"
    parts: dict[int, Any] = field(default_factory=dict)
    taken: bool = False

    def write(self, index: Any, value: Any) -> None:
        """Take what a step gives."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first == slice(None) and rest:
            self.layout, first, rest = "NT", rest[0], rest[1:]
        if not isinstance(first, int) or any(part not in (slice(None), ...) for part in rest):
            raise ModelError(f"the network writes at {index} of a tensor: {_APPEND}")
        self.parts[first % self._steps] = value

    @property
    def _steps(self) -> int:
        return self.shape[0 if self.layout == "TN" else 1]

    @property
    def complete(self) -> bool:
        return len(self.parts) == self._steps

    def signal(self) -> Signal:
        """All steps.

        Raises:
            ModelError: some are missing, or another thing than the rest.
        """
        self.taken = True
        values = [self.parts.get(i) for i in range(self._steps)]
        same = [isinstance(v, Signal) and v.layout == "step" and v.time in (i, None) for i, v in enumerate(values)]
        if not all(same) or len({id(value.what) for value in values if value is not None}) != 1:
            raise ModelError(
                f"the network writes into a tensor of {self._steps} steps what not every step gives: {_APPEND}"
            )
        return Signal(values[0].what, self.layout)  # type: ignore[union-attr]


_APPEND = "append what each step gives to a list, and torch.stack it"


def check_taken(written: dict[Any, Written], returned: Any) -> None:
    """Raise ModelError, if a constant is returned that may be made of a tensor into which steps wrote."""
    values = list(returned.values()) if isinstance(returned, dict) else returned
    constant = any(isinstance(value, Signal) and value.what.kind == "zeros" for value in flat(values))
    if constant and not all(each.taken for each in written.values()):
        raise ModelError(f"the network computes with a tensor into which its steps wrote: {_APPEND}")


def steps_in(node: fx.Node, layout: Layout) -> int:
    """The steps of what a call takes; 0 where its shape does not say it."""
    shape = _before(node)
    return {"TN": shape[0], "NT": shape[1] if len(shape) > 1 else 0}.get(layout, 0)


def layout_behind(node: fx.Node, layout: Layout, batch: int, steps: int) -> Layout:
    """The layout behind a call that keeps elements in their order.

    Raises:
        ModelError: time and batch are not apart any more.
    """
    before, after = _before(node), tuple(value_of(node).shape)
    if layout in ("step", "1N", "N1"):
        found = _of_one_step(before, after, batch)
    else:
        found = _of_all_steps(layout, before, after, batch, steps)
    if found is None:
        raise ModelError(
            f"{where(node)} makes {'x'.join(map(str, after))} of {'x'.join(map(str, before))}, in which time and batch "
            "are not apart any more"
        )
    return found


def _of_one_step(before: tuple[int, ...], after: tuple[int, ...], batch: int) -> Layout | None:
    if after[:2] == (1, batch):
        return "1N"
    if after[:1] != (batch,):
        return None
    return "N1" if len(before) > 1 and after[1:2] == (1,) and before == (batch, *after[2:]) else "step"


def _of_all_steps(
    layout: Layout, before: tuple[int, ...], after: tuple[int, ...], batch: int, steps: int
) -> Layout | None:
    time_first = layout in ("TN", "T*N")
    lead = (steps, batch) if time_first else (batch, steps)
    if steps and after[:2] == lead:
        return "TN" if time_first else "NT"
    as_one = after[:1] == (steps * batch,) if steps else layout in ("T*N", "N*T") and after[:1] == before[:1]
    if not as_one:
        return None
    return "T*N" if time_first else "N*T"


def element_behind(node: fx.Node, layout: Layout, batch: int) -> tuple[int, ...] | None:
    """The shape of an element behind a call, without time and batch; None where it is that in front."""
    lead = 2 if layout in ("TN", "NT", "1N", "N1") else 1
    before, shape = _before(node), tuple(value_of(node).shape[lead:])
    ahead = before[: len(before) - len(shape)]
    same = before[len(ahead) :] == shape and len(ahead) in (1, 2) and (len(ahead) == 1 or batch in ahead)
    return None if same else shape


def swapped(node: fx.Node, signal: Signal, args: tuple[Any, ...]) -> Signal:
    """A signal behind a call that lets time and batch change places.

    Raises:
        ModelError: it moves other axes.
    """
    rank = len(_before(node))
    numbered = torch.zeros(()).expand(*range(2, rank + 2))
    name = str(node.target if isinstance(node.target, str) else getattr(node.target, "__name__", ""))
    moved = list(getattr(numbered, name)(*args, **node.kwargs).shape)
    if moved == list(numbered.shape):
        return signal
    if moved == [3, 2, *range(4, rank + 2)]:
        return replace(signal, layout=SWAPS[signal.layout])
    raise ModelError(f"{where(node)} moves other axes than time and batch: keep the elements in their order")


def shown_again(node: fx.Node, signal: Signal) -> Signal:
    """An image at each of several steps.

    Raises:
        ModelError: something else is repeated.
    """
    before, after = _before(node), tuple(value_of(node).shape)
    if before == after:
        return signal
    if signal.time is None:
        if signal.layout == "step" and after[1:] == before:
            return Signal(signal.what, "TN")
        if signal.layout == "1N" and after[1:] == before[1:]:
            return Signal(signal.what, "TN")
        if signal.layout == "N1" and (after[0], *after[2:]) == (before[0], *before[2:]):
            return Signal(signal.what, "NT")
    raise ModelError(f"{where(node)} repeats other things than an image over time")


def _before(node: fx.Node) -> tuple[int, ...]:
    """The shape of the first thing that a call takes."""
    return tuple(value_of(cast(fx.Node, node.args[0])).shape)
