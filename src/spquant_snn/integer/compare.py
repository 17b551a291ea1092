"""Verification: two backends compared on the same images in every spike, every stored code and every answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..data.arrays import of_each_length
from ..dtypes import Array, Bools, Int32, Int64
from ..errors import DataError
from ..io import html
from ..io.terminal import Report, unseen
from . import reference
from .graph import Graph, Readout

IntegerBackend = Literal["reference", "native"]  # what runs a graph: NumPy, or C


@dataclass
class Trace:
    """What a backend computed on a batch.

    Attributes:
        layers: for each layer its name, its spikes and its stored codes, both [T, N, ...].
        answers: of each readout, images first, as ``images_first`` gives them.
    """

    layers: list[tuple[str, Bools, NDArray[np.integer[Any]]]] = field(default_factory=list)
    answers: list[NDArray[np.integer[Any]]] = field(default_factory=list)

    def add(self, name: str, spikes: Array, codes: Array) -> None:
        self.layers.append((name, spikes != 0, codes))

    @property
    def logits(self) -> NDArray[np.integer[Any]]:
        """The answers of the first readout, which predicts."""
        return self.answers[0]


Tracer = Callable[..., Trace]  # of what is given for each input


def images_first(readouts: tuple[Readout, ...], answers: list[Int32]) -> list[NDArray[np.integer[Any]]]:
    """Answers [N, ...] of each readout; those of all steps are [N, T, ...]."""
    return [
        answer.swapaxes(0, 1) if readout.over_time == "all" else answer
        for readout, answer in zip(readouts, answers, strict=True)
    ]


@dataclass(frozen=True)
class Difference:
    """The first value in which two backends differ.

    Args:
        layer: its name; for answers "logits" (the first readout), "readout 1" and so on.
        what: "spike", "code" or "logit".
        timestep: None for answers.
        index: the number of the image in the whole set, then the place of the neuron or the answer.
        expected, found: the values of the first and of the second backend.
    """

    layer: str
    what: str
    timestep: int | None
    index: tuple[int, ...]
    expected: int
    found: int

    def __str__(self) -> str:
        when = "" if self.timestep is None else f", time step {self.timestep}"
        where = ", ".join(map(str, self.index[1:]))
        values = f"expected {self.expected}, found {self.found}"
        return f"{self.what} of layer {self.layer!r}{when}, image {self.index[0]}, at ({where}): {values}"


@dataclass(frozen=True, repr=False)
class Verdict:
    """The result of ``verify``; it is true where everything is equal.

    Args:
        images: number of images compared.
        spikes, codes, logits: number of values compared, over all layers, time steps and readouts.
        difference: the first one, by layer, time step and index; None where all values are equal.

    Example:
        >>> verdict = Verdict(images=5, spikes=1000, codes=1000, logits=50, difference=None)
        >>> verdict.equal
        True
        >>> print(verdict)
        equal on 5 images: 1,000 spikes, 1,000 stored codes, 50 logits
    """

    images: int
    spikes: int
    codes: int
    logits: int
    difference: Difference | None

    @property
    def equal(self) -> bool:
        """Whether all values are equal."""
        return self.difference is None

    def __bool__(self) -> bool:
        """``equal``, so that ``assert verify(...)`` does what it says."""
        return self.equal

    def __str__(self) -> str:
        if self.difference is not None:
            return f"different: {self.difference}"
        compared = f"{self.spikes:,} spikes, {self.codes:,} stored codes, {self.logits:,} logits"
        return f"equal on {self.images:,} images: {compared}"

    def __repr__(self) -> str:
        return f"Verdict({self})"

    def _repr_html_(self) -> str:
        """The verdict in words, as a notebook shows it."""
        return html.text(str(self))


def potentials(spikes: Array, codes: Array) -> Array:
    """The codes [T, N, C, ...] of potentials among a layer's stored codes, which may hold synaptic currents too."""
    return codes[:, :, 0] if codes.ndim > spikes.ndim else codes


def reference_trace(graph: Graph, *given: Array) -> Trace:
    """The trace of the NumPy reference on an array for each input."""
    trace = Trace()
    trace.answers = images_first(graph.readouts, reference.answers(graph, *given, probe=trace.add))
    return trace


def compare_backends(
    expected: Tracer,
    found: Tracer,
    images: Array | tuple[Array, ...],
    batch: int = 250,
    progress: Report = unseen,
    lengths: Int64 | None = None,
) -> Verdict:
    """Compare two backends, batch by batch, up to the first difference.

    Args:
        expected, found: the two backends, functions from what is given for each input to a Trace.
        images: [N, C, H, W], or sequences [T, N, C, H, W]; of a network of several inputs, one array for each.
        progress: called with the number of images done.
        lengths: int64 [N], frames of each sequence, to which it is cut; None: all have T.

    Raises:
        DataError: there is not one length for each sequence, from 1 to T.
    """
    given = images if isinstance(images, tuple) else (images,)
    spikes = codes = logits = end = 0
    count = given[0].shape[-4]
    if lengths is not None:
        _check_lengths(lengths, given)
    for which in of_each_length(lengths, count, batch):
        parts = [x[..., which, :, :, :] for x in given]
        if lengths is not None:
            parts = [x[: lengths[which][0]] for x in parts]
        end += parts[0].shape[-4]
        first, second = expected(*parts), found(*parts)
        difference = first_difference(first, second, np.arange(count)[which])
        spikes += sum(layer[1].size for layer in first.layers)
        codes += sum(layer[2].size for layer in first.layers)
        logits += sum(answer.size for answer in first.answers)
        if difference is not None:
            return Verdict(end, spikes, codes, logits, difference)
        progress(end)
    return Verdict(count, spikes, codes, logits, None)


def _check_lengths(lengths: Int64, given: tuple[Array, ...]) -> None:
    steps = {len(x) for x in given if x.ndim == 5}
    if not steps:
        raise DataError("lengths are of sequences [T, N, C, H, W], and images are given: leave them out")
    count, most = given[0].shape[-4], min(steps)
    whole = lengths.dtype.kind in "iu" and lengths.shape == (count,)
    if not whole or int(lengths.min()) < 1 or int(lengths.max()) > most:
        found = f"{lengths.dtype} {list(lengths.shape)}" if not whole else f"{lengths.min()} to {lengths.max()}"
        raise DataError(f"lengths must be {count} whole numbers from 1 to {most}, one for each sequence, not {found}")


def first_difference(expected: Trace, found: Trace, numbers: Int64 | None = None) -> Difference | None:
    """The first difference of two traces, in the order of computation; ``numbers`` are those of the images, 0, 1, 2 ...
    by default."""
    for (name, spikes, codes), (_, other_spikes, other_codes) in zip(expected.layers, found.layers, strict=True):
        places = [
            (place, what, a, b)
            for what, a, b in (("spike", spikes, other_spikes), ("code", codes, other_codes))
            if (place := _first(a, b)) is not None
        ]
        if places:
            place, what, a, b = min(places, key=lambda found: found[0][0])  # the earlier step; within one, the spike
            timestep, image, *rest = place
            return Difference(name, what, timestep, (_number(image, numbers), *rest), int(a[place]), int(b[place]))
    for i, (a, b) in enumerate(zip(expected.answers, found.answers, strict=True)):
        place = _first(a, b)
        if place is not None:
            image, *rest = place
            layer = f"readout {i}" if i else "logits"
            return Difference(layer, "logit", None, (_number(image, numbers), *rest), int(a[place]), int(b[place]))
    return None


def _number(image: int, numbers: Int64 | None) -> int:
    return image if numbers is None else int(numbers[image])


def _first(a: Array, b: Array) -> tuple[int, ...] | None:
    if a.shape != b.shape:
        raise ValueError(f"traces of different shapes, {a.shape} and {b.shape}, cannot be compared")
    if np.array_equal(a, b):
        return None
    return tuple(int(i) for i in np.argwhere(a != b)[0])
