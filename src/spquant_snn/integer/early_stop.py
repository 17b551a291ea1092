"""Stopping early: an image takes time steps until its answer is decided.

It is decided when the largest answer of the first readout leads the next by a margin, in units of the integer answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import Array, Int32, Int64, UInt32
from ..errors import ConfigError
from . import reference
from .graph import Graph
from .inputs import check_count, says_classes
from .memory import refuse_beyond_reference

MOST_MARGIN = (1 << 32) - 1  # of two int32


@dataclass(frozen=True, eq=False)
class Stopped:
    """The answers to N images, each behind the step that it was decided in, or else behind the last.

    Args:
        logits: int32 [N, classes], those of that step: the sum so far, or as the readout integrates.
        steps: int64 [N], how many each took.

    Example:
        >>> stopped = load("model.spq").stop_early(numpy.zeros((5, 1, 8, 8), numpy.uint8), margin=0)
        >>> stopped.classes.shape, stopped.steps.tolist()
        ((5,), [1, 1, 1, 1, 1])
    """

    logits: Int32
    steps: Int64

    @property
    def classes(self) -> Int64:
        """int64 [N], the first of the largest logits."""
        found: Int64 = self.logits.argmax(1).astype(np.int64)
        return found


def decides(graph: Graph) -> bool:
    """Whether one class of a network can lead the next."""
    return says_classes(graph) and graph.classes > 1


def check_stops(graph: Graph, margin: Any) -> int:
    """The margin, where the images of a network can be decided.

    Raises:
        ConfigError: its answers are no classes, or a single one, or the margin is no whole number that logits can lead
            by.
    """
    if not decides(graph):
        found = "a single class" if says_classes(graph) else "no classes"
        raise ConfigError(f"an image is decided when one class leads the next, and this network answers {found}")
    if check_count("margin", margin, least=0) > MOST_MARGIN:
        raise ConfigError(f"margin must be at most {MOST_MARGIN}, by which logits of 32 bits can lead, not {margin}")
    return int(margin)


def stop_early(graph: Graph, images: Array, margin: int) -> Stopped:
    """Images [N, C, H, W], or sequences [T, N, C, H, W], by the reference, which computes all steps and leaves out
    those that were not needed."""
    refuse_beyond_reference(graph, graph.timesteps if images.ndim == 4 else len(images))
    said = reference.answers_by_step(graph, images)[0].reshape(-1, images.shape[-4], graph.classes)
    decided = leads(said) >= margin
    decided[-1] = True
    last = decided.argmax(0)
    return Stopped(said[last, np.arange(len(last))], last.astype(np.int64) + 1)


def leads(answers: Int32) -> UInt32:
    """By how much the largest of answers [..., classes] leads the next."""
    ordered = np.partition(answers, -2, axis=-1)
    found: UInt32 = ordered[..., -1].astype(np.uint32) - ordered[..., -2].astype(np.uint32)
    return found
