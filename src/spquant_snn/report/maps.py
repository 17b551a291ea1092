"""Maps: the image, the spikes and the stored codes of a raster as small pictures, a pixel for each neuron."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..dtypes import UInt8
from ..integer.grids import STATE_GRIDS
from .draw.lines import Series, line_chart
from .draw.png import Colour, colours, data_address, indexed
from .draw.svg import Chart
from .one_answer import answer_maps, answer_words
from .raster import LayerRaster, Raster, mosaic, shown

_WIDE, _TIMES = 246, 10  # pixels of a screen that a map takes across, and that a neuron does, at most
_STEPS = 8  # time steps whose maps are shown
_SHADES = 16  # of a code, to each side of zero
_OBLONG = 1.5  # times as long as wide, and still about square
_ACROSS = 140  # pixels of a screen that an image takes, at most
_CLASSES = 3  # whose logits are named

# All of them are told from a white and from a black ground, and apart by those who do not see red or green.
_GAP: Colour = (0, 0, 0, 0)
_SILENT: Colour = (128, 128, 128, 44)
_FIRED: Colour = (217, 72, 15, 255)
_BELOW, _ABOVE = (37, 99, 235), (13, 148, 106)


@dataclass(frozen=True)
class Picture:
    """A picture as it stands in a page.

    Args:
        address: of the PNG, which holds all of it.
        width, height: on a screen: a whole number of pixels for each of its own.
        says: what it shows, in words.
        caption: the same, shorter, to stand below it.
    """

    address: str
    width: int
    height: int
    says: str
    caption: str


@dataclass(frozen=True)
class LayerMaps:
    """The maps of a layer: first its spikes at each step, then its codes; ``note`` says what is left out, if anything
    is."""

    name: str
    shape: str
    note: str
    spikes: tuple[Picture, ...]
    codes: tuple[Picture, ...]


@dataclass(frozen=True)
class Sheet:
    """A raster as it stands in a page.

    Args:
        says: what was answered.
        answers: maps that were, and that would have been right.
        logits: as they grow; None of maps.
    """

    raster: Raster
    says: str
    image: Picture
    answers: tuple[Picture, ...]
    layers: tuple[LayerMaps, ...]
    logits: Chart | None


def sheet(raster: Raster) -> Sheet:
    """The pictures of a raster."""
    task, values = raster.task, raster.values
    says = "answered at every step" if values is None else answer_words(task, values, raster.wanted)
    answers = () if values is None else tuple(answer_maps(task, values, raster.wanted))
    return Sheet(
        raster,
        says,
        _image(raster),
        tuple(_answer(raster, what, grey) for what, grey in answers),
        tuple(map(_maps, raster.layers)),
        None if answers else _logits(raster),
    )


def _image(raster: Raster) -> Picture:
    """The image in its colours, or its channels side by side in grey."""
    image = raster.image
    if len(image) == 3:
        png, (height, width) = colours(np.ascontiguousarray(image.transpose(1, 2, 0))), image.shape[1:]
    else:
        return _grey(mosaic(image.astype(np.uint8), 255), f"test image {raster.index}", "")
    times = max(1, _ACROSS // width)
    return Picture(data_address(png), times * width, times * height, f"test image {raster.index}", "")


def _answer(raster: Raster, what: str, grey: UInt8) -> Picture:
    """A map that was answered, or right."""
    return _grey(grey, f"the map that {'was' if what == 'answered' else 'is'} {what} of image {raster.index}", what)


def _grey(levels: UInt8, says: str, caption: str) -> Picture:
    png, (height, width) = indexed(levels, [(level, level, level, 255) for level in range(256)]), levels.shape
    times = max(1, _ACROSS // width)
    return Picture(data_address(png), times * width, times * height, says, caption)


def thumbnail(raster: Raster) -> str | None:
    """The address of the image, where it is about as wide as high."""
    picture = _image(raster)
    return picture.address if 1 / _OBLONG <= picture.width / picture.height <= _OBLONG else None


def _maps(layer: LayerRaster) -> LayerMaps:
    shape = layer.spikes.shape[1:]
    kept, steps = shown(shape), min(len(layer.spikes), _STEPS)
    notes = []
    if kept < shape[0]:
        notes.append(f"the first {kept} of {shape[0]} channels")
    if steps < len(layer.spikes):
        notes.append(f"the first {steps} of {len(layer.spikes)} steps")
    return LayerMaps(
        layer.name,
        " × ".join(map(str, shape)),
        ", ".join(notes),
        tuple(_spikes(layer, t, kept) for t in range(steps)),
        tuple(_codes(layer, t, kept) for t in range(steps)),
    )


def _spikes(layer: LayerRaster, step: int, kept: int) -> Picture:
    fired = layer.spikes[step]
    sheet = mosaic(1 + fired[:kept].astype(np.uint8), 0)
    counted = f"{int(fired.sum()):,} of {fired.size:,}"
    return _picture(
        indexed(sheet, [_GAP, _SILENT, _FIRED]),
        sheet.shape,
        f"map of layer {layer.name} in step {step + 1}: {counted} neurons fire",
        f"step {step + 1}: {counted} fire",
    )


def _codes(layer: LayerRaster, step: int, kept: int) -> Picture:
    codes, grid = layer.codes[step], STATE_GRIDS[layer.bits]
    scaled = np.rint(codes[:kept] * (_SHADES / max(-grid.low, grid.high))).astype(np.int64)
    sheet = mosaic((1 + _SHADES + scaled).astype(np.uint8), 0)
    below, above = float((codes < 0).mean()), float((codes > 0).mean())
    counted = f"{below:.0%} below zero, {above:.0%} above"
    return _picture(
        indexed(sheet, list(_code_colours())),
        sheet.shape,
        f"map of the codes that layer {layer.name} stores after step {step + 1}: {counted}",
        f"step {step + 1}: {below:.0%} below 0, {above:.0%} above",
    )


def _code_colours() -> Iterator[Colour]:
    """Of the gap, then of the codes from the lowest to the highest: the further from zero the more opaque."""
    yield _GAP
    for shade in range(-_SHADES, _SHADES + 1):
        yield (*(_BELOW if shade < 0 else _ABOVE), 40 + 215 * abs(shade) // _SHADES) if shade else _SILENT


def _picture(png: bytes, shape: tuple[int, ...], says: str, caption: str) -> Picture:
    height, width = shape
    times = max(1, min(_TIMES, _WIDE // width))
    return Picture(data_address(png), times * width, times * height, says, caption)


def _logits(raster: Raster) -> Chart:
    """How the logits grow; the classes that are named are the highest in the end, and the right one."""
    last = raster.logits[-1]
    named = [int(i) for i in np.argsort(-last, kind="stable")[:_CLASSES]]
    if raster.label is not None and raster.label not in named:
        named.append(raster.label)

    classifies = raster.task.kind == "classification"

    def name(which: int) -> str:
        says = ", answer" if which == raster.answer else ", right" if which == raster.label else ""
        return f"class {which}{says}" if classifies else raster.task.name_of(which)

    quiet = [which for which in range(len(last)) if which not in named]
    series = [Series(name(which), raster.logits[:, which].tolist(), which in quiet) for which in (*named, *quiet)]
    steps = list(range(len(raster.logits)))
    title = f"Logits of image {raster.index} over time"
    return line_chart(title, steps, series, "step", "integer logit, summed", lambda value: f"{value:,.0f}")
