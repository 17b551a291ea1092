"""Signals: what weights look at, computed in torch, and taken apart into the sources that an integer graph has.

A signal is whole numbers, spikes or pixels or sums of them, over a divisor: that of its averages, and what of an
input stands for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..data.input_format import InputFormat
from ..integer.connection import image
from ..integer.pool import Pool, Upsample
from .described import (
    Added,
    Concatenated,
    Dropped,
    Flattened,
    Pixels,
    Pooled,
    Reshaped,
    Signal,
    Spikes,
    Upsampled,
)
from .stage import Look
from .synapse import apply_pool

Drop = Callable[[Tensor, float, bool], Tensor]  # dropout of a tensor, by a probability, of whole channels or not


@dataclass(frozen=True)
class Sources:
    """How the signals of a network are numbered and scaled.

    Args:
        formats: of the inputs; sources of spikes come behind.
    """

    formats: tuple[InputFormat, ...]

    @property
    def inputs(self) -> int:
        """How many there are."""
        return len(self.formats)


@dataclass(frozen=True)
class SignalPart:
    """A part of a signal that comes from one source.

    Args:
        source, delay: as those of a term.
        steps: pools and up-samplings on the way.
        divisor: of its sums.
        shape: (C, H, W) behind the steps.
        first: the first channel in the whole signal, or the first element where it is flat.
        flat: it is a row of elements.
    """

    source: int
    delay: Literal[0, 1]
    steps: tuple[Pool | Upsample, ...]
    divisor: float
    shape: tuple[int, int, int]
    first: int = 0
    flat: bool = False

    @property
    def size(self) -> int:
        """Channels, or elements where it is flat."""
        return math.prod(self.shape) if self.flat else self.shape[0]


def parts_of(signal: Signal, sources: Sources) -> list[SignalPart]:
    """The parts of a signal, in their order; those that are added lie in the same place."""
    if isinstance(signal, Spikes):
        return [SignalPart(sources.inputs + signal.layer, signal.delay, (), 1, image(signal.shape))]
    if isinstance(signal, Pixels):
        return [SignalPart(signal.input, 0, (), sources.formats[signal.input].divisor, image(signal.shape))]
    if isinstance(signal, Added):
        return [part for inner in signal.signals for part in parts_of(inner, sources)]
    if isinstance(signal, Concatenated):
        return list(_in_a_row(signal, sources))
    parts = parts_of(signal.signal, sources)
    if isinstance(signal, Flattened):
        return [_flattened(part) for part in parts]
    if isinstance(signal, Pooled | Upsampled):
        step = pool_of(signal)
        divisor = signal.divisor if isinstance(signal, Pooled) else 1
        return [
            replace(
                part,
                steps=(*part.steps, step),
                divisor=part.divisor * divisor,
                shape=(part.shape[0], *step.size(*part.shape[1:])),
            )
            for part in parts
        ]
    return parts


def _in_a_row(signal: Concatenated, sources: Sources) -> Iterator[SignalPart]:
    first = 0
    for inner in signal.signals:
        parts = parts_of(inner, sources)
        for part in parts:
            yield replace(part, first=first + part.first)
        first += max(part.first + part.size for part in parts)


def _flattened(part: SignalPart) -> SignalPart:
    if part.flat:
        return part
    return replace(part, flat=True, first=part.first * part.shape[1] * part.shape[2])


def pool_of(signal: Pooled | Upsampled) -> Pool | Upsample:
    """The step of integers that a pool or an up-sampling is, without its divisor."""
    if isinstance(signal, Upsampled):
        return Upsample(signal.factor)
    return Pool("max" if signal.kind == "max" else "sum", signal.kernel, signal.stride, signal.padding, signal.dilation)


def divisor_of(signal: Signal, sources: Sources) -> float | None:
    """By what whole numbers are divided; None where parts of them are divided by different numbers."""
    found = {part.divisor for part in parts_of(signal, sources)}
    return found.pop() if len(found) == 1 else None


def value_of(signal: Signal, look: Look, sources: Sources, drop: Drop, whole: bool) -> Tensor:
    """A signal, [N, ...].

    Args:
        look: what the sources say, [N, ...], whole numbers as floats.
        drop: dropout.
        whole: leave the whole numbers undivided.
    """
    if isinstance(signal, Spikes):
        return look(sources.inputs + signal.layer, signal.delay)
    if isinstance(signal, Pixels):
        x = look(signal.input, 0)
        x = x.reshape(len(x), *signal.shape)  # a vector comes in as an image of one pixel
        return x if whole else x / sources.formats[signal.input].divisor
    if isinstance(signal, Added | Concatenated):
        values = [value_of(inner, look, sources, drop, whole) for inner in signal.signals]
        return torch.cat(values, 1) if isinstance(signal, Concatenated) else sum(values[1:], values[0])
    x = value_of(signal.signal, look, sources, drop, whole)
    if isinstance(signal, Pooled | Upsampled):
        x = apply_pool(pool_of(signal), x)
        return x / signal.divisor if isinstance(signal, Pooled) and not whole and signal.divisor > 1 else x
    if isinstance(signal, Flattened):
        return x.flatten(1)
    if isinstance(signal, Reshaped):
        return x.reshape(len(x), *signal.shape)
    if isinstance(signal, Dropped):
        return drop(x, signal.p, signal.channels)
    raise AssertionError(signal)
