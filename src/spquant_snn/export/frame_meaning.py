"""What a frame is, in words: for the header of exported C."""

from __future__ import annotations

from ..data.catalog import EVENTS, SPIKES
from ..data.heidelberg import DURATIONS
from ..integer.graph import Graph


def frame_meaning(graph: Graph, dataset: str | None, steps: int | None) -> tuple[str, ...]:
    """Sentences on the frames that a network was trained on, as far as its data set says so.

    Args:
        dataset: its name; None where it has none.
        steps: frames of a recording of it; None of images, or where that is not known.
    """
    base = (dataset or "").partition(":")[0]
    if base in EVENTS:
        return (
            "Events of a camera, counted: frame[0][y][x] those that made a pixel darker, frame[1][y][x] those that "
            f"made it brighter; a count stops at {graph.inputs[0].largest}.",
            "Where a frame has fewer rows than the camera, squares of its pixels are summed into one: divide x and y.",
            _divided(steps),
        )
    if base in SPIKES:
        length = DURATIONS[base]
        each = f"{length / steps:g} s" if steps else f"{length:g} s divided by the frames of a recording"
        return (
            f"Spikes of an artificial cochlea, counted: frame[c] those of channel c, neighbours of 700 summed into one "
            f"where there are fewer; a count stops at {graph.inputs[0].largest}.",
            f"A frame lasts {each}, from the start of a recording.",
        )
    if steps:
        return (
            f"One of the {steps} steps of a recording as the network was trained on them. How long it lasts and what "
            "its channels are, this file does not know: it is what the data of the training had there.",
        )
    return ("The network was trained on still images, shown at every step: a frame is one of them, as an image is.",)


def _divided(steps: int | None) -> str:
    if steps is None:
        return "How long a frame lasts, this file does not know: as long as in training."
    return (
        f"In training, the time from the first to the last event of a recording was divided evenly into {steps} frames."
    )
