"""Rasters: every spike and every stored code of a few images, and the logits as they grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Task
from ..data.items import Items
from ..dtypes import Array, Int64, UInt8
from ..errors import ConfigError
from ..integer.compare import potentials, reference_trace
from ..integer.graph import Graph
from ..integer.inputs import task_of
from ..integer.reference import answers_by_step

_SHOWN = 1 << 14  # neurons of a map, at most


@dataclass(frozen=True, eq=False)
class LayerRaster:
    """Of a layer: its spikes, and the codes of the potentials that its neurons stored, both [T, C, H, W] or [T, F]."""

    name: str
    bits: float
    spikes: NDArray[np.bool_]
    codes: NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Raster:
    """Of an image.

    Args:
        index: of the image among those of the test set.
        wanted: its label, None where it is not known.
        image: uint8 [C, H, W]; of a sequence, the sums over its frames, the largest of them as bright as can be.
        layers: of neurons.
        logits: int64 [T + 1, classes], the answer so far; zero before the first step.
        task: of the network.
        values: [K, ...] the answer in the unit of the labels; None of a network that answers at every step.
    """

    index: int
    wanted: Array | None
    image: UInt8
    layers: tuple[LayerRaster, ...]
    logits: Int64
    task: Task
    values: Array | None

    @property
    def label(self) -> int | None:
        """The right class, where the task is one of classes and it is known."""
        return None if self.wanted is None or self.task.kind != "classification" else int(self.wanted)

    @property
    def answer(self) -> int:
        """The predicted class: the first of the largest logits."""
        return int(self.logits[-1].argmax())


def take_rasters(graph: Graph, test: Items, chosen: Sequence[int]) -> tuple[Raster, ...]:
    """What the reference does on the items with the chosen indices.

    Raises:
        ConfigError: there is no such image.
    """
    for index in chosen:
        if not 0 <= index < len(test):
            raise ConfigError(f"there is no test image {index} for a raster: choose from 0 to {len(test) - 1}")
    if not chosen:
        return ()
    labels = test.labels
    return tuple(
        replace(raster, index=index, wanted=None if labels is None else labels[index])
        for index, raster in zip(chosen, record(graph, test.inputs(np.array(chosen, np.int64))), strict=True)
    )


def record(graph: Graph, given: Array) -> tuple[Raster, ...]:
    """What the reference does on images [N, C, H, W] or sequences [T, N, C, H, W] that are known to fit, without
    labels."""
    trace, logits = reference_trace(graph, given), _logits(graph, given)
    steps = graph.timesteps if given.ndim == 4 else len(given)
    values = None if graph.readout.over_time == "all" else graph.readout.values(np.asarray(trace.logits), steps)
    return tuple(
        Raster(
            place,
            None,
            _shown(given[..., place, :, :, :]),
            tuple(
                LayerRaster(name, layer.neuron.bits, spikes[:, place], potentials(spikes, codes)[:, place])
                for layer, (name, spikes, codes) in zip(graph.layers, trace.layers, strict=True)
            ),
            logits[:, place],
            task_of(graph),
            None if values is None else values[place],
        )
        for place in range(given.shape[-4])
    )


def _logits(graph: Graph, images: Array) -> Int64:
    """[T + 1, N, classes] the answer so far, zero before the first step."""
    said = answers_by_step(graph, images)[0]
    flat = said.reshape(len(said), said.shape[1], -1)
    return np.concatenate([np.zeros_like(flat[:1]), flat]).astype(np.int64)


def _shown(item: Array) -> UInt8:
    """One picture [C, H, W] of an image, or of frames [T, C, H, W]; of signed numbers how far they lie from zero."""
    if item.ndim == 3 and item.dtype == np.uint8:
        return item
    sums = np.abs(item.astype(np.int64)) if item.ndim == 3 else np.abs(item.astype(np.int64)).sum(0)
    bright: UInt8 = (sums * 255 // max(1, int(sums.max()))).astype(np.uint8)
    return bright


def mosaic(values: NDArray[Any], gap: int, spacing: int = 1) -> NDArray[Any]:
    """All channels of a layer on one sheet, row by row.

    Args:
        values: [C, H, W], or [F], whose neurons then lie side by side.
        gap: the value between channels, and where there are none.
        spacing: pixels between channels.

    Returns:
        [H', W'], at least as wide as high where channels are square.
    """
    if values.ndim == 1:
        values, spacing = values[:, None, None], 0
    count, height, width = values.shape
    across = 1 << ((count - 1).bit_length() + 1) // 2  # a power of two, the root of the count or more
    down = -(-count // across)
    sheet = np.full((down * across, height + spacing, width + spacing), gap, values.dtype)
    sheet[:count, :height, :width] = values
    rows = sheet.reshape(down, across, height + spacing, width + spacing).transpose(0, 2, 1, 3)
    whole: NDArray[Any] = rows.reshape(down * (height + spacing), across * (width + spacing))
    return whole[: whole.shape[0] - spacing, : whole.shape[1] - spacing]


def shown(shape: Sequence[int]) -> int:
    """How many of the channels of a layer [C, H, W] or [F] a map shows, so that it stays readable; at least one."""
    return min(shape[0], max(1, _SHOWN // math.prod(shape[1:])))
