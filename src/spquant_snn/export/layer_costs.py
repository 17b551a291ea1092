"""What each layer of a firmware costs on a board: instructions in the mean, and those that no input exceeds."""

from __future__ import annotations

from dataclasses import dataclass

from .qemu import Ended
from .worst_case import WorstCase


@dataclass(frozen=True)
class LayerCost:
    """Instructions of a layer or a readout, in an inference or in a step of a sequence.

    Args:
        name: of the layer; none of what is around all of them.
        mean: over what was run.
        bound: what no input exceeds; None where there is none.
    """

    name: str | None
    mean: float
    bound: int | None


def layer_costs(
    names: list[str], whole: Ended, told: Ended, stretches: int, worst: WorstCase | None
) -> tuple[LayerCost, ...]:
    """The cost of each layer and each readout, and last of what is around them.

    Telling layers apart takes a few instructions, the same for every input: they are taken off what is around.

    Args:
        whole, told: how the program ended, and how that which tells layers apart did with the same inputs.
        stretches: images, or frames.
    """
    telling = ((told.instructions or 0) - (whole.instructions or 0)) // stretches
    bounds = [*worst.layers, worst.around - telling] if worst else [None] * (len(names) + 1)
    means = [part.all / stretches for part in told.layers]
    means[-1] -= telling
    return tuple(LayerCost(*each) for each in zip([*names, None], means, bounds, strict=True))
